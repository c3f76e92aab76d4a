"""What starts a run and what does not, and how often."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from core.events.columns import IMPORTED, MACHINE, Event
from core.scenario.definition import Block, Definition, EventTrigger, Exit, Reentry, SegmentTrigger
from core.scenario.plan import Plan
from core.scenario.reentry import key_of, may_start
from core.scenario.trigger import Cause, MembershipChange, started_by_event, started_by_membership
from core.scenario.validate import plan_of
from core.schema import DecimalUnits
from tests.carts import abandoned_cart
from tests.unit.scenario.plays import LINES, T0, cart

PLAN = plan_of("n3", 1, abandoned_cart())
SEGMENT = plan_of("s", 1, Definition(SegmentTrigger("VIP"), (Block("a", Exit()),)))
LEAVE = plan_of("l", 1, Definition(SegmentTrigger("VIP", on_leave=True), (Block("a", Exit()),)))


def starts(plan: Plan, event: Event, recorded_at_us: int = T0) -> bool:
    return started_by_event(plan, event, 7, recorded_at_us, "UTC", 1) is not None


@pytest.mark.parametrize(
    ("event", "recorded_after_us", "expected"),
    [
        (cart(), 0, True),
        (cart(), HOUR_US, True),
        (cart(), HOUR_US + 1, False),
        (cart(at_us=T0 - 400 * DAY_US), 0, False),
        (cart(at_us=T0 + 60), 0, True),
        (cart(at_us=T0 + HOUR_US), 0, True),
        (cart(at_us=T0 + HOUR_US + 1), 0, False),
        (cart(at_us=T0 + 30 * DAY_US), 0, False),
        (cart(flags=IMPORTED), 0, False),
        (cart(flags=MACHINE), 0, False),
        (cart(items=()), 0, False),
        (cart(items=({"quantity": 1},)), 0, False),
        (cart(items=({"quantity": 1}, *LINES)), 0, True),
        (replace(cart(), type="cart_viewed"), 0, False),
    ],
)
def test_event(event: Event, recorded_after_us: int, expected: bool) -> None:
    assert starts(PLAN, event, T0 + recorded_after_us) is expected


def test_the_greatest_age_is_the_triggers() -> None:
    plan = plan_of("n", 1, replace(abandoned_cart(), max_age_us=DAY_US))
    assert starts(plan, cart(), T0 + DAY_US)
    assert not starts(plan, cart(), T0 + DAY_US + 1)


def test_what_an_event_brings() -> None:
    event = replace(cart(), params={"cart_id": "c1", "total": DecimalUnits(5), "tags": ("a", "b")})
    found = started_by_event(PLAN, event, 7, T0, "UTC", 12)
    assert found is not None
    assert (found.id, found.at_us, found.contact, found.items) == ("e1", T0, 7, LINES)
    assert (found.values, found.upstream_position) == ({"cart_id": "c1", "total": DecimalUnits(5)}, 12)


@pytest.mark.parametrize(
    ("occurred_after_us", "received_after_us", "expected_after_us"),
    [(-SECOND_US, 0, -SECOND_US), (MINUTE_US, -SECOND_US, -SECOND_US), (MINUTE_US, MINUTE_US, 0)],
)
def test_a_fact_dated_ahead_happened_before_it_was_received(
    occurred_after_us: int, received_after_us: int, expected_after_us: int
) -> None:
    event = replace(cart(at_us=T0 + occurred_after_us), received_at_us=T0 + received_after_us)
    found = started_by_event(PLAN, event, 7, T0, "UTC", 1)
    assert found is not None
    assert found.at_us == T0 + expected_after_us


def change(cause: Cause = Cause.EVENT, entered: bool = True, age_us: int = 0) -> MembershipChange:
    return MembershipChange(7, "VIP", entered, cause, T0, T0 + age_us, "5.0")


@pytest.mark.parametrize(
    ("plan", "record", "expected"),
    [
        (SEGMENT, change(), True),
        (SEGMENT, change(Cause.TIME), True),
        (SEGMENT, change(Cause.CATALOGUE), True),
        (SEGMENT, change(Cause.OTHER), False),
        (SEGMENT, change(entered=False), False),
        (LEAVE, change(entered=False), True),
        (LEAVE, change(), False),
        (SEGMENT, change(age_us=HOUR_US), True),
        (SEGMENT, change(age_us=HOUR_US + 1), False),
        (SEGMENT, change(age_us=-HOUR_US - 1), False),
        (SEGMENT, replace(change(), segment="vip"), False),
        (PLAN, change(), False),
    ],
)
def test_membership(plan: Plan, record: MembershipChange, expected: bool) -> None:
    found = started_by_membership(plan, record)
    assert (found is not None) is expected
    if found is not None:
        assert (found.at_us, found.values) == (T0, {"segment": "VIP"})


@pytest.mark.parametrize(
    ("reentry", "running", "ended", "expected"),
    [
        (Reentry.ONE_AT_A_TIME, 0, 0, True),
        (Reentry.ONE_AT_A_TIME, 1, 0, False),
        (Reentry.ONE_AT_A_TIME, 0, 9, True),
        (Reentry.ONCE, 0, 0, True),
        (Reentry.ONCE, 1, 0, False),
        (Reentry.ONCE, 0, 1, False),
        (Reentry.ALWAYS, 3, 9, True),
    ],
)
def test_reentry(reentry: Reentry, running: int, ended: int, expected: bool) -> None:
    assert may_start(reentry, running, ended) is expected


def test_a_run_is_about_the_values_that_the_texts_name() -> None:
    assert PLAN.about == ("cart_id",)
    assert key_of(PLAN, {"cart_id": "c1", "total": 5}) == key_of(PLAN, {"cart_id": "c1", "total": 9})
    different: list[str | int | bool] = ["c1", "c2", 1, "1", True, "true"]
    assert len({key_of(PLAN, {"cart_id": value}) for value in different}) == len(different)
    assert key_of(PLAN, {"cart_id": DecimalUnits(10_000)}) == key_of(PLAN, {"cart_id": 1})
    plain = plan_of("p", 1, Definition(EventTrigger("cart_updated"), (Block("a", Exit()),)))
    assert key_of(plain, {"cart_id": "c1"}) == ""
