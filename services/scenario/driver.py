"""Runs driven step by step: timers fire, the engine is asked, messages are handed over.

Every change of a run is made under the journal's lock and committed before anything follows from it; peers are asked
outside of it, and their answers meet the runs as they are then. What many runs need of one peer is asked in one call,
and what follows for all of them is committed together.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from core.clock import MINUTE_US
from core.errors import CdpError, Code
from core.scenario import machine
from core.scenario.commands import Command, End, SetTimer, StartRun, TakeTurn
from core.scenario.definition import Send, SendGroup
from core.scenario.inputs import Done, Event, Input, Stopped, TimerDue, TurnTaken
from core.scenario.pacing import is_late
from core.scenario.plan import Plan
from core.scenario.run import Run, State
from services.runtime.failpoints import failpoint
from services.runtime.telemetry import get_logger
from services.scenario.catalogue import Catalogue
from services.scenario.contacts import Contacts
from services.scenario.journal import Journal
from services.scenario.paces import Paces
from services.scenario.peers import Peers
from services.scenario.runs import Runs
from services.scenario.timers import Agenda
from services.scenario.work import Lane, Work, lane_of

_LOG = get_logger(__name__)

#: So many timers fire, and so many runs are looked at, between two commits; the loop gets its turn far more often.
_AT_ONCE = 512
_A_TURN = 16
#: So many commands are done by one call, and so many calls of a lane are under way.
_BATCH: dict[Lane, int] = {
    Lane.QUESTIONS: 256,
    Lane.CONTACTS: 500,
    Lane.MESSAGES: 250,
    Lane.CHANGES: 250,
    Lane.COUPONS: 32,
}
_CALLS: dict[Lane, int] = {Lane.QUESTIONS: 4, Lane.CONTACTS: 2, Lane.MESSAGES: 2, Lane.CHANGES: 2, Lane.COUPONS: 2}
_POLL_S = 0.05
#: Runs that wait for products to become different are asked about at most once in so long.
_CATALOGUE_US = MINUTE_US
#: Our clock is ahead of the engine's: the same question has an answer a little later.
_AHEAD = "AS_OF_IN_FUTURE"

T = TypeVar("T")
#: Starts a run of another scenario, or answers why not, without committing.
StartOther = Callable[[StartRun, int], Done]


@dataclass(slots=True)
class Seen:
    """How far the workspace's facts were seen here: the profile log as folded, as the engine's memberships included
    it, and ingest's log behind it."""

    profile_position: int
    engine_position: int = 0
    upstream_position: int = 0


