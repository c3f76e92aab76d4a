"""The canonical vocabulary: event names, their parameters and contact attributes that every shop shares.

Sources map onto these names (services/ingest); segments, templates and scenarios are written in them. A workspace may
send other names as well; their kinds are learned from the first value seen.
"""

from __future__ import annotations

from collections.abc import Mapping

from core.schema import Kind

#: Parameters that any event may carry.
COMMON_PARAMS: Mapping[str, Kind] = {
    "url": Kind.TEXT,
    "referrer": Kind.TEXT,
    "title": Kind.TEXT,
    "utm_source": Kind.TEXT,
    "utm_medium": Kind.TEXT,
    "utm_campaign": Kind.TEXT,
    "device": Kind.TEXT,
    "browser": Kind.TEXT,
    "os": Kind.TEXT,
    "language": Kind.TEXT,
    "channel": Kind.TEXT,
    "currency": Kind.TEXT,
}

PRODUCT_PARAMS: Mapping[str, Kind] = {
    "product_id": Kind.TEXT,
    "sku": Kind.TEXT,
    "name": Kind.TEXT,
    "category": Kind.TEXT,
    "brand": Kind.TEXT,
    "department": Kind.TEXT,
    "variant": Kind.TEXT,
    "price": Kind.DECIMAL,
    "quantity": Kind.INTEGER,
    "image_url": Kind.TEXT,
    "section": Kind.TEXT,
    "in_stock": Kind.BOOLEAN,
    "price_original": Kind.DECIMAL,
}

#: Parameters of the first event of a visit to a site: what does not change within it is told once.
VISIT_PARAMS: Mapping[str, Kind] = {
    "device_brand": Kind.TEXT,
    "device_model": Kind.TEXT,
    "browser_version": Kind.TEXT,
    "os_version": Kind.TEXT,
    "screen_width": Kind.INTEGER,
    "screen_height": Kind.INTEGER,
    "country": Kind.TEXT,
    "new_visitor": Kind.BOOLEAN,
    "first_utm_source": Kind.TEXT,
    "first_utm_medium": Kind.TEXT,
    "first_utm_campaign": Kind.TEXT,
    "first_referrer": Kind.TEXT,
}

#: Fields of an order or cart line.
ITEM_PARAMS: Mapping[str, Kind] = {
    **PRODUCT_PARAMS,
    "url": Kind.TEXT,
    **dict.fromkeys(("discount", "amount", "discount_original", "amount_original"), Kind.DECIMAL),
}

#: Fields of a product of the catalogue, as feeds and calls tell them.
PRODUCT_FIELDS: Mapping[str, Kind] = {
    **ITEM_PARAMS,
    "stock": Kind.INTEGER,
    "sale_price": Kind.DECIMAL,
    "sale_price_original": Kind.DECIMAL,
    "sale_ends": Kind.INSTANT,
    "available": Kind.BOOLEAN,
    "low_stock": Kind.INTEGER,
    "currency": Kind.TEXT,
    "url": Kind.TEXT,
    "group_id": Kind.TEXT,
    "gtin": Kind.TEXT,
    "condition": Kind.TEXT,
    "color": Kind.TEXT,
    "size": Kind.TEXT,
    "material": Kind.TEXT,
    "gender": Kind.TEXT,
    "age_group": Kind.TEXT,
    **dict.fromkeys((f"custom_label_{number}" for number in range(5)), Kind.TEXT),
}
#: Parameters of a product in feeds stand under names that begin so; they are texts.
PRODUCT_PARAM = "param."

ORDER_PARAMS: Mapping[str, Kind] = {
    "order_id": Kind.TEXT,
    "cart_id": Kind.TEXT,
    "status": Kind.TEXT,
    "total": Kind.DECIMAL,
    "discount": Kind.DECIMAL,
    "shipping": Kind.DECIMAL,
    "promo_code": Kind.TEXT,
    "store": Kind.TEXT,
    "refund_id": Kind.TEXT,
    "amount": Kind.DECIMAL,
    **dict.fromkeys(("total_original", "discount_original", "shipping_original", "amount_original"), Kind.DECIMAL),
}

#: Parameters of message activity; `kind` is promo, trigger or transactional, `bounce` (of message_bounced) one of
#: core.delivery.bounces.BounceClass, `time_zone` (of message_sent) the zone of
#: the contact when it was sent.
MESSAGE_PARAMS: Mapping[str, Kind] = {
    "message_id": Kind.TEXT,
    "kind": Kind.TEXT,
    "link": Kind.TEXT,
    "campaign": Kind.TEXT,
    "scenario": Kind.TEXT,
    "run_id": Kind.TEXT,
    "step": Kind.TEXT,
    "template": Kind.TEXT,
    "variant": Kind.TEXT,
    "reason": Kind.TEXT,
    "bounce": Kind.TEXT,
    "time_zone": Kind.TEXT,
}

