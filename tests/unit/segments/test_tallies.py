"""Numbers that events add to: exact whatever their size, and which conditions are such numbers."""

from __future__ import annotations

import numpy as np
import pytest

from core.index.index import Index
from core.query.binding.bind import bind
from core.query.text.parse import parse
from core.segments.leaves import formula_of
from core.segments.saved import Saved
from core.segments.tallies import running, tally_of
from core.segments.toggles import keys_of, starts_of
from core.segments.vocabulary import names_of

NAMES = names_of(Index().root(), {}, "UTC")


def test_numbers_run_within_their_contact() -> None:
    first, lengths = starts_of(np.array([3, 3, 3, 7, 9, 9], np.uint32))
    after = running(np.array([1, 2, -1, 5, 1, 1]), first, lengths, np.array([10, 0, -2]))
    assert after.tolist() == [11, 13, 12, 5, -1, 0]


def test_numbers_beyond_64_bits_stay_exact() -> None:
    first, lengths = starts_of(np.array([1, 1, 1], np.uint32))
    huge = 9 * 10**18
    after = running(np.array([huge, huge, -huge]), first, lengths, np.array([huge]))
    assert after.tolist() == [2 * huge, 3 * huge, 2 * huge]


def test_keys_order_by_contact_and_then_by_place_however_far_places_lie_apart() -> None:
    contacts = np.array([2, 1, 1, 1], np.uint32)
    places = np.array([-(2**60), 2**60, 5, 5])
    keys = keys_of(contacts, places)
    assert np.argsort(keys, kind="stable").tolist() == [2, 3, 1, 0]
    assert keys[2] == keys[3]


@pytest.mark.parametrize(
    ("text", "direction", "empty_if"),
    [
        ("did product_viewed in last 3 days", 1, False),
        ("did not product_viewed in last 3 days", -1, True),
        ("did product_viewed at least 4 times", 1, None),
        ("did product_viewed at most 4 times in last 3 days", -1, None),
        ("did product_viewed = 4 times in last 3 days", 0, None),
        ("sum(order_completed.total) in last 9 days > 100", 1, None),
        ("avg(order_completed.total) in last 9 days > 100", 0, None),
        ("max(product_viewed.price) in last 9 days > 100", 1, False),
        ("min(product_viewed.price) in last 9 days <= 100", 1, False),
    ],
)
def test_which_way_events_turn_a_condition(text: str, direction: int, empty_if: bool | None) -> None:
    tally = tally_of(bind(parse(text), NAMES).rule.nodes[0])  # type: ignore[arg-type]
    assert tally is not None
    assert (tally.direction, tally.empty_if) == (direction, empty_if)


@pytest.mark.parametrize(
    "text",
    [
        "max(product_viewed.price) < 100",
        "distinct(product_viewed.product_id) > 3",
        "did product_viewed at least 2 times for the same product_id",
        "birth_date has anniversary in next 7 days",
        "signed_up_at in last 7 days" if "signed_up_at" in NAMES.attributes else "birth_date in last 7 days",
    ],
)
def test_what_no_event_adds_to_is_asked(text: str) -> None:
    assert formula_of(Saved.make("s", 1, bind(parse(text), NAMES)), {}) is None
