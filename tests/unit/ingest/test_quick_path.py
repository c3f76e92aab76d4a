"""The quick way from the wire into columns takes only what the checking way would take as well, and alike."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2 as pb
from core.events.columns import Event
from services.ingest import accept
from services.ingest.accept import Outcome, take_event, take_order
from services.ingest.writer import BatchWriter
from tests.unit.ingest.house import NOW_US

Value = facts_pb2.Value

TEXTS = st.sampled_from(["", "a", "Київ", "e\u0301", "a\x00", "tab\t", "12.5", "GROCERY"])
VALUES = st.one_of(
    TEXTS.map(lambda text: Value(text=text)),
    st.sampled_from([0, 7, -(2**63), 2**63 - 1]).map(lambda number: Value(integer=number)),
    st.sampled_from(["1", "12.50", "0.00001", "NaN", "x"]).map(lambda text: Value(decimal=text)),
    st.sampled_from([0, 125_000, 9 * 10**18, 9 * 10**18 + 1]).map(lambda units: Value(decimal_units=units)),
    st.booleans().map(lambda truth: Value(boolean=truth)),
    st.just(Value(instant_us=NOW_US)),
    st.just(Value(date_days=12_345)),
    st.just(Value(texts=facts_pb2.TextList(values=["a", "b"]))),
    st.just(Value()),
)
NAMES = st.sampled_from(
    [
        "product_id",
        "price",
        "quantity",
        "category",
        "Total",
        "total",
        "revenue",
        "coupon",
        "order_id",
        "url",
        "own",
        "x y",
    ]
)
FIELDS = st.dictionaries(NAMES, VALUES, max_size=4)
IDENTIFIERS = st.lists(
    st.builds(
        facts_pb2.Identifier,
        kind=st.sampled_from(["external_id", "email", "nonsense"]),
        value=st.sampled_from(["ann", "ann@example.com", "null", "e\u0301"]),
    ),
    max_size=2,
)
EVENTS = st.builds(
    pb.Event,
    type=st.sampled_from(["product_viewed", "order_completed", "Product Viewed", "own_event", "", "cart_updated"]),
    message_id=st.sampled_from(["m1", "order:1:completed", "e\u0301"]),
    occurred_at_us=st.sampled_from([0, 1, NOW_US, 2**62]),
    identifiers=IDENTIFIERS,
    params=FIELDS,
    items=st.lists(st.builds(facts_pb2.Object, fields=FIELDS), max_size=2),
)
ORDERS = st.builds(
    pb.Order,
    order_id=st.sampled_from(["o1", "", "e\u0301", "a\x00"]),
    status=st.sampled_from(["completed", "Canceled", "in work", ""]),
    occurred_at_us=st.sampled_from([0, NOW_US]),
    identifiers=IDENTIFIERS,
    params=FIELDS,
    items=st.lists(st.builds(facts_pb2.Object, fields=FIELDS), max_size=2),
)


def rows(writer: BatchWriter) -> list[Event]:
    """What was taken, as it will be read."""
    return list(writer.columns().rows())


def both(take: Callable[[BatchWriter], Outcome]) -> None:
    """Take it with and without the quick way, among neighbours, and compare."""
    writers, outcomes = (BatchWriter(), BatchWriter()), []
    neighbour = pb.Order(
        order_id="n", status="completed", identifiers=[facts_pb2.Identifier(kind="email", value="a@b.c")]
    )
    neighbour.items.add().fields["price"].decimal_units = 1
    with pytest.MonkeyPatch.context() as patch:
        for writer in writers:
            take_order(writer, neighbour, NOW_US)
            outcomes.append(take(writer))
            take_order(writer, neighbour, NOW_US)
            patch.setattr(accept, "_quickly", lambda *_: False)
    quick, slow = outcomes
    assert quick == slow
    assert rows(writers[0]) == rows(writers[1])
    assert len(writers[0]) == (3 if quick.refusal is None else 2)


@settings(max_examples=300, deadline=None)
@given(EVENTS)
@example(pb.Event(type="product_viewed", message_id="m", params={"price": Value(integer=2**60)}))
def test_events(event: pb.Event) -> None:
    both(lambda writer: take_event(writer, event, NOW_US))


@settings(max_examples=300, deadline=None)
@given(ORDERS)
def test_orders(order: pb.Order) -> None:
    both(lambda writer: take_order(writer, order, NOW_US))
