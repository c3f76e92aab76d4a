"""Items of feeds become products, or are refused with the reason."""

from __future__ import annotations

import random
from zoneinfo import ZoneInfo

import pytest

from core.catalog.changes import Standing, changes_between
from core.catalog.money import Money, money_from_text
from core.catalog.offer import Offer, OfferRules, Refused, offer_of
from core.catalog.sale_dates import SaleDates, sale_dates_from_text
from core.catalog.stock import MANY, available_from_text, stock_from_text
from core.events.checks import Bad
from core.events.facts import ProductChangeKind as Kind
from core.schema import DecimalUnits, Instant, parse_decimal

KYIV = ZoneInfo("Europe/Kyiv")
NOW_US = 1_790_000_000_000_000
RULES = OfferRules(NOW_US, "UAH", 5, KYIV)


@pytest.mark.parametrize(
    ("text", "amount", "currency"),
    [
        ("12.50 UAH", "12.5", "UAH"),
        ("UAH 12.50", "12.5", "UAH"),
        ("12,5", "12.5", ""),
        ("1 234,50 UAH", "1234.5", "UAH"),
        ("1\u00a0234\u00a0567", "1234567", ""),
        ("1,234,567.89usd", "1234567.89", "USD"),
        ("1.234,56", "1234.56", ""),
        ("1'234.5 CHF", "1234.5", "CHF"),
        ("0.0001", "0.0001", ""),
        (".5", "0.5", ""),
        ("0,125", "0.125", ""),
        ("12.50000", "12.5", ""),
        ("0", "0", ""),
    ],
)
def test_prices(text: str, amount: str, currency: str) -> None:
    assert money_from_text(text) == Money(parse_decimal(amount).units, currency)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "free",
        "-1",
        "1.23456",
        "1,234",
        "12,34,56",
        "UAH 5 USD",
        "1e5",
        "9" * 20,
        "NaN",
        "1.2.3",
        "١٢",
        "5 грн",
        "1 23",
        "$5",
    ],
)
def test_what_is_no_price(text: str) -> None:
    found = money_from_text(text)
    assert isinstance(found, Bad)
    assert found.reason == "BAD_PRICE"


def test_stock_words_and_numbers() -> None:
    assert available_from_text(" In Stock ") is True
    assert available_from_text("https://schema.org/OutOfStock") is False
    assert isinstance(available_from_text("maybe"), Bad)
    assert [stock_from_text(text) for text in ("7", " 7.0 ")] == [7, 7]
    assert all(isinstance(stock_from_text(text), Bad) for text in ("-1", "7.5", "", "many", "٣", "1" * 10))


def test_an_item_becomes_a_product() -> None:
    found = offer_of(
        {"id": " a1 ", "title": "Tea\n green", "price": "10 UAH", "sale_price": "8", "availability": "in_stock",
         "quantity": "3", "product_type": "Food > Tea", "param.Net Weight": "100 g"}, RULES,
    )  # fmt: skip
    assert isinstance(found, Offer)
    assert found.product_id == "a1"
    assert found.fields == {
        "name": "Tea green", "category": "Food > Tea", "param.net_weight": "100 g", "price": DecimalUnits(100_000),
        "currency": "UAH", "stock": 3, "available": True, "low_stock": 5, "sale_price": DecimalUnits(80_000),
    }  # fmt: skip
    assert found.standing == Standing(3, 100_000, 80_000)


def test_available_without_a_number_and_a_word_that_denies_the_number() -> None:
    some = offer_of({"id": "a", "price": "1", "availability": "in stock"}, RULES)
    assert isinstance(some, Offer)
    assert (some.standing.stock, some.fields.get("stock"), some.fields["available"]) == (MANY, None, True)
    none = offer_of({"id": "a", "price": "1", "availability": "out of stock", "quantity": "4"}, RULES)
    assert isinstance(none, Offer)
    assert (none.standing.stock, none.fields["stock"], none.fields["available"]) == (0, 0, False)
    unknown = offer_of({"id": "a", "price": "1"}, RULES)
    assert isinstance(unknown, Offer)
    assert unknown.standing.stock is None
    assert "available" not in unknown.fields


