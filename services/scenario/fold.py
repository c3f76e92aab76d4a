"""Facts in: which runs a batch starts, refreshes, moves, ends, or makes ask for their exit condition."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from core.events.columns import Event
from core.events.facts import AttributeWrite, ConsentWrite, Erasure, FactBatch, ListChange, Merge, Unmerge
from core.scenario import machine
from core.scenario.definition import Reentry
from core.scenario.machine import Stopped
from core.scenario.meet import may_meet, met
from core.scenario.run import Run, moved
from core.scenario.trigger import (
    MembershipChange,
    counts,
    started_by_event,
    started_by_membership,
)
from core.scenario.trigger_cells import cell_moves, started_by_move
from services.scenario.catalogue import Catalogue
from services.scenario.runs import Runs
from services.scenario.starts import Keep, Starts
from services.scenario.waiting import Waiting


class Fold:
    """Applies facts to the runs of one workspace. Synchronous: a batch is folded as a whole or not at all."""

    def __init__(
        self,
        runs: Runs,
        catalogue: Catalogue,
        starts: Starts,
        waiting: Waiting,
        zone: str,
        keep: Keep,
        forget: Callable[[list[str]], None],
    ) -> None:
        self._runs = runs
        self._catalogue = catalogue
        self._starts = starts
        self._waiting = waiting
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
        concerned |= self._waiting.facts(batch, upstream_position)
        concerned |= self._profiles(batch, now_us)
        return self._events(batch, row, len(batch.events), upstream_position, now_us) or concerned

    def _profiles(self, batch: FactBatch, now_us: int) -> bool:
        """What contacts are has changed: runs whose texts read it ask again."""
        contacts = {
            fact.contact for fact in batch.facts if isinstance(fact, AttributeWrite | ListChange | ConsentWrite)
        }
        concerned = False
        for contact in contacts:
            for run in self._runs.of_contact(contact):
                plan = self._catalogue.plan(run.scenario, run.version)
                if machine.heeds_profile(plan, run):
                    self._keep(*machine.step(plan, run, machine.Event(batch.position), now_us))
                    concerned = True
        return concerned

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
                    started |= self._starts.start(plan, occurrence, profile_position, now_us).changed
        for move in cell_moves(changes, self._catalogue.models):
            for plan in self._catalogue.started_by_model(move.model):
                occurrence = started_by_move(plan, move)
                if occurrence is not None and move.recorded_at_us >= self._catalogue.since_us(plan.name):
                    started |= self._starts.start(plan, occurrence, profile_position, now_us).changed
        return started

    def _events(self, batch: FactBatch, first: int, until: int, upstream_position: int, now_us: int) -> bool:
        concerned = False
        events = batch.events
        contacts = [] if events.contacts is None else events.contacts.tolist()
        parts = contacts if batch.parts is None else batch.parts.tolist()
        types = [events.strings[code] for code in events.types.tolist()]
        for row in range(first, until):
            standing = self._runs.of_contact(contacts[row])
            flags = int(events.flags[row])
            plans = [plan for plan in self._catalogue.started_by_event(types[row]) if counts(plan, flags)]
            if not standing and not plans:
                continue
            concerned |= bool(standing)
            meeting = [run for run in standing if self._may_meet(run, types[row])]
            if not meeting and not plans:
                continue
            event = next(iter(events.take(np.array([row], np.intp)).rows()))
            for run in meeting:
                self._meet(run, event, batch.position, batch.recorded_at_us, now_us)
            for plan in plans:
                if batch.recorded_at_us < self._catalogue.since_us(plan.name):
                    continue
                occurrence = started_by_event(
                    plan, event, contacts[row], batch.recorded_at_us, self._zone, upstream_position
                )
                if occurrence is not None:
                    start = self._starts.start(plan, occurrence, batch.position, now_us, parts[row])
                    concerned |= start.changed
        return concerned

    def _may_meet(self, run: Run, event_type: str) -> bool:
        return may_meet(self._catalogue.plan(run.scenario, run.version), run, event_type)

    def _meet(self, run: Run, event: Event, position: int, recorded_at_us: int, now_us: int) -> None:
        plan = self._catalogue.plan(run.scenario, run.version)
        after, command = met(plan, run, event, position, recorded_at_us, self._zone, now_us)
        if after != run:
            self._keep(after, command)

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
            if plan.exit_text is not None or plan.conditions:
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
        elif plan.exit_text is not None or plan.conditions:
            # The facts of the other half count from here on: the exit may have happened there.
            self._keep(*machine.step(plan, run, machine.Event(position), now_us))

    def _erase(self, erasure: Erasure) -> None:
        self._runs.people.erased(erasure.contact)
        self._forget(self._runs.erase(erasure.contact))
