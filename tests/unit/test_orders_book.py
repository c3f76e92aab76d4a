"""What an order is worth, in whatever order its statuses arrive."""

from __future__ import annotations

from itertools import permutations
from random import Random

import pytest

from core.events.columns import Event, Identifier
from core.orders.book import OrderBook, amount_of, postings
from core.orders.codec import OrderRecord, decode_order, encode_order
from core.orders.follow import followed, order_of
from core.orders.ids import order_event_id
from core.schema import DecimalUnits

WHOSE = (Identifier("external_id", "ann"),)


def status(name: str, at_us: int, units: int | None = None, refund_id: str = "", order: str = "o1") -> Event:
    """A status of an order as ingest accepts it."""
    params: dict[str, str | DecimalUnits] = {"order_id": order, "status": name}
    if units is not None:
        params["amount" if name == "refunded" else "total"] = DecimalUnits(units)
    if refund_id:
        params["refund_id"] = refund_id
    return Event(order_event_id(order, name, params), f"order_{name}", at_us, at_us, WHOSE, params)


def worth_by_model(events: list[Event], at_us: int) -> int:
    """The rules of core.orders.book, read plainly; `events` in log order, each id once."""
    seen: dict[str, Event] = {}
    for event in events:
        seen.setdefault(event.id, event)
    completed = seen.get("order:o1:completed")
    if completed is None or completed.occurred_at_us > at_us:
        return 0
    cancelled = seen.get("order:o1:cancelled")
    if cancelled is not None and completed.occurred_at_us <= cancelled.occurred_at_us <= at_us:
        return 0
    total = completed.params["total"]
    assert isinstance(total, DecimalUnits)
    left = total.units
    for event in seen.values():
        if event.type == "order_refunded" and event.occurred_at_us <= at_us:
            amount = event.params.get("amount")
            left -= amount.units if isinstance(amount, DecimalUnits) else left
    return max(0, left)


def sums(events: list[Event], at_us: int) -> int:
    """What sum(any of (order_completed, order_corrected).total) until an instant says."""
    record, counted = OrderRecord(), 0
    seen: set[str] = set()
    for event in events:
        before = record
        record, corrections = followed(record, event, 10**6)
        for one in (*((event,) if record is not before and event.id not in seen else ()), *corrections):
            total = one.params.get("total")
            if one.type in ("order_completed", "order_corrected") and one.occurred_at_us <= at_us:
                assert isinstance(total, DecimalUnits)
                counted += total.units
        seen.add(event.id)
    assert decode_order(encode_order(record)) == record
    return counted


def test_every_order_of_arrival_gives_the_same_sums() -> None:
    events = [
        status("completed", 10, 1000),
        status("refunded", 20, 300, "r1"),
        status("refunded", 30, 300, "r2"),
        status("cancelled", 40),
    ]
    for order in permutations(events):
        found = [sums(list(order), at_us) for at_us in (5, 10, 25, 35, 45)]
        assert found == [0, 1000, 700, 400, 0], [event.id for event in order]


def test_random_histories_agree_with_the_plain_reading() -> None:
    for seed in range(400):
        random = Random(seed)
        kinds = random.choices(("completed", "cancelled", "refunded"), (3, 1, 4), k=random.randint(1, 7))
        events = [
            status(
                kind,
                random.randrange(6),
                random.choice((None, 100, 400, 900)) if kind == "refunded" else random.choice((500, 1000)),
                random.choice(("", "a", "b")) if kind == "refunded" else "",
            )
            for kind in kinds
        ]
        if sum("amount" not in one.params for one in events if one.type == "order_refunded") > 1:
            continue  # which of two takes the rest shows in no sum, but in the model's plain loop
        random_order = random.sample(events, len(events))
        for at_us in range(7):
            assert sums(random_order, at_us) == worth_by_model(random_order_first(random_order), at_us), f"seed {seed}"


def random_order_first(events: list[Event]) -> list[Event]:
    """The first accepted of each id, returns by their instants and those of the rest last, as the model reads them."""
    first: dict[str, Event] = {}
    for event in events:
        first.setdefault(event.id, event)
    return sorted(first.values(), key=lambda one: (one.occurred_at_us, one.id))


def test_a_status_without_an_order_is_worth_nothing() -> None:
    assert sums([status("refunded", 5, 100), status("cancelled", 6)], 100) == 0


def test_returns_of_more_than_was_paid_take_what_is_left() -> None:
    assert sums([status("completed", 1, 100), status("refunded", 2, 80, "a"), status("refunded", 3, 80, "b")], 9) == 0


def test_a_whole_return_needs_no_amount() -> None:
    assert sums([status("completed", 1, 100), status("refunded", 2)], 9) == 0


def test_an_order_taken_up_again_counts() -> None:
    assert sums([status("cancelled", 5), status("completed", 9, 100)], 20) == 100


def test_repetitions_change_nothing() -> None:
    told = [status("completed", 1, 100), status("refunded", 2, 30, "a")]
    assert sums([*told, *told, status("completed", 50, 999)], 99) == 70


def test_corrections_belong_to_the_one_who_ordered() -> None:
    record, _ = followed(OrderRecord(), status("completed", 1, 100), 7)
    _, [correction] = followed(record, status("refunded", 2, 30), 8)
    assert (correction.identifiers, correction.occurred_at_us, correction.received_at_us) == (WHOSE, 2, 8)
    assert correction.params == {"order_id": "o1", "status": "refunded", "total": DecimalUnits(-30)}
    assert order_of(correction) is None


@pytest.mark.parametrize(
    ("params", "items", "units"),
    [
        ({"amount": DecimalUnits(5), "total": DecimalUnits(9)}, (), 5),
        ({"total": DecimalUnits(-9)}, (), 9),
        ({}, ({"price": DecimalUnits(3), "quantity": 2}, {"amount": DecimalUnits(4)}), 10),
        ({}, ({"price": DecimalUnits(3)}, {"name": "free"}), None),
        ({}, (), None),
    ],
)
def test_amounts_of_returns(
    params: dict[str, DecimalUnits], items: tuple[dict[str, DecimalUnits | int | str], ...], units: int | None
) -> None:
    assert amount_of(params, items) == units


def test_postings_even_out_what_was_posted() -> None:
    late = OrderBook().told("completed", 10, 100).told("refunded:b", 30, 80)
    after = late.told("refunded:a", 20, 50)
    assert postings(OrderBook(), late) == [(30, -80)]
    assert postings(late, after) == [(20, -50), (30, 30)]