def test_a_sale_counts_between_its_dates_in_the_zone_of_the_workspace() -> None:
    # 2026-09-21 17:13:20 in Kyiv
    texts = {"2026-09-21/2026-09-21": True, "2026-09-22/2026-09-30": False, "2026-09-01/2026-09-20": False,
             "2026-09-21T17:13/2026-09-21T17:14": True, "2026-09-21T14:00Z/2026-09-21T14:13:20Z": False}  # fmt: skip
    for text, holds in texts.items():
        raw = {"id": "a", "price": "10", "sale_price": "8", "sale_price_effective_date": text}
        found = offer_of(raw, RULES)
        assert isinstance(found, Offer)
        assert ("sale_price" in found.fields) is holds, text
    dates = sale_dates_from_text("2026-09-21/2026-09-21", KYIV)
    assert dates == SaleDates(1_789_938_000_000_000, 1_790_024_400_000_000)
    raw = {"id": "a", "price": "10", "sale_price": "8", "sale_price_effective_date": "2026-09-21/2026-09-21"}
    on = offer_of(raw, RULES)
    assert isinstance(on, Offer)
    assert (on.fields["sale_ends"], on.next_edge_us) == (Instant(dates.until_us), dates.until_us)
    for wrong in ("2026-09-21", "2026-09-21/soon", "2026-09-21/2026-09-20", "2026-02-30/2026-03-01"):
        assert isinstance(sale_dates_from_text(wrong, KYIV), Bad), wrong


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ({"price": "1"}, "NO_PRODUCT_ID"),
        ({"id": "x" * 257, "price": "1"}, "NO_PRODUCT_ID"),
        ({"id": "a\x00", "price": "1"}, "NO_PRODUCT_ID"),
        ({"id": "a"}, "NO_PRICE"),
        ({"id": "a", "price": "1", "title": "\u202egnp"}, "BAD_TEXT"),
        ({"id": "a", "price": "1", "title": "t" * 4_097}, "FIELD_TOO_LARGE"),
        ({"id": "a", "price": "1 UAH", "sale_price": "1 USD"}, "BAD_PRICE"),
        ({"id": "a", "price": "1", "currency": "гривня"}, "BAD_PRICE"),
        ({"id": "a", "price": "1", "param.": "x"}, "BAD_NAME"),
        ({"id": "a", "price": "1", "quantity": "lots"}, "BAD_STOCK"),
        ({"id": "a", "price": "1", **{f"param.n{i}": "x" for i in range(201)}}, "TOO_MANY_FIELDS"),
    ],
)
def test_refusals(raw: dict[str, str], reason: str) -> None:
    found = offer_of(raw, RULES)
    assert isinstance(found, Refused)
    assert found.reason == reason


def test_changes_of_stock_and_price() -> None:
    def told(before: Standing | None, now: Standing) -> list[str]:
        return [one.kind.name.lower() for one in changes_between(before, now, 5)]

    assert told(None, Standing(1, 1, None)) == ["new"]
    assert told(Standing(MANY, 1, None), Standing(1, 1, None)) == ["running_low", "last_item"]
    assert told(Standing(4, 1, None), Standing(3, 1, None)) == []
    assert told(Standing(3, 1, None), Standing(4, 1, None)) == []
    assert told(Standing(0, 1, None), Standing(1, 1, None)) == ["back_in_stock"]
    assert told(Standing(None, 1, None), Standing(0, 1, None)) == []
    assert told(Standing(2, 10, None), Standing(0, 12, None)) == ["out_of_stock", "price_raised"]
    assert told(Standing(2, 10, 8), Standing(2, 10, None)) == ["price_raised", "promotion_ended"]
    assert told(Standing(2, 10, 10), Standing(2, 10, 9)) == ["price_dropped", "promotion_started"]


def test_a_rounded_fall_keeps_every_comparison_exact() -> None:
    seed = 11
    chance = random.Random(seed)
    for _ in range(2_000):
        before, now, percent = chance.randrange(1, 10**9), chance.randrange(10**9), chance.randrange(1, 10**6)
        (change,) = changes_between(Standing(1, before, None), Standing(1, now, None), 5) or (None,)
        if change is None or change.kind is not Kind.PRICE_DROPPED:
            continue
        true = 100 * 10_000 * (before - now) >= percent * before
        assert (change.percent_units >= percent) is true, f"seed {seed}: {before} -> {now}, {percent}"