#: Parameters of what happens to a personal coupon; `value` is in the workspace's currency or in per cent (`unit`).
COUPON_PARAMS: Mapping[str, Kind] = {
    "coupon": Kind.TEXT,
    "campaign": Kind.TEXT,
    "pool": Kind.TEXT,
    "occasion": Kind.TEXT,
    "value": Kind.DECIMAL,
    "unit": Kind.TEXT,
    "order_id": Kind.TEXT,
    "expires_at": Kind.INSTANT,
    "other_person": Kind.BOOLEAN,
}

_PRODUCT_EVENTS = ("product_viewed", "product_clicked", "wishlist_added", "wishlist_removed")
_CART_EVENTS = (
    "product_added_to_cart",
    "product_removed_from_cart",
    "cart_updated",
    "cart_viewed",
    "checkout_started",
)
_ORDER_EVENTS = (
    "order_created",
    "order_completed",
    "order_updated",
    "order_cancelled",
    "order_refunded",
    "order_corrected",
)
_MESSAGE_EVENTS = (
    "message_sent",
    "message_delivered",
    "message_opened",
    "message_clicked",
    "message_bounced",
    "message_unsubscribed",
    "message_complained",
)

#: Canonical event -> its own parameters (COMMON_PARAMS come on top).
EVENTS: Mapping[str, Mapping[str, Kind]] = {
    "page_viewed": {"section": Kind.TEXT, "path": Kind.TEXT},
    "screen_viewed": {"name": Kind.TEXT},
    "page_not_found": {},
    "site_visited": VISIT_PARAMS,
    "app_opened": {},
    "app_installed": {},
    "signed_up": {},
    "signed_in": {},
    "product_list_viewed": {"category": Kind.TEXT, "list_id": Kind.TEXT, "section": Kind.TEXT},
    "products_shown": {"list_id": Kind.TEXT, "section": Kind.TEXT},
    "products_searched": {"query": Kind.TEXT, "found": Kind.BOOLEAN},
    "promotion_viewed": {"promotion_id": Kind.TEXT, "section": Kind.TEXT},
    "promotion_clicked": {"promotion_id": Kind.TEXT, "section": Kind.TEXT},
    **dict.fromkeys(("coupon_issued", "coupon_redeemed", "coupon_expired"), COUPON_PARAMS),
    "review_read": {"product_id": Kind.TEXT},
    "review_written": {"product_id": Kind.TEXT, "rating": Kind.INTEGER},
    "chat_opened": {},
    "scenario_entered": {"scenario": Kind.TEXT},
    "scenario_left": {"scenario": Kind.TEXT},
    "survey_answered": {
        "survey": Kind.TEXT,
        "question": Kind.TEXT,
        "answer": Kind.TEXT,
        "score": Kind.INTEGER,
    },
    "form_submitted": {
        "form": Kind.TEXT,
        "email": Kind.TEXT,
        "phone": Kind.TEXT,
        "list": Kind.TEXT,
        "lists": Kind.TEXT_LIST,
        "consents": Kind.TEXT_LIST,
        "double_opt_in": Kind.BOOLEAN,
        "coupon_pool": Kind.TEXT,
    },
    **dict.fromkeys(_PRODUCT_EVENTS, PRODUCT_PARAMS),
    **{name: {**PRODUCT_PARAMS, **ORDER_PARAMS} for name in _CART_EVENTS},
    **dict.fromkeys(_ORDER_EVENTS, ORDER_PARAMS),
    **dict.fromkeys(_MESSAGE_EVENTS, MESSAGE_PARAMS),
    "list_link_clicked": {**MESSAGE_PARAMS, **dict.fromkeys(("answer", "to_list", "from_list"), Kind.TEXT)},
    **{name: {"popup": Kind.TEXT} for name in ("popup_shown", "popup_closed", "popup_answered")},
}

#: Canonical attributes of a contact.
ATTRIBUTES: Mapping[str, Kind] = {
    "external_id": Kind.TEXT,
    "email": Kind.TEXT,
    "phone": Kind.TEXT,
    "first_name": Kind.TEXT,
    "last_name": Kind.TEXT,
    "name": Kind.TEXT,
    "gender": Kind.TEXT,
    "birth_date": Kind.DATE,
    "age": Kind.INTEGER,
    "country": Kind.TEXT,
    "city": Kind.TEXT,
    "language": Kind.TEXT,
    "time_zone": Kind.TEXT,
    "location": Kind.LOCATION,
    "created": Kind.INSTANT,
    "marital_status": Kind.TEXT,
    "loyalty_status": Kind.TEXT,
    "nps": Kind.INTEGER,
    "last_source": Kind.TEXT,
    "last_medium": Kind.TEXT,
    "last_campaign": Kind.TEXT,
    "loyalty_tags": Kind.TEXT_LIST,
    "children": Kind.OBJECT_LIST,
    "bases": Kind.TEXT_LIST,
}

#: Canonical fields of the elements of lists of objects.
ELEMENTS: Mapping[tuple[str, str], Kind] = {
    ("children", "name"): Kind.TEXT,
    ("children", "gender"): Kind.TEXT,
    ("children", "age"): Kind.INTEGER,
    ("children", "birth_date"): Kind.DATE,
}
