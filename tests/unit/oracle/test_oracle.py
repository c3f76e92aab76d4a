"""The oracle against answers worked out by hand from semantics.md: who tests the tester."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.oracle.calendar import period_days, start_of, zone_of
from tests.oracle.values import holds
from tests.unit.oracle.saying import (
    DAY_US,
    HOUR_US,
    NOW,
    Plain,
    ask,
    attribute,
    compare,
    did,
    event,
    events,
    items,
    person,
    us,
)


def test_an_event_exactly_as_old_as_the_window_has_left() -> None:
    facts = [person(1), event(1, NOW - DAY_US), person(2), event(2, NOW - DAY_US + 1), person(3), event(3, NOW + 1)]
    assert ask(facts, did(">=", 1, {"is": "in last", "us": DAY_US})) == {2}
    assert ask(facts, did("=", 0, {"is": "in last", "us": DAY_US})) == {1, 3}
    assert ask(facts, did(">=", 1, {"is": "more than ago", "us": DAY_US})) == {1}
    between = {"is": "between ago", "near_us": DAY_US - 1, "far_us": DAY_US}
    assert ask(facts, did(">=", 1, between)) == {2}


def test_the_future_waits_and_the_earliest_fact_makes_the_contact() -> None:
    facts = [person(1, since=NOW + 1), person(2, since=NOW + 1), attribute(2, "city", None, NOW)]
    assert ask(facts, {"is": "everyone"}) == {2}
    assert ask(facts, {"is": "everyone"}, as_of=NOW + 1) == {1, 2}


def test_a_negative_form_holds_for_the_missing_and_a_positive_does_not() -> None:
    assert holds("!=", None, ["a"])
    assert not holds("=", None, ["a"])
    assert holds("has none", None, ["a"])
    assert not holds("has all", [], ["a"])
    assert not holds("<", 1, [None])
    assert holds("is present", "", [])
    facts = [person(1), attribute(1, "n", 3, 5), attribute(1, "n", 4, 1), person(2), person(3, known=False)]
    assert ask(facts, {"is": "attribute", "test": compare("n", "!=", 3)}) == {2}
    assert ask(facts, {"is": "not", "of": [{"is": "attribute", "test": compare("n", "=", Decimal(3))}]}) == {2}


def test_an_element_binds_all_parts_and_counts_count_events() -> None:
    lines = [{"category": "coffee", "quantity": 1}, {"category": "tea", "quantity": 2}]
    facts = [person(1), event(1, 1, items=lines), person(2), event(2, 1, items=[{"category": "coffee", "quantity": 2}])]
    both = {"is": "and", "of": [compare("category", "=", "coffee"), compare("quantity", ">=", 2)]}
    assert ask(facts, did("=", 1, test=items(both))) == {2}
    assert ask(facts, did("=", 1, test=items(compare("quantity", ">=", 1)))) == {1, 2}
    assert ask(facts, did("=", 1, test=items(compare("quantity", ">=", 2), every=True))) == {2}


def test_for_the_same_wants_one_value() -> None:
    facts = [person(1), event(1, 1, p="a"), event(1, 2, p="b"), person(2), event(2, 1, p="a"), event(2, 2, p="a")]
    assert ask(facts, did(">=", 2)) == {1, 2}
    assert ask(facts, did(">=", 2, same="p")) == {2}


def test_a_merge_unites_and_an_erasure_leaves_nothing() -> None:
    facts = [person(1), person(2), person(3), event(1, 1), event(2, 2), event(3, 1)]
    facts += [attribute(2, "city", "Lviv", 2), attribute(1, "city", "Kyiv", 1)]
    facts += [{"fact": "merge", "survivor": 1, "loser": 2}, {"fact": "erase", "contact": 3}]
    assert ask(facts, {"is": "everyone"}) == {1}
    assert ask(facts, did("=", 2)) == {1}
    assert ask(facts, {"is": "attribute", "test": compare("city", "=", "Lviv")}) == {1}


def test_aggregates_are_exact() -> None:
    cents = [Decimal("0.0001"), Decimal("0.0002")]
    facts = [person(1), *(event(1, i, price=p) for i, p in enumerate(cents)), event(1, 9), person(2)]

    def aggregate(function: str, op: str, *values: Any) -> set[int]:
        condition = {"is": "aggregate", "function": function, "path": "price", "events": events()}
        return ask(facts, {**condition, "op": op, "operands": [{"value": v} for v in values]})

    assert aggregate("sum", "=", Decimal("0.0003")) == {1}
    assert aggregate("sum", "=", 0) == {2}
    assert aggregate("avg", "=", Decimal("0.0002")) == {1}  # 0.00015 to even
    assert aggregate("min", "is missing") == {2}
    assert aggregate("distinct", "<=", 1) == {2}


def test_messages_are_distinct_human_and_received_or_sent() -> None:
    facts = [person(1), event(1, 1, "message_sent", message_id="m"), person(2)]
    facts += [event(2, 1, "message_sent", message_id="m"), event(2, 2, "message_bounced", message_id="m")]
    facts += [event(1, at, "message_clicked", message_id="m") for at in (3, 4)]
    facts += [{**event(2, 3, "message_opened", message_id="m"), "machine": True}]

    def messages(verb: str, op: str, count: int) -> set[int]:
        condition: Plain = {"is": "messages", "verb": verb, "filter": None, "window": None, "sent": None}
        condition["with_machines"] = False
        return ask(facts, {**condition, "op": op, "operands": [{"value": count}]})

    assert messages("received", "=", 1) == {1}
    assert messages("opened", "=", 1) == {1}
    assert messages("opened", "=", 0) == {2}


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("America/New_York", date(2026, 3, 8), 23),
        ("America/New_York", date(2026, 11, 1), 25),
        ("Europe/Kyiv", date(2026, 3, 29), 23),
        ("Pacific/Apia", date(2011, 12, 30), 0),
        ("Pacific/Apia", date(2011, 12, 29), 24),
        ("America/St_Johns", date(2010, 11, 6), 24),
        ("America/St_Johns", date(2010, 11, 7), 25),
    ],
)
def test_local_days_have_their_hours(zone: str, day: date, hours: int) -> None:
    rules = zone_of(zone)
    assert rules is not None
    assert start_of(day + timedelta(days=1), rules) - start_of(day, rules) == hours * HOUR_US


def test_local_days_start_where_the_clock_says() -> None:
    rules = zone_of("Europe/Kyiv")
    assert rules is not None
    assert start_of(date(2026, 6, 15), rules) == us("2026-06-14T21:00:00+00:00")
    assert zone_of("Mars/Olympus") is None
    assert zone_of("europe/kyiv") is None


def test_periods_are_complete() -> None:
    friday = date(2026, 2, 27)
    assert period_days(friday, {"period": "week", "offset": 0, "count": 1}) == (date(2026, 2, 23), date(2026, 3, 2))
    assert period_days(friday, {"period": "month", "offset": -1, "count": 2}) == (date(2025, 12, 1), date(2026, 2, 1))
    assert period_days(friday, {"period": "quarter", "offset": 1, "count": 1}) == (date(2026, 4, 1), date(2026, 7, 1))
    assert period_days(friday, {"period": "year", "offset": -1, "count": 1}) == (date(2025, 1, 1), date(2026, 1, 1))


def test_dates_without_a_time_count_local_days() -> None:
    today = date(2026, 6, 15)
    facts = [person(1), attribute(1, "d", today), person(2), attribute(2, "d", today + timedelta(days=1)), person(3)]
    facts += [attribute(3, "d", today - timedelta(days=1))]

    def within(window: Plain) -> set[int]:
        return ask(facts, {"is": "attribute", "test": compare("d", "within", window=window)})

    assert within({"is": "in last", "us": DAY_US}) == {1}
    assert within({"is": "in next", "us": DAY_US}) == {1}
    assert within({"is": "in next", "us": 2 * DAY_US}) == {1, 2}
    assert within({"is": "more than ago", "us": DAY_US}) == {3}
