"""The archive: everything accepted stands in Parquet once, whatever dies when; the log is trimmed below it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2 as pb
from core.clock import DAY_US, HOUR_US, ManualClock
from core.errors import CdpError
from core.eventlog.memory import MemoryLog
from services.ingest.accept import take_item
from services.ingest.archive import write_ranges
from services.ingest.worker import TABLE, ArchiveShard
from services.ingest.writer import BatchWriter
from services.runtime.feed import ConsumerPositions
from services.runtime.waiter import LoopWaiter
from tests.unit.ingest.house import DEV, NOW_US

LEASE = f"ingest:{DEV.bucket}"


@dataclass
class Scene:
    """A log with an archive folder."""

    log: MemoryLog
    clock: ManualClock
    folder: Path
    consumers: ConsumerPositions

    async def shard(self, owner: str = "one", flush_s: float = 0.0) -> ArchiveShard:
        fence = await self.log.acquire(LEASE, owner, 10.0)
        assert fence is not None
        shard = ArchiveShard(self.log, self.clock, DEV, fence, self.folder, self.consumers, flush_s=flush_s)
        await shard.open()
        return shard

    async def add(self, number: int) -> None:
        """An entry with an order of two lines and a person."""
        order = pb.Order(order_id=f"o{number}", status="completed", occurred_at_us=NOW_US - 400 * DAY_US)
        order.identifiers.add(kind="external_id", value=f"c{number}")
        order.identifiers.add(kind="email", value=f"c{number}@example.com")
        order.params["total"].decimal = "12.5"
        order.params["store"].text = "Київ"
        for line in range(2):
            order.items.add().fields["product_id"].text = f"p{line}"
        person = pb.Person(attributes={"city": facts_pb2.Value(text="Lviv")})
        person.identifiers.add(kind="external_id", value=f"c{number}")
        writer = BatchWriter()
        for item in (pb.BatchItem(order=order), pb.BatchItem(person=person)):
            assert take_item(writer, item, self.clock.now_us()).refusal is None
        await self.log.append(DEV, [writer.payload()], self.clock.now_us())

    def archived(self) -> list[str]:
        """Ids of all archived events."""
        files = sorted(path for path in self.folder.glob("*/*.parquet") if not path.name.endswith(".facts.parquet"))
        return [str(one) for path in files for one in pq.read_table(path, columns=["id"])["id"].to_pylist()]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    clock = ManualClock(NOW_US)
    log = MemoryLog(clock, LoopWaiter())
    yield Scene(log, clock, tmp_path / "archive" / "dev", ConsumerPositions())
    await log.close()


async def test_an_event_reads_as_it_was_sent(scene: Scene) -> None:
    await scene.add(1)
    await scene.add(2)
    shard = await scene.shard()
    await shard.step()
    assert shard.archived == 2
    [events, facts] = sorted(scene.folder.glob("*/*.parquet"), key=lambda path: len(path.name))
    assert events.parent.name == "2026-11-01"
    assert events.name == f"{1:020d}-{2:020d}.parquet"
    rows = pq.read_table(events).to_pylist()
    assert [row["position"] for row in rows] == [1, 2]
    second = rows[1]
    assert (second["id"], second["type"]) == ("order:o2:completed", "order_completed")
    assert second["occurred_at"] == datetime.fromtimestamp((NOW_US - 400 * DAY_US) / 1e6, UTC)
    assert second["received_at"] == second["recorded_at"] == datetime.fromtimestamp(NOW_US / 1e6, UTC)
    assert second["identifiers"] == [
        {"kind": "external_id", "value": "c2"},
        {"kind": "email", "value": "c2@example.com"},
    ]
    params = dict(second["params"])
    assert params["total"] == {"kind": 3, "number": 125_000, "text": None}
    assert params["store"] == {"kind": 1, "number": None, "text": "Київ"}
    assert [dict(line)["product_id"]["text"] for line in second["items"]] == ["p0", "p1"]
    told = pq.read_table(facts).to_pylist()
    assert [(row["position"], row["before_event"]) for row in told] == [(1, 1), (2, 1)]
    fact = facts_pb2.AcceptedFact.FromString(told[0]["fact"])
    assert fact.profile.attributes["city"].text == "Lviv"


async def test_a_file_is_of_one_day(scene: Scene) -> None:
    scene.clock.set(NOW_US + 11 * HOUR_US)
    await scene.add(1)
    scene.clock.advance(2 * HOUR_US)
    await scene.add(2)
    await (await scene.shard()).step()
    assert [path.name for path in sorted(scene.folder.iterdir())] == ["2026-11-01", "2026-11-02"]
    assert scene.archived() == ["order:o1:completed", "order:o2:completed"]


async def test_a_worker_killed_before_its_commit_leaves_nothing_twice(scene: Scene) -> None:
    for number in range(3):
        await scene.add(number)
    entries = await scene.log.read(DEV, 0, 2, 1 << 30)
    written = write_ranges(scene.folder, entries)
    draft = scene.folder / written[0].day / "00000000000000000009-x.parquet.draft"
    draft.write_bytes(b"half")
    shard = await scene.shard()
    assert not draft.exists()
    await shard.step()
    await scene.add(3)
    await shard.step()
    assert scene.archived() == [f"order:o{number}:completed" for number in range(4)]
    names = [key.decode() async for key, _ in scene.log.scan(DEV, TABLE)]
    assert sorted(names) == [f"2026-11-01/{first:020d}-{last:020d}" for first, last in ((1, 3), (4, 4))]
    again = await scene.shard()
    assert again.archived == 4


async def test_the_old_owner_cannot_commit(scene: Scene) -> None:
    await scene.add(1)
    old = await scene.shard(flush_s=60.0)
    await old.step()
    await scene.log.release(LEASE, "one")
    new = await scene.shard("two")
    with pytest.raises(CdpError, match="epoch"):
        await old.flush()
    await new.step()
    assert scene.archived() == ["order:o1:completed"]


async def test_few_entries_wait_for_more(scene: Scene) -> None:
    await scene.add(1)
    shard = await scene.shard(flush_s=60.0)
    await shard.step()
    assert (shard.archived, scene.archived()) == (0, [])
    await shard.flush()
    assert shard.archived == 1


@pytest.mark.parametrize(("consumer", "first"), [(None, 1), (1, 2), (5, 4)])
async def test_the_log_is_trimmed_below_both(scene: Scene, consumer: int | None, first: int) -> None:
    for number in range(3):
        await scene.add(number)
    if consumer is not None:
        scene.consumers.set("profile_unification", consumer)
    await (await scene.shard()).step()
    assert (await scene.log.bounds(DEV))[0] == first
