"""The engine against the oracle over a real year of shopping: every count and every member of every node.

A sample of 5 % of Complete Journey's households in every run, all 2,469 under `make fault`. The facts are made of the
rows of the data, not of what the services made of them, and reach the engine out of order and in many batches. The
engine holds all households at once; the slow oracle reads them a handful at a time, because nobody's answer depends on
anybody else's facts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from random import Random

import numpy as np
import pytest

from core.clock import DAY_US, SECOND_US
from core.events.columns import Event, EventColumnsBuilder
from core.events.facts import AttributeWrite, ContactFact, ContactState
from core.index.index import Index
from core.index.root import Root
from core.index.snapshot import decode, encode
from core.query.binding.bind import bind
from core.query.execute import evaluate
from core.query.text.format import format_rule
from core.query.text.parse import parse
from core.schema import DecimalUnits, Instant, Scalar
from core.segments.vocabulary import names_of
from services.demo import journey
from services.demo.journey import Household, Journey, Mailing, Redemption
from services.demo.segments import PARAMETRIC, SEGMENTS
from tests.generators.plain import plain_rule
from tests.generators.world import Happened, Logged
from tests.property.agreement import oracle_of

SAMPLE = 0.05
#: Households that the oracle reads at a time.
CHUNK = 125
#: Batches in which the facts of a chunk reach the engine.
BATCHES = 40


def instant(*when: int) -> int:
    """Microseconds of a UTC date and time."""
    return int(datetime(*when, tzinfo=UTC).timestamp()) * SECOND_US  # type: ignore[arg-type, misc]


#: Beside the speaking segments of the demo: windows that end at odd instants, calendars, lines bound to one product,
#: every aggregate, messages by kind, attributes, and branches that count.
TEXTS = (
    "did order_completed in last 16777216 seconds",
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
    'did order_completed (any item (category contains "wine" ignoring case or (brand = "Private" and discount > 1.5)))'
    " at least 10 times",
    "sum(order_completed.total) in last 30 days between 100 and 200.01",
    'sum(order_completed.items.quantity) where (any item (department = "FUEL")) in last 90 days > 1000',
    "avg(order_completed.total) more than 100 days ago < 25.5",
    "min(order_completed.total) in last 100 days <= 1 and max(order_completed.total) in last 100 days >= 100",
    "distinct(order_completed.items.product_id) last calendar quarter > 150",
    "max(order_completed.items.price) in last 60 days is missing",
    'did message_sent (campaign_type = "Type A") at least 2 times and received message (campaign = "campaign 18")'
    " and opened message at most 0 times",
    'at least 2 of (income_band in ("50-74K", "75-99K"), household_size is present, did coupon_redeemed,'
    ' home_ownership does not contain "own" ignoring case)',
    "created from 2017-01-15 until 2017-02-10 and not did order_completed in last 3 weeks",
    "did order_completed more than 300 days ago and did not order_completed in last 300 days",
)


class Year:
    """The facts of some households, a chunk of them at a time. Household i of the data is contact i."""

    def __init__(self, data: Journey) -> None:
        self.data = data
        self._contact = {one.number: number for number, one in enumerate(data.households)}
        self._catalogue = {one.number: one for one in data.products}
        self.departments = sorted({one.department for one in data.products if one.department})
        self.chunks = [data.households[start : start + CHUNK] for start in range(0, len(data.households), CHUNK)]

    def facts(self, households: tuple[Household, ...]) -> list[Logged]:
        """All that the rows say of them; half of the facts come late, anywhere behind the others."""
        found: list[Logged] = []
        for one in households:
            number, at_us = self._contact[one.number], one.first_basket_at_us
            found.append(ContactState(number, f"household-{one.number}", True, 1, at_us, 0))
            found.append(AttributeWrite(number, "created", Instant(at_us), at_us, True, 0))
            found += [AttributeWrite(number, name, text, at_us, True, 0) for name, text in one.traits.items()]
        numbers = {one.number for one in households}
        letters = ((one.household, mailing(one)) for one in self.data.mailings)
        coupons = ((one.household, redemption(one)) for one in self.data.redemptions)
        found += [Happened(self._contact[one], event) for one, event in (*letters, *coupons) if one in numbers]
        found += self._orders(numbers)
        random = Random(len(found))
        late = {number for number in range(len(found)) if random.random() < 0.5}
        order = sorted(late, key=lambda _: random.random())
        return [line for number, line in enumerate(found) if number not in late] + [found[number] for number in order]

    def _orders(self, households: set[int]) -> Iterator[Happened]:
        orders, lines = self.data.orders, self.data.lines
        columns = (lines.product, lines.quantity, lines.price_units, lines.discount_units)
        for row in np.flatnonzero(np.isin(orders.household, list(households))).tolist():
            first, end = orders.first_line[row : row + 2].tolist()
            items = tuple(self._item(*line) for line in zip(*(c[first:end].tolist() for c in columns), strict=True))
            number, at_us = int(orders.number[row]), int(orders.at_us[row])
            params: dict[str, Scalar] = {
                "store": str(orders.store[row]),
                "total": DecimalUnits(int(orders.total_units[row])),
            }
            event = Event(f"order-{number}", "order_completed", at_us, at_us, params=params, items=items)
            yield Happened(self._contact[int(orders.household[row])], event)

    def _item(self, product: int, quantity: int, price_units: int, discount_units: int) -> Mapping[str, Scalar]:
        fields: dict[str, Scalar] = {"product_id": str(product), "quantity": quantity}
        known = self._catalogue.get(product)
        if known is not None:
            texts = {"category": known.category, "department": known.department, "brand": known.brand}
            fields |= {name: text for name, text in texts.items() if text}
        if price_units >= 0:
            fields["price"] = DecimalUnits(price_units)
        if discount_units:
            fields["discount"] = DecimalUnits(discount_units)
        return fields


def mailing(one: Mailing) -> Event:
    """A letter on paper."""
    name = f"mailing-{one.campaign}-{one.household}"
    params = {
        "message_id": name,
        "kind": "promo",
        "channel": "paper mail",
        "campaign": f"campaign {one.campaign}",
        "campaign_type": one.campaign_type,
    }
    return Event(name, "message_sent", one.at_us, one.at_us, params=params)


def redemption(one: Redemption) -> Event:
    """A coupon at the till."""
    name = f"coupon-{one.coupon}-{one.campaign}-{one.at_us}-{one.household}"
    return Event(name, "coupon_redeemed", one.at_us, one.at_us, params={"coupon": str(one.coupon)})


def root_of(year: Year) -> Root:
    """The engine's index of the year, with a restart from a snapshot in the middle of every chunk."""
    index, position = Index(), 0
    for chunk in year.chunks:
        log = year.facts(chunk)
        cuts = np.linspace(0, len(log), BATCHES + 1).astype(int).tolist()
        for number, (start, end) in enumerate(pairwise(cuts)):
            position += 1
            fold(index, log[start:end], position)
            if number == BATCHES // 2:
                index = decode(encode(index.root()))
    return index.root()


