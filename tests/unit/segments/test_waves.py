"""Waves: one step per contact, the order of the log kept, an item's changes together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from core.events.columns import IMPORTED, Event, EventColumns, EventColumnsBuilder
from core.events.facts import EVENT_ITEM, AttributeWrite, ContactState, Merge, ProductState, Unmerge
from core.segments.changes import Cause
from core.segments.waves import EventWave, Wave, waves


def columns(*rows: tuple[int, str, int]) -> EventColumns:
    builder = EventColumnsBuilder()
    for number, (_, kind, flags) in enumerate(rows):
        builder.add(Event(f"e{number}", kind, 100 + number, 100, flags=flags))
    return replace(builder.build(), contacts=np.array([contact for contact, _, _ in rows], np.uint32))


def shape(found: list[Wave | EventWave]) -> list[tuple[list[int], list[int]]]:
    return [(wave.event_rows, sorted(wave.steps)) for wave in found]


def test_events_of_one_contact_stand_in_waves_of_their_own() -> None:
    logged = columns((1, "a", 0), (2, "a", 0), (1, "b", 0), (1, "c", 0))
    found = list(waves(logged, ()))
    assert shape(found) == [([0, 1], [1, 2]), ([2], [1]), ([3], [1])]
    assert [logged.ids[wave.steps[1].witness] for wave in found] == ["e0", "e2", "e3"]


def test_an_event_that_makes_its_contact_is_one_step() -> None:
    state = ContactState(5, "k", False, 0, 100, 0, item=EVENT_ITEM)
    found = list(waves(columns((5, "a", 0)), (state,)))
    assert shape(found) == [([0], [5])]
    assert found[0].facts == [state]
    assert found[0].steps[5].cause is Cause.EVENT


def test_the_changes_of_one_item_are_one_step_and_those_of_the_next_another() -> None:
    facts = (
        AttributeWrite(3, "a", "x", 10, False, 0, item=1),
        AttributeWrite(3, "b", "x", 10, False, 0, item=1),
        AttributeWrite(3, "a", "y", 10, False, 0, item=2),
    )
    found = list(waves(columns(), facts))
    assert [len(wave.facts) for wave in found] == [2, 1]


def test_a_contact_that_becomes_known_is_one_step_with_what_made_it_known() -> None:
    facts = (ContactState(3, "k", True, 0, 5, 0), AttributeWrite(3, "email", "x", 10, False, 0))
    found = list(waves(columns((3, "a", 0)), facts))
    assert [(len(wave.facts), wave.event_rows) for wave in found] == [(2, []), (0, [0])]
    assert found[0].steps[3].effective_at_us == 10


def test_an_unmerge_and_all_that_it_tells_anew_are_one_step_of_each_of_its_contacts() -> None:
    facts = (
        Unmerge(1, 2, "k2", ("e0",), 70, 2, 4, (100,), (2, 3)),
        ContactState(1, "k1", True, 0, 5, 2, item=4),
        AttributeWrite(1, "a", "x", 10, True, 2, item=4),
        ContactState(2, "k2", True, 0, 6, 2, item=4),
        AttributeWrite(2, "a", "y", 11, False, 2, item=4, part=3),
        AttributeWrite(2, "a", "z", 12, False, 2, item=5),
    )
    found = list(waves(columns((1, "a", 0), (9, "a", 0), (2, "b", 0)), facts))
    assert shape(found) == [([0, 1], [1, 9]), ([], [1, 2]), ([], [2]), ([2], [2])]
    assert found[1].facts == list(facts[:5])
    steps = found[1].steps.values()
    assert [(step.cause, step.effective_at_us) for step in steps] == [(Cause.UNMERGE, 70), (Cause.UNMERGE, 70)]
    assert found[2].facts == [facts[5]]


def test_a_merge_and_what_the_same_item_wrote_are_one_step() -> None:
    facts = (
        Merge(1, 2, 0),
        ContactState(1, "k", True, 0, 5, 0),
        AttributeWrite(1, "phone", "+1", 10, False, 0),
        AttributeWrite(1, "phone", "+2", 10, False, 0, item=1),
    )
    found = list(waves(columns(), facts))
    assert [[type(fact).__name__ for fact in wave.facts] for wave in found] == [
        ["Merge", "ContactState", "AttributeWrite"],
        ["AttributeWrite"],
    ]
    assert found[0].steps[1].cause is Cause.MERGE


def test_two_merges_of_one_item_are_one_step() -> None:
    found = list(waves(columns(), (Merge(1, 2, 0), Merge(1, 3, 0))))
    assert shape(found) == [([], [1, 2, 3])]


def test_a_write_and_an_event_of_one_instant_are_two_items() -> None:
    found = list(waves(columns((3, "a", 0)), (AttributeWrite(3, "b", "x", 100, False, 0),)))
    assert [(len(wave.facts), wave.event_rows) for wave in found] == [(1, []), (0, [0])]


def test_a_state_counts_from_the_fact_that_changed_it() -> None:
    found = list(waves(columns(), (ContactState(3, "k", True, 0, 5, 0, imported=True, told_at_us=77),)))
    assert (found[0].steps[3].effective_at_us, found[0].steps[3].cause) == (77, Cause.IMPORT)


def test_a_merge_is_a_step_of_both() -> None:
    found = list(waves(columns((1, "a", 0), (2, "a", 0)), (Merge(1, 2, 2),)))
    assert shape(found) == [([0, 1], [1, 2]), ([], [1, 2])]
    assert {step.cause for step in found[1].steps.values()} == {Cause.MERGE}


def test_history_is_told_apart() -> None:
    found = list(waves(columns((1, "a", IMPORTED), (2, "a", 0)), (AttributeWrite(3, "a", "x", 10, True, 0),)))
    assert {contact: step.cause for contact, step in found[0].steps.items()} == {
        1: Cause.IMPORT,
        2: Cause.EVENT,
        3: Cause.IMPORT,
    }


def test_the_catalogue_stands_between_what_was_before_and_after() -> None:
    product = ProductState("p", {"stock": 1}, 5, 1)
    found = list(waves(columns((1, "a", 0), (2, "a", 0)), (product,)))
    assert [wave.event_rows for wave in found] == [[0], [], [1]]
    assert found[1].facts == [product]


def test_each_product_of_a_feed_is_a_step() -> None:
    feed = tuple(ProductState(f"p{number}", {"stock": 1}, 5, 1) for number in range(5))
    found = list(waves(columns((1, "a", 0), (1, "a", 0)), feed))
    assert [(len(wave.facts), wave.event_rows) for wave in found] == [(0, [0]), *[(1, [])] * 5, (0, [1])]


def test_an_empty_entry_has_no_wave() -> None:
    assert list(waves(columns(), ())) == []
