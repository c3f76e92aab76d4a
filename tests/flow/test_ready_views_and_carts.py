"""N1, N2, N3 and N16 through all services: views, carts and promotions, with every fallback and early exit."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from core.schema import DecimalUnits
from tests.flow.ready_house import EVERY_CHANNEL, House, Params, ready_house
from tests.flow.ready_watch import html_of

pytestmark = pytest.mark.slow

TEA: Params = {
    "product_id": "t1",
    "category": "tea",
    "name": "Green tea",
    "price": DecimalUnits(59_900),
    "section": "drinks",
}
CUP: Params = {
    "product_id": "c1",
    "category": "cups",
    "name": "Cup",
    "price": DecimalUnits(120_000),
    "section": "kitchen",
}
NO_MAIL = tuple(channel for channel in EVERY_CHANNEL if channel != "email")


async def test_views_and_carts(tmp_path: Path) -> None:
    async with ready_house(tmp_path) as house:
        for user in ("ann", "bea", "cat"):
            await house.person(user)
        await house.person("dan", NO_MAIL, first_name="Dan")
        await house.person("eve", ("email", "sms"))
        await house.stock(t1=("5.99", 5, "tea"), c1=("12.00", 5, "cups"))
        await abandoned_cart(house)
        await abandoned_view(house)
        await recommendations(house)
        await category_promotion(house)


async def abandoned_cart(house: House) -> None:
    """N3. Ann does nothing, Bea opens the letter, Cat buys after an hour, Dan did not agree to email, Eve to email and
    SMS alone."""
    name = await house.take(3)
    people = ("ann", "bea", "cat", "dan", "eve")
    for user in people:
        await house.track(
            user, "cart_updated", {"cart_id": f"of {user}", "total": DecimalUnits(119_800)}, [{**TEA, "quantity": 2}]
        )
    for user in people:
        await house.stands(name, user, "wait_for_purchase", 2 * HOUR_US)
    await house.let_pass(HOUR_US)
    await house.buy("cat", TEA, cart_id="of cat")
    await house.ends(name, "cat", "exit_when")
    await house.let_pass(HOUR_US)
    for user in ("ann", "bea", "dan", "eve"):
        await house.stands(name, user, "wait_for_open", 2 * HOUR_US + DAY_US)
    letter = await house.letter("ann", 1)
    assert letter["Subject"] == "Your cart is waiting"
    assert "Green tea" in html_of(letter) and "11.98" in html_of(letter)
    await house.open(await house.letter("bea", 1))
    await house.got("bea", "n03_cart")
    assert await house.refusals("dan") == [("n03_cart", "NO_CONSENT")]
    await house.holds("bea", "opened message in last 1 days")

    await house.let_pass(DAY_US)
    for user in ("ann", "bea", "dan", "eve"):
        await house.stands(name, user, "wait_again", 3 * DAY_US)
    await house.got("ann", "n03_cart", "n03_push")
    await house.got("bea", "n03_cart")
    await house.got("dan", "n03_push")
    await house.got("eve", "n03_cart")
    assert [one["title"] for one in house.pushes["ann"]] == ["Still in your cart"]
    # Bea looked, and buys before the offer.
    await house.let_pass(DAY_US)
    await house.buy("bea", TEA, cart_id="of bea")
    await house.ends(name, "bea", "exit_when")
    await house.let_pass(22 * HOUR_US)
    way = ["wait_for_purchase", "email", "wait_for_open", "opened", "push", "wait_again", "bought", "offer", "done"]
    for user in ("ann", "dan", "eve"):
        assert await house.ends(name, user, "done") == way
    await house.got("ann", "n03_cart", "n03_push", "n03_offer_messenger")
    # Nothing tells that it was delivered: within an hour the next channel takes over.
    await house.let_pass(HOUR_US)
    await house.got("ann", "n03_cart", "n03_push", "n03_offer_text")
    await house.got("eve", "n03_cart", "n03_offer_text")
    await house.got("bea", "n03_cart")
    await house.got("cat")
    await house.put_away(name)


async def abandoned_view(house: House) -> None:
    """N2. Ann looks at tea and then at a cup and buys nothing, Bea buys the tea before the letter, Cat after it, Dan
    did not agree to email and buys another product, Eve did not agree to web pushes."""
    name = await house.take(2)
    before = await house.so_far()
    people = ("ann", "bea", "cat", "dan", "eve")
    for user in people:
        await house.track(user, "product_viewed", TEA)
    for user in people:
        await house.stands(name, user, "two_hours", 2 * HOUR_US)
    await house.let_pass(MINUTE_US)
    await house.track("ann", "product_viewed", CUP)
    assert await house.ends(name, "ann", "another product came first", 2) == ["first_of_the_visit", "not_the_first"]
    await house.buy("bea", TEA)
    await house.ends(name, "bea", "exit_when")
    await house.buy("dan", CUP)
    await house.let_pass(2 * HOUR_US - MINUTE_US)
    await house.stands(name, "ann", "a_day", 2 * HOUR_US + DAY_US, run=1)
    for user in ("cat", "dan", "eve"):
        await house.stands(name, user, "a_day", 2 * HOUR_US + DAY_US)
    letter = await house.letter("ann", 2)
    assert "Green tea" in letter["Subject"]
    await house.let_pass(HOUR_US)
    await house.buy("cat", TEA)
    await house.ends(name, "cat", "exit_when")
    await house.let_pass(DAY_US)
    for user in ("dan", "eve"):
        await house.ends(name, user, "done")
    await house.got("ann", "n02_letter", "n02_offer_push", since=before)
    await house.got("bea", since=before)
    await house.got("cat", "n02_letter", since=before)
    await house.got("dan", "n02_offer_push", since=before)
    await house.got("eve", "n02_letter", "n02_offer_text", since=before)
    await house.put_away(name)


async def recommendations(house: House) -> None:
    """N1. Ann buys nothing, Bea of the category before the first letter, Cat of it before the second, Dan did not agree
    to email."""
    name = await house.take(1)
    before = await house.so_far()
    people = ("ann", "bea", "cat", "dan")
    for user in people:
        await house.track(user, "product_viewed", TEA)
    for user in people:
        await house.stands(name, user, "three_days", 3 * DAY_US)
    await house.let_pass(DAY_US)
    await house.buy("bea", TEA)
    await house.buy("ann", CUP)
    await house.ends(name, "bea", "exit_when")
    await house.let_pass(2 * DAY_US)
    for user in ("ann", "cat", "dan"):
        await house.stands(name, user, "rest_of_the_week", 7 * DAY_US)
    await house.got("ann", "n01_viewed", since=before)
    viewed = html_of(house.letters("ann")[-1])
    assert "You viewed" in viewed and "Product t1" in viewed
    await house.buy("cat", TEA)
    await house.ends(name, "cat", "exit_when")
    await house.let_pass(4 * DAY_US)
    for user in ("ann", "dan"):
        assert await house.ends(name, user, "done") == [
            "three_days", "viewed", "rest_of_the_week", "recommended", "done",
        ]  # fmt: skip
    await house.got("ann", "n01_viewed", "n01_recommended", since=before)
    await house.got("bea", since=before)
    await house.got("cat", "n01_viewed", since=before)
    await house.got("dan", since=before)
    await house.put_away(name)


async def category_promotion(house: House) -> None:
    """N16. Ann looked into the section, Bea bought from it, Cat never saw it, Dan did not agree to email, and Eve buys
    from it within the hour."""
    name = await house.take(16)
    await house.let_pass(60 * DAY_US)
    before = await house.so_far()
    people = ("ann", "bea", "cat", "dan", "eve")
    for user in ("ann", "bea", "dan", "eve"):
        await house.track(user, "product_viewed", TEA)
    await house.buy("bea", TEA)
    await house.let_pass(SECOND_US)
    for user in people:
        await house.track(user, "promotion_clicked", {"promotion_id": "autumn", "section": "drinks"})
    for user in people:
        await house.stands(name, user, "an_hour", HOUR_US)
    await house.buy("eve", TEA)
    await house.ends(name, "eve", "exit_when")
    await house.let_pass(HOUR_US)
    for user in ("ann", "dan"):
        await house.ends(name, user, "done")
    for user in ("bea", "cat"):
        await house.ends(name, user, "not interested in this section")
    await house.got("ann", "n16_promotion", since=before)
    for user in ("bea", "cat", "dan", "eve"):
        await house.got(user, since=before)
    assert (await house.messages("ann"))[-1].message.values["section"].text == "drinks"
    await house.put_away(name)
