"""When time alone changes memberships: the instants in a span at which segments must be looked at again, and for whom.

Each distinct window edge (event type, offset) is one cursor into the time-ordered events: those with
`occurred_at + offset` in the span name the contacts that are due, each at its exact instant. Nothing is queued per
contact. Local days make the whole segment due at the midnights they begin with.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from core.index.root import Edges as Pairs
from core.index.root import Root
from core.query.ast import Zone
from core.query.edges import ZONE_ATTRIBUTE
from core.query.knowledge import MembershipHistory
from core.query.local_time import find_zone, local_date, start_of
from core.schema import Kind
from core.segments.histories import edges_between
from core.segments.saved import Saved

NO_HISTORIES: Mapping[str, MembershipHistory] = {}
NO_MOVES: Mapping[str, Pairs] = {}
_NOBODY: Pairs = (np.zeros(0, np.uint32), np.zeros(0, np.int64))


@dataclass(slots=True)
class Due:
    """What is due at one instant: contacts by segment name, and segments that are due as a whole."""

    contacts: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    whole: set[str] = field(default_factory=set)

    def asked(self) -> dict[str, NDArray[np.uint32] | None]:
        """Segment -> its contacts, ascending; None: everyone."""
        some = {name: np.unique(np.array(contacts, np.uint32)) for name, contacts in self.contacts.items()}
        return some | dict.fromkeys(self.whole)


class Agenda:
    """What is due in a span, instant by instant. While time passes, more becomes due: somebody who enters or leaves a
    segment that others remember is due in those again after each of their offsets (`was in S between 1 and 2 days
    ago`)."""

    def __init__(self, segments: Mapping[str, Saved], found: Iterable[tuple[int, Due]], until_us: int) -> None:
        self._due = dict(found)
        self._instants = list(self._due)  # ascending, so a heap
        self._until_us = until_us
        self._offsets: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for name, saved in segments.items():
            for past, offsets in saved.edges.histories.items():
                self._offsets[past] += [(name, offset_us) for offset_us in offsets if offset_us > 0]

    @property
    def next_us(self) -> int:
        """The next instant at which something is due; after the span if there is none."""
        return self._instants[0] if self._instants else self._until_us + 1

    def pop(self) -> tuple[int, Due]:
        """Take what is due next. IndexError if there is nothing."""
        instant = heappop(self._instants)
        return instant, self._due.pop(instant)

    def remember(self, changed: Mapping[str, NDArray[np.uint32]], at_us: int) -> None:
        """Who changed in which segments at an instant of the span."""
        for past, contacts in changed.items():
            for name, offset_us in self._offsets.get(past, ()):
                instant = at_us + offset_us
                if instant > self._until_us:
                    continue
                if instant not in self._due:
                    self._due[instant] = Due()
                    heappush(self._instants, instant)
                self._due[instant].contacts[name] += contacts.tolist()


def agenda(
    root: Root,
    segments: Mapping[str, Saved],
    zone: str,
    after_us: int,
    until_us: int,
    histories: Mapping[str, MembershipHistory] = NO_HISTORIES,
    moved: Mapping[str, Pairs] = NO_MOVES,
) -> list[tuple[int, Due]]:
    """The instants in (after, until] in order, each with what is due. `zone` is the workspace's, `histories` are those
    of the segments that others ask about; `moved`: who changed when in such segments within the span. Empty: []."""
    due: dict[int, Due] = defaultdict(Due)
    if until_us <= after_us or not segments:
        return []

    def add(names: list[str], pairs: Pairs, offset_us: int) -> None:
        contacts, instants = pairs
        for contact, instant in zip(contacts.tolist(), (instants + offset_us).tolist(), strict=True):
            at = due[instant]
            for name in names:
                at.contacts[name].append(contact)

    for (event, offset_us), names in _by_event(root, segments).items():
        add(names, root.event_edges(event, after_us - offset_us, until_us - offset_us), offset_us)
    values: dict[tuple[str, int], list[str]] = defaultdict(list)
    writes: dict[tuple[str, int], list[str]] = defaultdict(list)
    lists: dict[tuple[str, int], list[str]] = defaultdict(list)
    recorded: dict[tuple[str, int], list[str]] = defaultdict(list)
    with_products: list[str] = []
    days: dict[Zone, list[str]] = defaultdict(list)
    for name, saved in segments.items():
        for attribute, offsets in saved.edges.instant_values.items():
            for offset_us in offsets:
                values[attribute, offset_us].append(name)
        for watched, found in (
            (saved.edges.attribute_writes, writes),
            (saved.edges.lists, lists),
            (saved.edges.histories, recorded),
        ):
            for watched_name, offsets in watched.items():
                for offset_us in offsets:
                    found[watched_name, offset_us].append(name)
        for day_zone in saved.edges.local_days:
            days[day_zone].append(name)
        if saved.edges.products:
            with_products.append(name)
    for (attribute, offset_us), names in values.items():
        add(names, root.instant_value_edges(attribute, after_us - offset_us, until_us - offset_us), offset_us)
    for (attribute, offset_us), names in writes.items():
        add(names, root.attribute_edges(attribute, after_us - offset_us, until_us - offset_us), offset_us)
    for (list_name, offset_us), names in lists.items():
        add(names, root.list_edges(list_name, after_us - offset_us, until_us - offset_us), offset_us)
    for (segment, offset_us), names in recorded.items():
        if offset_us == 0:
            # Records of the span that are not made yet: whoever makes them asks those that depend on them.
            add(names, moved.get(segment, _NOBODY), 0)
        elif segment in histories:
            add(names, edges_between(histories[segment], after_us - offset_us, until_us - offset_us), offset_us)
    if with_products:
        for product_id, instant in zip(*root.product_edges(after_us, until_us), strict=True):
            for name in with_products:
                joined = root.contacts_with_product((product_id,), event_types(root, segments[name]))
                due[int(instant)].contacts[name] += joined.tolist()
    existence: dict[int, list[str]] = {0: list(segments)}
    for name, saved in segments.items():
        for offset_us in saved.edges.existence:
            existence.setdefault(offset_us, []).append(name)
    for offset_us, names in existence.items():
        add(names, root.existence_edges(after_us - offset_us, until_us - offset_us), offset_us)
    for day_zone, names in days.items():
        for midnight in _midnights(root, day_zone, zone, after_us, until_us):
            due[midnight].whole.update(names)
    return sorted(due.items())


def _by_event(root: Root, segments: Mapping[str, Saved]) -> dict[tuple[str, int], list[str]]:
    """(event type, offset) -> the segments that watch this edge; prefixes are spelt out by the types seen."""
    watched: dict[tuple[str, int], list[str]] = defaultdict(list)
    for name, saved in segments.items():
        pairs: set[tuple[str, int]] = set()
        for pattern, offsets in saved.edges.events.items():
            pairs.update((event, offset_us) for event in _types(root, pattern) for offset_us in offsets)
        for pair in pairs:
            watched[pair].append(name)
    return watched


def event_types(root: Root, saved: Saved) -> tuple[str, ...]:
    """The event types seen that the segment speaks of."""
    return tuple(sorted({event for pattern in saved.edges.events for event in _types(root, pattern)}))


def _types(root: Root, pattern: str) -> list[str]:
    if pattern.endswith("*"):
        return [event for event in root.events if event.startswith(pattern[:-1])]
    return [pattern]


def midnights_between(
    root: Root, segments: Iterable[Saved], zone: str, after_us: int, until_us: int
) -> frozenset[Zone]:
    """The kinds of local day, of those that the segments watch, that begin in (after, until]."""
    watched = {day_zone for saved in segments for day_zone in saved.edges.local_days}
    return frozenset(one for one in watched if _midnights(root, one, zone, after_us, until_us))


def _midnights(root: Root, day_zone: Zone, workspace_zone: str, after_us: int, until_us: int) -> list[int]:
    names = {workspace_zone}
    if day_zone is Zone.UTC:
        names = {"UTC"}
    elif day_zone is Zone.CONTACT:
        names |= _zones_in_use(root)
    midnights: set[int] = set()
    for name in names:
        zone = find_zone(name)
        if zone is None:
            continue  # a contact's unknown zone counts as the workspace's, which is among the names
        day = local_date(after_us, zone)
        last = local_date(until_us, zone) + timedelta(days=1)
        while day <= last:
            midnight = start_of(day, zone)
            if after_us < midnight <= until_us:
                midnights.add(midnight)
            day += timedelta(days=1)
    return sorted(midnights)


def _zones_in_use(root: Root) -> set[str]:
    view = root.attributes.get(ZONE_ATTRIBUTE)
    if view is None:
        return set()
    return {root.dictionary.text(code) for code in view.values_of_kind(Kind.TEXT).tolist()}
