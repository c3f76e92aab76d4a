"""The one mapping of source names to the canonical vocabulary.

Programs write "Order Completed", orderCompleted or order_completed, and coupon, promoCode or promo_code. Every name is
first brought into snake_case and then looked up here. A new source adds rows to these tables and nothing else; a name
that stands in no table is kept in its snake_case form. Mapping a canonical name gives that name again.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache

from core.events.vocabulary import (
    ATTRIBUTES,
    COMMON_PARAMS,
    EVENTS,
    ITEM_PARAMS,
    ORDER_PARAMS,
    PRODUCT_FIELDS,
    PRODUCT_PARAM,
)
from core.schema import Kind

#: Event names of sources (Segment's e-commerce, mobile and page specifications, eSputnik's web events) -> canonical.
EVENT_NAMES: Mapping[str, str] = {
    "page": "page_viewed",
    "screen": "screen_viewed",
    "application_opened": "app_opened",
    "application_installed": "app_installed",
    "user_signed_up": "signed_up",
    "user_signed_in": "signed_in",
    "product_list_filtered": "product_list_viewed",
    "product_added": "product_added_to_cart",
    "product_removed": "product_removed_from_cart",
    "wishlist_product_added_to_cart": "product_added_to_cart",
    "product_added_to_wishlist": "wishlist_added",
    "product_removed_from_wishlist": "wishlist_removed",
    "product_reviewed": "review_written",
    "order_placed": "order_created",
    "order_canceled": "order_cancelled",
    "order_returned": "order_refunded",
    "order_partially_refunded": "order_refunded",
    "order_partially_returned": "order_refunded",
    "form_submit": "form_submitted",
    "coupon_applied": "coupon_redeemed",
    "page_view": "page_viewed",
    "pageview": "page_viewed",
    "main_page": "page_viewed",
    "not_found": "page_not_found",
    "product_page": "product_viewed",
    "category_page": "product_list_viewed",
    "product_impression": "products_shown",
    "product_impressions": "products_shown",
    "search_request": "products_searched",
    "add_to_wishlist": "wishlist_added",
    "status_cart": "cart_updated",
    "status_cart_page": "cart_viewed",
    "purchased_items": "order_completed",
}

_ORDER = {
    **{"coupon": "promo_code", "affiliation": "store", "shipping_cost": "shipping"},
    **{"order_number": "order_id", "guid": "cart_id", "return_id": "refund_id"},
}
_PRODUCT = {
    **{"image": "image_url", "id": "product_id", "product_key": "product_id"},
    **{"is_in_stock": "in_stock", "isin_stock": "in_stock", "unit_price": "price", "price_currency_code": "currency"},
}
_CART = {**_ORDER, **_PRODUCT}
_ORDER_EVENTS = tuple(name for name in EVENTS if name.startswith("order_"))
_CART_EVENTS = tuple(name for name in EVENTS if "cart" in name or name == "checkout_started")
_PRODUCT_EVENTS = ("product_viewed", "product_clicked", "wishlist_added", "wishlist_removed")

#: Canonical event -> parameter names of sources -> canonical.
PARAM_NAMES: Mapping[str, Mapping[str, str]] = {
    **dict.fromkeys(_ORDER_EVENTS, _ORDER),
    **dict.fromkeys(_CART_EVENTS, _CART),
    **dict.fromkeys(_PRODUCT_EVENTS, _PRODUCT),
    "page_viewed": {"category": "section"},
    "coupon_redeemed": {"coupon_id": "coupon", "coupon_name": "coupon"},
    "review_written": {"review_rating": "rating"},
    "product_list_viewed": {"category_key": "category"},
    "products_searched": {"search": "query", "is_found": "found"},
}

#: Canonical event -> parameter -> source names that fill it when the event has none of its own; they stay as well.
FALLBACKS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    **{name: {"total": ("revenue", "value")} for name in _ORDER_EVENTS},
    "cart_updated": {"total": ("value",)},
    "cart_viewed": {"total": ("value",)},
    "checkout_started": {"total": ("revenue", "value")},
}

#: Fields of an order or cart line.
ITEM_NAMES: Mapping[str, str] = {**_PRODUCT, "title": "name", "coupon": "promo_code"}

#: Traits of a person.
ATTRIBUTE_NAMES: Mapping[str, str] = {
    "firstname": "first_name",
    "lastname": "last_name",
    "birthday": "birth_date",
    "birthdate": "birth_date",
    "created_at": "created",
    "address.city": "city",
    "address.country": "country",
    "locale": "language",
    "timezone": "time_zone",
    "user_email": "email",
    "user_phone": "phone",
    "user_name": "name",
    "user_city": "city",
}

#: Paths in the context of a call -> common parameters. What stands in no row is not kept.
CONTEXT_PARAMS: Mapping[str, str] = {
    "page.url": "url",
    "page.referrer": "referrer",
    "page.title": "title",
    "campaign.source": "utm_source",
    "campaign.medium": "utm_medium",
    "campaign.name": "utm_campaign",
    "campaign.term": "utm_term",
    "campaign.content": "utm_content",
    "device.type": "device",
    "os.name": "os",
    "locale": "language",
}

#: What browser SDKs write for a visitor who came from nowhere; it is no referrer.
NO_REFERRER = "$direct"

#: Properties that PostHog's SDKs add by themselves -> common parameters. Others that begin with "$" are not kept.
POSTHOG_PARAMS: Mapping[str, str] = {
    "$current_url": "url",
    "$pathname": "path",
    "$referrer": "referrer",
    "$title": "title",
    "$screen_name": "name",
    "$browser": "browser",
    "$os": "os",
    "$device_type": "device",
    "$browser_language": "language",
    "$groups": "groups",
}

#: Of these, what a program on a server says is about itself, and nothing about the person.
OF_THE_DEVICE = frozenset({"$browser", "$os", "$device_type", "$browser_language"})

#: Person properties with "$" that PostHog's integrations set -> attributes. Others that begin with "$" are not kept.
POSTHOG_ATTRIBUTES: Mapping[str, str] = {"$email": "email", "$phone": "phone", "$name": "name"}

#: Paths of a Segment-style call -> kinds of identifiers.
IDENTIFIER_PATHS: Mapping[str, str] = {
    "userId": "external_id",
    "anonymousId": "anonymous_id",
    "traits.email": "email",
    "traits.phone": "phone",
    "context.traits.email": "email",
    "context.traits.phone": "phone",
}

_CANONICAL = re.compile(r"[a-z0-9]+(?:[._][a-z0-9]+)*")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_GAPS = re.compile(r"[\s\x00-\x2d/\x3a-\x40\x5b-\x60\x7b-\x7f]+")


@lru_cache(65_536)
def snake_case(name: str) -> str:
    """`name` in lower case with words parted by "_"; dots stay. Letters of all scripts are kept. May be empty."""
    if _CANONICAL.fullmatch(name):
        return name
    parted = _GAPS.sub("_", unicodedata.normalize("NFC", _CAMEL.sub("_", name).lower()))
    return ".".join(part.strip("_") for part in parted.split(".") if part.strip("_"))


def event_type(name: str) -> str:
    """The canonical type of an event that a source calls `name`; empty when no letter or digit is in it."""
    snake = snake_case(name)
    return EVENT_NAMES.get(snake, snake)


def param_name(type_: str, name: str) -> str:
    """The canonical name of parameter `name` of events of the canonical `type_`."""
    snake = snake_case(name)
    return PARAM_NAMES.get(type_, {}).get(snake, snake)


def item_name(name: str) -> str:
    """The canonical name of a field of a line."""
    snake = snake_case(name)
    return ITEM_NAMES.get(snake, snake)


def attribute_name(name: str) -> str:
    """The canonical name of a trait."""
    snake = snake_case(name)
    return ATTRIBUTE_NAMES.get(snake, snake)


def param_kind(type_: str, name: str) -> Kind | None:
    """The kind that the vocabulary gives to a parameter; None: whatever is sent."""
    own = EVENTS.get(type_)
    if own is None and type_.startswith("order_"):
        own = ORDER_PARAMS  # any other status of an order
    kind = own.get(name) if own is not None else None
    return kind if kind is not None else COMMON_PARAMS.get(name)


def item_kind(name: str) -> Kind | None:
    """The kind of a line's field; None: whatever is sent."""
    return ITEM_PARAMS.get(name)


def product_kind(name: str) -> Kind | None:
    """The kind of a field of a catalogue product; None: whatever is sent."""
    return PRODUCT_FIELDS.get(name) or (Kind.TEXT if name.startswith(PRODUCT_PARAM) else None)


def attribute_kind(name: str) -> Kind | None:
    """The kind of an attribute; None: whatever is sent."""
    return ATTRIBUTES.get(name)
