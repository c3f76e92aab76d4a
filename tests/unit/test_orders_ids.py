"""Ids of order events: different for whatever counts by itself, and as they always were for ordinary orders."""

from __future__ import annotations

import random

import pytest

from core.orders.ids import correction_id, order_event_id

PARTS = ("A", ":", "refunded", "corrected", "completed", "1", "10", "x")


@pytest.mark.parametrize(
    ("order_id", "status", "refund", "expected"),
    [
        ("A", "completed", None, "order:A:completed"),
        ("shop:17", "completed", None, "order:shop:17:completed"),
        ("A", "refunded", None, "order:A:refunded"),
        ("A", "refunded", "r1", "order:A:refunded:r1"),
        ("refunded", "completed", None, "order:refunded:completed"),
        ("A:refunded", "r1", None, "order::10:A:refunded:r1"),
        (":A", "completed", None, "order::2::A:completed"),
    ],
)
def test_the_stored_form(order_id: str, status: str, refund: str | None, expected: str) -> None:
    assert order_event_id(order_id, status, {} if refund is None else {"refund_id": refund}) == expected


def test_a_correction_has_an_id_of_its_own() -> None:
    assert correction_id("A", 3) == "order:A:corrected:3"
    assert order_event_id("A:corrected", "3", {}) != "order:A:corrected:3"


def test_no_two_that_count_by_themselves_share_an_id() -> None:
    seed = random.randrange(2**32)
    dice = random.Random(seed)

    def text(most: int) -> str:
        return "".join(dice.choice(PARTS) for _ in range(dice.randrange(1, most)))

    found: dict[str, tuple[str, str, str]] = {}
    for _ in range(60_000):
        what = dice.choice(("status", "refund", "correction"))
        order_id = text(6)
        if what == "status":
            told = (order_id, dice.choice(("refunded", "corrected", "completed", "1", "x1")), "")
            event_id = order_event_id(order_id, told[1], {})
        elif what == "refund":
            told = (order_id, "refunded", text(5))
            event_id = order_event_id(order_id, "refunded", {"refund_id": told[2]})
        else:
            told = (order_id, "correction", str(dice.randrange(1, 12)))
            event_id = correction_id(order_id, int(told[2]))
        assert found.setdefault(event_id, told) == told, f"seed {seed}: {event_id}"
