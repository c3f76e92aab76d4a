"""A visit to the demo shop in a real Chromium, from the landing to the order, and what arrives of it."""

from __future__ import annotations

import gzip
from pathlib import Path

from core.events.columns import MACHINE, Event
from core.schema import DecimalUnits
from services.ingest.tracker.http import SCRIPT
from tests.browser.stage import staged

STORED = "JSON.stringify([document.cookie, Object.keys(localStorage).filter(k => k.startsWith('cdp_'))])"


def test_the_script_is_small_and_stands_alone() -> None:
    source = SCRIPT.read_bytes()
    assert len(gzip.compress(source, 9)) <= 6 << 10
    for word in (b"import ", b"require(", b"eval(", b"document.write"):
        assert word not in source


async def test_from_the_landing_to_the_order(chromium: str, tmp_path: Path) -> None:
    async with staged(chromium, tmp_path) as stage:
        landing = stage.at("index.html?utm_source=news&utm_medium=email&utm_campaign=spring&utm_content=top#cups")
        page = await stage.page(landing)
        await page.goto(stage.at("category.html?c=tea"))
        await page.click("#filters [data-brand=Kaori]")
        await page.goto(stage.at("search.html?q=lemon"))
        await page.goto(stage.at("search.html?q=vodka"))
        await page.goto(stage.at("product.html?id=gaiwan"))
        await page.click("[data-wish=gaiwan]")
        await page.click("#product [data-add=gaiwan]")
        await page.click("#product [data-add=gaiwan]")
        await page.click("[data-add=assam]")
        await page.goto(stage.at("cart.html"))
        await page.click("[data-less=gaiwan]")
        await page.click("[data-less=assam]")
        await page.run("document.querySelector('[name=email]').value = 'Ann@Example.com'")
        await page.click("#checkout button")
        await page.until("location.pathname === '/done.html' && document.body.dataset.drawn === 'yes'")
        await stage.until(lambda events: sum(one.type == "page_viewed" for one in events) == 7, "all seven pages")
        events = await stage.events()
        check_types([event.type for event in events if event.type not in ("page_viewed", "site_visited")])
        check_visit(events)
        check_cart_and_order(events)
        persons = await stage.facts()
        told = [{one.kind: one.value for one in fact.profile.identifiers} for fact in persons]
        [visitor] = {one.value for event in events for one in event.identifiers}
        assert {"anonymous_id": visitor, "email": "Ann@Example.com"} in told
        [source] = [fact.profile.attributes for fact in persons if "last_source" in fact.profile.attributes]
        assert (source["last_source"].text, source["last_campaign"].text) == ("news", "spring")
        await page.until(f"JSON.parse({STORED})[1].join() === 'cdp_visit'")


def check_types(types: list[str]) -> None:
    """What the shop told, in its order; a change of the cart is told with the whole cart after it."""
    added, removed, whole = "product_added_to_cart", "product_removed_from_cart", "cart_updated"
    assert sorted(types) == sorted(
        [
            *("product_list_viewed", "product_list_viewed", "products_searched", "products_searched"),
            *("product_viewed", "wishlist_added", added, whole, added, whole, added, whole),
            *(removed, whole, removed, whole, "order_completed"),
        ]
    )


def check_visit(events: list[Event]) -> None:
    """The visit's first event says what does not change within it; every event has the visit's source."""
    [visit] = [event for event in events if event.type == "site_visited"]
    wanted = {
        **{"new_visitor": True, "first_utm_source": "news", "first_utm_campaign": "spring", "utm_content": "top"},
        **{"device": "desktop", "browser": "Chrome", "os": "Linux", "os_version": "6.12.0", "browser_version": "150.0"},
    }
    assert {name: visit.params.get(name) for name in wanted} == wanted
    assert visit.params["screen_width"] == 800
    assert str(visit.params["language"]).startswith("en")
    for event in events:
        assert (event.params["utm_source"], event.params["utm_medium"]) == ("news", "email")
        assert (event.params["device"], event.params["browser"], event.params["os"]) == ("desktop", "Chrome", "Linux")
        assert event.flags & MACHINE == 0
        assert "screen_width" not in event.params or event is visit
    cart = next(event for event in events if event.params.get("url", "").__str__().endswith("/cart.html"))
    assert str(cart.params["referrer"]).endswith("/product.html?id=gaiwan")


