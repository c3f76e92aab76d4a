"""Every line of the sketch of the language is read as it was first written down, and says what it was meant to say."""

from __future__ import annotations

import pytest

from core.clock import DAY_US, HOUR_US
from core.query.ast import (
    AggregateMeasure,
    AttributeCondition,
    Branch,
    Calendar,
    Circle,
    Compare,
    Comparison,
    EventAggregate,
    EventCount,
    EventSelection,
    FirstTime,
    Function,
    Group,
    HasBeen,
    InCohort,
    InLast,
    Literal,
    Node,
    Period,
    PickedEvent,
    PopulationCondition,
    ProductCondition,
    RandomBucket,
    Regularly,
    Restarted,
    RfmInCell,
    RfmMoved,
    Sequence,
    Standard,
    Step,
    StepOperand,
    Stock,
    Stopped,
    Trend,
    WasIn,
    Zone,
)
from core.query.text.format import format_rule
from core.query.text.parse import parse
from core.schema import DecimalUnits

SKETCH = (
    'gender = "female" and age < 30 and not opened message in last 180 days',
    "everyone",
    'name starts with "An"',
    'url matches "^/sale/"',
    "last_visit more than 30 days ago   -- four more leaves",
    """include city in ("Kyiv", "Lviv"), birth_date has anniversary in next 7 days
exclude email is missing, in list "asked to be left alone"
""",
    'any child (age between 8 and 9 and gender = "female")              -- children: a list of objects',
    'loyalty_tags has any ("gold", "vip") and location within 5 km of (50.45, 30.52)',
    'did product_viewed (category = "strollers" and price between 50 and 100) at least 2 times in last 21 days',
    "did not order_completed in last 30 days",
    'did order_completed (any item (category = "coffee" and quantity >= 2)) between 30 and 90 days ago',
    "did cart_updated this calendar week in contact's zone",
    "sum(order_completed.total) in last 365 days > 250",
    "avg(order_completed.total) above average of events                 "
    "-- the shop's average check; moves with every order",
    "did product_viewed at least 2 times in last 24 hours for the same product_id",
    "sum(order_completed.total) in top 5 %",
    'most frequent(product_viewed.category) in last 90 days = "tea"',
    'last(order_completed.channel) = "store"',
    "did product_viewed (price >= attribute average_check)",
    "did any of (product_viewed, product_list_viewed) at least 10 times in last 7 days",
    'last order_completed had (channel = "store" and promo_code is missing)',
    "first time did app_opened in last 30 days",
    "stopped order_completed: did in 90 days before, not in last 30 days",
    "did site_visited regularly: in at least 3 of last 4 calendar weeks",
    "restarted order_completed: did in last 30 days, not in 90 days before, but earlier",
    "product_viewed rising by 50 % over last 14 days",
    """sequence in last 30 days:
  product_viewed as v
  then cart_updated (product_id = v.product_id) within 1 day
  then not order_completed (any item (product_id = v.product_id)) within 24 hours
""",
    "did product_viewed (product was out of stock) in last 30 days on a product now in stock",
    "did wishlist_added on a product whose price dropped by at least 10 %",
    'opened message (kind = "trigger") in last 90 days and never opened message (kind = "promo")',
    'received message (channel = "email") at least 5 times in last 30 days '
    "and clicked message = 0 times in last 30 days",
    'rfm purchases in cell "at risk"',
    'rfm engagement moved from "active" to "sleeping" in last 7 days',
    "cohort of first order_completed in calendar month 2026-10",
    'in segment "VIP" and not in segment "contacted this week"',
    'was in segment "VIP" at any time in last 90 days',
    'status has been "waiting" for at least 3 days',
    "at least 2 of (did review_read in last 7 days, did chat_opened in last 7 days, "
    'clicked message (link contains "sale") in last 7 days)',
    'random bucket 0 to 999 of "experiment 7"',
    "did product_viewed (category = :section) in last 30 days "
    "and did not order_completed (any item (category = :section)) in last 30 days   -- parametric",
)


@pytest.mark.parametrize("text", SKETCH)
def test_a_line_of_the_sketch_is_read(text: str) -> None:
    rule = parse(text)
    assert parse(format_rule(rule)) == rule


ORDERS = EventSelection(("order_completed",))
VIEWS = EventSelection(("product_viewed",))
ONCE = (Compare.GE, (Literal(1),))


def last(days: int) -> InLast:
    return InLast(days * DAY_US)


def of_step(path: str) -> tuple[Comparison, ...]:
    return (Comparison("product_id", Compare.EQ, (StepOperand("v", path),)),)


