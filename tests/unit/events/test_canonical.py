"""Names of sources become names of the vocabulary, and stay so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.events import canonical
from core.events.vocabulary import ATTRIBUTES, EVENTS, ITEM_PARAMS


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("Product Viewed", "product_viewed"),
        ("productViewed", "product_viewed"),
        ("product-viewed", "product_viewed"),
        (" PRODUCT VIEWED ", "product_viewed"),
        ("Product Added", "product_added_to_cart"),
        ("Order Canceled", "order_cancelled"),
        ("Application Opened", "app_opened"),
        ("HTMLPage Read2Times", "html_page_read2_times"),
        ("Покупка Товару", "покупка_товару"),
        ("checkout.step.2", "checkout.step.2"),
        ("?!", ""),
    ],
)
def test_event_names(name: str, type_: str) -> None:
    assert canonical.event_type(name) == type_


def test_names_of_parameters_depend_on_the_event() -> None:
    assert canonical.param_name("order_completed", "coupon") == "promo_code"
    assert canonical.param_name("coupon_redeemed", "coupon") == "coupon"
    assert canonical.param_name("page_viewed", "Category") == "section"
    assert canonical.item_name("imageUrl") == canonical.item_name("image") == "image_url"
    assert canonical.attribute_name("firstName") == canonical.attribute_name("firstname") == "first_name"


def test_what_is_canonical_stays() -> None:
    for type_, params in EVENTS.items():
        assert canonical.event_type(type_) == type_
        for name in params:
            assert canonical.param_name(type_, name) == name
    assert [canonical.item_name(name) for name in ITEM_PARAMS] == list(ITEM_PARAMS)
    assert [canonical.attribute_name(name) for name in ATTRIBUTES] == list(ATTRIBUTES)


def test_the_tables_lead_to_the_vocabulary() -> None:
    assert set(canonical.EVENT_NAMES.values()) <= set(EVENTS)
    assert set(canonical.PARAM_NAMES) <= set(EVENTS)
    for type_, names in canonical.PARAM_NAMES.items():
        for name in names.values():
            assert canonical.param_kind(type_, name) is not None, (type_, name)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_mapping_twice_changes_nothing(name: str) -> None:
    once = canonical.event_type(name)
    assert canonical.event_type(once) == once
