"""Values, columns and facts come back from the wire as they went."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdp.facts.v1 import facts_pb2
from core.errors import CdpError
from core.events.columns import Event, EventColumns, EventColumnsBuilder, Identifier
from core.events.facts import (
    AttributeWrite,
    ConsentWrite,
    ContactFact,
    ContactState,
    Erasure,
    ListChange,
    MachineMark,
    MarkedEvent,
    Merge,
    ProductChange,
    ProductChangeKind,
    ProductState,
    Unmerge,
)
from core.schema import MAX_DECIMAL_UNITS, DecimalUnits, Instant, Location, Scalar, Value
from services.runtime.facts import (
    columns_from_proto,
    columns_to_proto,
    contact_fact_from_proto,
    contact_fact_to_proto,
    fact_batch_from_proto,
    fact_batch_to_proto,
    scalar_from_proto,
    value_from_proto,
    value_to_proto,
)

INT64 = st.integers(-(2**63), 2**63 - 1)
UINT32 = st.integers(0, 2**32 - 1)
SHORT = st.text(max_size=8)
SCALARS: st.SearchStrategy[Scalar] = st.one_of(
    st.text(),
    INT64,
    st.booleans(),
    st.integers(-MAX_DECIMAL_UNITS, MAX_DECIMAL_UNITS).map(DecimalUnits),
    INT64.map(Instant),
    st.dates(),
)
OBJECTS = st.dictionaries(SHORT, SCALARS, max_size=4)
VALUES: st.SearchStrategy[Value] = st.one_of(
    SCALARS,
    st.builds(Location, st.integers(-900_000_000, 900_000_000), st.integers(-1_800_000_000, 1_800_000_000)),
    st.lists(st.text(), max_size=4).map(tuple),
    st.lists(OBJECTS, min_size=1, max_size=3).map(tuple),
)
EVENTS = st.builds(
    Event,
    id=SHORT,
    type=SHORT,
    occurred_at_us=INT64,
    received_at_us=INT64,
    identifiers=st.lists(st.builds(Identifier, st.sampled_from(["email", "phone", "é"]), SHORT), max_size=3).map(tuple),
    params=st.dictionaries(SHORT, SCALARS | st.lists(SHORT, min_size=1, max_size=3).map(tuple), max_size=3),
    items=st.lists(st.dictionaries(SHORT, SCALARS, min_size=1, max_size=3), max_size=3).map(tuple),
    flags=st.integers(0, 3),
)
CHANGES = st.lists(st.builds(ProductChange, st.sampled_from(ProductChangeKind), INT64, INT64, INT64), max_size=3).map(
    tuple
)
MARKED = st.lists(st.builds(MarkedEvent, SHORT, INT64), max_size=3).map(tuple)
FACTS: st.SearchStrategy[ContactFact] = st.one_of(
    st.builds(ContactState, UINT32, SHORT, st.booleans(), st.integers(0, 63), INT64, UINT32),
    st.builds(AttributeWrite, UINT32, SHORT, VALUES | st.none(), INT64, st.booleans(), UINT32),
    st.builds(ListChange, UINT32, SHORT, st.booleans(), INT64, st.booleans(), UINT32),
    st.builds(AttributeWrite, UINT32, SHORT, VALUES | st.none(), INT64, st.booleans(), UINT32, part=UINT32),
    st.builds(ConsentWrite, UINT32, SHORT, SHORT, SHORT, SHORT, SHORT, INT64, st.booleans(), UINT32, part=UINT32),
    st.builds(Unmerge, UINT32, UINT32, SHORT, st.lists(SHORT, max_size=3).map(tuple), INT64, UINT32),
    st.builds(
        Unmerge,
        UINT32,
        UINT32,
        SHORT,
        st.just(("e",)),
        INT64,
        UINT32,
        st.integers(-1, 99),
        st.just((7,)),
        st.just((3, 4)),
    ),
    st.builds(Merge, UINT32, UINT32, UINT32),
    st.builds(Erasure, UINT32, UINT32),
    st.builds(MachineMark, UINT32, MARKED, SHORT, INT64, st.booleans(), UINT32),
    st.builds(ProductState, SHORT, OBJECTS, INT64, UINT32, CHANGES),
)


def columns(events: list[Event]) -> EventColumns:
    builder = EventColumnsBuilder()
    for event in events:
        builder.add(event)
    return builder.build()


def over_the_wire(sent: EventColumns) -> EventColumns:
    return columns_from_proto(facts_pb2.EventColumns.FromString(columns_to_proto(sent).SerializeToString()))


@given(VALUES | st.none())
def test_a_value_comes_back(value: Value | None) -> None:
    message = facts_pb2.Value.FromString(value_to_proto(value).SerializeToString())
    back = value_from_proto(message)
    assert (back, type(back)) == (value, type(value))
    if value is None or not isinstance(value, tuple | Location):
        assert scalar_from_proto(message) == value
    else:
        with pytest.raises(CdpError) as refused:
            scalar_from_proto(message)
        assert refused.value.reason == "NOT_A_SCALAR"


@settings(deadline=None)
@given(st.lists(EVENTS, max_size=6), st.data())
def test_columns_come_back(events: list[Event], data: st.DataObject) -> None:
    sent = columns(events)
    back = over_the_wire(sent)
    assert list(back.rows()) == list(sent.rows()) == events
    assert (back.ids, back.strings, back.identifiers) == (sent.ids, sent.strings, sent.identifiers)
    assert (back.contacts is None) == bool(events)
    assert not any(array.flags.writeable for array in (back.types, back.occurred_at_us, back.flags))
    numbers = data.draw(st.lists(UINT32, min_size=len(events), max_size=len(events)))
    resolved = replace(sent, identifiers=(), contacts=np.array(numbers, np.uint32))
    back = over_the_wire(resolved)
    assert back.contacts is not None
    assert back.contacts.tolist() == numbers
    assert back.identifiers == ()


@settings(deadline=None)
@given(st.lists(EVENTS, max_size=3), st.lists(FACTS, max_size=5))
def test_a_batch_comes_back(events: list[Event], facts: list[ContactFact]) -> None:
    sent = replace(columns(events), identifiers=(), contacts=np.zeros(len(events), np.uint32))
    message = fact_batch_to_proto(sent, tuple(facts), 12)
    batch = fact_batch_from_proto(facts_pb2.FactBatch.FromString(message.SerializeToString()), 34, 56)
    assert (batch.position, batch.recorded_at_us, message.upstream_position) == (34, 56, 12)
    assert list(batch.facts) == facts
    assert list(batch.events.rows()) == [replace(event, identifiers=()) for event in events]


def test_columns_of_any_integer_type_go_as_the_wire_has_them() -> None:
    sent = columns([Event("e", "t", 1, 2, params={"n": 5})])
    wide = replace(sent, types=sent.types.astype(np.int64), flags=sent.flags.astype(np.int32))
    assert columns_to_proto(wide) == columns_to_proto(sent)


@pytest.mark.parametrize("text", ["1e400", "NaN", "Infinity", "", " ", "1,5", "0.00001", "9" * 30, "1" * 65, "0x10"])
def test_a_bad_decimal_is_refused(text: str) -> None:
    with pytest.raises(CdpError) as refused:
        value_from_proto(facts_pb2.Value(decimal=text))
    assert refused.value.reason == "BAD_VALUE"


@pytest.mark.parametrize("units", [MAX_DECIMAL_UNITS + 1, -MAX_DECIMAL_UNITS - 1])
def test_units_out_of_range_are_refused(units: int) -> None:
    with pytest.raises(CdpError) as refused:
        value_from_proto(facts_pb2.Value(decimal_units=units))
    assert refused.value.reason == "BAD_VALUE"


@pytest.mark.parametrize("days", [2_932_897, -719_163, 2**31 - 1, -(2**31)])
def test_a_day_outside_the_calendar_is_refused(days: int) -> None:
    with pytest.raises(CdpError) as refused:
        value_from_proto(facts_pb2.Value(date_days=days))
    assert refused.value.reason == "BAD_VALUE"
    assert value_from_proto(facts_pb2.Value(date_days=2_932_896)) == date.max
    assert value_from_proto(facts_pb2.Value(date_days=-719_162)) == date.min


def _shorten(field: str) -> Callable[[facts_pb2.EventColumns], None]:
    def change(message: facts_pb2.EventColumns) -> None:
        setattr(message, field, getattr(message, field)[:-1])

    return change


def _unknown_kind(message: facts_pb2.EventColumns) -> None:
    message.identifier_kind_codes = bytes([9] * len(message.identifier_kind_codes))


def _one_more_row(message: facts_pb2.EventColumns) -> None:
    message.params[0].rows += b"\0\0\0\0"


@pytest.mark.parametrize(
    "change",
    [
        *[
            _shorten(field)
            for field in (
                "types",
                "occurred_at_us",
                "received_at_us",
                "flags",
                "item_offsets",
                "contacts",
                "identifier_offsets",
                "identifier_kind_codes",
            )
        ],
        _unknown_kind,
        _one_more_row,
        lambda message: message.ids.append("one more"),
        lambda message: message.identifier_values.append("one more"),
    ],
)
def test_columns_that_do_not_agree_are_refused(change: Callable[[facts_pb2.EventColumns], None]) -> None:
    event = Event("e", "t", 1, 2, (Identifier("email", "a@b.c"), Identifier("phone", "1")), {"n": 5})
    message = columns_to_proto(replace(columns([event, event]), contacts=np.array([1, 2], np.uint32)))
    columns_from_proto(message)
    change(message)
    with pytest.raises(CdpError) as refused:
        columns_from_proto(message)
    assert refused.value.reason == "BAD_COLUMNS"


def test_an_unknown_fact_is_refused() -> None:
    with pytest.raises(CdpError) as refused:
        contact_fact_from_proto(facts_pb2.ContactFact(contact=1))
    assert refused.value.reason == "UNKNOWN_FACT"
    deleted = ProductState("p", {}, 1, 0)
    assert contact_fact_from_proto(contact_fact_to_proto(deleted)) == deleted
