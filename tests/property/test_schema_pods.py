"""Two processes that learn names at the same time agree: every name has one kind, and nothing acknowledged clashes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from random import Random

import pytest

from cdp.facts.v1 import facts_pb2
from core.clock import ManualClock
from core.eventlog.memory import MemoryLog
from core.eventlog.protocol import Partition
from core.events.persons import RawPerson
from core.events.schema import Family, Place, Schema
from core.events.validate import RawEvent, Report
from core.profile.accepted import AcceptedBatch, ProfileUpdate
from core.profile.kinds import AttributeKinds
from core.schema import Kind, Value, kind_of
from services.ingest.accept import Outcome, take_raw_event, take_raw_person
from services.ingest.batcher import Batcher
from services.ingest.entrance import admit
from services.ingest.schema_store import SchemaStore
from services.ingest.usage import Usage
from services.ingest.ways import Way
from services.ingest.writer import BatchWriter
from services.profile_unification.convert import accepted_from_proto
from services.runtime.feed import ConsumerPositions
from services.runtime.waiter import LoopWaiter

NOW_US = 1_700_000_000_000_000
WS = Partition("ingest", "shop", 7)
NAMES = [f"n{number}" for number in range(6)]
SEEDS = range(12)


class Pod:
    """One process's door to the workspace."""

    def __init__(self, log: MemoryLog, clock: ManualClock) -> None:
        schema = SchemaStore(log, clock, WS.workspace, WS.bucket)
        self.way = Way(WS, Batcher(log, WS, clock, schema), ConsumerPositions(), schema, Usage(log, WS, clock))

    async def send(self, traits: Mapping[str, object], params: Mapping[str, object], event: str) -> Outcome:
        """One person, or one event where there are `params`."""

        def take(writer: BatchWriter) -> Outcome:
            who = [("userId", "external_id", "ann")]
            if not params:
                raw = RawPerson(None, "", None, "", who, [(traits, "traits")])
                return take_raw_person(writer, raw, NOW_US, Report())
            raw_event = RawEvent(event, "event", None, "", None, "", who, [(params, "properties")], None, "products")
            return take_raw_event(writer, raw_event, NOW_US, Report(), {})

        outcome, entry = await admit(self.way, 100, take)
        if entry is not None:
            await entry
        return outcome


def _value(random: Random) -> object:
    choices: list[object] = [
        random.randint(-5, 5),
        Decimal(random.randint(-99, 99)) / 4,
        random.choice(["red", "12", "2020-01-31", "true"]),
        random.random() < 0.5,
        ["a", "b"][: random.randint(0, 2)],
        [{"age": random.choice([1, "x", True])}],
        None,
    ]
    return random.choice(choices)


@pytest.mark.parametrize("seed", SEEDS)
async def test_two_processes_agree_on_every_kind(seed: int) -> None:
    print(f"seed {seed}")
    random, clock = Random(seed), ManualClock(NOW_US)
    log = MemoryLog(clock, LoopWaiter())
    pods = [Pod(log, clock), Pod(log, clock)]

    async def run(pod: Pod, part: Random) -> list[Outcome]:
        outcomes = []
        for _ in range(40):
            fields = {name: _value(part) for name in part.sample(NAMES, part.randint(1, 3))}
            event = part.choice(["folded", "Scarf Washed", "page"])
            outcomes.append(await pod.send(*((fields, {}) if part.random() < 0.5 else ({}, fields)), event))
            if part.random() < 0.3:
                await asyncio.sleep(0)
        return outcomes

    done = await asyncio.gather(*(run(pod, Random(random.random())) for pod in pods for _ in range(2)))
    assert any(outcome.refusal is not None for outcomes in done for outcome in outcomes)
    refusals = {one.refusal.reason for outcomes in done for one in outcomes if one.refusal is not None}
    assert refusals <= {"WRONG_TYPE", "BAD_NUMBER", "BAD_TIME"}

    schemas = [await pod.way.schema.refreshed() for pod in pods]
    fresh = SchemaStore(log, clock, WS.workspace, WS.bucket)
    assert schemas[0] == schemas[1] == await fresh.read()
    kinds = AttributeKinds()
    for entry in await log.read(WS, 0, 10_000, 1 << 30):
        batch, dead = accepted_from_proto(facts_pb2.AcceptedBatch.FromString(entry.payload), entry.position)
        assert dead == ()
        _check(batch, schemas[0])
        kinds = _unified(batch, kinds)
    await log.close()


def _check(batch: AcceptedBatch, schema: Schema) -> None:
    """Every value is of its name's one kind; whole numbers may stand before the fraction that widened the name."""
    for fact in batch.facts:
        assert isinstance(fact.fact, ProfileUpdate)
        for name, value in fact.fact.attributes.items():
            if value is None:
                continue
            place = Place(Family.ATTRIBUTE, "", name)
            assert _fits(schema, place, value), f"{place}: {value!r}"
            for element in value if isinstance(value, tuple) else ():
                for part, scalar in () if isinstance(element, str) else element.items():
                    assert _fits(schema, Place(Family.ELEMENT, name, part), scalar)
    for event in batch.events.rows():
        for name, found in event.params.items():
            assert _fits(schema, Place(Family.PARAMETER, event.type, name), found), f"{event.type}.{name}: {found!r}"


def _unified(batch: AcceptedBatch, kinds: AttributeKinds) -> AttributeKinds:
    """The kinds that unification goes on with; it raises for a value that it would set aside."""
    for fact in batch.facts:
        assert isinstance(fact.fact, ProfileUpdate)
        for name, value in fact.fact.attributes.items():
            if value is not None:
                kinds = kinds.learned(name, kinds.fitted(name, value))
    return kinds


def _fits(schema: Schema, place: Place, value: Value) -> bool:
    kind, known = kind_of(value), schema.kind(place)
    return kind is known or (kind, known) == (Kind.INTEGER, Kind.DECIMAL) or (value == () and known is Kind.OBJECT_LIST)
