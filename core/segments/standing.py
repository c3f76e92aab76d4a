"""Saved segments, kept current: their members at one instant, and the record of every change.

`Standing` folds the same log as the index that it owns. Order within a step of the log, which makes records
independent of batching: first every boundary of time up to the entry's instant, each at its own instant; then the
entry's facts in waves (see waves.py). A change is old XOR new of the contacts that a wave or a boundary names, so its
cost does not grow with the base.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from core.events.facts import FactBatch
from core.index.bit_column import BitColumn
from core.index.contact_set import ContactSet
from core.index.index import Index
from core.index.root import Root
from core.query.execute import LeafCache
from core.query.knowledge import Knowledge
from core.segments.agenda import Agenda, agenda, midnights_between
from core.segments.asking import Asker
from core.segments.changes import NO_CHANGES, BulkChange, Cause, Change, Changes
from core.segments.fresh import appeared
from core.segments.histories import Histories, erased_by
from core.segments.passing import Pairs, is_simple, quick_changes
from core.segments.pieces import Pieces, Steps, passing, same_step
from core.segments.publication import Number, Publication
from core.segments.published import Published as Published
from core.segments.published import StandingView as StandingView
from core.segments.published import views_of
from core.segments.replay import Replay
from core.segments.saved import Saved
from core.segments.split import Split, split
from core.segments.toggles import Toggles
from core.segments.touched import TouchedBy, ranked
from core.segments.tracked import Tracked
from core.segments.waves import EventWave, Step, Wave, event_waves


class Standing:
    """The one writer of the standing segments of a workspace. Not for two threads at once; what it publishes is."""

    def __init__(self, index: Index, zone: str, clock_us: int) -> None:
        self._index = index
        self._zone = zone
        self._clock_us = clock_us
        self._saved: dict[str, Saved] = {}
        self._ranks: dict[str, int] = {}
        self._members: dict[str, BitColumn] = {}
        self._views: dict[str, StandingView] = {}
        self._publication = Publication()
        self._histories = Histories()
        self._remembered: frozenset[str] = frozenset()
        self._touched_by = TouchedBy({})
        #: What is not tracked, by name: those segments are asked as they are.
        self._asked: dict[str, Saved] = {}
        self._asked_by = TouchedBy({})
        self._tracked = Tracked(self._members)
        self._arranged = True

    @property
    def clock_us(self) -> int:
        """The instant for which memberships hold."""
        return self._clock_us

    @property
    def knowledge(self) -> Knowledge:
        """What memberships are exact against: published numbers, and the histories that segments ask about."""
        return replace(self._publication.knowledge(), histories=self._histories.views(self._remembered))

    def numbers(self) -> Mapping[str, Number]:
        """The published numbers by the texts of their keys, for keeping."""
        return self._publication.numbers()

    def members(self, name: str) -> ContactSet:
        """Who is in a standing segment at the present instant."""
        return self._members[name].freeze()

    # --- definitions --------------------------------------------------------------------------------------------------

    def restore(
        self, saved: Iterable[Saved], numbers: Mapping[str, Number] | None = None, recorded: Iterable[Change] = ()
    ) -> None:
        """Take segments over at the present instant without recording anything, with the numbers that were published
        (as `numbers` gave them) and everything that was recorded before, in order: after a restart."""
        self._publication.load(numbers or {})
        self._histories.record(recorded)
        self._histories.forget(self._index.root().contacts.erased())
        self._saved |= {one.name: one for one in saved}
        self._arrange()
        root = self._index.root()
        for name in self._ranks:
            self._publication.keep(self._saved[name], root, self._clock_us)
        asker = self._asker(root)
        for name in self._ranks:
            self._put(name, asker.all_of(self._saved[name]))
        self._settle(asker.leaves)
        # What was stirred before the restart is not known any more: everything is looked at once.
        self._publication.stir(self._saved, self._clock_us)

    def save(self, saved: Saved, dependents: Iterable[Saved], recorded_at_us: int) -> Changes:
        """Add or replace a segment, and re-bind those that refer to it; time moves to `recorded_at_us` first.

        Returns the changes: by time, then of the segment itself (CREATED, or EDIT), then of its dependents (EDIT).
        """
        changes = self.advance(recorded_at_us)
        first = self._replace(saved, recorded_at_us)
        return changes + Changes((first, *self._replaced(dependents, recorded_at_us)))

    def move_to_zone(self, zone: str, saved: Iterable[Saved], recorded_at_us: int) -> Changes:
        """The workspace keeps another local time from `recorded_at_us` on; `saved` are its segments, bound to it.
        Returns the changes by time, then those by the zone (EDIT)."""
        changes, self._zone = self.advance(recorded_at_us), zone
        return changes + self.rebind(saved, recorded_at_us)

    def rebind(self, saved: Iterable[Saved], recorded_at_us: int) -> Changes:
        """The same for segments bound to something else, such as a new version of an RFM model."""
        return self.advance(recorded_at_us) + Changes(self._replaced(saved, recorded_at_us))

    def remove(self, name: str, version: int, dependents: Iterable[Saved], recorded_at_us: int) -> Changes:
        """Forget a segment (it is deleted, or has parameters now): everyone leaves by EDIT, and those that refer to it
        change by EDIT. An unknown name changes its dependents only."""
        changes = self.advance(recorded_at_us)
        members = self._members.pop(name, None)
        self._saved.pop(name, None)
        self._publication.drop(name)
        self._arrange()
        gone = []
        if members is not None:
            left = members.freeze()
            gone.append(BulkChange(name, version, ContactSet.empty(), left, recorded_at_us, Cause.EDIT))
            self._histories.saved(gone[0])
        return changes + Changes((*gone, *self._replaced(dependents, recorded_at_us)))

    def _replaced(self, saved: Iterable[Saved], recorded_at_us: int) -> list[BulkChange]:
        changes = [self._replace(one, recorded_at_us) for one in saved]
        return [change for change in changes if len(change.entered) or len(change.left)]

    def _replace(self, saved: Saved, recorded_at_us: int) -> BulkChange:
        kept = self._members.get(saved.name)
        root = self._index.root()
        self._saved[saved.name] = saved
        self._arrange()
        self._publication.keep(saved, root, recorded_at_us)
        before, after = ContactSet.empty() if kept is None else kept.freeze(), self._asker(root).all_of(saved)
        self._put(saved.name, after)
        cause = Cause.CREATED if kept is None else Cause.EDIT
        change = BulkChange(saved.name, saved.version, after - before, before - after, recorded_at_us, cause)
        self._histories.saved(change)
        return change

    def _put(self, name: str, members: ContactSet) -> None:
        column = self._members[name] = BitColumn()
        column.load(members)

    def _arrange(self) -> None:
        self._ranks = {name: rank for rank, name in enumerate(ranked(self._saved))}
        self._touched_by = TouchedBy(self._saved)
        self._remembered = frozenset(name for one in self._saved.values() for name in one.touches.histories)
        self._arranged = False

    def _settle(self, leaves: LeafCache | None = None) -> None:
        """Divide the segments, after definitions changed, into those whose conditions are tracked and those that are
        asked; `leaves`: what was just asked of everyone at this instant."""
        if self._arranged:
            return
        able = {name: one for name, one in self._saved.items() if self._is_quick(name)}
        self._tracked.arrange(able, self._index.root(), self._clock_us, {} if leaves is None else leaves)
        self._asked = {name: one for name, one in self._saved.items() if name not in self._tracked.names}
        self._asked_by = TouchedBy(self._asked)
        self._arranged = True

    # --- facts --------------------------------------------------------------------------------------------------------

    def apply(self, batch: FactBatch) -> Changes:
        """Fold one entry of unification's log: every boundary of time up to its instant, each a step of its own, then
        its facts. (Joining a boundary at that very instant with the facts would make records depend on batching.)
        Where time was already let pass beyond the entry, its changes are recorded at that time: the order of records
        never runs back."""
        changes = self.advance(batch.recorded_at_us)
        self._settle()
        empty = len(batch.events) == 0 and not batch.facts  # all were duplicates: only the position moves
        if empty or not self._saved:
            self._index.apply(batch.events, batch.facts, batch.position)
            return changes
        pieces = Pieces(self._saved, self._ranks)
        parts = split(batch)
        for wave in parts.waves(batch):
            self._wave(wave, batch, parts, pieces)
        self._events(batch, parts, pieces)
        return changes + Changes((pieces.table(batch.events.ids),))

    def _wave(self, wave: Wave | EventWave, batch: FactBatch, parts: Split, pieces: Pieces) -> None:
        """Facts of contacts, and the events of these contacts."""
        events = wave.events(batch.events)
        facts = [replace(fact, before_event=0) for fact in wave.facts]
        if wave.product is not None:
            self._index.apply(events, facts, batch.position)
            if any(one.touches.products for one in self._asked.values()):
                self._after_product(wave, wave.product, pieces)
            return
        before = self._index.root()
        erased = erased_by(facts, self._index.contacts)
        self._index.apply(events, facts, batch.position)
        root, steps = self._index.root(), wave.table(batch.events)
        touched = self._touched_by.wave(wave.facts, steps.contacts, events, before, root, self._clock_us)
        for name, turned in self._tracked.facts(wave.facts, events, touched, root, self._clock_us):
            self._turn(name, turned, steps.of(turned.contacts), pieces)
        self._ask(root, touched, steps.in_any, pieces)
        self._histories.forget(erased)

    def _events(self, batch: FactBatch, parts: Split, pieces: Pieces) -> None:
        """Events of contacts of whom the entry has no other facts. Tracked segments take all of them at once, the
        others wave by wave."""
        rows = parts.plain
        if len(rows) == 0:
            return
        events, before = batch.events, self._index.root()
        asks = self._asked_by.any_of(rows, events, before)
        if asks and not Replay.may_be(rows, events, before, self._clock_us, self._asked.values()):
            self._wave_by_wave(batch, parts, pieces)
        else:
            self._index.apply(EventWave(rows, events).events(events), (), batch.position)
            if asks:
                self._replay(batch, parts, before, pieces)
        for name, turned in self._tracked.events(rows, events, before, self._index.root(), self._clock_us):
            self._turn(name, turned, parts.steps(turned.contacts, turned.places, events), pieces)

    def _replay(self, batch: FactBatch, parts: Split, before: Root, pieces: Pieces) -> None:
        """Ask what is not tracked, where the events are folded already."""
        events, after = batch.events, self._index.root()
        replay = Replay(parts.plain, events, before, after)
        new = appeared(parts.plain, events, before, after, self._clock_us)
        for stage in replay.stages(replay.asked(self._asked, self._asked_by, new), self._is_quick):
            self._ask(stage.root, stage.contacts, partial(stage.steps, parts.steps, events), pieces)

    def _is_quick(self, name: str) -> bool:
        """Whether a segment depends on facts of single contacts alone, and no other remembers it."""
        return is_simple(self._saved[name]) and name not in self._remembered and not self._publication.needs(name)

    def _wave_by_wave(self, batch: FactBatch, parts: Split, pieces: Pieces) -> None:
        """Ask what is not tracked, folding the events step by step."""
        earlier = self._index.root()
        for wave in event_waves(batch.events, parts.plain):
            events, steps = wave.events(batch.events), parts.numbered(wave.table(batch.events))
            self._index.apply(events, (), batch.position)
            root = self._index.root()
            touched = self._asked_by.wave((), steps.contacts, events, earlier, root, self._clock_us)
            self._ask(root, touched, steps.in_any, pieces)
            earlier = root

    def _turn(
        self, name: str, turned: Toggles, steps: Steps, pieces: Pieces, at_us: NDArray[np.int64] | None = None
    ) -> None:
        """Record what changed in a tracked segment, at these instants or now."""
        recorded_at_us = np.full(len(turned), self._clock_us, np.int64) if at_us is None else at_us
        pieces.add(name, steps, turned.truth, recorded_at_us)
        self._histories.add(name, turned.contacts, recorded_at_us, turned.truth)
        self._members[name].set(*turned.last())

    def _after_product(self, wave: Wave | EventWave, step: Step, pieces: Pieces) -> None:
        """Everyone whose events name the product, and nobody else, is asked again."""
        root = self._index.root()
        touched = self._asked_by.product(wave.facts, root)
        self._ask(root, touched, lambda _, some: same_step(some, step.order, step.cause, step.effective_at_us), pieces)

    def _ask(
        self,
        root: Root,
        asked: Mapping[str, NDArray[np.uint32] | None],
        steps_of: Callable[[str, NDArray[np.uint32]], Steps],
        pieces: Pieces,
        *,
        together: bool = False,
    ) -> Mapping[str, NDArray[np.uint32]]:
        """Ask segments about contacts (None: everyone) at the present instant, each after those it refers to; whoever
        changed in a segment is asked in those that remember it, and returned. `together`: at a publication, which stirs
        nothing."""
        if not together:
            self._publication.stir(asked, self._clock_us)
        asker = self._asker(root)
        changed: dict[str, NDArray[np.uint32]] = {}
        for name in self._ranks:
            if name not in self._asked:
                continue
            moved = [changed[past] for past in self._saved[name].touches.histories if past in changed]
            if name not in asked and not moved:
                continue
            candidates = asked.get(name, np.zeros(0, np.uint32))
            if candidates is not None and moved:
                candidates = np.unique(np.concatenate([candidates, *moved]))
            contacts, entered = self._swap(name, asker, candidates, together=together)
            if len(contacts) == 0:
                continue
            recorded_at_us = np.full(len(contacts), self._clock_us, np.int64)
            pieces.add(name, steps_of(name, contacts), entered, recorded_at_us)
            self._histories.add(name, contacts, recorded_at_us, entered)
            if name in self._remembered:
                changed[name] = contacts
                asker.forget_histories()
        return changed

    def _swap(
        self, name: str, asker: Asker, candidates: NDArray[np.uint32] | None, *, together: bool
    ) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
        """Put the new truth of `candidates` (None: everyone) in place: who changed, ascending; true: came in."""
        column = self._members[name]
        waits = self._publication.waits(name) and not together
        if candidates is None and waits:
            candidates = column.freeze().numbers()
        if candidates is None:
            old, new = column.freeze(), asker.all_of(self._saved[name])
            contacts = ((new | old) - (new & old)).numbers()
            self._put(name, new)
            return contacts, new.has(contacts)
        was = column.get(candidates)
        if waits:
            # Contacts decide about each other: between publications only who is in no answer any more leaves.
            truth = was & asker.existing(candidates)
        else:
            truth = asker.truth(self._saved[name], candidates)
        contacts, entered = candidates[truth != was], truth[truth != was]
        column.set(contacts, entered)
        return contacts, entered

    # --- time ---------------------------------------------------------------------------------------------------------

    def advance(self, until_us: int) -> Changes:
        """Let time pass to `until_us` (never back): every boundary in between, at its exact instant, in order, and
        every publication of numbers after the boundaries of its instant."""
        if until_us <= self._clock_us:
            return NO_CHANGES
        self._settle()
        root = self._index.root()
        pieces = Pieces(self._saved, self._ranks)
        for name, turned in self._tracked.passed(root, self._clock_us, until_us):
            steps = same_step(turned.contacts, 0, Cause.TIME, -1)
            self._turn(name, turned, steps, pieces, turned.places)
        midnights = midnights_between(root, self._asked.values(), self._zone, self._clock_us, until_us)
        quick = {
            name: one
            for name, one in self._asked.items()
            if is_simple(one) and not self._publication.needs(name) and midnights.isdisjoint(one.edges.local_days)
        }
        moved = self._pass_quickly(root, quick, until_us, pieces)
        self._pass_exactly(root, {n: one for n, one in self._asked.items() if n not in quick}, until_us, moved, pieces)
        self._clock_us = until_us
        return Changes((pieces.table(),))

    def _pass_quickly(self, root: Root, quick: Mapping[str, Saved], until_us: int, pieces: Pieces) -> dict[str, Pairs]:
        """Let time pass for segments of facts alone. Returns who changed when in those that others remember."""
        moved: dict[str, Pairs] = {}
        ordered = {name: quick[name] for name in self._ranks if name in quick}
        changes = quick_changes(root, ordered, self._clock_us, until_us, self._members, lambda: self.knowledge)
        for name, contacts, instants, entered in changes:
            pieces.add(name, same_step(contacts, 0, Cause.TIME, -1), entered, instants)
            self._histories.add(name, contacts, instants, entered)
            if name in self._remembered:
                known = moved.get(name, (contacts[:0], instants[:0]))
                moved[name] = (np.concatenate((known[0], contacts)), np.concatenate((known[1], instants)))
        return moved

    def _pass_exactly(
        self, root: Root, exact: Mapping[str, Saved], until_us: int, moved: Mapping[str, Pairs], pieces: Pieces
    ) -> None:
        """Instant by instant, for segments that remember others, go by published numbers or by the catalogue, or begin
        a local day."""
        if not exact:
            return
        histories = self._histories.views(self._remembered)
        due = Agenda(exact, agenda(root, exact, self._zone, self._clock_us, until_us, histories, moved), until_us)
        while True:
            publication_us = self._publication.due_us
            if publication_us is not None and publication_us <= until_us and publication_us < due.next_us:
                self._clock_us = publication_us
                names = self._publication.renew(self._saved, root, self._clock_us)
                asked: dict[str, NDArray[np.uint32] | None] = dict.fromkeys(names)
                cause = Cause.POPULATION
            elif due.next_us <= until_us:
                self._clock_us, at_once = due.pop()
                asked, cause = at_once.asked(), Cause.TIME
            else:
                return
            changed = self._ask(root, asked, passing(cause), pieces, together=cause is Cause.POPULATION)
            due.remember(changed, self._clock_us)

    def _asker(self, root: Root) -> Asker:
        return Asker(root, self._clock_us, lambda: self.knowledge)

    def publish(self) -> Published:
        """The present version; views of segments of which nothing changed are the same objects."""
        root = self._index.root()
        views = self._views = views_of(root, self._saved, self._members, self._views)
        known = {name: view.members for name, view in views.items()}
        return Published(root, self._clock_us, views, Knowledge(histories=self._histories.pin(), members=known))
