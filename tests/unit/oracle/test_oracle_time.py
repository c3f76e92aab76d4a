"""The oracle on dates, rhythm, states, groups: answers worked out by hand from semantics.md."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from tests.oracle.dates import is_anniversary
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
    own,
    person,
)


def test_an_anniversary_of_29_february_falls_on_the_28th() -> None:
    leap = date(2024, 2, 29)
    assert is_anniversary(date(2025, 2, 28), leap)
    assert not is_anniversary(date(2025, 3, 1), leap)
    assert is_anniversary(date(2028, 2, 29), leap)
    assert not is_anniversary(date(2028, 2, 28), leap)
    assert not is_anniversary(leap, leap)


def test_anniversaries_and_ages_count_from_the_local_today() -> None:
    facts = [person(1), attribute(1, "d", date(2000, 6, 15)), person(2), attribute(2, "d", date(2000, 6, 16))]
    facts += [person(3), attribute(3, "d", date(2026, 6, 16)), person(4)]

    def has(window: Plain) -> set[int]:
        return ask(facts, own(compare("d", "has anniversary", window=window)))

    assert has({"is": "on day", "offset": 0}) == {1}
    assert has({"is": "in next", "us": DAY_US}) == {1}
    assert has({"is": "in next", "us": 2 * DAY_US}) == {1, 2}
    assert has({"is": "in last", "us": DAY_US}) == {1}
    assert ask(facts, own(compare("d", "age", 26, relation="="))) == {1}
    assert ask(facts, own(compare("d", "age", 25, relation="="))) == {2}
    assert ask(facts, own(compare("d", "age", 26, relation="!="))) == {2}  # who is yet to be born, or unknown, has none


@pytest.mark.parametrize(
    ("hours", "found"), [((12, 13), {1}), ((11, 12), set()), ((22, 13), {1}), ((13, 12), {2}), ((13, 24), {2})]
)
def test_hours_are_local_and_may_wrap_midnight(hours: tuple[int, int], found: set[int]) -> None:
    facts = [person(1), event(1, NOW), person(2), event(2, NOW - 23 * HOUR_US)]
    seconds = (hours[0] * 3600, hours[1] * 3600)
    at = {"weekdays": [], "hours": seconds, "zone": "workspace"}
    assert ask(facts, did(">=", 1, moments=at)) == found
    monday = {"weekdays": [1], "hours": None, "zone": "workspace"}
    assert ask(facts, did(">=", 1, moments=monday)) == {1}


def test_a_distance_is_inclusive() -> None:
    facts = [person(1), attribute(1, "place", ("location", (500_000_000, 300_000_000))), person(2)]

    def within(radius_mm: int, latitude_e7: int = 500_000_000) -> set[int]:
        circle = {"latitude_e7": latitude_e7, "longitude_e7": 300_000_000, "radius_mm": radius_mm}
        return ask(facts, own(compare("place", "within distance", circle=circle)))

    assert within(0) == {1}
    # One degree of latitude: 6,371,008.8 m * pi / 180 = 111,195.080 m.
    assert within(111_195_081, 510_000_000) == {1}
    assert within(111_195_079, 510_000_000) == set()


def rhythm(kind: str, **more: Any) -> Plain:
    return {"is": kind, "events": events(), **more}


def test_stopped_and_restarted_are_exact() -> None:
    facts = [
        person(1),
        event(1, NOW - DAY_US),
        person(2),
        event(2, NOW - DAY_US + 1),
        person(3),
        event(3, NOW - 3 * DAY_US),
    ]
    assert ask(facts, rhythm("stopped", active_us=2 * DAY_US, silent_us=DAY_US)) == {1}
    facts += [event(3, NOW), event(1, NOW)]
    assert ask(facts, rhythm("restarted", recent_us=DAY_US, silent_us=2 * DAY_US)) == {3}


def test_rising_needs_an_old_one() -> None:
    facts = [person(1), event(1, NOW), person(2), event(2, NOW), event(2, NOW - 1), event(2, NOW - DAY_US)]
    assert ask(facts, rhythm("trend", rising=True, percent=100, span_us=DAY_US)) == {2}
    assert ask(facts, rhythm("trend", rising=True, percent=101, span_us=DAY_US)) == set()
    facts += [person(3), event(3, NOW - DAY_US)]
    assert ask(facts, rhythm("trend", rising=False, percent=100, span_us=DAY_US)) == {3}


def test_regularly_counts_complete_periods() -> None:
    facts = [
        person(1),
        event(1, NOW - DAY_US),
        event(1, NOW - 3 * DAY_US),
        person(2),
        event(2, NOW),
        event(2, NOW - DAY_US),
    ]
    condition = rhythm("regularly", times=1, k=2, n=3, period="day", zone="workspace")
    assert ask(facts, condition) == {1}


def test_since_the_last_and_until_the_first_are_open_and_false_without() -> None:
    since = {"is": "since last", "events": events("bought")}
    until = {"is": "until first", "events": events("bought")}
    facts = [person(1), event(1, 5, "bought"), event(1, 5), person(2), event(2, 4), event(2, 5, "bought"), event(2, 6)]
    facts += [person(3), event(3, 5)]
    assert ask(facts, did(">=", 1, since)) == {2}
    assert ask(facts, did("=", 0, since)) == {1}
    assert ask(facts, did(">=", 1, until)) == {2}
    assert ask(facts, did("=", 0, until)) == {1}


def test_has_been_looks_at_the_whole_time() -> None:
    facts = [person(1), attribute(1, "s", "a", NOW - DAY_US), person(2), attribute(2, "s", "a", NOW - DAY_US + 1)]
    facts += [person(3), attribute(3, "s", "a", 0), attribute(3, "s", "b", NOW - 2), attribute(3, "s", "a", NOW - 1)]
    assert ask(facts, {"is": "has been", "test": compare("s", "=", "a"), "us": DAY_US}) == {1}
    assert ask(facts, {"is": "has been", "test": compare("s", "!=", "b"), "us": DAY_US}) == {1, 2}


def test_changed_joins_different_values_missing_included() -> None:
    facts = [person(1), attribute(1, "s", "a", 1), attribute(1, "s", "a", 2), attribute(1, "s", "b", 3)]
    facts += [person(2), attribute(2, "s", "a", 1), attribute(2, "s", None, 2)]

    def changed(before: list[Plain] | None, after: list[Plain] | None) -> set[int]:
        return ask(facts, {"is": "changed", "name": "s", "before": before, "after": after, "window": None})

    assert changed([], [{"value": "a"}]) == {1, 2}
    assert changed([{"value": "a"}], None) == {1, 2}
    assert changed([{"value": "a"}], []) == {2}
    assert changed([{"value": "a"}], [{"value": "a"}]) == set()


def test_groups_by_records_lists_and_runs() -> None:
    histories = {"VIP": {1: [(5, True), (9, False)], 2: [(9, True)]}}
    facts = [person(n) for n in (1, 2, 3)]
    facts += [{"fact": "list", "contact": 3, "name": "l", "member": True, "occurred_at": 7}]
    facts += [event(3, at, kind, scenario="s") for at, kind in ((1, "scenario_entered"), (4, "scenario_left"))]

    def was(group: str, name: str, window: Plain | None, as_of: int = NOW) -> set[int]:
        condition = {"is": "was in", "group": group, "name": name, "window": window}
        return ask(facts, condition, as_of=as_of, histories=histories)

    def last(us: int) -> Plain:
        return {"is": "in last", "us": us}

    assert was("segment", "VIP", None) == {1, 2}
    assert was("segment", "VIP", last(3), as_of=10) == {1, 2}  # (7, 10]: the first was still in at 8
    assert was("segment", "VIP", last(2), as_of=10) == {2}
    assert was("list", "l", None, as_of=6) == set()
    assert was("list", "l", None, as_of=7) == {3}
    assert was("scenario", "s", last(3), as_of=6) == set()  # (3, 6] begins at 4, when it had left
    assert was("scenario", "s", last(4), as_of=6) == {3}
    for_long = {"is": "has been in", "group": "segment", "name": "VIP", "us": 3}
    assert ask(facts, for_long, as_of=8, histories=histories) == {1}
    assert ask(facts, for_long, as_of=9, histories=histories) == set()
