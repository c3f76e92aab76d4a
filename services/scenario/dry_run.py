"""A dry run: the same machine on past data by a virtual clock. It starts nothing, sends nothing, and keeps nothing.

Whatever happened is taken in the order of its instants: starts, timers, and the events of those who started. Questions
go to the engine as of the virtual instant. Nobody opened or clicked what was never sent, and webhooks do not answer.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from core.errors import CdpError, Code
from core.events.columns import Event
from core.scenario import machine
from core.scenario.arrive import MISSING_VALUE
from core.scenario.commands import (
    AskCondition,
    AskContact,
    ChangeContact,
    Command,
    End,
    SendMessage,
    SetTimer,
    StartRun,
    TakeCoupon,
    TakeTurn,
)
from core.scenario.inputs import ContactTold, Done, Input, Sent, Stopped, TimerDue, TurnTaken
from core.scenario.meet import may_meet, met
from core.scenario.pacing import Pace
from core.scenario.plan import Plan
from core.scenario.reentry import is_rested, key_of, may_start
from core.scenario.run import Run, State, values_of
from core.scenario.trigger import Occurrence
from services.scenario.dry_holds import Handed, Holds
from services.scenario.dry_peers import DryPeers

UNFINISHED = "unfinished"
_POSITION = 1
#: What one instant may hold, in this order. What an event starts is decided while the runs that it ends still run:
#: their exit is asked about afterwards, as in life.
_START, _EVENT, _TIMER = 0, 1, 2


@dataclass(frozen=True, slots=True)
class DryMessage:
    """A message that a run would have handed over from `block`."""

    contact: int
    block: str
    handed: Handed


@dataclass(slots=True)
class DryReport:
    """What would have happened. `ends`: reason -> runs; those that have not ended by now are "unfinished"."""

    entered: int = 0
    refused: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    messages: list[DryMessage] = field(default_factory=list)
    truncated: bool = False


class DryRun:
    """One rehearsal of one plan. `rehearse` it once."""

    def __init__(self, plan: Plan, peers: DryPeers, holds: Holds, zone: str, now_us: int, most_entries: int) -> None:
        self._plan = plan
        self._peers = peers
        self._holds = holds
        self._zone = zone
        self._now_us = now_us
        self._most_entries = most_entries
        self._report = DryReport()
        self._pace = Pace()
        self._missing: set[str] = set()
        self._runs: dict[str, Run] = {}
        self._of_contact: defaultdict[int, dict[str, None]] = defaultdict(dict)
        self._running: Counter[tuple[int, str]] = Counter()
        self._ended: Counter[tuple[int, str]] = Counter()
        self._last_ended_us: dict[tuple[int, str], int] = {}
        self._agenda: list[tuple[int, int, int]] = []
        self._what: list[Occurrence | str | tuple[int, Event]] = []

    async def rehearse(self, starts: Sequence[Occurrence], events: Mapping[int, Sequence[Event]]) -> DryReport:
        """What would have become of `starts`, with the `events` that contacts had."""
        for occurrence in starts:
            self._put(occurrence.at_us, _START, occurrence)
        for contact, had in events.items():
            for event in had:
                self._put(event.occurred_at_us, _EVENT, (contact, event))
        while self._agenda and self._agenda[0][0] <= self._now_us:
            at_us, _, place = heapq.heappop(self._agenda)
            match self._what[place]:
                case Occurrence() as occurrence:
                    await self._start(occurrence, at_us)
                case str(run_id):
                    await self._due(run_id, at_us)
                case (contact, event):
                    await self._event(contact, event, at_us)
        self._report.ends[UNFINISHED] += len(self._runs)
        if not self._report.ends[UNFINISHED]:
            del self._report.ends[UNFINISHED]
        return self._report

    async def _start(self, occurrence: Occurrence, at_us: int) -> None:
        definition = self._plan.definition
        values = values_of("", occurrence.id, occurrence.at_us, occurrence.values, definition.values)
        entry = occurrence.contact, key_of(self._plan, values)
        if (
            not may_start(definition.reentry, self._running[entry], self._ended[entry])
            or not is_rested(definition, self._last_ended_us.get(entry), at_us)
            or 0 < definition.entries_limit <= self._report.entered
        ):
            self._report.refused += 1
            return
        if self._report.entered >= self._most_entries:
            self._report.truncated = True
            return
        run, command = machine.start(self._plan, occurrence, at_us)
        if run.end_reason.startswith(MISSING_VALUE):
            # As it is lived: seen once, neither an entry nor a run that keeps another one out.
            self._report.ends[run.end_reason] += run.run_id not in self._missing
            self._missing.add(run.run_id)
            return
        self._report.entered += 1
        self._running[entry] += 1
        await self._drive(run, command, at_us)

    async def _due(self, run_id: str, at_us: int) -> None:
        run = self._runs.get(run_id)
        if run is not None and run.state is State.WAITING and run.due_at_us <= at_us:
            await self._drive(*machine.step(self._plan, run, TimerDue(), at_us), at_us)

    async def _event(self, contact: int, event: Event, at_us: int) -> None:
        for run_id in list(self._of_contact.get(contact, ())):
            run = self._runs[run_id]
            if event.id == run.trigger_id or not may_meet(self._plan, run, event.type):
                continue
            after, command = met(self._plan, run, event, _POSITION, at_us, self._zone, at_us)
            if after != run:
                await self._drive(after, command, at_us)

    async def _drive(self, run: Run, command: Command, at_us: int) -> None:
        """Let the run do what it needs, until it waits or ends."""
        while not isinstance(command, SetTimer | End):
            run, command = machine.step(self._plan, run, await self._do(run, command, at_us), at_us)
        if isinstance(command, SetTimer):
            self._runs[run.run_id] = run
            self._of_contact[run.contact][run.run_id] = None
            self._put(command.due_at_us, _TIMER, run.run_id)
            return
        self._runs.pop(run.run_id, None)
        self._of_contact[run.contact].pop(run.run_id, None)
        self._report.ends[command.reason] += 1
        entry = run.contact, run.key
        self._running[entry] -= 1
        self._ended[entry] += 1
        self._last_ended_us[entry] = at_us

    async def _do(self, run: Run, command: Command, at_us: int) -> Input:
        match command:
            case AskCondition():
                return await self._answered(await self._peers.ask(replace(command, min_position=0), at_us))
            case AskContact():
                return await self._answered(await self._peers.told(command))
            case SendMessage():
                profile = await self._peers.profile(command.contact)
                handed = self._holds.hand(command, profile, at_us)
                self._report.messages.append(DryMessage(command.contact, command.step, handed))
                return Sent(command.message_id)
            case TakeTurn(a_minute):
                return TurnTaken(self._pace.turn(a_minute, at_us))
            case TakeCoupon():
                return Done(command.message_id, result="DRY-RUN", position=_POSITION)
            case ChangeContact() | StartRun():
                return Done(command.message_id, position=_POSITION)
            case _:
                raise ValueError(f"run {run.run_id} needs {command!r}, which is no work")

    @staticmethod
    async def _answered(answer: machine.Answered | ContactTold | CdpError) -> Input:
        if not isinstance(answer, CdpError):
            return answer
        if answer.code is Code.INVALID or answer.reason == "CONTACT_NOT_THERE":
            return Stopped(f"failed:{answer.reason}")
        raise answer

    def _put(self, at_us: int, order: int, what: Occurrence | str | tuple[int, Event]) -> None:
        self._what.append(what)
        heapq.heappush(self._agenda, (at_us, order, len(self._what) - 1))
