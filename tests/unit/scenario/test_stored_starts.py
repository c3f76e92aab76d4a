"""What is kept of states, launches and writes to be looked at, as bytes: stored by an earlier version, read by this."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from core.clock import DAY_US, ManualClock
from core.eventlog.memory import MemoryLog
from core.eventlog.protocol import Commit, Partition, TableWrite
from core.eventlog.rules import lease_name
from core.scenario.launch import Launch, LaunchKind, advanced, cancelled, fixed
from core.schema import DecimalUnits, Scalar
from services.runtime.waiter import LoopWaiter
from services.scenario.field_checks import FieldCheck, FieldChecks
from services.scenario.launches import Launches
from services.scenario.states import ScenarioState, StateRow, States
from tests.unit.scenario.plays import T0

GOLDEN = Path(__file__).parents[2] / "golden" / "scenario_starts" / "v1.json"
PARTITION = Partition("scenario", "w1", 7)
ROW = StateRow(ScenarioState.DRAINING, 20_000, T0, 42)
CHECK = FieldCheck("f@1:5.0", "f", 1, 7, 8, T0, T0 + DAY_US, 5, 9)
VALUES: Mapping[str, Scalar] = {"product_id": "p1", "new_price": DecimalUnits(900_000)}
PRODUCT = Launch("p@1:5.0", LaunchKind.PRODUCT, "p", 1, T0, "viewers", VALUES, 5)
DAILY = Launch("d@2:9", LaunchKind.SCHEDULE, "d", 2, T0 + 1, "everybody", {}, 6, held_by="members")


def filled() -> tuple[States, Launches, FieldChecks]:
    """A workspace with something of each."""
    states, checks = States(), FieldChecks()
    launches = Launches(MemoryLog(ManualClock(T0), LoopWaiter()), PARTITION)
    states.set("s", ROW)
    checks.add(CHECK)
    launches.fix(PRODUCT.id, np.array([3, 5, 70_000], np.uint32))
    launches.put(advanced(fixed(PRODUCT, 3, T0), 1, 1, T0))
    launches.put(DAILY)
    return states, launches, checks


def as_text(writes: tuple[TableWrite, ...]) -> dict[str, dict[str, str]]:
    return {write.table: {key.hex(): value.hex() for key, value in write.put.items()} for write in writes}


async def test_what_was_stored_is_read() -> None:
    states, launches, checks = filled()
    written = as_text((*states.drain(), *launches.drain(), *checks.drain()))
    golden: dict[str, dict[str, str]] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert written == golden, "another format: keep this file, write another one beside it, and read both"
    log = MemoryLog(ManualClock(T0), LoopWaiter())
    fence = await log.acquire(lease_name("scenario", 7), "test", 60.0)
    assert fence is not None
    rows = [
        TableWrite(table, {bytes.fromhex(key): bytes.fromhex(value) for key, value in put.items()})
        for table, put in golden.items()
    ]
    await log.commit(PARTITION, fence, Commit(None, None, (), rows, T0))
    assert (await States.load(log, PARTITION)).of("s") == ROW
    assert (await FieldChecks.load(log, PARTITION)).due(T0 + DAY_US, 9) == [CHECK]
    read = await Launches.load(log, PARTITION)
    assert read.open() == [advanced(fixed(PRODUCT, 3, T0), 1, 1, T0), DAILY]
    assert (await read.members(PRODUCT.id)).tolist() == [3, 5, 70_000]


def test_a_launch_that_is_done_lets_its_contacts_go() -> None:
    _, launches, _ = filled()
    launches.drain()
    launches.put(advanced(launches.open()[0], 1, 0, T0))
    launches.put(cancelled(DAILY, "scenario_deleted", T0))
    assert launches.open() == []
    writes = {write.table: write for write in launches.drain()}
    assert sorted(writes["launch_members"].delete) == [DAILY.id.encode(), PRODUCT.id.encode()]
    assert [one.is_done for one in launches.newest_first("")] == [True, True]
    nobody = Launch("p@1:6.0", LaunchKind.PRODUCT, "p", 1, T0, "viewers", VALUES, 6)
    launches.put(nobody)
    launches.put(fixed(nobody, 0, T0))
    assert launches.get(nobody.id) is None, "a product that concerns nobody is not listed"
