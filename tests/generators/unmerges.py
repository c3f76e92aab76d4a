"""Worlds in which merges are taken back: the log with its unmerges, and the log of the world without those merges."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from core.events.columns import Event
from core.events.facts import (
    AttributeWrite,
    ContactState,
    Erasure,
    FactBatch,
    ListChange,
    MachineMark,
    MarkedEvent,
    Merge,
    ProductState,
    Unmerge,
)
from core.profile.parts import roots
from core.profile.profile import Edge
from tests.generators.world import Happened, Logged, batch

#: The item of an unmerge and of what it tells anew; all other facts of these worlds are of item 0.
_ITEM = 1

Told = AttributeWrite | ListChange


@dataclass(frozen=True, slots=True)
class Parted:
    """`log`: merges and unmerges at random places. `never`: what it says in a world in which the merges that were taken
    back never were; of merges that stood to the end both have the same contact as survivor."""

    log: tuple[Logged, ...]
    never: tuple[Logged, ...]


@dataclass(frozen=True, slots=True)
class _Said:
    """A fact of one part, whoever it belongs to; -1: of nobody."""

    part: int
    line: Logged


@dataclass(frozen=True, slots=True)
class _Undone:
    """A merge is taken back."""

    edge: Edge


@dataclass(frozen=True, slots=True)
class _Gone:
    """These parts are erased."""

    parts: tuple[int, ...]


_Action = _Said | Edge | _Undone | _Gone


def parted(random: Random, log: Sequence[Logged]) -> Parted:
    """Two logs of the people of `log`, with more merges than it has."""
    actions = list(_actions(random, log))
    undone = frozenset(action.edge.ordinal for action in actions if isinstance(action, _Undone))
    return Parted(_Teller(frozenset()).tell(actions), _Teller(undone).tell(actions))


def _never(_: Logged, __: Logged) -> bool:
    return False


def entries(
    random: Random, log: Sequence[Logged], together: Callable[[Logged, Logged], bool] = _never
) -> list[FactBatch]:
    """The log cut at random places, never within what an unmerge tells, nor between neighbours that belong
    `together`."""
    found: list[FactBatch] = []
    start, size = 0, random.choice((1, 5, 30))
    for end in range(1, len(log) + 1):
        whole = end == len(log) or not (_is_anew(log[end]) or together(log[end - 1], log[end]))
        if whole and (end == len(log) or random.random() < 1 / size):
            found.append(batch(tuple(log[start:end]), len(found) + 1))
            start = end
    return found


def _is_anew(line: Logged) -> bool:
    return isinstance(line, ContactState | AttributeWrite | ListChange) and line.item == _ITEM


def _actions(random: Random, log: Sequence[Logged]) -> Iterator[_Action]:
    people: dict[int, list[int]] = {}
    events: dict[int, list[Event]] = defaultdict(list)
    taken: dict[tuple[str, int], int] = {}
    edges: list[Edge] = []
    count = 0

    def join(one: list[int], other: list[int]) -> Edge:
        nonlocal count
        count += 1
        edge = Edge(count, random.choice(one), random.choice(other), 0)
        one += other
        people.update(dict.fromkeys(other, one))
        edges.append(edge)
        return edge

    for line in log:
        if isinstance(line, ProductState):
            yield _Said(-1, line)
            continue
        if isinstance(line, Merge):
            one, other = people[line.survivor], people[line.loser]
            if one and other and one is not other and 0 not in (*one, *other):
                yield join(one, other)
            continue
        assert not isinstance(line, Unmerge)
        person = people.setdefault(line.contact, [line.contact])
        if not person:
            continue  # erased with somebody else
        part = random.choice(person)
        if isinstance(line, Erasure):
            edges = [edge for edge in edges if edge.winner_end not in person]
            yield _Gone(tuple(person))
            person.clear()
        elif isinstance(line, Happened):
            event = line.event
            # An id and an instant name one event of a person: where two parts would share them, one changes its id.
            if taken.setdefault((event.id, event.occurred_at_us), part) != part:
                event = replace(event, id=f"{event.id}.{part}")
            events[part].append(event)
            yield _Said(part, Happened(part, event))
        elif isinstance(line, MachineMark):
            if events[part]:
                chosen = random.choices(events[part], k=2)
                yield _Said(part, replace(line, events=tuple(MarkedEvent(e.id, e.occurred_at_us) for e in chosen)))
        else:
            yield _Said(part, line)
        alive = [one for number, one in people.items() if one and one[0] == number != 0 and 0 not in one]
        if random.random() < 0.03 and len(alive) > 1:
            yield join(*random.sample(alive, 2))
        if random.random() < 0.04 and edges:
            yield _Undone(edges.pop(random.randrange(len(edges))))


class _Teller:
    """Tells actions as unification does, but for the merges that never are."""

    def __init__(self, never: frozenset[int]) -> None:
        self._never = never
        self._log: list[Logged] = []
        self._edges: list[Edge] = []
        self._owners: dict[int, int] = {}
        self._states: dict[int, ContactState] = {}
        self._events: dict[int, list[Event]] = defaultdict(list)
        self._told: list[tuple[int, Told]] = []

    def tell(self, actions: Sequence[_Action]) -> tuple[Logged, ...]:
        """The log."""
        for action in actions:
            match action:
                case _Said(part, line):
                    self._say(part, line)
                case Edge():
                    if action.ordinal not in self._never:
                        survivor, loser = self._owners[action.winner_end], self._owners[action.loser_end]
                        self._edges.append(action)
                        self._arrange()
                        self._log.append(Merge(survivor, loser, 0))
                        self._state(survivor)
                case _Undone(edge):
                    if edge.ordinal not in self._never:
                        self._part(edge)
                case _Gone(parts):
                    for owner in sorted({self._owners[part] for part in parts}):
                        self._log.append(Erasure(owner, 0))
                    self._edges = [edge for edge in self._edges if edge.winner_end not in parts]
                    for part in parts:
                        del self._owners[part]
        return tuple(self._log)

    def _say(self, part: int, line: Logged) -> None:
        if part >= 0 and part not in self._owners:
            self._owners[part] = part
        match line:
            case ContactState():
                # What was the first instant once stays at the latest.
                first_us = min(line.occurred_at_us, self._states.get(part, line).occurred_at_us)
                self._states[part] = replace(line, occurred_at_us=first_us)
                self._state(self._owners[part])
            case Happened():
                self._events[part].append(line.event)
                self._log.append(replace(line, contact=self._owners[part], part=part))
            case AttributeWrite() | ListChange():
                self._told.append((part, line))
                self._log.append(self._addressed(part, line))
            case MachineMark():
                self._log.append(replace(line, contact=self._owners[part]))
            case _:
                self._log.append(line)

    def _addressed(self, part: int, line: Told, item: int = 0) -> Told:
        owner = self._owners[part]
        return replace(line, contact=owner, part=0 if part == owner else part, item=item)

    def _state(self, owner: int, item: int = 0) -> None:
        states = [self._states[part] for part, mine in self._owners.items() if mine == owner and part in self._states]
        if states:
            known, reachable = any(one.known for one in states), 0
            for one in states:
                reachable |= one.reachable
            first_us = min(one.occurred_at_us for one in states)
            self._log.append(ContactState(owner, f"contact-{owner}", known, reachable, first_us, 0, item=item))

    def _part(self, edge: Edge) -> None:
        survivor = self._owners[edge.winner_end]
        self._edges.remove(edge)
        self._arrange()
        [restored] = {self._owners[edge.winner_end], self._owners[edge.loser_end]} - {survivor}
        theirs = tuple(sorted(part for part, owner in self._owners.items() if owner == restored))
        events = [event for part in theirs for event in self._events[part]]
        ids, instants = tuple(one.id for one in events), tuple(one.occurred_at_us for one in events)
        key = f"contact-{restored}"
        self._log.append(Unmerge(survivor, restored, key, ids, 0, 0, _ITEM, instants, theirs))
        for owner in (survivor, restored):
            self._state(owner, _ITEM)
            mine = [(part, line) for part, line in self._told if self._owners.get(part) == owner]
            self._log += [self._addressed(part, line, _ITEM) for part, line in mine]

    def _arrange(self) -> None:
        self._owners = roots(self._owners, self._edges)
