"""Every template: its text, who is in and who is not, and the names under which sources send its events."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.events.vocabulary import EVENTS
from core.index.index import Index
from core.orders.book import ORDER_CORRECTED
from core.query.ast import EventSelection, MessageCount
from core.query.binding.bind import bind
from core.query.edges import MESSAGE_EVENTS
from core.query.execute import evaluate
from core.query.knowledge import NOTHING_KNOWN
from core.query.rfm_model import DEFAULT_MODELS
from core.query.row import RowRule
from core.query.text.format import format_rule
from core.query.text.parse import parse
from core.query.walk import parts
from core.segments.templates import TEMPLATES, Template
from core.segments.vocabulary import names_of
from services.ingest.senders import OF_THE_BOOKS
from tests.unit.ingest.house import House, running
from tests.unit.segments.scenes import NOW_US, SCENES, ZONE, Person, Scene

BY_NAME = {one.name: one for one in TEMPLATES}
#: Nobody chooses who is in it: see test_the_control_group.
BY_HASH = "control group"


def events_of(template: Template) -> set[str]:
    """The event types that a template reads, those of the RFM models among them."""
    found: set[str] = set()
    for part in parts(parse(template.text)):
        match part:
            case EventSelection(names):
                found.update(names)
            case MessageCount(verb):
                found.update(MESSAGE_EVENTS[verb])
    for model in DEFAULT_MODELS.values():
        if f"rfm {model.name}" in template.text:
            found.update(model.events.names)
    return found - {"*"}


def test_there_are_enough_and_each_has_its_own_name() -> None:
    assert len(BY_NAME) == len(TEMPLATES) >= 40
    assert len({one.text for one in TEMPLATES}) == len(TEMPLATES)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda one: one.name)
def test_a_template_is_a_rule_of_an_empty_workspace(template: Template) -> None:
    rule = parse(template.text)
    assert parse(format_rule(rule)) == rule
    bound = bind(rule, names_of(Index().root(), {}, ZONE))
    assert set(bound.parameters) == set(re.findall(r":([a-z_]+)", template.text))
    assert re.fullmatch(r"[A-Z][^.]*\.", template.about), "one sentence"
    assert template.group
    assert template.name == template.name.strip()
    assert events_of(template) <= set(EVENTS)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda one: one.name)
def test_who_is_in_and_who_is_not(template: Template) -> None:
    if template.name == BY_HASH:
        return
    scene = SCENES[template.name]
    index = Index()
    facts = scene.batch()
    index.apply(facts.events, facts.facts, facts.position)
    root = index.root()
    bound = bind(parse(template.text), names_of(root, {}, ZONE))
    members = set(evaluate(bound, root, NOW_US, scene.parameters).members.numbers().tolist())
    outside = 1 + len(scene.outside)
    assert 0 in members
    assert not members & set(range(1, outside))
    assert members >= set(range(outside, outside + len(scene.also)))
    if not bound.parameters:
        row = RowRule(bound)
        for contact in range(outside):
            assert row.holds(root, contact, NOW_US, NOTHING_KNOWN) == (contact in members), contact


def test_the_scenes_are_those_of_the_templates() -> None:
    assert SCENES.keys() == BY_NAME.keys() - {BY_HASH}
    assert all(scene.outside for scene in SCENES.values())


def test_the_control_group_is_a_stable_tenth() -> None:
    index = Index()
    facts = Scene(Person(), (), tuple(Person() for _ in range(1_999))).batch()
    index.apply(facts.events, facts.facts, facts.position)
    bound = bind(parse(BY_NAME[BY_HASH].text), names_of(index.root(), {}, ZONE))
    now = evaluate(bound, index.root(), NOW_US, {}).members.numbers().tolist()
    later = evaluate(bound, index.root(), 2 * NOW_US, {}).members.numbers().tolist()
    assert now == later
    assert 150 < len(now) < 250


# --- sources ------------------------------------------------------------------------------------------------------

#: What a shop's program calls an event in the Segment specification -> the canonical event of the templates. Messages
#: are told by the channels themselves, in canonical names.
SEGMENT_NAMES = {
    "Product Viewed": "product_viewed",
    "Products Searched": "products_searched",
    "Product Added to Wishlist": "wishlist_added",
    "Product Added": "product_added_to_cart",
    "Cart Updated": "cart_updated",
    "Checkout Started": "checkout_started",
    "Order Completed": "order_completed",
    "Order Refunded": "order_refunded",
    "Order Cancelled": "order_cancelled",
    "Survey Answered": "survey_answered",
    "Site Visited": "site_visited",
    "Page": "page_viewed",
}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with running(tmp_path / "data") as one:
        yield one


def test_every_event_of_a_template_has_a_source() -> None:
    used = set().union(*map(events_of, TEMPLATES))
    of_the_platform = {name for name in used if name.startswith("message_")} | {ORDER_CORRECTED}
    assert used - of_the_platform <= set(SEGMENT_NAMES.values())


async def test_each_event_arrives_under_its_canonical_name(house: House) -> None:
    """By its name in the Segment specification, and by the canonical name in the same door."""
    told = set().union(*map(events_of, TEMPLATES)) - OF_THE_BOOKS  # which the platform alone tells
    calls = [*SEGMENT_NAMES.items(), *((name, name) for name in sorted(told))]
    batch = [
        {"type": "track", "event": name, "userId": "ann", "messageId": f"{place}", "properties": {}}
        for place, (name, _) in enumerate(calls)
    ]
    answer = await house.post("/v1/batch", {"batch": batch})
    assert answer.status_code == 200, answer.text
    assert [event.type for event in await house.events()] == [type_ for _, type_ in calls]
