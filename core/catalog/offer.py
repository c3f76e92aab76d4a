"""An item of a feed, whatever its format: texts under the names of Google Merchant in, a product of the catalogue out.

Readers of formats bring every source's names onto these; so the rules of prices, stock and dates stand here once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo

from core.catalog.changes import Standing
from core.catalog.money import BAD_PRICE, Money, money_from_text
from core.catalog.sale_dates import ALWAYS, SaleDates, sale_dates_from_text
from core.catalog.stock import MANY, available_from_text, known_stock, stock_from_text
from core.events.canonical import snake_case
from core.events.checks import BAD_NAME, BAD_TEXT, Bad, clean_text
from core.money.at_home import NO_RATE, ORIGINAL, is_foreign
from core.money.rates import Rates, converted
from core.schema import DecimalUnits, Instant, Scalar

NO_PRODUCT_ID = "NO_PRODUCT_ID"
NO_PRICE = "NO_PRICE"
FIELD_TOO_LARGE = "FIELD_TOO_LARGE"
TOO_MANY_FIELDS = "TOO_MANY_FIELDS"

MAX_ID_CHARACTERS = 256
MAX_FIELD_CHARACTERS = 4_096
MAX_PARAMS = 200
_MAX_PARAM_NAME = 100
PARAM = "param."

#: Texts of an item -> fields of the product. What stands neither here nor below is not kept: descriptions, above all,
#: are long, and nobody asks a segment for them.
TEXT_FIELDS: Mapping[str, str] = {
    "title": "name",
    "link": "url",
    "image_link": "image_url",
    "brand": "brand",
    "product_type": "category",
    "item_group_id": "group_id",
    "mpn": "sku",
    "gtin": "gtin",
    "condition": "condition",
    "color": "color",
    "size": "size",
    "material": "material",
    "gender": "gender",
    "age_group": "age_group",
    "custom_label_0": "custom_label_0",
    "custom_label_1": "custom_label_1",
    "custom_label_2": "custom_label_2",
    "custom_label_3": "custom_label_3",
    "custom_label_4": "custom_label_4",
}
#: Names that have rules of their own. `currency` counts for prices that name none.
RULED = frozenset({"id", "price", "sale_price", "sale_price_effective_date", "availability", "quantity", "currency"})
#: All names that a reader may give, besides `param.` and a name of the shop's own.
KNOWN = RULED | TEXT_FIELDS.keys()

_LINES = re.compile(r"\s*[\r\n\t]\s*")
_CURRENCY = re.compile(r"[A-Za-z]{3}")


@dataclass(frozen=True, slots=True)
class OfferRules:
    """What an import decides once: when it speaks of (`now_us`), the currency of prices that name none, the limit of
    low stock that each product is told with, the zone of sale dates that name none, and the rates by which prices come
    into the workspace's currency (None: they stay as they are told)."""

    now_us: int
    currency: str
    low_stock: int
    zone: tzinfo
    rates: Rates | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """A product as the feed tells it now. `next_edge_us`: when its sale begins or ends next."""

    product_id: str
    fields: dict[str, Scalar]
    standing: Standing
    next_edge_us: int | None


@dataclass(frozen=True, slots=True)
class Refused:
    """An item that cannot be kept. `product_id` is empty where it has no usable one."""

    product_id: str
    reason: str
    description: str


def offer_of(raw: Mapping[str, str], rules: OfferRules) -> Offer | Refused:
    """The product that `raw` tells; see the names in KNOWN. An empty text is a missing one. The first thing that is
    wrong refuses the item."""
    product_id = _id_of(raw.get("id", ""))
    if isinstance(product_id, Bad):
        return Refused("", product_id.reason, f"id {product_id.description}")
    fields: dict[str, Scalar] = {}
    wrong = _put_texts(raw, fields)
    if wrong is not None:
        return Refused(product_id, *wrong)
    price = _money(raw, "price", rules.currency)
    if price is None:
        return Refused(product_id, NO_PRICE, "price is missing")
    if isinstance(price, Bad):
        return Refused(product_id, price.reason, f"price {price.description}")
    at_home = _put_price(fields, "price", price, rules)
    if isinstance(at_home, Bad):
        return Refused(product_id, at_home.reason, f"price {at_home.description}")
    fields["currency"] = price.currency
    stock = _stock(raw)
    if isinstance(stock, Bad):
        return Refused(product_id, stock.reason, stock.description)
    if stock is not None:
        if stock != MANY:
            fields["stock"] = stock
        fields["available"] = stock > 0
        fields["low_stock"] = rules.low_stock
    sale = _money(raw, "sale_price", price.currency)
    if sale is None or (isinstance(sale, Money) and sale.units == 0):  # programs write 0 where there is no sale
        return Offer(product_id, fields, Standing(stock, at_home, None), None)
    dates = _dates(raw, rules.zone)
    if isinstance(sale, Bad):
        return Refused(product_id, sale.reason, f"sale_price {sale.description}")
    if sale.currency != price.currency:
        return Refused(product_id, BAD_PRICE, f"sale_price is in {sale.currency}, price in {price.currency}")
    if isinstance(dates, Bad):
        return Refused(product_id, dates.reason, f"sale_price_effective_date {dates.description}")
    sale_units: int | None = None
    if dates.hold(rules.now_us):
        sale_at_home = _put_price(fields, "sale_price", sale, rules)
        if isinstance(sale_at_home, Bad):
            return Refused(product_id, sale_at_home.reason, f"sale_price {sale_at_home.description}")
        sale_units = sale_at_home
        if dates is not ALWAYS:
            fields["sale_ends"] = Instant(dates.until_us)
    return Offer(product_id, fields, Standing(stock, at_home, sale_units), dates.next_edge_us(rules.now_us))


