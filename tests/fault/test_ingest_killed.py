"""kill -9 of ingest at every named point, one life after the other, while a shop sends without end."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from services.runtime.roles import Role
from tests.fault.digests import LogCopy
from tests.fault.ingesting import Sender, send_meanwhile, stored
from tests.fault.processes import Processes, platform

POINTS = (
    "ingest.before_append",
    "ingest.after_append",
    "ingest.before_schema_change",
    "ingest.after_schema_change",
    "ingest.archive_written",
    "ingest.archive_committed",
    "ingest.trimmed",
)
#: Passed now and then; the others many times a second.
_SELDOM = ("ingest.archive_written", "ingest.archive_committed", "ingest.trimmed")
ROLES = (Role.INGEST, Role.PROFILE_UNIFICATION)
_DIES_WITHIN_S = 90.0
_CAUGHT_UP_S = 120.0


@pytest.mark.slow
@pytest.mark.parametrize("kills", [3, pytest.param(5 * len(POINTS), marks=pytest.mark.fault)])
async def test_nothing_acknowledged_is_lost_and_nothing_counts_twice(tmp_path: Path, kills: int) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    rounds = -(-kills // len(POINTS))
    points = [point for _ in range(rounds) for point in rng.sample(POINTS, len(POINTS))][:kills]
    async with platform(tmp_path / "house", {}, ROLES) as processes:
        sender = Sender()
        sending = send_meanwhile(processes, sender)
        await sender.reached(100)
        processes.kill(Role.INGEST)
        for point in points:
            # Each life ends at its point, before or after it is ready: the next one begins with what it finds.
            count = 1 if point in _SELDOM else rng.randint(1, 30 if "append" in point else 3)
            processes.start(Role.INGEST, f"{point}:{count}")
            await processes.wait_dead(Role.INGEST, _DIES_WITHIN_S)
        await processes.restart(Role.INGEST)
        await sender.reached(500)
        sender.stop.set()
        await asyncio.gather(*sending)
        log = await _caught_up(processes, sender)
        processes.kill(Role.INGEST)
        found = await stored(processes.valkey.url, processes.data_dir / "archive" / "shop")
        found.check(sender)
        assert found.first > 1 or "ingest.trimmed" not in points, "something was trimmed"
        told = log.ids()
        assert told.keys() == found.positions.keys()
        assert set(told.values()) == {1}, "an event that its sender sent twice counts once"
        print(f"killed at {points}, {len(sender.acknowledged)} acknowledged, {found.archived} entries archived, "
              f"{sum(len(positions) > 1 for positions in found.positions.values())} written twice")  # fmt: skip


async def _caught_up(processes: Processes, sender: Sender) -> LogCopy:
    """Unification's log once it holds everything that was acknowledged."""
    log = LogCopy(processes.client(Role.PROFILE_UNIFICATION))
    async with asyncio.timeout(_CAUGHT_UP_S):
        while not sender.acknowledged.keys() <= log.ids().keys():
            await log.catch_up()
            await asyncio.sleep(0.1)
    return log