MEANT: tuple[tuple[str, Node], ...] = (
    (
        "location within 5 km of (50.45, 30.52)",
        AttributeCondition(
            Comparison("location", Compare.DISTANCE, circle=Circle(504_500_000, 305_200_000, 5_000_000))
        ),
    ),
    (
        "birth_date has anniversary in last 7 days in contact's zone",
        AttributeCondition(Comparison("birth_date", Compare.ANNIVERSARY, window=last(7), zone=Zone.CONTACT)),
    ),
    (
        "avg(order_completed.total) above average of events",
        PopulationCondition(AggregateMeasure(Function.AVG, "total", ORDERS), Standard.EVENT_AVERAGE, Compare.GT),
    ),
    (
        "sum(order_completed.total) in top 5 %",
        PopulationCondition(
            AggregateMeasure(Function.SUM, "total", ORDERS), Standard.TOP, Compare.GE, DecimalUnits(50_000)
        ),
    ),
    (
        'most frequent(product_viewed.category) in last 90 days = "tea"',
        EventAggregate(
            Function.MOST_FREQUENT,
            "category",
            EventSelection(("product_viewed",), window=last(90)),
            Compare.EQ,
            (Literal("tea"),),
        ),
    ),
    (
        "last order_completed had (promo_code is missing)",
        PickedEvent(ORDERS, (Comparison("promo_code", Compare.MISSING),)),
    ),
    ("first time did app_opened in last 30 days", FirstTime(EventSelection(("app_opened",)), last(30))),
    (
        "stopped order_completed: did in 90 days before, not in last 30 days",
        Stopped(ORDERS, 90 * DAY_US, 30 * DAY_US),
    ),
    (
        "restarted order_completed: did in last 30 days, not in 90 days before, but earlier",
        Restarted(ORDERS, 30 * DAY_US, 90 * DAY_US),
    ),
    (
        "did site_visited regularly: in at least 3 of last 4 calendar weeks",
        Regularly(EventSelection(("site_visited",)), 1, 3, 4, Period.WEEK),
    ),
    (
        "product_viewed rising by 50 % over last 14 days",
        Trend(VIEWS, True, DecimalUnits(500_000), 14 * DAY_US),
    ),
    (
        "sequence in last 30 days: product_viewed as v then cart_updated (product_id = v.product_id) within 1 day "
        "then not order_completed within 24 hours of the first",
        Sequence(
            (
                Step(VIEWS, name="v"),
                Step(EventSelection(("cart_updated",), of_step("product_id")), within_us=DAY_US),
                Step(ORDERS, negative=True, within_us=24 * HOUR_US, from_first=True),
            ),
            last(30),
        ),
    ),
    (
        "did product_viewed (product was out of stock) in last 30 days on a product now in stock",
        EventCount(
            EventSelection(
                ("product_viewed",),
                window=last(30),
                products=(ProductCondition(Stock.OUT_OF_STOCK, True), ProductCondition(Stock.IN_STOCK)),
            ),
            *ONCE,
        ),
    ),
    (
        'did product_viewed (category = "tea" and product was out of stock and product price dropped by at least 10 %)',
        EventCount(
            EventSelection(
                ("product_viewed",),
                (Comparison("category", Compare.EQ, (Literal("tea"),)),),
                products=(
                    ProductCondition(Stock.OUT_OF_STOCK, True),
                    ProductCondition(price_drop=DecimalUnits(100_000)),
                ),
            ),
            *ONCE,
        ),
    ),
    ('rfm purchases in cell "at risk"', RfmInCell("purchases", ("at risk",))),
    (
        'rfm engagement moved from any to "sleeping" in last 7 days',
        RfmMoved("engagement", (), ("sleeping",), 7 * DAY_US),
    ),
    ("cohort of contacts added this calendar month", InCohort(None, Calendar(Period.MONTH, 0, 1))),
    ('was in segment "VIP" at any time in last 90 days', WasIn(Group.SEGMENT, "VIP", last(90))),
    (
        'status has been "waiting" for at least 3 days',
        HasBeen(Comparison("status", Compare.EQ, (Literal("waiting"),)), 3 * DAY_US),
    ),
    ('random bucket 0 to 999 of "experiment 7"', RandomBucket(0, 999, "experiment 7")),
)


@pytest.mark.parametrize(("text", "node"), MEANT)
def test_a_phrase_says_what_was_meant(text: str, node: Node) -> None:
    assert parse(text).nodes == (node,)


def test_never_holds_a_not() -> None:
    rule = parse('was never in list "guests" and not was never in list "guests"')
    ops = [node.op.value for node in rule.nodes if isinstance(node, Branch)]
    assert ops == ["not", "not", "not", "and"]
    assert parse(format_rule(rule)) == rule


def test_conditions_on_the_product_leave_the_rest_of_a_filter_as_it_is() -> None:
    text = "did product_viewed (product was out of stock and {0} and product now in stock)"
    for rest in ('category = "tea"', '(category = "tea" or not price > 5)', 'price > 5 and category = "tea"'):
        [count] = parse(text.format(rest)).nodes
        [plain] = parse(f"did product_viewed ({rest})").nodes
        assert isinstance(count, EventCount)
        assert isinstance(plain, EventCount)
        assert count.events.filter == plain.events.filter
        assert count.events.products == (ProductCondition(Stock.OUT_OF_STOCK, True), ProductCondition(Stock.IN_STOCK))
