"""What time alone can change, and which facts matter."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.clock import DAY_US, HOUR_US
from core.query.ast import Zone
from core.query.binding.bind import bind
from core.query.edges import SCENARIO_EVENTS, Edges, edges
from core.query.text.parse import parse
from core.query.touches import Touches, touches
from tests.golden.query.workspace import WORKSPACE

NOW_BIRTH_DATE = {"birth_date": frozenset((0,))}


def edges_of(text: str) -> Edges:
    return edges(bind(parse(text), WORKSPACE))


def touches_of(text: str) -> Touches:
    return touches(bind(parse(text), WORKSPACE))


@pytest.mark.parametrize(
    ("window", "offsets"),
    [
        ("", {0}),
        ("in last 30 days", {0, 30 * DAY_US}),
        ("between 0 and 2 days ago", {0, 2 * DAY_US}),
        ("between 1 and 2 days ago", {0, DAY_US, 2 * DAY_US}),
        ("more than 5 hours ago", {0, 5 * HOUR_US}),
        ("from 2026-01-01 until 2026-02-01", {0}),
    ],
)
def test_an_event_is_due_when_it_enters_and_leaves_its_window(window: str, offsets: set[int]) -> None:
    assert edges_of(f"did app_opened {window}") == Edges({"app_opened": frozenset(offsets)})


@pytest.mark.parametrize(
    ("window", "offsets"),
    [
        ("in last 3 days", {0, 3 * DAY_US}),
        ("in next 3 days", {-3 * DAY_US, 0}),
        ("between 1 and 2 days ago", {DAY_US, 2 * DAY_US}),
        ("more than 1 day ago", {DAY_US}),
    ],
)
def test_an_instant_is_due_around_its_value(window: str, offsets: set[int]) -> None:
    found = edges_of(f"last_visit {window}")
    assert found == Edges({}, {"last_visit": frozenset(offsets)}, {"last_visit": frozenset((0,))})


def test_dates_and_calendar_periods_are_due_at_midnight() -> None:
    midnights = edges_of("birth_date in next 7 days")
    assert midnights == Edges(attribute_writes=NOW_BIRTH_DATE, local_days=frozenset((Zone.WORKSPACE,)))
    assert edges_of("birth_date from 2026-01-01") == Edges(attribute_writes=NOW_BIRTH_DATE)
    found = edges_of("did app_opened this calendar week in contact's zone and did app_opened last calendar day in UTC")
    assert found.local_days == {Zone.CONTACT, Zone.UTC}
    assert found.attribute_writes == {"time_zone": {0}}
    assert edges_of("did delivery_planned (planned_on in last 3 days)").local_days == {Zone.WORKSPACE}


def test_messages_prefixes_and_references_are_followed() -> None:
    found = edges_of("opened message in last 1 day and did product_* in last 2 days and did product_* in last 3 days")
    assert found.events == {
        "message_clicked": {0, DAY_US},
        "message_opened": {0, DAY_US},
        "product_*": {0, 2 * DAY_US, 3 * DAY_US},
    }
    nested = edges_of('in segment "Section fans"')
    assert nested.events == {"product_viewed": {0, 30 * DAY_US}}
    assert edges_of("did app_opened and did product_viewed (price > attribute average_check)").attribute_writes == {
        "average_check": {0}
    }


@pytest.mark.parametrize(
    ("text", "events"),
    [
        ("first time did app_opened in last 3 days", {"app_opened": {0, 3 * DAY_US}}),
        ("stopped app_opened: did in 5 days before, not in last 2 days", {"app_opened": {0, 2 * DAY_US, 7 * DAY_US}}),
        (
            "restarted app_opened: did in last 2 days, not in 5 days before, but earlier",
            {"app_opened": {0, 2 * DAY_US, 7 * DAY_US}},
        ),
        ("app_opened rising by 50 % over last 2 days", {"app_opened": {0, 2 * DAY_US, 4 * DAY_US}}),
        (
            "sequence in last 3 days: app_opened then product_viewed within 1 hour "
            "then not order_completed within 2 hours",
            {"app_opened": {0, 3 * DAY_US}, "product_viewed": {0, 2 * HOUR_US}, "order_completed": {0}},
        ),
        (
            "did app_opened since last product_viewed",
            {"app_opened": {0}, "product_viewed": {0}},
        ),
        ('rfm purchases moved to "at risk" in last 3 days', {"order_completed": {0, 3 * DAY_US}}),
        ("cohort of first app_opened more than 2 days ago", {"app_opened": {0, 2 * DAY_US}}),
        ('was in scenario "x" in last 2 days', {event: {0, 2 * DAY_US, 2 * DAY_US - 1} for event in SCENARIO_EVENTS}),
    ],
)
def test_every_condition_names_its_events_and_when_they_matter(text: str, events: dict[str, set[int]]) -> None:
    assert edges_of(text).events == events


def test_states_groups_and_existence_are_due_by_their_own_instants() -> None:
    been = edges_of('gender has been "x" for at least 3 days')
    assert been.attribute_writes == {"gender": {0, 3 * DAY_US}}
    assert edges_of("gender changed in last 2 days").attribute_writes == {"gender": {0, 2 * DAY_US}}
    assert edges_of('was in list "guests" in last 1 day').lists == {"guests": {0, DAY_US, DAY_US - 1}}
    assert edges_of('has been in segment "VIP" for at least 1 day').histories == {"VIP": {0, DAY_US}}
    assert edges_of("cohort of contacts added more than 2 days ago").existence == {2 * DAY_US}
    assert edges_of("birth_date has anniversary today in contact's zone").local_days == {Zone.CONTACT}
    assert edges_of("did app_opened regularly: in at least 1 of last 2 calendar weeks").local_days == {Zone.WORKSPACE}
    assert edges_of("did product_viewed on a product now in stock").products
    assert edges_of("age > 3\nlimit 5").together


def test_touches_name_every_fact_that_matters() -> None:
    text = (
        'did any of (a*, app_opened) and received message and in list "guests" and in segment "VIP" '
        "and any child (age = 1) and did product_viewed (price > attribute average_check) this calendar day "
        "in contact's zone"
    )
    found = touches_of(text)
    messages = {"message_bounced", "message_delivered", "message_sent"}
    assert found.event_names == {"a*", "app_opened", "product_viewed"} | messages
    assert found.attributes == {"loyalty_status", "children", "average_check", "time_zone"}
    assert found.lists == {"guests"}
    assert not found.everything


@pytest.mark.parametrize(
    ("text", "everything"),
    [
        ("everyone", True),
        ('gender = "x"', False),
        ('gender != "x"', True),
        ("gender is missing", True),
        ("gender is present", False),
        ("not age > 3", True),
        ("not age != 3", False),
        ("did app_opened", False),
        ("did not app_opened", True),
        ("did app_opened at most 3 times", True),
        ("did app_opened between 1 and 3 times", False),
        ("did app_opened at least :n times", True),
        ("never opened message", True),
        ("sum(order_completed.total) < 5", True),
        ("sum(order_completed.total) < -5", False),
        ("min(order_completed.total) < 5", False),
        ("max(order_completed.total) is missing", True),
        ("everyone and did app_opened", False),
        ("everyone or did app_opened", True),
        ("at least 2 of (everyone, did app_opened, age = 3)", False),
        ("at least 1 of (everyone, did app_opened)", True),
        ("include everyone exclude did app_opened", True),
        ("include did app_opened exclude age = 1", False),
        ("exclude age is missing", False),
        ('in segment "VIP"', False),
        ('not in segment "VIP"', True),
        ('in segment "quiet"', True),
    ],
)
def test_a_new_contact_matters_where_nothing_known_is_enough(text: str, everything: bool) -> None:
    names = replace(WORKSPACE, segments={**WORKSPACE.segments, "quiet": parse("did not app_opened")})
    assert touches(bind(parse(text), names)).everything is everything
