"""The arithmetic of interests, by hand and by whole powers."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from core.clock import DAY_US
from core.events.columns import Event
from core.index.index import Index
from core.query.binding.bind import bind
from core.query.execute import evaluate
from core.query.execute_context import Context
from core.query.interest_model import DEFAULT_INTERESTS, MAX_HALF_LIFE_DAYS
from core.query.leaves.interests import ONE_BITS, fading, scores
from core.query.names import Names
from core.query.text.parse import parse
from core.schema import Kind
from tests.generators.world import Happened, batch
from tests.oracle.interests import fading as by_power

NOON_US = 20_000 * DAY_US + DAY_US // 2


@pytest.mark.parametrize("half_life", [1, 2, 7, 30, 365])
def test_fading_is_the_floor_of_the_exact_power(half_life: int) -> None:
    left = fading(half_life)
    assert left[0] == 2**ONE_BITS
    assert left[-1] == 1, "after 24 half-lives"
    days = Random(half_life).sample(range(len(left)), min(len(left), 150))
    assert left[days].tolist() == [by_power(day, half_life) for day in days]


def test_the_longest_half_life_loses_something_every_day() -> None:
    left = fading(MAX_HALF_LIFE_DAYS)
    assert (np.diff(left[:MAX_HALF_LIFE_DAYS]) < 0).all()
    assert left[MAX_HALF_LIFE_DAYS] == 2 ** (ONE_BITS - 1)


def happened(contact: int, type_: str, days_ago: int, category: str, *items: str) -> Happened:
    params = {"category": category} if category else {}
    at_us = NOON_US - days_ago * DAY_US
    lines = tuple({"category": one} for one in items)
    id_ = f"{contact}{type_}{days_ago}{category}"
    return Happened(contact, Event(id_, type_, at_us, at_us, params=params, items=lines))


LOG = (
    happened(0, "product_viewed", 0, "tea"),
    happened(0, "product_viewed", 30, "tea"),
    happened(0, "order_completed", 60, "", "tea", "coffee", "coffee"),
    happened(1, "order_completed", 0, "mugs", "coffee"),
    happened(2, "product_viewed", 31, "coffee"),
    happened(3, "product_viewed", 30 * 24 + 1, "tea"),
)
NAMES = Names(
    attributes={},
    events={"product_viewed": {"category": Kind.TEXT}, "order_completed": {"category": Kind.TEXT}},
    items={"category": Kind.TEXT},
)


def test_scores_are_whole_numbers_of_a_day() -> None:
    index = Index()
    whole = batch(LOG, 1)
    index.apply(whole.events, whole.facts, 1)
    root = index.root()
    found = scores(DEFAULT_INTERESTS["category"], Context(root, NOON_US, "UTC"))
    texts = [root.dictionary.text(code) for code in found.codes.tolist()]
    by_pair = dict(zip(zip(found.contacts.tolist(), texts, strict=True), found.units().tolist(), strict=True))
    # 1 + 1/2 + 5/4 of tea; of two lines of coffee one counts; what the event itself says hides its lines.
    assert by_pair == {(0, "tea"): 27_500, (0, "coffee"): 12_500, (1, "mugs"): 50_000, (2, "coffee"): 4_885}, by_pair

    def members(text: str, as_of_us: int = NOON_US) -> set[int]:
        rule = bind(parse(f"among all contacts: {text}"), NAMES)
        return set(evaluate(rule, root, as_of_us, {}).members.numbers().tolist())

    assert members('interest in category "tea" >= 2.75') == {0}
    assert members('interest in category "coffee" > 0') == {0, 2}
    assert members('interest in category "coffee" = 0') == {1, 3}, "3's tea is 24 half-lives and a day old"
    assert members("top interest in category is missing") == {3}
    assert members('top interest in category != "tea"') == {1, 2, 3}
    midnight_us = NOON_US + DAY_US // 2
    assert members('interest in category "tea" >= 2.75', midnight_us - 1) == {0}
    assert members('interest in category "tea" >= 2.75', midnight_us) == set()
