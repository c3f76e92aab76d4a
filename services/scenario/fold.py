"""Facts in: which runs a batch starts, refreshes, moves, ends, or makes ask for their exit condition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from core.events.columns import MACHINE, Event
from core.events.facts import Erasure, FactBatch, Merge, Unmerge
from core.scenario import machine
from core.scenario.definition import Reentry
from core.scenario.machine import Command, Refreshed, Stopped
from core.scenario.plan import Plan
from core.scenario.reentry import key_of, may_start
from core.scenario.run import Run, State, moved, run_id_of, values_of
from core.scenario.trigger import (
    MembershipChange,
    Occurrence,
    instant_of,
    is_live,
    scalars,
    started_by_event,
    started_by_membership,
)
from services.scenario.catalogue import Catalogue
from services.scenario.runs import Runs

#: Keeps a run and sees to it that its command is done.
Keep = Callable[[Run, Command], None]


class Fold:
    """Applies facts to the runs of one workspace. Synchronous: a batch is folded as a whole or not at all."""

    def __init__(self, runs: Runs, catalogue: Catalogue, zone: str, keep: Keep, forget: Callable[[list[str]], None]):
        self._runs = runs
        self._catalogue = catalogue
        self._zone = zone
        self._keep = keep
        self._forget = forget

    def batch(self, batch: FactBatch, upstream_position: int, now_us: int) -> bool:
        """Fold one entry of the profile log in its order. True if it concerned any run: its position must then be
        kept at once, because conditions ask for it."""
        row, concerned = 0, False
        for fact in batch.facts:
            if isinstance(fact, Merge | Unmerge | Erasure):
                concerned |= self._events(batch, row, fact.before_event, upstream_position, now_us)
                row = fact.before_event
                concerned |= self._person(fact, batch.position, now_us)
        return self._events(batch, row, len(batch.events), upstream_position, now_us) or concerned

    def memberships(self, changes: Sequence[MembershipChange], profile_position: int, now_us: int) -> bool:
        """Fold records of the engine's membership log, which include the profile log up to `profile_position`.
        True if they started anything."""
        started = False
        for change in changes:
            for plan in self._catalogue.started_by_segment(change.segment):
                if change.recorded_at_us < self._catalogue.since_us(plan.name):
                    continue
                occurrence = started_by_membership(plan, change)
                if occurrence is not None:
                    started |= self._start(plan, occurrence, profile_position, now_us)
        return started

    def _events(self, batch: FactBatch, first: int, until: int, upstream_position: int, now_us: int) -> bool:
        concerned = False
        events = batch.events
        contacts = [] if events.contacts is None else events.contacts.tolist()
        parts = contacts if batch.parts is None else batch.parts.tolist()
        types = [events.strings[code] for code in events.types.tolist()]
        for row in range(first, until):
            standing = self._runs.of_contact(contacts[row])
            plans = self._catalogue.started_by_event(types[row])
            if not standing and (not plans or not is_live(int(events.flags[row]))):
                continue
            event = next(iter(events.take(np.array([row], np.intp)).rows()))
            for run in standing:
                self._meet(run, event, batch.position, batch.recorded_at_us, now_us)
            concerned |= bool(standing)
            for plan in plans:
                if batch.recorded_at_us < self._catalogue.since_us(plan.name):
                    continue
                occurrence = started_by_event(
                    plan, event, contacts[row], batch.recorded_at_us, self._zone, upstream_position
                )
                if occurrence is not None:
                    concerned |= self._start(plan, occurrence, batch.position, now_us, parts[row])
        return concerned

    def _meet(self, run: Run, event: Event, position: int, recorded_at_us: int, now_us: int) -> None:
        """An event of a contact meets one of its runs."""
        plan = self._catalogue.plan(run.scenario, run.version)
        after, command = run, machine.needed(plan, run)
        if event.type == plan.event_type and is_live(event.flags) and event.id != run.trigger_id:
            brought = scalars(event)
            values = values_of(run.run_id, run.trigger_id, run.trigger_at_us, brought, plan.definition.values)
            if key_of(plan, values) == run.key:
                newer = Refreshed(instant_of(event, recorded_at_us), brought, event.items)
                after, command = machine.step(plan, after, newer, now_us)
        names_it = plan.exit_text is not None and plan.exit_text.concerned_by(event.type)
        if names_it and not event.flags & MACHINE and after.state is not State.ENDED:
            after, command = machine.step(plan, after, machine.Event(position), now_us)
        if after != run:
            self._keep(after, command)

    def _start(self, plan: Plan, occurrence: Occurrence, position: int, now_us: int, part: int | None = None) -> bool:
        """Start what `occurrence` starts; `part`: of whom it was told, None where nobody says."""
        owner = self._runs.people.owner(occurrence.contact)
        if owner is None:
            return False
        values = values_of("", occurrence.id, occurrence.at_us, occurrence.values, plan.definition.values)
        entry = (plan.name, owner, key_of(plan, values))
        if not may_start(plan.definition.reentry, self._runs.running(entry), self._runs.finished(entry)):
            return False
        if self._runs.is_known(run_id_of(plan.name, plan.version, occurrence.contact, occurrence.id)):
            return False
        run, command = machine.start(plan, occurrence, now_us)
        if self._runs.is_known(run.run_id):
            return False  # an earlier run ended for the same missing value
        if part is not None and part != run.contact:
            run = replace(run, part=part)
        if owner != run.contact:
            # Its id is that of the contact it happened to: read again after a merge, it is known.
            run = moved(run, owner)
            command = machine.needed(plan, run)
        if plan.exit_text is not None and run.state is not State.ENDED:
            run, command = machine.step(plan, run, machine.Event(position), now_us)
        self._keep(run, command)
        return True

    def _person(self, fact: Merge | Unmerge | Erasure, position: int, now_us: int) -> bool:
        match fact:
            case Merge():
                self._merge(fact, position, now_us)
            case Unmerge():
                self._unmerge(fact, position, now_us)
            case Erasure():
                self._erase(fact)
        return True

    def _merge(self, merge: Merge, position: int, now_us: int) -> None:
        """The loser's runs go on as the survivor's; of two that are about the same, the one that started first."""
        self._runs.people.merged(merge.loser, merge.survivor)
        coming = self._runs.of_contact(merge.loser)
        staying = self._runs.of_contact(merge.survivor)
        for run in coming:
            self._move(run, merge.survivor)
        for run in sorted((*coming, *staying), key=lambda one: (one.started_at_us, one.run_id)):
            self._meet_merged(self._runs.active[run.run_id], position, now_us)
        self._runs.move_ended(merge.loser, merge.survivor)

    def _unmerge(self, unmerge: Unmerge, position: int, now_us: int) -> None:
        """The runs that the restored contact's parts started go on as its own, with their timers; nothing starts. The
        facts of each are others now, so all their exits are asked again. A run that a merge ended stays ended."""
        parts = {unmerge.restored, *unmerge.parts}
        self._runs.people.unmerged(unmerge.survivor, unmerge.restored, parts)
        for run in self._runs.of_contact(unmerge.survivor):
            if run.part in parts:
                self._move(run, unmerge.restored)
        for run in (*self._runs.of_contact(unmerge.survivor), *self._runs.of_contact(unmerge.restored)):
            plan = self._catalogue.plan(run.scenario, run.version)
            if plan.exit_text is not None:
                self._keep(*machine.step(plan, run, machine.Event(position), now_us))
        self._runs.give_back_ended(unmerge.survivor, unmerge.restored, parts)

    def _move(self, run: Run, contact: int) -> None:
        plan = self._catalogue.plan(run.scenario, run.version)
        self._keep(moved(run, contact), machine.needed(plan, run))

    def _meet_merged(self, run: Run, position: int, now_us: int) -> None:
        plan = self._catalogue.plan(run.scenario, run.version)
        earlier = next(
            other
            for other in self._runs.of_contact(run.contact)
            if (other.scenario, other.key) == (run.scenario, run.key)
        )
        if plan.definition.reentry is not Reentry.ALWAYS and earlier.run_id != run.run_id:
            self._keep(*machine.step(plan, run, Stopped("merged"), now_us))
        elif plan.exit_text is not None:
            # The facts of the other half count from here on: the exit may have happened there.
            self._keep(*machine.step(plan, run, machine.Event(position), now_us))

    def _erase(self, erasure: Erasure) -> None:
        self._runs.people.erased(erasure.contact)
        self._forget(self._runs.erase(erasure.contact))