class Driver:
    """Lets every run of one workspace do what it needs. `tick` does all that is due. Set `start_other` before that."""

    def __init__(
        self,
        journal: Journal,
        catalogue: Catalogue,
        runs: Runs,
        peers: Peers,
        contacts: Contacts,
        paces: Paces,
        seen: Seen,
    ) -> None:
        self.start_other: StartOther = _no_start
        self._journal = journal
        self._catalogue = catalogue
        self._runs = runs
        self._work = Work(peers, contacts)
        self._paces = paces
        self._seen = seen
        self._agenda = Agenda()
        self._ticking = asyncio.Lock()
        self._woken = asyncio.Event()
        #: Runs in a lane, in their order, and those of them that a peer is being asked for.
        self._queued: defaultdict[Lane, dict[str, None]] = defaultdict(dict)
        self._busy: set[str] = set()
        self._calls: dict[asyncio.Task[None], Lane] = {}
        #: Runs that wait for the catalogue, where it changed, and when they were asked about last.
        self._by_catalogue: dict[str, None] = {}
        self._catalogue_position = seen.profile_position
        self._catalogue_asked_us = 0
        self._read_back()

    def _read_back(self) -> None:
        """Timers and work of all runs. Those that only wait are nearly all, and are not even read."""
        others: list[tuple[int, str]] = []
        for run_id, head in self._runs.active.heads():
            if head.waits and not self._catalogue.plan(head.scenario, head.version).reads_catalogue:
                self._agenda.timers.set(run_id, head.due_at_us)
            else:
                others.append((head.started_at_us, run_id))
        for _, run_id in sorted(others):
            self._plan_again(self._runs.active[run_id])

    def keep(self, run: Run, command: Command) -> None:
        """Keep a run that facts or time changed, and let it go on if it has something to do. The caller commits."""
        self._put(run)
        self._go_on(run, command)

    def forget(self, run_ids: Sequence[str]) -> None:
        """These runs are gone."""
        self._agenda.forget(run_ids)
        for run_id in run_ids:
            self._by_catalogue.pop(run_id, None)

    def catalogue_changed(self, position: int) -> None:
        """Products changed at `position` of the profile log: runs that wait for them ask again, soon."""
        self._catalogue_position = position
        self._woken.set()

    def release(self, scenario: str) -> None:
        """The scenario was saved or deleted: its held runs go on, or are held again."""
        for run_id in self._agenda.release(scenario):
            run = self._runs.active.get(run_id)
            if run is not None:
                self._plan_again(run)

    def backlog(self) -> int:
        """How many runs could go on, and have not yet."""
        return self._agenda.backlog() + sum(len(queue) for queue in self._queued.values()) + len(self._busy)

    async def tick(self) -> int:
        """Do all that is due by the platform's clock, and return how many times a run went on.

        Due timers fire in the order of their instants, and their firing is durable before a step follows from it.
        Runs whose peers are away try again later.
        """
        async with self._ticking:
            acted = 0
            try:
                while True:
                    self._woken.clear()
                    fired = await self._fire_due() + await self._ask_by_catalogue()
                    ready = self._agenda.take_ready(time.monotonic(), _AT_ONCE)
                    await self._sort_out(ready)
                    acted += len(ready)
                    self._call()
                    if not self._calls and not fired and not ready:
                        return acted
                    await self._wait(0.0 if fired or ready else _POLL_S)
            finally:
                await self._stop_calls()

    async def _fire_due(self) -> int:
        async with self._journal.changing:
            due = self._agenda.timers.pop_due(self._journal.now_us(), _AT_ONCE)
            if due:
                await self._fire([run_id for _, run_id in due])
                await self._journal.commit_runs()
            return len(due)

    async def _ask_by_catalogue(self) -> int:
        now_us = self._journal.now_us()
        if not self._catalogue_position or now_us - self._catalogue_asked_us < _CATALOGUE_US:
            return 0
        position, self._catalogue_position = self._catalogue_position, 0
        waiting = list(self._by_catalogue)
        if not waiting:
            return 0
        self._catalogue_asked_us = now_us
        async with self._journal.changing:
            async for run_id in _in_turns(waiting):
                run = self._runs.active.get(run_id)
                if run is not None:
                    self.keep(*machine.step(self._plan(run), run, Event(position), now_us))
            await self._journal.commit_runs()
        return len(waiting)

    async def _fire(self, run_ids: Sequence[str]) -> None:
        now_us = self._journal.now_us()
        late: dict[str, None] = {}
        async for run_id in _in_turns(run_ids):
            run = self._runs.active.get(run_id)
            if run is None or run.state is not State.WAITING:
                continue
            if self._catalogue.is_paused(run.scenario):
                self._agenda.hold(run.scenario, run_id)
            elif self._waits_for_turn(run) and (run.scenario in late or is_late(run.due_at_us, now_us)):
                late[run.scenario] = None  # with all that wait behind it, even if their own turn is just in time
            else:
                self.keep(*machine.step(self._plan(run), machine.replanned(run), TimerDue(), now_us))
        for scenario in late:
            await self._take_turns_anew(scenario, now_us)

    def _waits_for_turn(self, run: Run) -> bool:
        """False for one that was moved to a version without a limit: it goes at the instant that it had."""
        if run.state is not State.WAITING:
            return False
        plan = self._plan(run)
        return plan.definition.sends_per_minute > 0 and isinstance(plan.actions.get(run.block), Send | SendGroup)

    async def _take_turns_anew(self, scenario: str, now_us: int) -> None:
        """After a downtime or a pause turns passed unused: all runs that wait get others, in their order. These are
        not written down, because they would be late again after another downtime."""
        waiting: list[Run] = []
        async for run_id in _in_turns(self._runs.of_scenario(scenario)):
            run = self._runs.active[run_id]
            if self._waits_for_turn(run):
                waiting.append(run)
        a_minute = min(self._plan(run).definition.sends_per_minute for run in waiting)
        turns = self._paces.anew(scenario, [(run.due_at_us, run.run_id) for run in waiting], a_minute, now_us)
        async for run in _in_turns(waiting):
            after, _ = machine.step(self._plan(run), run, TurnTaken(turns[run.run_id]), now_us)
            self._runs.active[run.run_id] = after
            self._agenda.timers.set(run.run_id, after.due_at_us)

    async def _sort_out(self, ready: Sequence[str]) -> None:
        """Put ready runs into their lanes; what needs no peer is done here."""
        here: list[str] = []
        for run_id in ready:
            run = self._runs.active.get(run_id)
            if run is None:
                continue
            if self._catalogue.is_paused(run.scenario):
                self._agenda.hold(run.scenario, run_id)
                continue
            lane = lane_of(machine.needed(self._plan(run), run))
            if lane is None or (run.state is not State.SENDING and self._over_because(run)):
                here.append(run_id)
            else:
                self._queued[lane][run_id] = None
        if here:
            async with self._journal.changing:
                for run_id in here:
                    self._do_here(run_id)
                await self._journal.commit_runs()

    def _do_here(self, run_id: str) -> None:
        run = self._runs.active.get(run_id)
        if run is None:
            return
        now_us, plan = self._journal.now_us(), self._plan(run)
        over = self._over_because(run)
        command = machine.needed(plan, run)
        if over and run.state is not State.SENDING and not isinstance(command, SetTimer):
            self.keep(*machine.step(plan, run, Stopped(over), now_us))
        elif isinstance(command, TakeTurn):
            at_us = self._paces.turn(run.scenario, command.a_minute, now_us)
            self.keep(*machine.step(plan, run, TurnTaken(at_us), now_us))
        elif isinstance(command, StartRun):
            failpoint("scenario.before_start")
            self.keep(*machine.step(plan, run, self.start_other(command, now_us), now_us))

    def _call(self) -> None:
        """Begin calls for what waits in the lanes."""
        for lane, queue in self._queued.items():
            under_way = sum(one is lane for one in self._calls.values())
            while under_way < _CALLS[lane]:
                taken = [run_id for run_id in queue if run_id not in self._busy][: _BATCH[lane]]
                for run_id in taken:
                    del queue[run_id]
                if not taken:
                    break
                self._busy.update(taken)
                self._calls[asyncio.create_task(self._do(lane, taken))] = lane
                under_way += 1

    async def _wait(self, within_s: float) -> None:
        """Wait until a call has ended, something new can go on, or a timer may be due. Raises what a call raised."""
        woken = asyncio.create_task(self._woken.wait())
        try:
            await asyncio.wait({*self._calls, woken}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
        for call in [one for one in self._calls if one.done()]:
            del self._calls[call]
            call.result()

    async def _stop_calls(self) -> None:
        calls = list(self._calls)
        self._calls.clear()
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    async def _do(self, lane: Lane, run_ids: Sequence[str]) -> None:
        """Do what these runs need of the lane, as they are now, and let the answers meet them."""
        try:
            wanted: list[tuple[str, str, Command]] = []
            for run_id in run_ids:
                run = self._runs.active.get(run_id)
                if run is None:
                    continue
                command = machine.needed(self._plan(run), run)
                if lane_of(command) is lane:
                    wanted.append((run_id, run.scenario, command))
                else:
                    self._go_on(run, command)
            if not wanted:
                return
            seen = max(self._seen.profile_position, self._seen.engine_position)
            now_us = self._journal.now_us()
            answers = await self._work.do(lane, wanted, now_us, seen, self._seen.upstream_position)
            met: list[tuple[str, Input]] = []
            for (run_id, scenario, _), answer in zip(wanted, answers, strict=True):
                happened = self._happened(run_id, scenario, answer) if isinstance(answer, CdpError) else answer
                if happened is not None:
                    met.append((run_id, happened))
            await self._apply(met)
        finally:
            self._busy.difference_update(run_ids)

    def _happened(self, run_id: str, scenario: str, error: CdpError) -> Input | None:
        """What an error does to a run: None, it tries again later."""
        if error.code is not Code.INVALID or error.reason == _AHEAD:
            if self._agenda.retry(run_id, time.monotonic()) == 1:
                _LOG.warning("run could not go on, trying again", run=run_id, reason=error.reason, error=error.message)
            return None
        _LOG.warning("run failed", run=run_id, scenario=scenario, reason=error.reason)
        return Stopped(f"failed:{error.reason}")

    async def _apply(self, met: Sequence[tuple[str, Input]]) -> None:
        async with self._journal.changing:
            now_us = self._journal.now_us()
            async for run_id, happened in _in_turns(met):
                self._agenda.succeeded(run_id)
                current = self._runs.active.get(run_id)
                if current is None:
                    continue  # ended or erased while a peer was asked
                after, command = machine.step(self._plan(current), current, happened, now_us)
                if after == current:
                    self._runs.active[run_id] = after  # it was asked and may act: nothing to keep over a restart
                else:
                    self._put(after)
                self._go_on(after, command)
            await self._journal.commit_runs()

    def _over_because(self, run: Run) -> str:
        return self._catalogue.over_because(run.scenario, run.version)

    def _plan(self, run: Run) -> Plan:
        return self._catalogue.plan(run.scenario, run.version)

    def _go_on(self, run: Run, command: Command) -> None:
        if not isinstance(command, SetTimer | End):
            self._agenda.go_on(run.run_id)
            self._woken.set()

    def _put(self, run: Run) -> None:
        self._runs.put(run)
        if run.state is State.WAITING:
            self._agenda.timers.set(run.run_id, run.due_at_us)
        else:
            self._agenda.timers.clear(run.run_id)
        self._watch_catalogue(run)

    def _watch_catalogue(self, run: Run) -> None:
        if machine.heeds_catalogue(self._plan(run), run):
            self._by_catalogue[run.run_id] = None
        else:
            self._by_catalogue.pop(run.run_id, None)

    def _plan_again(self, run: Run) -> None:
        """Timer and work of a run that is kept already."""
        if run.state is State.WAITING:
            self._agenda.timers.set(run.run_id, machine.replanned(run).due_at_us)
        self._watch_catalogue(run)
        self._go_on(run, machine.needed(self._plan(run), run))


async def _in_turns(many: Sequence[T]) -> AsyncIterator[T]:
    """Each of them; others get their turn in between. Who holds the journal's lock keeps it."""
    for index, one in enumerate(many):
        if index % _A_TURN == _A_TURN - 1:
            await asyncio.sleep(0)
        yield one


def _no_start(command: StartRun, now_us: int) -> Done:
    raise ValueError(f"nobody starts runs here, but run asks for {command.scenario!r} at {now_us}")
