"""kill -9 of every role and of the log server in the middle of a load: the outcome is that of an undisturbed run.

Five processes, one a role, on a real log server. 5 % of Complete Journey and every kill once in each run of the tests;
all of it, with kills at random calls and at every named failpoint, under `make fault`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from services.demo import journey
from services.demo.journey import Journey
from services.runtime.roles import ALL_ROLES, Role
from tests.fault.outcome import Outcome, outcome
from tests.fault.processes import Processes, platform
from tests.fault.shopping import Ledger, calls, first_calls, set_up
from tests.flow.mailbox import Mailbox, Receiver

LOG_SERVER = "log server"
Victim = Role | str
VICTIMS: tuple[Victim, ...] = (*ALL_ROLES, LOG_SERVER)
SAMPLE = 0.05


#: Points on the way of an event, with the role in whose process they lie; the others have tests of their own, and
#: test_points.py sees to it that none is left out.
POINTS: Mapping[str, Role] = {
    "ingest.before_append": Role.INGEST,
    "ingest.after_append": Role.INGEST,
    "ingest.archive_written": Role.INGEST,
    "ingest.archive_committed": Role.INGEST,
    "profile_unification.before_commit": Role.PROFILE_UNIFICATION,
    "profile_unification.after_commit": Role.PROFILE_UNIFICATION,
    "profile_unification.before_acknowledge": Role.PROFILE_UNIFICATION,
    "segment_engine.before_commit": Role.SEGMENT_ENGINE,
    "segment_engine.after_commit": Role.SEGMENT_ENGINE,
    "scenario.before_commit": Role.SCENARIO,
    "scenario.before_send": Role.SCENARIO,
    "scenario.after_send": Role.SCENARIO,
    "channel.sending": Role.CHANNEL,
    "channel.sent": Role.CHANNEL,
}


class Killer:
    """Kills at chosen calls. A victim is started again at once, while the load goes on; the next one is killed after
    it is ready again."""

    def __init__(self, processes: Processes, plan: Mapping[int, Victim]) -> None:
        self._processes = processes
        self._plan = dict(plan)
        self._recovery: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()
        self.killed: list[Victim] = []

    async def before(self, call: int) -> None:
        """Called before each call of the load, by its number."""
        victim = self._plan.pop(call, None)
        if victim is None:
            return
        async with self._one_at_a_time:
            await self.recovered()
            self.killed.append(victim)
            if isinstance(victim, Role):
                self._processes.kill(victim)
                self._recovery = asyncio.create_task(self._processes.restart(victim))
            else:
                self._processes.valkey.kill()
                self._recovery = asyncio.create_task(asyncio.to_thread(self._processes.valkey.start))

    async def recovered(self) -> None:
        """Return once the last victim works again."""
        if self._recovery is not None:
            await self._recovery


async def play(
    folder: Path, data: Journey, at_us: int, plan: Mapping[int, Victim], points: Mapping[Role, str] | None = None
) -> Outcome:
    """Load everything on a fresh platform, with the kills of `plan` (number of a call -> victim), and with roles that
    die at their failpoint of `points` ("name:n") and are started again."""
    started_s = time.perf_counter()
    with Mailbox() as mailbox, Receiver() as receiver:
        async with platform(folder, {"CDP_SMTP_URL": mailbox.url}) as processes:
            await set_up(processes, receiver.url)
            ready_s = time.perf_counter()
            dying = [asyncio.create_task(die_once(processes, role, point)) for role, point in (points or {}).items()]
            ledger, killer = Ledger(), Killer(processes, plan)
            client = processes.client(Role.INGEST)
            await ledger.send(client, first_calls(data, at_us))
            await ledger.send(client, iter(calls(data, at_us)), killer.before)
            await killer.recovered()
            assert len(killer.killed) == len(plan)
            loaded_s = time.perf_counter()
            await asyncio.gather(*dying)
            found = await outcome(processes, ledger, mailbox, receiver)
            processes.check_alive()
            print(
                f"{len(plan)} kills, failpoints {dict(points or {})}: ready in {ready_s - started_s:.1f} s, "
                f"{ledger.items} items in {loaded_s - ready_s:.1f} s, "
                f"settled and checked in {time.perf_counter() - loaded_s:.1f} s"
            )
            return found


async def die_once(processes: Processes, role: Role, point: str) -> None:
    """Start the role so that it dies at its failpoint; when it has, start it again."""
    processes.kill(role)
    processes.start(role, point)
    await processes.wait_dead(role, 300.0)
    await processes.restart(role)


def now_us() -> int:
    """A recent instant that the runs to compare share: carts of it start their scenario."""
    return (time.time_ns() // 1_000_000_000 - 60) * 1_000_000


@pytest.mark.slow
async def test_every_role_and_the_log_server_killed_in_the_middle_of_a_load(tmp_path: Path) -> None:
    data, at_us = journey.read(SAMPLE), now_us()
    undisturbed = await play(tmp_path / "undisturbed", data, at_us, {})
    load = len(calls(data, at_us))
    plan = {(number + 1) * load // (len(VICTIMS) + 1): victim for number, victim in enumerate(VICTIMS)}
    killed = await play(tmp_path / "killed", data, at_us, plan)
    assert killed.profiles == undisturbed.profiles
    assert killed.members == undisturbed.members
    assert killed.facts == undisturbed.facts
    assert sum(0 < len(members) < len(killed.profiles) for members in killed.members.values()) >= 10


@pytest.mark.fault
async def test_many_kills_at_random_moments_of_the_whole_load(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    data, at_us = journey.read(), now_us()
    undisturbed = await play(tmp_path / "undisturbed", data, at_us, {})
    rng = random.Random(seed)
    victims = [*VICTIMS, *VICTIMS, *rng.choices(VICTIMS, k=8)]
    rng.shuffle(victims)
    moments = rng.sample(range(len(calls(data, at_us))), len(victims))
    killed = await play(tmp_path / "killed", data, at_us, dict(zip(moments, victims, strict=True)))
    assert killed == undisturbed


@pytest.mark.fault
@pytest.mark.parametrize("name", POINTS)
async def test_a_death_at_every_named_failpoint(tmp_path: Path, name: str) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    data, at_us = journey.read(SAMPLE), now_us()
    undisturbed = await play(tmp_path / "undisturbed", data, at_us, {})
    # The archive is written once a minute; the others pass their points many times.
    count = 1 if name.startswith("ingest.archive") else random.Random(seed).randint(1, 5)
    died = await play(tmp_path / "died", data, at_us, {}, {POINTS[name]: f"{name}:{count}"})
    assert died == undisturbed
