"""Rates and conversions: exact, by the day, the same on both ways through the door."""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Context, Decimal
from random import Random

import pytest

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2 as pb
from core.errors import CdpError
from core.events.columns import Event
from core.money.rates import RATE_SCALE, Rate, Rates, checked_rate, converted, currency_code
from core.schema import MAX_DECIMAL_UNITS, DecimalUnits
from services.ingest.accept import take_item
from services.ingest.writer import BatchWriter
from tests.unit.ingest.house import NOW_US

EXACT = Context(prec=100, rounding=ROUND_HALF_EVEN)
V = facts_pb2.Value


def test_conversion_is_half_even_to_a_unit() -> None:
    for seed in range(2_000):
        random = Random(seed)
        units = random.choice((1, -1)) * random.choice((random.randrange(10), random.randrange(10**12)))
        scaled = random.choice((RATE_SCALE // 2, RATE_SCALE * 3 // 2, random.randrange(1, 10**14)))
        wanted = EXACT.multiply(Decimal(units), Decimal(scaled).scaleb(-12)).to_integral_value(ROUND_HALF_EVEN)
        assert converted(DecimalUnits(units), Rate("EUR", 0, scaled)) == DecimalUnits(int(wanted)), f"seed {seed}"


def test_what_becomes_too_large_is_told() -> None:
    assert converted(DecimalUnits(MAX_DECIMAL_UNITS), Rate("EUR", 0, 2 * RATE_SCALE)) is None
    assert converted(DecimalUnits(MAX_DECIMAL_UNITS), Rate("EUR", 0, RATE_SCALE)) == DecimalUnits(MAX_DECIMAL_UNITS)


def test_the_latest_rate_that_is_not_dated_later_counts() -> None:
    rates = Rates("USD").with_rates([Rate("EUR", 20, 2), Rate("EUR", 10, 1), Rate("UAH", 0, 5)], 1)
    assert [found and found.scaled for found in (rates.at("EUR", at) for at in (9, 10, 19, 20, 99))] == [
        None,
        1,
        1,
        2,
        2,
    ]
    replaced = rates.with_rates([Rate("EUR", 10, 7)], 2)
    assert (replaced.at("EUR", 10), rates.at("EUR", 10)) == (Rate("EUR", 10, 7), Rate("EUR", 10, 1))
    assert [(one.currency, one.from_us) for one in replaced.all()] == [("EUR", 20), ("EUR", 10), ("UAH", 0)]


NO_NUMBERS = ("0", "-1", "1e3", "1.0000000000001", "", "\N{ARABIC-INDIC DIGIT ONE}")


@pytest.mark.parametrize(
    ("currency", "rate"), [("EU", "1"), ("eur", "1"), ("USD", "1"), *(("EUR", rate) for rate in NO_NUMBERS)]
)
def test_what_is_no_rate(currency: str, rate: str) -> None:
    with pytest.raises(CdpError) as refused:
        checked_rate(currency, 0, rate, "USD", "rates[0]")
    assert refused.value.violations[0].path.startswith("rates[0].")


def test_rates_are_shown_as_they_were_told() -> None:
    for text in ("41.25", "0.000000000001", "1", "100"):
        assert checked_rate("EUR", 0, text, "USD", "").text == text
    assert currency_code(" eur ") == "EUR"
    assert currency_code("€") is None


def orders(random: Random) -> pb.BatchItem:
    """An order or an event with money in some currency."""
    currency = random.choice(("", "USD", "EUR", "eur", "UAH", "€"))
    params = {"total": V(decimal_units=random.randrange(10**6)), "note": V(text="x")}
    if currency:
        params["currency"] = V(text=currency)
    lines = []
    for _ in range(random.randrange(3)):
        fields = {"price": V(decimal_units=random.randrange(10**6)), "quantity": V(integer=2)}
        if random.random() < 0.3:
            fields["currency"] = V(text=random.choice(("USD", "EUR", "UAH")))
        lines.append(facts_pb2.Object(fields=fields))
    made = pb.Order(order_id=f"o{random.randrange(10**9)}", status="completed", params=params, items=lines)
    made.identifiers.add(kind="external_id", value="ann")
    return pb.BatchItem(order=made)


def taken(item: pb.BatchItem, rates: Rates, *, quickly: bool) -> tuple[str, list[Event]]:
    """What becomes of an item; an untidy text keeps it off the quick way."""
    writer = BatchWriter()
    writer.rates = rates
    copy = pb.BatchItem.FromString(item.SerializeToString())
    if not quickly:
        copy.order.params["note"].text = "e\u0301"
    outcome = take_item(writer, copy, NOW_US)
    reason = outcome.refusal.reason if outcome.refusal else ""
    events = []
    for event in writer.columns().rows():
        params = {name: value for name, value in event.params.items() if name != "note"}
        events.append(replace(event, params=params))
    return reason, events


def test_the_quick_way_and_the_thorough_one_agree() -> None:
    rates = Rates("USD").with_rates([Rate("EUR", 0, RATE_SCALE * 11 // 10)], 1)
    refused = 0
    for seed in range(300):
        item = orders(Random(seed))
        quick, thorough = (taken(item, rates, quickly=one) for one in (True, False))
        assert quick == thorough, f"seed {seed}"
        refused += quick[0] == "NO_RATE"
    assert refused > 20
