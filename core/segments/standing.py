"""Saved segments, kept current: their members at one instant, and the record of every change.

`Standing` folds the same log as the index that it owns. Order within a step of the log, which makes records
independent of batching: first every boundary of time up to the entry's instant, each at its own instant; then the
entry's facts in waves (see waves.py). A change is old XOR new of the contacts that a wave or a boundary names, so its
cost does not grow with the base.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.events.facts import FactBatch
from core.index.contact_set import ContactSet
from core.index.index import Index
from core.index.root import Root
from core.query.execute import Counts, LeafCache, count_of, evaluate
from core.segments.agenda import Due, agenda
from core.segments.changes import BulkChange, Cause, Change, MembershipChange
from core.segments.saved import Saved
from core.segments.touched import touched_segments
from core.segments.waves import Step, Wave, waves


@dataclass(frozen=True, slots=True)
class StandingView:
    """One segment at one published instant."""

    saved: Saved
    members: ContactSet
    counts: Counts


@dataclass(frozen=True, slots=True)
class Published:
    """An immutable version of everything: answers given from it are exact for `as_of_us` and `position`."""

    root: Root
    as_of_us: int
    segments: Mapping[str, StandingView]

    @property
    def position(self) -> int:
        """The position of unification's log that is folded in."""
        return self.root.position


