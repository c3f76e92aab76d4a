"""The way into the log: instants of receipt never run back, whatever the machine's clock does."""

from __future__ import annotations

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2 as pb
from core.clock import HOUR_US, ManualClock
from core.eventlog.memory import MemoryLog
from services.ingest.accept import take_event, take_person
from services.ingest.batcher import Batcher
from services.ingest.writer import BatchWriter
from services.runtime.facts import columns_from_proto
from services.runtime.waiter import LoopWaiter
from tests.unit.ingest.house import DEV, NOW_US

ANN = facts_pb2.Identifier(kind="external_id", value="ann")


class Wall:
    """A machine's clock, which somebody may set back."""

    def __init__(self, now_us: int) -> None:
        self.us = now_us

    def now_us(self) -> int:
        """The instant last set."""
        return self.us


def _event(now_us: int, writer: BatchWriter) -> None:
    assert take_event(writer, pb.Event(type="page_viewed", identifiers=[ANN]), now_us).refusal is None


def _person(now_us: int, writer: BatchWriter) -> None:
    person = pb.Person(identifiers=[ANN], attributes={"city": facts_pb2.Value(text="Kyiv")})
    assert take_person(writer, person, now_us).refusal is None


async def _received(log: MemoryLog) -> list[list[int]]:
    """Instants of receipt, entry by entry, in the order in which the items were taken."""
    found = []
    for entry in await log.read(DEV, 0, 100, 1 << 20):
        batch = facts_pb2.AcceptedBatch.FromString(entry.payload)
        events: list[int] = columns_from_proto(batch.events).received_at_us.tolist() if batch.events.ids else []
        order = [(fact.before_event, 0, fact.received_at_us) for fact in batch.facts]
        order += [(row, 1, at_us) for row, at_us in enumerate(events)]
        found.append([at_us for *_, at_us in sorted(order, key=lambda one: one[:2])])
    return found


async def test_received_at_never_runs_back() -> None:
    log = MemoryLog(ManualClock(NOW_US), LoopWaiter())
    clock = Wall(NOW_US)
    first = Batcher(log, DEV, clock)
    for step_us in (0, -HOUR_US, 2 * HOUR_US):
        clock.us += step_us
        _event(clock.us, first.writer(10))
        await first.commit(10)
    clock.us -= 3 * HOUR_US
    second = Batcher(log, DEV, clock)  # the process was started again, and does not remember
    own = BatchWriter()
    _person(clock.us, own)
    await second.append(own)
    latest_us = NOW_US + HOUR_US
    assert await _received(log) == [[NOW_US], [NOW_US], [latest_us], [latest_us]]


async def test_received_at_never_runs_back_within_an_entry() -> None:
    log = MemoryLog(ManualClock(NOW_US), LoopWaiter())
    batcher = Batcher(log, DEV, Wall(NOW_US))
    for take, late_us in ((_event, 0), (_person, 5), (_event, 3), (_event, 7), (_person, 6)):
        take(NOW_US + late_us, batcher.writer(10))
        entry = batcher.commit(10)
    await entry
    assert await _received(log) == [[NOW_US + late_us for late_us in (0, 5, 5, 7, 7)]]
