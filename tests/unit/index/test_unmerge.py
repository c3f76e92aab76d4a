"""A merge taken back in the index: whose events, writes, lists and parts are whose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from core.events.columns import Event, EventColumnsBuilder
from core.events.facts import AttributeWrite, ContactFact, ContactState, ListChange, Merge, Unmerge
from core.index.index import Index
from core.index.root import Root
from core.index.snapshot import decode, encode

LATER_US = 2**60


class Log:
    """An index that is given one entry after the other."""

    def __init__(self) -> None:
        self.index = Index()
        self._position = 0

    def give(self, facts: Sequence[ContactFact] = (), *events: tuple[int, str, int]) -> Root:
        """Events as (contact, id, instant)."""
        builder = EventColumnsBuilder()
        for _, name, at_us in events:
            builder.add(Event(name, "viewed", at_us, at_us))
        columns = replace(builder.build(), contacts=np.array([contact for contact, *_ in events], np.uint32))
        self._position += 1
        self.index.apply(columns, facts, self._position)
        return self.index.root()

    def restart(self) -> None:
        self.index = decode(encode(self.index.root()))


def state(contact: int, item: int = 0) -> ContactState:
    return ContactState(contact, f"k{contact}", True, 1, 5, 0, item=item)


def told(contact: int, value: str, at_us: int = 7, item: int = 0) -> AttributeWrite:
    return AttributeWrite(contact, "city", value, at_us, False, 0, item)


def events_of(root: Root) -> dict[int, list[tuple[str, int]]]:
    found: dict[int, list[tuple[str, int]]] = {}
    for run in root.events["viewed"]:
        for row, contact in enumerate(run.contacts.tolist()):
            found.setdefault(contact, []).append((run.event_id(row), int(run.occurred_at_us[row])))
    return found


def city_of(root: Root, contact: int) -> str:
    kinds, values = root.attributes["city"].valid(LATER_US, np.array([contact], np.uint32), 1)
    return root.dictionary.text(int(values[0])) if kinds[0] else ""


@pytest.mark.parametrize("instants", [(), (30,)])
def test_events_go_by_their_ids_and_instants(instants: tuple[int, ...]) -> None:
    log = Log()
    log.give([state(1), state(2)], (1, "mine", 20), (2, "theirs", 30), (1, "theirs", 40))
    log.give([Merge(1, 2, 0)])
    root = log.give([Unmerge(1, 2, "k2", ("theirs",), 50, 0, 1, instants), state(1, 1), state(2, 1)])
    if instants:
        assert events_of(root) == {1: [("mine", 20), ("theirs", 40)], 2: [("theirs", 30)]}
    else:
        assert events_of(root) == {1: [("mine", 20)], 2: [("theirs", 30), ("theirs", 40)]}
    assert root.exists(LATER_US).numbers().tolist() == [1, 2]
    assert root.number_of("k2") == 2


def test_events_of_the_entry_itself_stand_before_or_after_the_unmerge() -> None:
    log = Log()
    log.give([state(1), state(2), Merge(1, 2, 0)])
    undone = Unmerge(1, 2, "k2", ("b",), 50, 2, 1, (20,))
    facts: list[ContactFact] = [undone, replace(state(1, 1), before_event=2), replace(state(2, 1), before_event=2)]
    root = log.give(facts, (1, "a", 10), (1, "b", 20), (2, "c", 30), (1, "d", 40))
    assert events_of(root) == {1: [("a", 10), ("d", 40)], 2: [("b", 20), ("c", 30)]}
    assert root.contacts.earliest_of(np.array([1, 2], np.uint32)).tolist() == [5, 5]


def test_what_was_told_anew_keeps_its_place_among_writes_of_one_instant() -> None:
    log = Log()
    log.give([state(1), state(2), state(3), told(1, "first"), told(3, "second")])
    log.give([Merge(1, 2, 0)])
    log.give([Unmerge(1, 2, "k2", (), 50, 0, 1), state(1, 1), told(1, "first", item=1), state(2, 1)])
    assert city_of(log.give([]), 1) == "first"
    assert city_of(log.give([Merge(1, 3, 0)]), 1) == "second"


@pytest.mark.parametrize("restarted", [False, True])
def test_each_side_knows_of_lists_what_was_told_of_it(restarted: bool) -> None:
    log = Log()
    log.give([state(1), state(2), ListChange(1, "staff", True, 10, False, 0)])
    log.give([Merge(1, 2, 0)])
    root = log.give([ListChange(1, "staff", False, 20, False, 0, part=2)])
    assert root.on_list("staff", LATER_US).numbers().tolist() == []
    if restarted:
        log.restart()
    anew = [ListChange(1, "staff", True, 10, False, 0, 1), ListChange(2, "staff", False, 20, False, 0, 1)]
    root = log.give([Unmerge(1, 2, "k2", (), 50, 0, 1), state(1, 1), anew[0], state(2, 1), anew[1]])
    assert root.on_list("staff", LATER_US).numbers().tolist() == [1]
    assert root.lists["staff"].all_writes().contacts.tolist() == [1, 2]
    root = log.give([ListChange(2, "staff", True, 60, False, 0)])
    assert root.on_list("staff", LATER_US).numbers().tolist() == [1, 2]


def test_parts_go_with_the_restored() -> None:
    log = Log()
    log.give([state(n) for n in (1, 2, 3, 4)])
    log.give([Merge(2, 3, 0), Merge(2, 4, 0), Merge(1, 2, 0)])
    log.restart()
    root = log.give([Unmerge(1, 2, "k2", (), 50, 0, 1, (), (2, 3)), state(1, 1), state(2, 1)])
    everyone = np.array([1, 2, 3, 4], np.uint32)
    assert [root.survivor_of(int(one)) for one in everyone] == [1, 2, 2, 1]
    assert root.exists(LATER_US).numbers().tolist() == [1, 2]
    root = log.give([Merge(2, 1, 0)])
    assert [root.survivor_of(int(one)) for one in everyone] == [2, 2, 2, 2]


def test_what_was_never_merged_is_not_taken_apart() -> None:
    log = Log()
    log.give([state(1), state(2), told(1, "Kyiv")], (1, "a", 10))
    root = log.give([Unmerge(1, 2, "k2", ("a",), 50, 0, 1)])
    assert events_of(root) == {1: [("a", 10)]}
    assert (city_of(root, 1), root.exists(LATER_US).numbers().tolist()) == ("Kyiv", [1, 2])
