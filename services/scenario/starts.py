"""Whether what happened starts a run, and the run if it does. Everything that starts runs comes through here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from core.errors import CdpError
from core.scenario import machine
from core.scenario.arrive import MISSING_VALUE
from core.scenario.definition import ApiTrigger
from core.scenario.machine import Command
from core.scenario.plan import Plan
from core.scenario.reentry import is_rested, key_of, may_start
from core.scenario.run import Run, State, moved, run_id_of, values_of
from core.scenario.trigger import Occurrence
from services.scenario.catalogue import Catalogue
from services.scenario.runs import Runs

#: Keeps a run and sees to it that its command is done.
Keep = Callable[[Run, Command], None]


class Refusal(StrEnum):
    """Why nothing was started. GONE: nobody is there any more. KNOWN: it was started by this very thing before.
    NOT_STARTED_SO: the scenario is not there, not active, or does not start by calls. NO_VALUE: a value that its
    trigger requires is missing."""

    GONE = "gone"
    REENTRY = "reentry"
    ENTRIES_LIMIT = "entries_limit"
    KNOWN = "known"
    NOT_STARTED_SO = "not_started_so"
    NO_VALUE = "no_value"


@dataclass(frozen=True, slots=True)
class Start:
    """The run that was started; empty, and why not."""

    run_id: str = ""
    refusal: Refusal | None = None

    @property
    def changed(self) -> bool:
        """Whether there is a run now that was not there before."""
        return bool(self.run_id)


class Starts:
    """Starts runs of one workspace. Synchronous: the caller holds the journal's lock, and commits."""

    def __init__(self, runs: Runs, catalogue: Catalogue, keep: Keep) -> None:
        self._runs = runs
        self._catalogue = catalogue
        self._keep = keep

    def owner(self, contact: int) -> int | None:
        """Who a contact is by now; None: nobody, because it was erased."""
        return self._runs.people.owner(contact)

    def start(self, plan: Plan, occurrence: Occurrence, position: int, now_us: int, part: int | None = None) -> Start:
        """Start what `occurrence` starts, as of `position` of the profile log; `part`: of whom it was told, None where
        nobody says."""
        owner = self._runs.people.owner(occurrence.contact)
        if owner is None:
            return Start(refusal=Refusal.GONE)
        if self._runs.is_known(run_id_of(plan.name, plan.version, occurrence.contact, occurrence.id)):
            return Start(refusal=Refusal.KNOWN)
        refusal = self._refusal(plan, occurrence, owner, now_us)
        if refusal is not None:
            return Start(refusal=refusal)
        run, command = machine.start(plan, occurrence, now_us)
        if self._runs.is_known(run.run_id):
            return Start(refusal=Refusal.KNOWN)  # an earlier run ended for the same missing value
        if part is not None and part != run.contact:
            run = replace(run, part=part)
        if owner != run.contact:
            # Its id is that of the contact it happened to: read again after a merge, it is known.
            run = moved(run, owner)
            command = machine.needed(plan, run)
        if not run.end_reason.startswith(MISSING_VALUE):
            self._catalogue.states.entered(plan.name)
        if run.state is not State.ENDED and plan.exit_text is not None:
            run, command = machine.step(plan, run, machine.Event(position), now_us)
        self._keep(run, command)
        return Start(run.run_id)

    def call(self, scenario: str, occurrence: Occurrence, position: int, now_us: int) -> Start:
        """Start a scenario that starts by calls: for another scenario's run, or for somebody outside. `occurrence.id`
        names the call for ever: again it starts nothing."""
        try:
            plan = self._catalogue.newest(scenario)
        except CdpError:
            return Start(refusal=Refusal.NOT_STARTED_SO)
        trigger = plan.definition.trigger
        if not isinstance(trigger, ApiTrigger) or not self._catalogue.may_start(scenario):
            return Start(refusal=Refusal.NOT_STARTED_SO)
        if not set(trigger.required) <= occurrence.values.keys():
            return Start(refusal=Refusal.NO_VALUE)
        return self.start(plan, occurrence, position, now_us)

    def _refusal(self, plan: Plan, occurrence: Occurrence, owner: int, now_us: int) -> Refusal | None:
        definition = plan.definition
        values = values_of("", occurrence.id, occurrence.at_us, occurrence.values, definition.values)
        entry = (plan.name, owner, key_of(plan, values))
        if not may_start(definition.reentry, self._runs.running(entry), self._runs.finished(entry)):
            return Refusal.REENTRY
        if not is_rested(definition, self._runs.last_ended_us(entry), now_us):
            return Refusal.REENTRY
        if 0 < definition.entries_limit <= self._catalogue.states.of(plan.name).entries:
            return Refusal.ENTRIES_LIMIT
        return None
