"""N4, N6 and N7 through all services: products that come back, run out or are the last, with fallbacks and exits."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.clock import DAY_US, HOUR_US, SECOND_US
from tests.flow.ready_house import EVERY_CHANNEL, House, Params, ready_house
from tests.flow.ready_watch import html_of

pytestmark = pytest.mark.slow

TEA: Params = {"product_id": "t1", "category": "tea"}
CUP: Params = {"product_id": "c1", "category": "cups"}
NO_MAIL = tuple(channel for channel in EVERY_CHANNEL if channel != "email")


async def test_products(tmp_path: Path) -> None:
    async with ready_house(tmp_path) as house:
        for user in ("ann", "bea", "cat", "eve", "fay"):
            await house.person(user)
        await house.person("dan", NO_MAIL)
        await house.stock(t1=("5.99", 0, "tea"), c1=("12.00", 20, "cups"))
        await wishlist(house)
        await back_in_stock(house)
        await scarcity(house)


async def wishlist(house: House) -> None:
    """N4. All wish the tea; Bea thinks better of it, Cat buys it within the day, Dan did not agree to email, and Eve
    bought it after she wished it."""
    name = await house.take(4)
    for user in ("ann", "bea", "cat", "dan", "eve"):
        await house.track(user, "wishlist_added", TEA)
    await house.let_pass(SECOND_US)
    await house.track("bea", "wishlist_removed", TEA)
    await house.buy("eve", TEA)
    await house.holds("bea", "did wishlist_removed")
    await house.holds("eve", "did order_completed")
    await house.stock(t1=("5.99", 20, "tea"), c1=("12.00", 20, "cups"))
    for user in ("ann", "cat", "dan"):
        await house.stands(name, user, "a_day", DAY_US)
    await house.buy("cat", TEA)
    await house.ends(name, "cat", "exit_when")
    letter = await house.letter("ann", 1)
    assert "is back in stock" in html_of(letter)
    await house.let_pass(DAY_US)
    for user in ("ann", "dan"):
        assert await house.ends(name, user, "done") == ["letter", "a_day", "bought", "push", "done"]
    await house.got("ann", "n04_letter", "n04_push")
    await house.got("cat", "n04_letter")
    await house.got("dan", "n04_push")
    assert "is back in stock" in house.pushes["ann"][-1]["body"]
    for user in ("bea", "eve"):
        assert (await house.runs(name, user), await house.messages(user)) == ([], [])
    # The next change of the same product is another content.
    before = await house.so_far()
    await house.stock(t1=("5.99", 1, "tea"), c1=("12.00", 20, "cups"))
    await house.stands(name, "ann", "a_day", DAY_US, runs=2)
    letter = await house.letter("ann", 2)
    assert "is down to the last one" in html_of(letter)
    await house.buy("ann", TEA)
    await house.ends(name, "ann", "exit_when", 2)
    await house.got("ann", "n04_letter", since=before)
    await house.put_away(name)


async def back_in_stock(house: House) -> None:
    """N6. Ann and Dan saw the tea while it was sold out, Bea before that, Fay saw it and bought it elsewhere."""
    name = await house.take(6)
    await house.let_pass(100 * DAY_US)
    before = await house.so_far()
    await house.track("bea", "product_viewed", TEA)
    await house.holds("bea", "did product_viewed in last 1 days")
    await house.stock(t1=("5.99", 0, "tea"), c1=("12.00", 20, "cups"))
    await house.let_pass(SECOND_US)
    for user in ("ann", "dan", "fay"):
        await house.track(user, "product_viewed", TEA)
    await house.buy("fay", TEA)
    await house.holds("fay", "did order_completed in last 1 days")
    await house.holds("dan", "did product_viewed (product was out of stock) in last 1 days")
    await house.stock(t1=("5.99", 5, "tea"), c1=("12.00", 20, "cups"))
    for user in ("ann", "dan"):
        await house.ends(name, user, "done")
    await house.got("ann", "n06_letter", since=before)
    await house.got("dan", "n06_push", since=before)
    for user in ("bea", "fay"):
        assert await house.runs(name, user) == []
    await house.put_away(name)


async def scarcity(house: House) -> None:
    """N7. The tea is the last one: Ann saw it twice, Bea once, Cat buys it within the hour, Dan did not agree to email.
    Of cups there are many; they are down to one while Fay waits, and Eve's day is over before. There are two coupons,
    so Fay gets none."""
    name = await house.take(7, codes=2)
    await house.let_pass(100 * DAY_US)
    before = await house.so_far()
    await house.stock(t1=("5.99", 1, "tea"), c1=("12.00", 20, "cups"))
    for product, users in ((TEA, ("ann", "bea", "cat", "dan")), (CUP, ("eve",))):
        for user in users:
            await house.track(user, "product_viewed", product)
            await house.ends(name, user, "viewed once")
    await house.let_pass(HOUR_US)
    for user in ("ann", "cat", "dan"):
        await house.track(user, "product_viewed", TEA)
    await house.track("eve", "product_viewed", CUP)
    for user in ("ann", "cat", "dan", "eve"):
        await house.stands(name, user, "considers", HOUR_US)
    await house.buy("cat", TEA)
    await house.ends(name, "cat", "exit_when", 2)
    await house.let_pass(HOUR_US)
    for user in ("ann", "dan"):
        way = await house.ends(name, user, "done", 2)
        assert way == ["more_than_once", "considers", "last_item", "coupon", "tell", "done"]
    await house.stands(name, "eve", "last_item", DAY_US)
    await house.got("ann", "n07_letter", since=before)
    await house.got("dan", "n07_push", since=before)
    coupons = {user: (await house.runs(name, user))[0].values["coupon"].text for user in ("ann", "dan")}
    assert set(coupons.values()) == {"LASTITEM-0", "LASTITEM-1"}
    assert coupons["ann"] in html_of(house.letters("ann")[-1])
    assert coupons["dan"] in house.pushes["dan"][-1]["body"]

    await house.track("fay", "product_viewed", CUP)
    await house.ends(name, "fay", "viewed once")
    await house.let_pass(12 * HOUR_US)
    await house.track("fay", "product_viewed", CUP)
    await house.stands(name, "fay", "considers", HOUR_US)
    await house.let_pass(HOUR_US)
    await house.stands(name, "fay", "last_item", DAY_US)
    await house.let_pass(10 * HOUR_US)
    assert (await house.ends(name, "eve", "not the last item", 2))[-1] == "plenty"
    await house.stock(t1=("5.99", 1, "tea"), c1=("12.00", 1, "cups"))
    await house.let_pass(13 * HOUR_US)
    await house.ends(name, "fay", "done", 2)
    await house.got("fay", "n07_letter", since=before)
    assert "LASTITEM" not in html_of(house.letters("fay")[-1])
    for user in ("bea", "cat", "eve"):
        await house.got(user, since=before)
    await house.put_away(name)