def check_cart_and_order(events: list[Event]) -> None:
    """Whole carts and their differences agree, and the order is what was in the last one."""
    carts = [
        {str(line["product_id"]): line["quantity"] for line in event.items}
        for event in events
        if event.type == "cart_updated"
    ]
    assert carts == [{"gaiwan": 1}, {"gaiwan": 2}, {"gaiwan": 2, "assam": 1}, {"gaiwan": 1, "assam": 1}, {"gaiwan": 1}]
    changes = [
        (event.type.split("_")[1], event.params["product_id"], event.params["quantity"], event.params["price"])
        for event in events
        if event.type.startswith("product_") and event.type.endswith("_cart")
    ]
    gaiwan, assam = DecimalUnits(240_000), DecimalUnits(82_000)
    assert changes == [
        *(("added", "gaiwan", 1, gaiwan), ("added", "gaiwan", 1, gaiwan), ("added", "assam", 1, assam)),
        *(("removed", "gaiwan", 1, gaiwan), ("removed", "assam", 1, assam)),
    ]
    [order] = [event for event in events if event.type == "order_completed"]
    assert order.id == f"order:{order.params['order_id']}:completed"
    assert (order.params["total"], order.params["currency"]) == (gaiwan, "USD")
    assert [(line["product_id"], line["quantity"]) for line in order.items] == [("gaiwan", 1)]
    assert order.params["cart_id"] == next(event for event in events if event.type == "cart_updated").params["cart_id"]
    searches = [event.params for event in events if event.type == "products_searched"]
    assert [(one["query"], one["found"]) for one in searches] == [("lemon", True), ("vodka", False)]
    assert [event.params.get("filters.brand") for event in events if event.type == "product_list_viewed"] == [
        None,
        "Kaori",
    ]


async def test_esputnik_calls_of_a_page(chromium: str, tmp_path: Path) -> None:
    async with staged(chromium, tmp_path) as stage:
        page = await stage.page()

        async def cart(guid: str, *lines: str) -> None:
            listed = ", ".join(f"{{productKey: '{key}', price: '10 USD', quantity: '{count}'}}" for key, count in
                               (line.split(":") for line in lines))  # fmt: skip
            await page.run(f"eS('sendEvent', 'StatusCart', {{StatusCart: [{listed}], GUID: '{guid}'}})")

        await cart("g1", "a:1")
        await cart("g2", "a:3", "b:1")
        await cart("g2", "a:3", "b:1")
        await cart("g3", "b:1")
        await cart("g4")
        await page.run("eS('sendEvent', 'StatusCart', 7); eS('sendEvent'); eS('noSuchCall', {}); 0")
        await page.run("eS('sendEvent', 'MainPage')")
        main = lambda events: any(event.params.get("section") == "main" for event in events)  # noqa: E731
        await stage.until(main, "the main page")
        events = await stage.events()
        assert [
            (event.params.get("cart_id"), len(event.items)) for event in events if event.type == "cart_updated"
        ] == [
            *(("g1", 1), ("g2", 2), ("g2", 2), ("g3", 1), ("g4", 0)),
        ]
        changes = [
            (event.type, event.params["product_id"], event.params["quantity"], event.params["currency"])
            for event in events
            if event.type in ("product_added_to_cart", "product_removed_from_cart")
        ]
        added, removed = "product_added_to_cart", "product_removed_from_cart"
        assert changes == [
            *((added, "a", 1, "USD"), (added, "a", 2, "USD"), (added, "b", 1, "USD")),
            *((removed, "a", 3, "USD"), (removed, "b", 1, "USD")),
        ]


async def test_a_driven_browser_is_a_machine(chromium: str, tmp_path: Path) -> None:
    async with staged(chromium, tmp_path, as_person=False) as stage:
        await stage.page()
        assert (await stage.event("page_viewed")).flags & MACHINE
        assert all(event.flags & MACHINE for event in await stage.events())