class Standing:
    """The one writer of the standing segments of a workspace. Not for two threads at once; what it publishes is."""

    def __init__(self, index: Index, zone: str, clock_us: int) -> None:
        self._index = index
        self._zone = zone
        self._clock_us = clock_us
        self._saved: dict[str, Saved] = {}
        self._members: dict[str, ContactSet] = {}
        self._counts: dict[str, tuple[int, ContactSet, Counts]] = {}

    @property
    def clock_us(self) -> int:
        """The instant for which memberships hold."""
        return self._clock_us

    def restore(self, saved: Iterable[Saved]) -> None:
        """Take segments over at the present instant without recording anything: after a restart."""
        root = self._index.root()
        for one in saved:
            self._saved[one.name] = one
            self._members[one.name] = self._evaluate(one, root, None, {})

    def save(self, saved: Saved, dependents: Iterable[Saved], recorded_at_us: int) -> list[Change]:
        """Add or replace a segment, and re-bind those that refer to it; time moves to `recorded_at_us` first.

        Returns the changes: by time, then of the segment itself (CREATED, or EDIT), then of its dependents (EDIT).
        """
        changes = self.advance(recorded_at_us)
        first = self._replace(saved, recorded_at_us)
        return [*changes, first, *self._replaced(dependents, recorded_at_us)]

    def move_to_zone(self, zone: str, saved: Iterable[Saved], recorded_at_us: int) -> list[Change]:
        """The workspace keeps another local time from `recorded_at_us` on; `saved` are its segments, bound to it.
        Returns the changes by time, then those by the zone (EDIT)."""
        changes = self.advance(recorded_at_us)
        self._zone = zone
        return [*changes, *self._replaced(saved, recorded_at_us)]

    def _replaced(self, saved: Iterable[Saved], recorded_at_us: int) -> list[Change]:
        changes = [self._replace(one, recorded_at_us) for one in saved]
        return [change for change in changes if len(change.entered) or len(change.left)]

    def _replace(self, saved: Saved, recorded_at_us: int) -> BulkChange:
        before = self._members.get(saved.name)
        after = self._evaluate(saved, self._index.root(), None, {})
        self._saved[saved.name] = saved
        self._members[saved.name] = after
        cause = Cause.CREATED if before is None else Cause.EDIT
        old = before or ContactSet.empty()
        return BulkChange(saved.name, saved.version, after - old, old - after, recorded_at_us, cause)

    def remove(self, name: str, version: int, dependents: Iterable[Saved], recorded_at_us: int) -> list[Change]:
        """Forget a segment (it is deleted, or has parameters now): everyone leaves by EDIT, and those that refer to it
        change by EDIT. An unknown name changes its dependents only."""
        changes = self.advance(recorded_at_us)
        members = self._members.pop(name, None)
        self._saved.pop(name, None)
        self._counts.pop(name, None)
        if members is not None:
            changes.append(BulkChange(name, version, ContactSet.empty(), members, recorded_at_us, Cause.EDIT))
        return [*changes, *self._replaced(dependents, recorded_at_us)]

    def apply(self, batch: FactBatch) -> list[Change]:
        """Fold one entry of unification's log: every boundary of time up to its instant, each a step of its own, then
        its facts. (Joining a boundary at that very instant with the facts would make records depend on batching.)
        Where time was already let pass beyond the entry, its changes are recorded at that time: the order of records
        never runs back."""
        changes = self.advance(batch.recorded_at_us)
        empty = len(batch.events) == 0 and not batch.facts  # all were duplicates: only the position moves
        if empty or not self._saved:
            self._index.apply(batch.events, batch.facts, batch.position)
            return changes
        in_waves = sorted(self._apply_waves(batch), key=lambda pair: pair[0])
        return [*changes, *(change for _, change in in_waves)]

    def _apply_waves(self, batch: FactBatch) -> Iterable[tuple[int, MembershipChange]]:
        for wave in waves(batch.events, batch.facts):
            events = wave.events(batch.events)
            facts = [replace(fact, before_event=0) for fact in wave.facts]
            if not wave.steps:
                # The catalogue alone: no condition of this version asks it.
                self._index.apply(events, facts, batch.position)
                continue
            before_root = self._index.root()
            self._index.apply(events, facts, batch.position)
            yield from self._after_wave(wave, events.strings, events.types, before_root)

    def _after_wave(
        self,
        wave: Wave,
        strings: tuple[str, ...],
        types: NDArray[np.uint32],
        before_root: Root,
    ) -> Iterable[tuple[int, MembershipChange]]:
        root = self._index.root()
        event_types = {strings[code] for code in np.unique(types).tolist()}
        candidates = np.array(sorted(wave.steps), np.uint32)
        older = candidates[candidates < before_root.contact_count]
        existed = len(before_root.exists(self._clock_us, older))
        appeared = existed < len(root.exists(self._clock_us, candidates))
        names = touched_segments(self._saved, event_types, wave.facts, appeared=appeared)
        cache: LeafCache = {}
        for name in names:
            for contact, entered in self._swap(name, root, candidates, cache):
                step = wave.steps[contact]
                yield step.order, self._record(name, contact, entered, step, self._clock_us)

    def _record(self, name: str, contact: int, entered: bool, step: Step, recorded_at_us: int) -> MembershipChange:
        return MembershipChange(
            contact=contact,
            segment=name,
            version=self._saved[name].version,
            entered=entered,
            effective_at_us=recorded_at_us if step.effective_at_us < 0 else min(step.effective_at_us, recorded_at_us),
            recorded_at_us=recorded_at_us,
            cause=step.cause,
            witness=() if step.witness is None else (step.witness,),
        )

    def advance(self, until_us: int) -> list[Change]:
        """Let time pass to `until_us` (never back): every boundary in between, at its exact instant, in order."""
        if until_us <= self._clock_us:
            return []
        root = self._index.root()
        changes: list[Change] = []
        for instant, due in agenda(root, self._saved, self._zone, self._clock_us, until_us):
            self._clock_us = instant
            changes += self._at_boundary(root, instant, due)
        self._clock_us = until_us
        return changes

    def _at_boundary(self, root: Root, instant: int, due: Due) -> list[Change]:
        changes: list[Change] = []
        for name in sorted({*due.contacts, *due.whole}):
            whole = name in due.whole
            candidates = None if whole else np.unique(np.array(due.contacts[name], np.uint32))
            for contact, entered in self._swap(name, root, candidates, {}):
                version = self._saved[name].version
                changes.append(MembershipChange(contact, name, version, entered, instant, instant, Cause.TIME))
        return changes

    def _swap(
        self, name: str, root: Root, candidates: NDArray[np.uint32] | None, cache: LeafCache
    ) -> Iterable[tuple[int, bool]]:
        """Put the new truth of `candidates` (None: everyone) in place; (contact, entered) for each that changed."""
        old = self._members[name]
        new = self._evaluate(self._saved[name], root, candidates, cache)
        asked = ContactSet.from_numbers(candidates) if candidates is not None else None
        before = old if asked is None else old & asked
        entered, left = new - before, before - new
        if len(entered) == 0 and len(left) == 0:
            return []
        self._members[name] = (old - left) | entered
        changed = [(int(contact), True) for contact in entered.numbers()]
        changed += [(int(contact), False) for contact in left.numbers()]
        return sorted(changed)

    def _evaluate(
        self, saved: Saved, root: Root, candidates: NDArray[np.uint32] | None, cache: LeafCache
    ) -> ContactSet:
        return evaluate(saved.bound, root, self._clock_us, {}, candidates, cache).members

    def publish(self) -> Published:
        """The present version. Counts are kept for segments whose members and contacts did not change."""
        root = self._index.root()
        views = {}
        for name, saved in self._saved.items():
            members = self._members[name]
            kept = self._counts.get(name)
            if kept is None or kept[1] is not members or kept[0] != root.version:
                kept = (root.version, members, count_of(members, root))
                self._counts[name] = kept
            views[name] = StandingView(saved, members, kept[2])
        return Published(root, self._clock_us, views)