def _id_of(text: str) -> str | Bad:
    product_id = clean_text(text.strip())
    if isinstance(product_id, Bad):
        return Bad(NO_PRODUCT_ID, product_id.description)
    if not 1 <= len(product_id) <= MAX_ID_CHARACTERS:
        return Bad(NO_PRODUCT_ID, f"has 1 to {MAX_ID_CHARACTERS} characters, this has {len(product_id)}")
    return product_id


def _put_texts(raw: Mapping[str, str], fields: dict[str, Scalar]) -> tuple[str, str] | None:
    """Put the plain texts of an item into `fields`; (reason, description) of the first that is wrong."""
    params = 0
    for name, text in raw.items():
        field = TEXT_FIELDS.get(name)
        if field is None:
            if not name.startswith(PARAM):
                continue
            params += 1
            own = snake_case(name[len(PARAM) :]).replace(".", "_")
            if not own or len(own) > _MAX_PARAM_NAME:
                return BAD_NAME, f"a parameter has a name of 1 to {_MAX_PARAM_NAME} letters and digits"
            if params > MAX_PARAMS:
                return TOO_MANY_FIELDS, f"an item has at most {MAX_PARAMS} parameters"
            field = PARAM + own
        if len(text) > MAX_FIELD_CHARACTERS:
            return FIELD_TOO_LARGE, f"{name[:100]} has {len(text)} characters, at most {MAX_FIELD_CHARACTERS} are kept"
        kept = clean_text(text.strip())
        if isinstance(kept, Bad):
            return BAD_TEXT, f"{name[:100]} {kept.description}"
        if kept:
            fields[field] = kept if kept.isprintable() else _LINES.sub(" ", kept)
    return None


def _money(raw: Mapping[str, str], name: str, default: str) -> Money | Bad | None:
    text = raw.get(name)
    if not text or text.isspace():
        return None
    found = money_from_text(text)
    if isinstance(found, Bad) or found.currency:
        return found
    told = raw.get("currency", "").strip()
    if not told:
        return Money(found.units, default)
    return Money(found.units, told.upper()) if _CURRENCY.fullmatch(told) else Bad(BAD_PRICE, "is of no known currency")


def _put_price(fields: dict[str, Scalar], name: str, told: Money, rules: OfferRules) -> int | Bad:
    """Put a price into `fields` in the workspace's currency, with what was told beside it where that is another; its
    units."""
    rates = rules.rates
    if rates is None or not is_foreign(told.currency, rates.home):
        fields[name] = DecimalUnits(told.units)
        return told.units
    rate = rates.at(told.currency, rules.now_us)
    if rate is None:
        what = f"is in {told.currency}, of which there is no rate to {rates.home} now; set one (MoneyService.SetRates)"
        return Bad(NO_RATE, what)
    found = converted(DecimalUnits(told.units), rate)
    if found is None:
        return Bad(BAD_PRICE, f"is larger than 9e14 in {rates.home}")
    fields[name] = found
    fields[f"{name}{ORIGINAL}"] = DecimalUnits(told.units)
    return found.units


def _stock(raw: Mapping[str, str]) -> int | Bad | None:
    word, count = raw.get("availability"), raw.get("quantity")
    available = available_from_text(word) if word and not word.isspace() else None
    if isinstance(available, Bad):
        return Bad(available.reason, f"availability {available.description}")
    counted = stock_from_text(count) if count and not count.isspace() else None
    if isinstance(counted, Bad):
        return Bad(counted.reason, f"quantity {counted.description}")
    return known_stock(available, counted)


def _dates(raw: Mapping[str, str], zone: tzinfo) -> SaleDates | Bad:
    text = raw.get("sale_price_effective_date")
    return sale_dates_from_text(text, zone) if text and not text.isspace() else ALWAYS
