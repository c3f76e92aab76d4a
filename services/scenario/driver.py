"""Runs driven step by step: timers fire, the engine is asked, messages are handed over.

Every change of a run is made under the journal's lock and committed before anything follows from it; peers are asked
outside of it, and their answer meets the run as it is then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import CdpError, Code
from core.scenario import machine
from core.scenario.machine import AskCondition, Command, End, Input, SendMessage, SetTimer, Stopped, TimerDue
from core.scenario.plan import Plan
from core.scenario.run import Run, State
from services.runtime.failpoints import failpoint
from services.runtime.telemetry import get_logger
from services.scenario.catalogue import Catalogue
from services.scenario.journal import Journal
from services.scenario.peers import Peers
from services.scenario.runs import Runs
from services.scenario.timers import Agenda

_LOG = get_logger(__name__)

_DUE_AT_ONCE = 256
_PARALLEL = 32
#: Our clock is ahead of the engine's: the same question has an answer a little later.
_AHEAD = "AS_OF_IN_FUTURE"


@dataclass(slots=True)
class Seen:
    """How far the workspace's facts were seen here: the profile log as folded, as the engine's memberships included
    it, and ingest's log behind it."""

    profile_position: int
    engine_position: int = 0
    upstream_position: int = 0


class Driver:
    """Lets every run of one workspace do what it needs. `tick` does all that is due."""

    def __init__(self, journal: Journal, catalogue: Catalogue, runs: Runs, peers: Peers, seen: Seen) -> None:
        self._journal = journal
        self._catalogue = catalogue
        self._runs = runs
        self._peers = peers
        self._seen = seen
        self._agenda = Agenda()
        self._ticking = asyncio.Lock()
        self._places = asyncio.Semaphore(_PARALLEL)
        for run in sorted(runs.active.values(), key=lambda one: (one.started_at_us, one.run_id)):
            self._plan_again(run)

    def keep(self, run: Run, command: Command) -> None:
        """Keep a run that facts or time changed, and let it go on if it has something to do. The caller commits."""
        self._put(run)
        if isinstance(command, AskCondition | SendMessage):
            self._agenda.go_on(run.run_id)

    def forget(self, run_ids: Sequence[str]) -> None:
        """These runs are gone."""
        self._agenda.forget(run_ids)

    def release(self, scenario: str) -> None:
        """The scenario was saved or deleted: its held runs go on, or are held again."""
        for run_id in self._agenda.release(scenario):
            run = self._runs.active.get(run_id)
            if run is not None:
                self._plan_again(run)

    async def tick(self) -> int:
        """Do all that is due by the platform's clock, and return how many times a run went on.

        Due timers fire in the order of their instants, and their firing is durable before a step follows from it.
        Runs whose peers are away try again later.
        """
        async with self._ticking:
            acted = 0
            while True:
                async with self._journal.changing:
                    due = self._agenda.timers.pop_due(self._journal.now_us(), _DUE_AT_ONCE)
                    self._fire([run_id for _, run_id in due])
                    await self._journal.commit_runs()
                ready = self._agenda.take_ready(time.monotonic(), _DUE_AT_ONCE)
                if not due and not ready:
                    return acted
                acted += len(ready)
                for failure in await asyncio.gather(*map(self._advance, ready), return_exceptions=True):
                    if failure is not None:
                        raise failure

    def _fire(self, run_ids: Sequence[str]) -> None:
        now_us = self._journal.now_us()
        for run_id in run_ids:
            run = self._runs.active.get(run_id)
            if run is None or run.state is not State.WAITING:
                continue
            if self._catalogue.is_paused(run.scenario):
                self._agenda.hold(run.scenario, run_id)
                continue
            self.keep(*machine.step(self._plan(run), run, TimerDue(), now_us))

    async def _advance(self, run_id: str) -> None:
        """Drive one run until it waits, ends, is held, or a peer is away."""
        async with self._places:
            while (run := self._runs.active.get(run_id)) is not None:
                if self._catalogue.is_paused(run.scenario):
                    self._agenda.hold(run.scenario, run_id)
                    return
                command = machine.needed(self._plan(run), run)
                if isinstance(command, SetTimer | End):
                    return
                try:
                    happened = await self._do(run, command)
                except CdpError as error:
                    if error.code is not Code.INVALID or error.reason == _AHEAD:
                        self._try_again(run, error)
                        return
                    _LOG.warning("run failed", run=run_id, scenario=run.scenario, reason=error.reason)
                    happened = Stopped(f"failed:{error.reason}")
                self._agenda.succeeded(run_id)
                await self._apply(run_id, happened)

    async def _do(self, run: Run, command: AskCondition | SendMessage) -> Input:
        if self._catalogue.is_deleted(run.scenario, run.version) and run.state is not State.SENDING:
            return Stopped("scenario_deleted")
        if isinstance(command, AskCondition):
            seen = max(command.min_position, self._seen.profile_position, self._seen.engine_position)
            return await self._peers.ask(command, self._journal.now_us(), seen)
        failpoint("scenario.before_send")
        sent = await self._peers.send(command, run.scenario, run.run_id, self._seen.upstream_position)
        failpoint("scenario.after_send")
        return sent

    async def _apply(self, run_id: str, happened: Input) -> None:
        async with self._journal.changing:
            current = self._runs.active.get(run_id)
            if current is None:
                return  # ended or erased while a peer was asked
            after, _ = machine.step(self._plan(current), current, happened, self._journal.now_us())
            if after == current:
                self._runs.active[run_id] = after  # it was asked and may act: nothing to keep over a restart
                return
            self._put(after)
            await self._journal.commit_runs()

    def _plan(self, run: Run) -> Plan:
        return self._catalogue.plan(run.scenario, run.version)

    def _try_again(self, run: Run, error: CdpError) -> None:
        tries = self._agenda.retry(run.run_id, time.monotonic())
        if tries == 1:
            _LOG.warning("run could not go on, trying again", run=run.run_id, reason=error.reason, error=error.message)

    def _put(self, run: Run) -> None:
        self._runs.put(run)
        if run.state is State.WAITING:
            self._agenda.timers.set(run.run_id, run.due_at_us)
        else:
            self._agenda.timers.clear(run.run_id)

    def _plan_again(self, run: Run) -> None:
        """Timer and work of a run that is kept already."""
        if run.state is State.WAITING:
            self._agenda.timers.set(run.run_id, run.due_at_us)
        if isinstance(machine.needed(self._plan(run), run), AskCondition | SendMessage):
            self._agenda.go_on(run.run_id)
