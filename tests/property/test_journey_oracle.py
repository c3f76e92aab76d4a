"""The engine against the oracle over a real year of shopping: every count and every member of every node.

A sample of 5 % of Complete Journey's households in every run, all 2,469 under `make fault`. The facts are made of the
rows of the data, not of what the services made of them, and reach the engine out of order and in many batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import Random

import pytest

from core.clock import DAY_US, HOUR_US, SECOND_US
from core.events.columns import Event, EventColumnsBuilder
from core.events.facts import AttributeWrite, ContactFact, ContactState
from core.index.contact_set import ContactSet
from core.index.index import Index
from core.index.root import Root
from core.index.snapshot import decode, encode
from core.query.bind import bind
from core.query.format import format_rule
from core.query.names import Names
from core.query.parse import parse
from core.schema import DecimalUnits, Instant, Scalar
from core.segments.vocabulary import names_of
from services.demo import journey
from services.demo.journey import Journey, Mailing, Redemption
from services.demo.segments import PARAMETRIC, SEGMENTS
from tests.generators.scene import Question
from tests.generators.world import Happened, Logged
from tests.oracle import Oracle
from tests.property.agreement import compare, oracle_of


def at(*when: int) -> int:
    """Microseconds of a UTC date and time."""
    return int(datetime(*when, tzinfo=UTC).timestamp()) * SECOND_US  # type: ignore[arg-type,misc]


#: Beside the speaking segments of the demo: windows that end at odd instants, calendars, lines bound to one product,
#: every aggregate, messages by kind, attributes, and branches that count.
TEXTS = (
    "did order_completed in last 16_777_216 seconds".replace("_", ""),
    "did order_completed at least 3 times in last 90 hours",
    "did order_completed exactly 2 times between 37 and 61 days ago",
    "did order_completed between 2 and 4 times from 2017-03-11 through 2017-03-12",
    "did order_completed from 2017-11-05T05:59:59.999999Z until 2017-11-05T06:00:00.000001Z "
    "or did order_completed (total < 2.5) from 2017-11-05 through 2017-11-05",
    "did order_completed at least 5 times last calendar month",
    "did order_completed this calendar week in UTC and not did order_completed this calendar day",
    "did order_completed at least 12 times in last 120 days for the same store",
    "did order_completed at least 4 times in last 200 days for the same product_id",
    'did order_completed (any item (department = "DELI" and price >= 10) and total between 20 and 80) in last 45 days',
    'did order_completed (any item (category contains "wine" ignoring case or brand = "Private" and discount > 1.5))'
    " at least 10 times",
    "sum(order_completed.total) in last 30 days between 100 and 200.01",
    'sum(order_completed.items.quantity) where (any item (department = "FUEL")) in last 90 days > 1000',
    "avg(order_completed.total) more than 100 days ago < 25.5",
    "min(order_completed.total) in last 100 days <= 1 and max(order_completed.total) in last 100 days >= 100",
    "distinct(order_completed.items.product_id) last calendar quarter > 150",
    "max(order_completed.items.price) in last 60 days is missing",
    'received message (campaign_type = "Type A") at least 2 times and opened message at most 0 times',
    'at least 2 of (income_band in ("50-74K", "75-99K"), household_size is present, did coupon_redeemed,'
    ' home_ownership does not contain "own" ignoring case)',
    "created from 2017-01-15 until 2017-02-10 and not did order_completed in last 3 weeks",
    "did order_completed more than 300 days ago and did not order_completed in last 300 days",
)


@dataclass(frozen=True, slots=True)
class Year:
    """The facts of some households, the engine and the oracle that hold them, and the departments."""

    log: tuple[Logged, ...]
    root: Root
    names: Names
    oracle: Oracle
    departments: tuple[str, ...]
    numbers: int


def facts(data: Journey) -> Iterator[Logged]:
    """Everything that the rows say, by kind; households are contacts 0, 1, ..."""
    contact = {one.number: number for number, one in enumerate(data.households)}
    for one in data.households:
        number, at_us = contact[one.number], one.first_basket_at_us
        yield ContactState(number, f"household-{one.number}", True, 1, at_us, 0)
        yield AttributeWrite(number, "created", Instant(at_us), at_us, True, 0)
        for name, text in one.traits.items():
            yield AttributeWrite(number, name, text, at_us, True, 0)
    for sent in (*data.mailings, *data.redemptions):
        yield Happened(contact[sent.household], message(sent))
    yield from orders(data, contact)


def message(one: Mailing | Redemption) -> Event:
    """A mailing or a coupon as an event."""
    if isinstance(one, Mailing):
        name = f"mailing-{one.campaign}-{one.household}"
        params: dict[str, Scalar] = {
            "message_id": name, "kind": "promo", "channel": "paper mail", "campaign_type": one.campaign_type,
        }  # fmt: skip
        return Event(name, "message_sent", one.at_us, one.at_us, params=params)
    name = f"coupon-{one.coupon}-{one.campaign}-{one.at_us}-{one.household}"
    return Event(name, "coupon_redeemed", one.at_us, one.at_us, params={"coupon": str(one.coupon)})


def orders(data: Journey, contact: dict[int, int]) -> Iterator[Happened]:
    """The baskets with their lines."""
    catalogue = {one.number: one for one in data.products}
    lines, first = data.lines, data.orders.first_line.tolist()
    columns = (lines.product, lines.quantity, lines.price_units, lines.discount_units)
    rows = [tuple(row) for row in zip(*(column.tolist() for column in columns), strict=True)]

    def item(product: int, quantity: int, price: int, discount: int) -> dict[str, Scalar]:
        known = catalogue.get(product)
        fields: dict[str, Scalar] = {"product_id": str(product), "quantity": quantity}
        if known is not None:
            texts = {"category": known.category, "department": known.department, "brand": known.brand}
            fields |= {name: text for name, text in texts.items() if text}
        fields |= {"price": DecimalUnits(price)} if price >= 0 else {}
        return fields | ({"discount": DecimalUnits(discount)} if discount else {})

    heads = (data.orders.number, data.orders.household, data.orders.store, data.orders.at_us, data.orders.total_units)
    for row, (number, household, store, at_us, total) in enumerate(zip(*(h.tolist() for h in heads), strict=True)):
        params: dict[str, Scalar] = {"store": str(store), "total": DecimalUnits(total)}
        items = tuple(item(*line) for line in rows[first[row] : first[row + 1]])
        yield Happened(contact[household], Event(str(number), "order_completed", at_us, at_us, params=params, items=items))


def index_of(random: Random, log: tuple[Logged, ...], batches: int) -> Root:
    """The engine's index of the log in about so many batches, with a published root or a restart now and then."""
    cuts = sorted(random.sample(range(1, len(log)), batches - 1))
    index = Index()
    for position, (start, end) in enumerate(zip((0, *cuts), (*cuts, len(log)), strict=True), start=1):
        builder, contacts, others = EventColumnsBuilder(), [], list[ContactFact]()
        for line in log[start:end]:
            if isinstance(line, Happened):
                builder.add(line.event)
                contacts.append(line.contact)
            else:
                others.append(replace(line, before_event=len(contacts)))
        columns = builder.build()
        index.apply(replace(columns, contacts=_numbers(contacts)), others, position)
        if random.random() < 0.2:
            index.root()
        if position == batches // 2:
            index = decode(encode(index.root()))
    return index.root()


def _numbers(contacts: list[int]):  # type: ignore[no-untyped-def]
    import numpy as np

    return np.array(contacts, np.uint32)


def year_of(share: float, random: Random, batches: int) -> Year:
    """The year of a share of the households; half of the facts come late, anywhere in the log."""
    data = journey.read(share)
    log = list(facts(data))
    late = [line for line in log if random.random() < 0.5]
    random.shuffle(late)
    kept = set(map(id, late))
    log = [line for line in log if id(line) not in kept] + late
    root = index_of(random, tuple(log), batches)
    saved = {spoken.name: parse(spoken.text) for spoken in SEGMENTS}
    names = names_of(root, saved, journey.ZONE)
    departments = tuple(sorted({one.department for one in data.products if one.department}))
    return Year(tuple(log), root, names, oracle_of(log, names), departments, len(data.households))
