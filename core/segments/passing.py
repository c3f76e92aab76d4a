"""Time passing for segments that depend on facts alone: many contacts at once, each at its own exact instant.

Between two neighbouring edges of a contact its membership does not change (that is what an edge is). So over a span
without facts the truth at the end of the span is the truth at each contact's last edge in it, and all contacts are
asked at once, at the end; only those with several edges in the span are asked about the earlier ones, one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.index.bit_column import BitColumn
from core.index.root import Root
from core.query.knowledge import Knowledge
from core.segments.agenda import event_types
from core.segments.asking import Asker
from core.segments.saved import Saved

Contacts = NDArray[np.uint32]
Instants = NDArray[np.int64]
Pairs = tuple[Contacts, Instants]
#: A segment, and who changed in it, when, and whether they came in.
Change = tuple[str, Contacts, Instants, NDArray[np.bool_]]

#: More edges than this that are not their contact's last in a span, and the span is cut.
_MOST_EARLIER = 64


@dataclass(frozen=True, slots=True)
class Dues:
    """The edges of one segment in a span: `last` and `last_us`, one per contact, ascending by contact; `earlier` and
    `earlier_us`: all others, by (contact, instant), each pair once."""

    last: Contacts
    last_us: Instants
    earlier: Contacts
    earlier_us: Instants


def is_simple(saved: Saved) -> bool:
    """Whether a segment asks facts of single contacts alone: no recorded histories, no catalogue, no limit. (Published
    numbers are the caller's to look for.)"""
    edges = saved.edges
    return not (edges.histories or edges.products or edges.together)


class Edges:
    """The edges of a span (after, until] on one root; what several segments watch is read once."""

    def __init__(self, root: Root, after_us: int, until_us: int) -> None:
        self._root = root
        self._after_us = after_us
        self._until_us = until_us
        self._read: dict[tuple[str, str, int], Pairs] = {}
        self._dues: dict[tuple[tuple[str, str, int], ...], Dues] = {}

    def of(self, saved: Saved) -> Dues:
        """Those of one segment; equal watches give the same object."""
        watched = tuple(sorted(set(self._watched(saved))))
        found = self._dues.get(watched)
        if found is None:
            found = self._dues[watched] = _dues([self._pairs(*one) for one in watched])
        return found

    def _watched(self, saved: Saved) -> Iterable[tuple[str, str, int]]:
        edges = saved.edges
        for pattern, offsets in edges.events.items():
            names = event_types(self._root, saved) if pattern.endswith("*") else (pattern,)
            for name in names:
                if name in self._root.events and (not pattern.endswith("*") or name.startswith(pattern[:-1])):
                    yield from (("event", name, offset_us) for offset_us in offsets)
        for kind, watched in (
            ("value", edges.instant_values),
            ("write", edges.attribute_writes),
            ("list", edges.lists),
        ):
            for name, offsets in watched.items():
                yield from ((kind, name, offset_us) for offset_us in offsets)
        yield from (("existence", "", offset_us) for offset_us in {0, *edges.existence})

    def _pairs(self, kind: str, name: str, offset_us: int) -> Pairs:
        found = self._read.get((kind, name, offset_us))
        if found is None:
            contacts, instants = self._find(kind, name)(self._after_us - offset_us, self._until_us - offset_us)
            found = self._read[kind, name, offset_us] = (contacts, instants + offset_us)
        return found

    def _find(self, kind: str, name: str) -> Callable[[int, int], Pairs]:
        root = self._root
        match kind:
            case "event":
                return lambda after, until: root.event_edges(name, after, until)
            case "value":
                return lambda after, until: root.instant_value_edges(name, after, until)
            case "write":
                return lambda after, until: root.attribute_edges(name, after, until)
            case "list":
                return lambda after, until: root.list_edges(name, after, until)
            case _:
                return root.existence_edges


def _dues(parts: list[Pairs]) -> Dues:
    contacts = np.concatenate([np.zeros(0, np.uint32), *(part[0] for part in parts)])
    instants = np.concatenate([np.zeros(0, np.int64), *(part[1] for part in parts)])
    if len(contacts) == 0:
        return Dues(contacts, instants, contacts, instants)
    order = np.lexsort((instants, contacts))
    contacts, instants = contacts[order], instants[order]
    ends = np.append(contacts[1:] != contacts[:-1], True)
    repeated = np.append(False, (contacts[1:] == contacts[:-1]) & (instants[1:] == instants[:-1]))
    # Of equal pairs the last one stays, which may be the last of its contact.
    superseded = np.append(repeated[1:], False)
    earlier = ~ends & ~superseded
    return Dues(contacts[ends], instants[ends], contacts[earlier], instants[earlier])


def sections(dues: Mapping[str, Dues], after_us: int, until_us: int, most: int) -> int | None:
    """Where to cut a span in which too many contacts have several edges; None where it need not be cut."""
    worst = max(dues.values(), key=lambda one: len(one.earlier), default=None)
    if worst is None or len(worst.earlier) <= max(most, len(worst.last) // 8) or until_us - after_us <= 1:
        return None
    middle = int(np.median(np.concatenate((worst.earlier_us, worst.last_us))))
    return min(max(middle, after_us + 1), until_us - 1)


def quick_changes(
    root: Root,
    quick: Mapping[str, Saved],
    after_us: int,
    until_us: int,
    members: Mapping[str, BitColumn],
    knowledge: Callable[[], Knowledge],
) -> Iterator[Change]:
    """What time in (after, until] changes in simple segments, span by span, each in the order given; their changes in
    the order of time. `members` are brought up to date."""
    spans = [(after_us, until_us)]
    while spans and quick:
        first_us, last_us = spans.pop()
        edges = Edges(root, first_us, last_us)
        dues = {name: edges.of(one) for name, one in quick.items()}
        middle_us = sections(dues, first_us, last_us, _MOST_EARLIER)
        if middle_us is not None:
            spans += [(middle_us, last_us), (first_us, middle_us)]
            continue
        asker = Asker(root, last_us, knowledge)
        for name, saved in quick.items():
            if len(dues[name].last):
                contacts, instants, entered = _changes_of(saved, dues[name], asker, members[name])
                if len(contacts):
                    yield name, contacts, instants, entered


def _changes_of(
    saved: Saved, dues: Dues, asker: Asker, column: BitColumn
) -> tuple[Contacts, Instants, NDArray[np.bool_]]:
    """The changes of one segment in one span, by instant."""
    was = column.get(dues.last)
    truth = asker.truth(saved, dues.last)
    if len(dues.earlier) == 0:
        changed = truth != was
        contacts, instants, entered = dues.last[changed], dues.last_us[changed], truth[changed]
    else:
        then = asker.truth_then(saved, dues.earlier, dues.earlier_us)
        contacts = np.concatenate((dues.earlier, dues.last))
        instants = np.concatenate((dues.earlier_us, dues.last_us))
        said = np.concatenate((then, truth))
        order = np.lexsort((instants, contacts))
        contacts, instants, said = contacts[order], instants[order], said[order]
        first = np.append(True, contacts[1:] != contacts[:-1])
        before = np.append(False, said[:-1])
        before[first] = was
        changed = said != before
        contacts, instants, entered = contacts[changed], instants[changed], said[changed]
    column.set(dues.last[truth != was], truth[truth != was])
    order = np.argsort(instants, kind="stable")
    return contacts[order], instants[order], entered[order]
