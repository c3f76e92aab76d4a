"""eSputnik-style events, as shops send them, become the canonical events; the texts are those of its documents."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from core.events.canonical import event_type
from core.events.columns import Event, Identifier
from core.schema import DecimalUnits
from services.ingest.tracker.web_events import as_call
from tests.unit.ingest.house import House
from tests.unit.ingest.test_tracker_devices import WINDOWS

CART = {
    "StatusCart": [
        {"productKey": "24-MB02", "price": "153", "quantity": "1", "currency": "USD", "tag_something": ["aaa"]},
        {"productKey": "123-321", "price": "450.00 USD", "quantity": "3"},
    ],
    "GUID": "2b914e9c",
}
CART_WITH_TAGS = {
    "StatusCart": {
        "GUID": "2b914e9c",
        "Products": [{"productKey": "430738", "price": 201.95, "discount": 180, "quantity": 1}],
        "Tags": {"some_tags": ["1", "a2"]},
    }
}


async def sent(house: House, name: str, properties: Any) -> Event:
    """The one event that became of a web event."""
    call = {"type": "web", "event": name, "properties": properties, "anonymousId": "cookie-1"}
    body = {"writeKey": house.key, "batch": [call]}
    answer = await house.http.post("/t", json=body, headers={"user-agent": WINDOWS})
    assert (answer.status_code, answer.json().get("rejected")) == (200, None), answer.json()
    [event] = await house.events()
    return event


def own(event: Event) -> dict[str, object]:
    """Parameters without those that the browser tells."""
    return {name: value for name, value in event.params.items() if name not in ("device", "browser", "os")}


@pytest.mark.parametrize(
    ("name", "properties", "type_", "params"),
    [
        (
            "ProductPage",
            {"ProductPage": {"productKey": "24-MB02", "price": "153", "isInStock": 1, "tag_a": ["x", "y"]}},
            "product_viewed",
            {"product_id": "24-MB02", "price": DecimalUnits(1_530_000), "in_stock": True, "tag_a": ("x", "y")},
        ),
        (
            "ProductPage",
            {"ProductPage": {"Product": {"productKey": "72354", "price": "754 USD", "isInStock": "0"}}},
            "product_viewed",
            {"product_id": "72354", "price": DecimalUnits(7_540_000), "currency": "USD", "in_stock": False},
        ),
        ("CategoryPage", {"CategoryPage": {"categoryKey": "Babies"}}, "product_list_viewed", {"category": "Babies"}),
        (
            "AddToWishlist",
            {"AddToWishlist": {"productKey": "24-MB02", "price": "153"}},
            "wishlist_added",
            {"product_id": "24-MB02", "price": DecimalUnits(1_530_000)},
        ),
        (
            "SearchRequest",
            {"SearchRequest": {"search": "Coffee", "isFound": 0}},
            "products_searched",
            {"query": "Coffee", "found": False},
        ),
        ("MainPage", None, "page_viewed", {"section": "main"}),
        ("NotFound", None, "page_not_found", {}),
        ("PageView", {"PageView": {}}, "page_viewed", {}),
    ],
)
async def test_single_events(house: House, name: str, properties: Any, type_: str, params: dict[str, object]) -> None:
    event = await sent(house, name, properties)
    assert (event.type, own(event)) == (type_, params)


async def test_the_cart_is_the_whole_state(house: House) -> None:
    event = await sent(house, "StatusCart", CART)
    assert (event.type, own(event)) == ("cart_updated", {"cart_id": "2b914e9c"})
    assert event.items == (
        {"product_id": "24-MB02", "price": DecimalUnits(1_530_000), "quantity": 1, "currency": "USD"},
        {"product_id": "123-321", "price": DecimalUnits(4_500_000), "quantity": 3, "currency": "USD"},
    )


async def test_the_cart_with_tags(house: House) -> None:
    event = await sent(house, "StatusCart", CART_WITH_TAGS)
    assert own(event) == {"cart_id": "2b914e9c", "some_tags": ("1", "a2")}
    assert [line["product_id"] for line in event.items] == ["430738"]


async def test_an_empty_list_empties_the_cart(house: House) -> None:
    event = await sent(house, "StatusCart", {"StatusCart": [], "GUID": "2c914e9c"})
    assert (event.type, event.items, own(event)) == ("cart_updated", (), {"cart_id": "2c914e9c"})


async def test_impressions(house: House) -> None:
    shown = [{"product_id": "430968", "container_type": "1253"}, {"product_id": "430738", "container_type": "1253"}]
    event = await sent(house, "ProductImpressions", {"ProductImpression": shown})
    assert (event.type, [line["product_id"] for line in event.items]) == ("products_shown", ["430968", "430738"])


async def test_an_order_counts_once_and_has_its_exact_total(house: House) -> None:
    lines = [
        {"product_id": "1", "unit_price": "0.1", "quantity": "3"},
        {"productKey": "2", "price": 2.5, "quantity": 2},
    ]
    event = await sent(house, "PurchasedItems", {"OrderNumber": "123/2017", "PurchasedItems": lines, "GUID": "g"})
    assert (event.type, event.id) == ("order_completed", "order:123/2017:completed")
    assert event.params["total"] == DecimalUnits(53_000)
    assert (event.params["order_id"], event.params["cart_id"]) == ("123/2017", "g")
    assert [line["price"] for line in event.items] == [DecimalUnits(1_000), DecimalUnits(25_000)]


async def test_who_it_is_comes_along_with_any_event(house: House) -> None:
    who = {"externalCustomerId": "1234509876", "user_email": "example@email.com", "user_phone": "380501234567"}
    event = await sent(house, "ProductPage", {"GeneralInfo": who, "ProductPage": {"productKey": "24-WG02"}})
    assert set(event.identifiers) >= {
        Identifier("external_id", "1234509876"),
        Identifier("email", "example@email.com"),
        Identifier("anonymous_id", "cookie-1"),
    }
    assert own(event) == {"product_id": "24-WG02"}


async def test_customer_data(house: House) -> None:
    data = {"externalCustomerId": "7", "user_email": "ann@example.com", "user_name": "Ann", "user_city": "Gdańsk"}
    call = {"type": "web", "event": "CustomerData", "properties": {"CustomerData": data}, "anonymousId": "cookie-1"}
    answer = await house.http.post("/t", json={"writeKey": house.key, "batch": [call]})
    assert answer.status_code == 200
    [fact] = await house.facts()
    assert {(one.kind, one.value) for one in fact.profile.identifiers} == {
        ("external_id", "7"),
        ("anonymous_id", "cookie-1"),
        ("email", "ann@example.com"),
    }
    assert {name: value.text for name, value in fact.profile.attributes.items()} == {"name": "Ann", "city": "Gdańsk"}


def test_totals_are_exact_or_not_told() -> None:
    def total(*lines: Any) -> object:
        call = as_call({"type": "web", "event": "PurchasedItems", "properties": {"PurchasedItems": list(lines)}})
        properties = call["properties"]
        assert isinstance(properties, dict)
        return properties.get("total")

    assert total({"price": "999999999999.9999", "quantity": 900}) == Decimal("899999999999999.91")
    assert total({"price": "1 UAH", "quantity": "2"}, {"price": 3, "quantity": 1}) == 5
    for line in ({"price": 1}, {"quantity": 1}, {"price": "x", "quantity": 1}, {"price": "1e-9", "quantity": 1}, 7):
        assert total({"price": 1, "quantity": 1}, line) is None
    numbers: list[object] = ["NaN", "Infinity", "1e999999", True, None, []]
    for number in numbers:
        assert total({"price": number, "quantity": 1}) is None
    assert total() is None


@pytest.mark.parametrize(
    "call", [{}, {"type": "web"}, {"type": "web", "event": 7}, {"type": "track", "event": "MainPage"}]
)
def test_what_is_no_web_event_stays_as_it_is(call: dict[str, object]) -> None:
    assert as_call(call) == call


@pytest.mark.parametrize(
    "properties", [None, 7, [], {"StatusCart": None}, {"StatusCart": 7}, {"StatusCart": [7, None]}]
)
def test_odd_shapes_do_not_break(properties: object) -> None:
    assert as_call({"type": "web", "event": "StatusCart", "properties": properties})["type"] == "track"


@pytest.mark.parametrize("properties", [None, 7, {}, {"StatusCart": None}, {"StatusCart": {"GUID": "g"}}])
async def test_a_cart_without_its_list_is_refused(house: House, properties: object) -> None:
    call = {"type": "web", "event": "StatusCart", "properties": properties, "anonymousId": "cookie-1"}
    answer = await house.http.post("/t", json={"writeKey": house.key, "batch": [call]})
    [told] = answer.json()["rejected"]
    assert (told["reason"], told["path"]) == ("WRONG_TYPE", "batch[0].properties.products")
    assert await house.events() == []


def test_every_name_is_canonical() -> None:
    names = "ProductPage CategoryPage StatusCart PurchasedItems AddToWishlist SearchRequest ProductImpressions MainPage"
    assert [event_type(name) for name in names.split()] == [
        *("product_viewed", "product_list_viewed", "cart_updated", "order_completed", "wishlist_added"),
        *("products_searched", "products_shown", "page_viewed"),
    ]