def fold(index: Index, log: list[Logged], position: int) -> None:
    """One batch."""
    builder, contacts, others = EventColumnsBuilder(), list[int](), list[ContactFact]()
    for line in log:
        if isinstance(line, Happened):
            builder.add(line.event)
            contacts.append(line.contact)
        else:
            others.append(replace(line, before_event=len(contacts)))
    index.apply(replace(builder.build(), contacts=np.array(contacts, np.uint32)), others, position)


@dataclass(frozen=True, slots=True)
class Asked:
    """A text, at an instant, with a section or without."""

    text: str
    as_of_us: int
    parameters: Mapping[str, Scalar]


def questions(year: Year) -> list[Asked]:
    """Every text at the end of the data and at an instant on the edge of a window of some order."""
    at_us = year.data.orders.at_us
    edges = [int(at_us[len(at_us) * part // 7]) + days * DAY_US for part, days in ((3, 30), (4, 45), (5, 90))]
    texts = [*(spoken.text for spoken in SEGMENTS), *TEXTS]
    asked = []
    for number, text in enumerate(texts):
        edge_us = edges[number % len(edges)] + (-1, 0, 1)[number // len(edges) % 3]
        asked += [Asked(text, journey.END_US, {}), Asked(text, edge_us, {})]
    june_us = instant(2017, 6, 14, 3, 59, 59) + 999_999
    for number, section in enumerate(year.departments):
        asked.append(Asked(PARAMETRIC.text, june_us if number % 2 else journey.END_US, {"section": section}))
    return asked


def check(year: Year) -> None:
    """Every node of every question: the same people for the engine as for the oracle, and the same counts."""
    root = root_of(year)
    names = names_of(root, {spoken.name: parse(spoken.text) for spoken in SEGMENTS}, journey.ZONE)
    asked = questions(year)
    bound = [bind(parse(one.text), names) for one in asked]
    answers = [evaluate(b, root, one.as_of_us, one.parameters) for b, one in zip(bound, asked, strict=True)]
    seen = [0] * len(asked)
    for number, chunk in enumerate(year.chunks):
        oracle = oracle_of(year.facts(chunk), names)
        here = frozenset(range(number * CHUNK, number * CHUNK + len(chunk)))
        assert oracle.contacts.keys() == here
        for place, (one, b, answer) in enumerate(zip(asked, bound, answers, strict=True)):
            wanted = oracle.node_members(plain_rule(b.rule), one.as_of_us, one.parameters)
            for node, members in enumerate(answer.nodes):
                got = here.intersection(members.numbers().tolist())
                difference = sorted(got ^ wanted[node])
                assert not difference, (
                    f"contacts {difference[:5]}, node {node} of {format_rule(b.rule)!r} as of {one.as_of_us} with "
                    f"{dict(one.parameters)}: engine {len(got)}, oracle {len(wanted[node])}"
                )
            seen[place] += oracle.counts(wanted[len(answer.nodes) - 1])[0]
    for one, answer, total in zip(asked, answers, seen, strict=True):
        counts = answer.counts(root)
        assert (counts.total, counts.known, counts.reachable) == (total, total, total), one
    telling = sum(0 < total < len(year.data.households) for total in seen)
    print(f"{len(asked)} questions, {telling} of them divide the {len(year.data.households)} households")
    assert telling > len(asked) / 2


@pytest.mark.slow
def test_the_engine_agrees_with_the_oracle_on_a_sample_of_the_journey() -> None:
    check(Year(journey.read(SAMPLE)))


@pytest.mark.fault
def test_the_engine_agrees_with_the_oracle_on_the_whole_journey() -> None:
    check(Year(journey.read()))
