"""Segments whose conditions are kept current one by one: who is in follows from the truths of their leaves.

A leaf is asked once, whichever segments name it, and only about contacts for whom an event (or its leaving a window)
can turn it; what an event does to a number is added up without asking again. The turns of leaves, each at its own
place, give the turns of segments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from core.events.columns import EventColumns
from core.events.facts import ContactFact, ContactState
from core.index.bit_column import BitColumn
from core.index.contact_set import ContactSet
from core.index.root import Root
from core.query.ast import Scope
from core.query.execute import LeafCache, leaf
from core.query.execute_context import Context
from core.query.knowledge import NOTHING_KNOWN
from core.query.row_facts import RowFacts
from core.segments.fresh import FreshEvents, appeared
from core.segments.leaves import Formula, Leaf, LeafKey, formula_of
from core.segments.presence import Presence
from core.segments.saved import Saved
from core.segments.scopes import Scopes
from core.segments.tallies import Source
from core.segments.toggles import (
    NO_TOGGLES,
    Grouped,
    Toggles,
    alternating,
    starts_of,
    tally_toggles,
    truth_along,
    union,
)
from core.segments.touched import TouchedBy

Contacts = NDArray[np.uint32]
_NOBODY: Contacts = np.zeros(0, np.uint32)
#: Up to so many contacts a leaf is asked one by one.
_FEW = 24
#: A span of time is cut until no more edges than this are in a part of it.
_MOST_EDGES = 4_000_000
#: Shorter spans are never cut: ten minutes.
_SHORT_US = 600_000_000

#: What changed in one segment.
Turns = tuple[str, Toggles]


class _Kept:
    """A leaf and its truth: bits are 1 where it differs from the default."""

    def __init__(self, one: Leaf) -> None:
        self.leaf = one
        self.bits = BitColumn()
        #: The number of its tally's source: hashing a filter takes longer than looking at a few events.
        self.source = -1

    def truth(self, contacts: Contacts) -> NDArray[np.bool_]:
        """Of each contact."""
        return self.bits.get(contacts) ^ self.leaf.default

    def put(self, contacts: Contacts, truth: NDArray[np.bool_]) -> None:
        """Of unique contacts."""
        self.bits.set(contacts, truth ^ self.leaf.default)


class _Asked:
    """Contacts that several segments are asked about: what is read of them is read once."""

    def __init__(self, contacts: Contacts) -> None:
        self._contacts = contacts
        self._scopes: Scopes | None = None
        self._truths: dict[int, NDArray[np.bool_]] = {}

    def truth(self, kept: _Kept) -> NDArray[np.bool_]:
        """Of a leaf."""
        found = self._truths.get(id(kept))
        if found is None:
            found = self._truths[id(kept)] = kept.truth(self._contacts)
        return found

    def scope_of(self, root: Root, as_of_us: int) -> Callable[[Scope], NDArray[np.bool_]]:
        """Who is in a scope; always asked of the same root and instant."""
        scopes = self._scopes
        if scopes is None:
            scopes = self._scopes = Scopes(root, as_of_us, self._contacts)
        return lambda scope: scopes.of(scope, self._contacts)


class Tracked:
    """The writer. `names` are the segments that it keeps; their members are the caller's."""

    def __init__(self, members: Mapping[str, BitColumn]) -> None:
        """`members`: of each segment; read here, written by whoever records the changes."""
        self._members = members
        self._formulas: dict[str, tuple[Formula, tuple[int, ...]]] = {}
        self._of_nobody: frozenset[str] = frozenset()
        self._kept: list[_Kept] = []
        self._touched_by = TouchedBy({})

    @property
    def names(self) -> frozenset[str]:
        """The segments kept here."""
        return frozenset(self._formulas)

    def arrange(self, saved: Mapping[str, Saved], root: Root, as_of_us: int, cache: LeafCache) -> None:
        """Keep those of `saved` that can be kept here; leaves that are new are asked of everyone at `as_of_us`."""
        standing = {kept.leaf.key: kept for kept in self._kept}
        known: dict[LeafKey, Leaf | None] = {}
        found = {name: formula_of(one, known) for name, one in saved.items()}
        formulas = {name: formula for name, formula in found.items() if formula is not None}
        numbers: dict[LeafKey, int] = {}
        self._kept, self._formulas = [], {}
        contexts: dict[str, Context] = {}
        sources: dict[tuple[str, Source], int] = {}
        for name, formula in formulas.items():
            for key in formula.leaves:
                if key in numbers:
                    continue
                one = known[key]
                assert one is not None, "formulas are made of leaves"
                numbers[key] = len(self._kept)
                kept = standing.get(key)
                if kept is None:
                    kept = _Kept(one)
                    kept.bits.load(_whole_truth(one, root, as_of_us, contexts, cache))
                if one.tally is not None:
                    kept.source = sources.setdefault((key[0], one.tally.source), len(sources))
                self._kept.append(kept)
            self._formulas[name] = formula, tuple(numbers[key] for key in formula.leaves)
        self._of_nobody = frozenset(name for name in formulas if saved[name].touches.everything)
        self._touched_by = TouchedBy({str(number): kept.leaf.saved for number, kept in enumerate(self._kept)})

    # --- facts --------------------------------------------------------------------------------------------------------

    def events(
        self, rows: NDArray[np.intp], columns: EventColumns, before: Root, after: Root, as_of_us: int
    ) -> list[Turns]:
        """What these rows of an entry change, each row a step of its contact; places are rows. `before` and `after` are
        the roots around them."""
        if not self._formulas or len(rows) == 0:
            return []
        fresh = FreshEvents(rows, columns, after)
        contexts: dict[tuple[str, bool], Context] = {}

        def context(zone: str, *, of_fresh: bool) -> Context:
            found = contexts.get((zone, of_fresh))
            if found is None:
                found = contexts[zone, of_fresh] = Context(fresh.root if of_fresh else before, as_of_us, zone)
            return found

        toggles: dict[int, Toggles] = {}
        sources: dict[int, tuple[Grouped, NDArray[np.int64]]] = {}
        for number in sorted(map(int, self._touched_by.of_types(fresh.root.events))):
            kept = self._kept[number]
            tally, zone = kept.leaf.tally, kept.leaf.key[0]
            if tally is None:
                continue
            now = context(zone, of_fresh=True)
            source = sources.get(kept.source)
            if source is None:
                grouped = Grouped.of(tally.ever(now, fresh.rows_of))
                source = sources[kept.source] = grouped, columns.occurred_at_us[grouped.amounts.places]
            grouped, times = source
            if len(grouped):
                taken = grouped.where(tally.takes(times, now))
                found = tally_toggles(tally, taken, kept.truth, context(zone, of_fresh=False), now)
                if len(found):
                    toggles[number] = found
        return self._turned(toggles, appeared(rows, columns, before, after, as_of_us), after, as_of_us)

    def facts(
        self,
        facts: Sequence[ContactFact],
        events: EventColumns,
        touched: Mapping[str, Contacts],
        root: Root,
        as_of_us: int,
    ) -> list[Turns]:
        """What a wave changes: at most one step a contact, at place 0. `touched`: the contacts that each segment has
        to be asked about; `root` is that after the wave."""
        telling = [fact for fact in facts if not isinstance(fact, ContactState)]
        named = self._touched_by.wave(telling, _NOBODY, events, root, root, as_of_us)
        rows: dict[tuple[str, int], RowFacts] = {}
        contexts: dict[tuple[str, bytes], Context] = {}
        for number, contacts in named.items():
            if len(contacts) == 0:
                continue
            kept = self._kept[int(number)]
            zone, condition = kept.leaf.key
            row = kept.leaf.saved.row
            if row is not None and len(contacts) <= _FEW:
                truth = np.zeros(len(contacts), np.bool_)
                for place, contact in enumerate(contacts.tolist()):
                    facts_of = rows.get((zone, contact))
                    if facts_of is None:
                        facts_of = rows[zone, contact] = RowFacts(root, contact, as_of_us, zone)
                    truth[place] = row.condition_of(facts_of, NOTHING_KNOWN)
            else:
                key = (zone, contacts.tobytes())
                if key not in contexts:
                    contexts[key] = Context(root, as_of_us, zone, contacts, kept.leaf.saved.bound.setting)
                found = leaf(condition, contexts[key])
                truth = found.found.has(contacts) ^ found.complement
            kept.put(contacts, truth)
        asked: dict[bytes, _Asked] = {}
        turns: list[Turns] = []
        for name, (formula, numbers) in self._formulas.items():
            contacts = touched.get(name, _NOBODY)
            if len(contacts):
                few = asked.setdefault(contacts.tobytes(), _Asked(contacts))
                truth = formula.truth(
                    [few.truth(self._kept[number]) for number in numbers], few.scope_of(root, as_of_us)
                )
                first = np.arange(len(contacts))
                was = self._members[name].get(contacts)
                turns.append((name, alternating(contacts, np.zeros(len(contacts), np.int64), truth, first, was)))
        return turns

    # --- time ---------------------------------------------------------------------------------------------------------

    def passed(self, root: Root, after_us: int, until_us: int) -> list[Turns]:
        """What the passing of time in (after, until] changes on a root; places are the exact instants. The turns of
        one segment come in the order of time."""
        turns: list[Turns] = []
        spans = [(after_us, until_us)]
        while spans and self._formulas:
            first_us, last_us = spans.pop()
            if last_us - first_us > _SHORT_US and self._edges(root, first_us, last_us) > _MOST_EDGES:
                middle_us = (first_us + last_us) // 2
                spans += [(middle_us, last_us), (first_us, middle_us)]
                continue
            turns += self._passed(root, first_us, last_us)
        return turns

    def _edges(self, root: Root, after_us: int, until_us: int) -> int:
        """How many edges of events a span has, at most, each counted once for all leaves."""
        found: set[tuple[str, int]] = set()
        for kept in self._kept:
            for pattern, offsets in kept.leaf.saved.edges.events.items():
                names = (
                    [name for name in root.events if name.startswith(pattern[:-1])]
                    if pattern[-1:] == "*"
                    else [pattern]
                )
                found.update((name, offset) for name in names for offset in offsets)
        total = 0
        for name, offset_us in found:
            for run in root.events.get(name, ()):
                rows = run.between(after_us + 1 - offset_us, until_us + 1 - offset_us)
                total += rows.stop - rows.start
        return total

    def _passed(self, root: Root, after_us: int, until_us: int) -> list[Turns]:
        toggles: dict[int, Toggles] = {}
        contexts: dict[tuple[str, int], Context] = {}
        writes: dict[tuple[str, str], tuple[Contacts, NDArray[np.int64]]] = {}

        def context(zone: str, as_of_us: int) -> Context:
            found = contexts.get((zone, as_of_us))
            if found is None:
                found = contexts[zone, as_of_us] = Context(root, as_of_us, zone)
            return found

        root_edges = Presence(root)
        for number, kept in enumerate(self._kept):
            tally, zone = kept.leaf.tally, kept.leaf.key[0]
            if tally is not None:
                now = context(zone, until_us)
                amounts = tally.edges(now, after_us, until_us, root_edges.any_of(tally.events.names))
                found = NO_TOGGLES
                if len(amounts):
                    found = tally_toggles(tally, Grouped.of(amounts), kept.truth, context(zone, after_us), now)
            else:
                found = self._written(kept, root, after_us, until_us, writes)
            if len(found):
                toggles[number] = found
        contacts, instants = root.existence_edges(after_us, until_us)
        by_contact = np.argsort(contacts, kind="stable")
        existing = Toggles(contacts[by_contact], instants[by_contact], np.ones(len(contacts), np.bool_))
        return self._turned(toggles, existing, root, until_us)

    def _written(
        self,
        kept: _Kept,
        root: Root,
        after_us: int,
        until_us: int,
        writes: dict[tuple[str, str], tuple[Contacts, NDArray[np.int64]]],
    ) -> Toggles:
        """Writes of the future that become valid: rare, so instant by instant."""
        pairs = []
        edges = kept.leaf.saved.edges
        for kind, names in (("attribute", edges.attribute_writes), ("list", edges.lists)):
            for name in names:
                if (kind, name) not in writes:
                    find = root.attribute_edges if kind == "attribute" else root.list_edges
                    writes[kind, name] = find(name, after_us, until_us)
                pairs.append(writes[kind, name])
        instants = np.concatenate([np.zeros(0, np.int64), *(pair[1] for pair in pairs)])
        if len(instants) == 0:
            return NO_TOGGLES
        contacts = np.concatenate([_NOBODY, *(pair[0] for pair in pairs)])
        parts = []
        for instant in np.unique(instants).tolist():
            some = np.unique(contacts[instants == instant])
            zone, condition = kept.leaf.key
            found = leaf(condition, Context(root, instant, zone, some, kept.leaf.saved.bound.setting))
            parts.append((some, np.full(len(some), instant, np.int64), found.found.has(some) ^ found.complement))
        contacts = np.concatenate([part[0] for part in parts])
        order = np.argsort(contacts, kind="stable")
        contacts = contacts[order]
        first, _ = starts_of(contacts)
        places = np.concatenate([part[1] for part in parts])[order]
        truth = np.concatenate([part[2] for part in parts])[order]
        return alternating(contacts, places, truth, first, kept.truth(contacts[first]))

    # --- from leaves to segments --------------------------------------------------------------------------------------

    def _turned(self, toggles: Mapping[int, Toggles], fresh: Toggles, root: Root, as_of_us: int) -> list[Turns]:
        """The turns of all segments; then what holds in the end is kept. `root` and `as_of_us`: the end."""
        turns: list[Turns] = []
        if toggles or len(fresh):
            named = np.unique(np.concatenate([fresh.contacts, *(one.contacts for one in toggles.values())]))
            scopes = Scopes(root, as_of_us, named)
            for name in self._formulas:
                found = self._turns_of(name, toggles, fresh, scopes)
                if len(found):
                    turns.append((name, found))
        for number, one in toggles.items():
            self._kept[number].put(*one.last())
        return turns

    def _turns_of(self, name: str, toggles: Mapping[int, Toggles], fresh: Toggles, scopes: Scopes) -> Toggles:
        formula, numbers = self._formulas[name]
        mine = [toggles[number] for number in numbers if number in toggles]
        if name not in self._of_nobody and len(fresh):
            concerned = np.concatenate([_NOBODY, *(one.contacts for one in mine)])
            stays = np.isin(fresh.contacts, concerned)
            fresh = Toggles(fresh.contacts[stays], fresh.places[stays], fresh.truth[stays])
        if not mine and len(fresh) == 0:
            return NO_TOGGLES
        if len(fresh) == 0 and formula.steps == (0,):
            within = scopes.of(formula.scope, mine[0].contacts)
            return Toggles(mine[0].contacts[within], mine[0].places[within], mine[0].truth[within])
        contacts, places = union([*mine, fresh])
        first, lengths = starts_of(contacts)
        asked = contacts[first]

        def along(one: Toggles | None, was: NDArray[np.bool_]) -> NDArray[np.bool_]:
            return truth_along(one, (contacts, places), first, lengths, was)

        truths = [along(toggles.get(number), self._kept[number].truth(asked)) for number in numbers]
        existing = along(fresh, ~np.isin(asked, fresh.contacts))
        truth = formula.truth(truths, lambda scope: scopes.of(scope, contacts) & existing)
        return alternating(contacts, places, truth, first, self._members[name].get(asked))


def _whole_truth(one: Leaf, root: Root, as_of_us: int, contexts: dict[str, Context], cache: LeafCache) -> ContactSet:
    """Everyone of whom the leaf is not what it is by default."""
    zone, condition = one.key
    found = cache.get(one.key)
    if found is None:
        if zone not in contexts:
            contexts[zone] = Context(root, as_of_us, zone, None, one.saved.bound.setting)
        found = cache[one.key] = leaf(condition, contexts[zone])
    if found.complement == one.default:
        return found.found
    return ContactSet.from_mask(np.ones(root.contact_count, np.bool_)) - found.found
