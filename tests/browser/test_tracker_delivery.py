"""What the tracker promises about sending: consent first, nothing lost, nothing twice, and who it is by a link."""

from __future__ import annotations

import asyncio
from pathlib import Path

from core.clock import SECOND_US
from core.delivery.visits import sign_visit
from core.events.columns import Identifier
from services.ingest.app import Ingest
from services.runtime.roles import Role
from tests.browser.stage import Stage, staged

STORED = "JSON.stringify([document.cookie, Object.keys(localStorage).filter(k => k.startsWith('cdp_'))])"
WAITING = "Object.keys(localStorage).filter(k => k.startsWith('cdp_q.')).length"


async def settled(stage: Stage) -> list[str]:
    """Types of what arrived after longer than the tracker waits before it sends."""
    await asyncio.sleep(1.6)
    return await stage.types()


async def test_nothing_is_stored_or_sent_before_consent(chromium: str, tmp_path: Path) -> None:
    async with staged(chromium, tmp_path, consent="required") as stage:
        page = await stage.page(stage.at("index.html?utm_source=news&utm_medium=email"))
        await page.click("[data-add=sencha]")
        assert await settled(stage) == []
        assert await page.run(STORED) == '["",[]]'
        await page.click("[data-answer=yes]")
        whole = await stage.event("cart_updated")
        visit = await stage.event("site_visited")
        assert visit.params["utm_source"] == "news"
        assert visit.occurred_at_us < whole.occurred_at_us < whole.received_at_us - SECOND_US
        assert sorted(await stage.types()) == ["cart_updated", "page_viewed", "product_added_to_cart", "site_visited"]
        assert "cdp_vid=" in await page.run("document.cookie")
        other = await stage.page(context=page.context)
        await stage.until(lambda events: sum(one.type == "page_viewed" for one in events) == 2, "the second page")
        await page.run("cdp('consent', false)")
        await other.until(f"{STORED} === '[\"\",[]]'")
        before = await stage.types()
        await other.run("cdp('track', 'afterwards')")
        await page.run("cdp('track', 'afterwards')")
        assert await settled(stage) == before
        assert await page.run(STORED) == await other.run(STORED) == '["",[]]'


async def test_a_refusal_stays_a_refusal(chromium: str, tmp_path: Path) -> None:
    async with staged(chromium, tmp_path, consent="required") as stage:
        page = await stage.page()
        await page.click("[data-answer=no]")
        await page.goto(stage.at("category.html?c=tea"))
        assert await settled(stage) == []
        assert await page.run(STORED) == '["",[]]'
    async with staged(chromium, tmp_path / "implied") as stage:
        page = await stage.page()
        await stage.event("page_viewed")
        await page.run("cdp('consent', false)")
        before = await stage.types()
        await page.goto(stage.at("category.html?c=tea"))
        assert await settled(stage) == before
        assert await page.run(STORED) == '["cdp_no=1",[]]'
        await page.run("cdp('consent', true)")
        await page.run("cdp('track', 'again')")
        await stage.event("again")


async def test_offline_and_back(chromium: str, tmp_path: Path) -> None:
    async with staged(chromium, tmp_path) as stage:
        page = await stage.page(stage.at("product.html?id=mug"))
        await stage.event("product_viewed")
        await page.until(f"{WAITING} === 0")
        await page.offline(True)
        await page.click("[data-wish=mug]")
        await page.click("#product [data-add=mug]")
        assert "wishlist_added" not in await settled(stage)
        assert await page.run(WAITING) == 3
        await page.offline(False)
        wished = await stage.event("wishlist_added")
        assert wished.received_at_us - wished.occurred_at_us > SECOND_US
        await page.until(f"{WAITING} === 0")
        types = await settled(stage)
        assert sorted(types) == sorted(
            ["site_visited", "page_viewed", "product_viewed", "wishlist_added", "product_added_to_cart", "cart_updated"]
        )


async def test_what_was_not_sent_is_sent_by_the_next_page(chromium: str, tmp_path: Path) -> None:
    async with staged(chromium, tmp_path) as stage:
        page = await stage.page()
        await stage.event("page_viewed")
        await page.offline(True)
        await page.run("cdp('track', 'kept', {number: 7})")
        assert await page.run(WAITING) == 1
        await page.close()
        other = await stage.page(context=page.context)
        kept = await stage.event("kept")
        assert kept.params["number"] == 7
        await other.until(f"{WAITING} === 0")


async def test_a_repeat_has_the_same_id(chromium: str, tmp_path: Path) -> None:
    async with staged(chromium, tmp_path) as stage:
        page = await stage.page()
        await stage.event("page_viewed")
        # The answers are lost on their way: the server has the call, and the browser does not know it.
        await page.run("window.real = fetch; window.lost = () => { throw new TypeError('lost') }; 0")
        await page.run("window.fetch = (...all) => real(...all).then(lost); 0")
        await page.run("cdp('track', 'unsure')")
        for _ in range(200):
            if len(arrived := [one for one in await stage.house.events() if one.type == "unsure"]) >= 2:
                break
            await asyncio.sleep(0.05)
        assert len(arrived) >= 2
        assert len({one.id for one in arrived}) == 1
        await page.run("window.fetch = real; 0")
        await page.until(f"{WAITING} === 0")


async def test_a_busy_server_is_asked_again_when_it_says(chromium: str, tmp_path: Path) -> None:
    async with staged(chromium, tmp_path) as stage:
        page = await stage.page()
        await stage.event("page_viewed")
        await page.until(f"{WAITING} === 0")
        ingest = stage.house.host.service(Role.INGEST)
        assert isinstance(ingest, Ingest)
        ingest._door.requests.most = 0
        await page.run("window.asked = []; window.real = fetch; window.later = a => (asked.push(a.status), a); 0")
        await page.run("window.fetch = (...all) => real(...all).then(later); 0")
        await page.run("cdp('track', 'patient')")
        await page.until("asked.length > 0")
        ingest._door.requests.most = 512
        patient = await stage.event("patient")
        assert patient.received_at_us - patient.occurred_at_us >= 2 * SECOND_US
        await page.until("asked.join() === '429,200'")


async def test_what_happens_last_is_sent_while_the_page_goes(chromium: str, tmp_path: Path) -> None:
    async with staged(chromium, tmp_path) as stage:
        page = await stage.page()
        await stage.event("page_viewed")
        await page.run("cdp('track', 'last_word')")
        await page.close()
        await stage.event("last_word")


async def test_a_link_in_a_message_says_who_comes(chromium: str, tmp_path: Path) -> None:
    async with staged(chromium, tmp_path) as stage:
        runtime = stage.house.host.runtime
        now_us = runtime.clock.now_us()
        key = runtime.settings.tracking_key
        good = sign_visit(key, "dev", "contact-1", now_us)
        page = await stage.page(stage.at(f"category.html?c=tea&cdp_lt={good}#top"))
        assert await page.run("location.href") == stage.at("category.html?c=tea#top")
        visit = await stage.event("site_visited")
        kinds = {one.kind: one.value for one in visit.identifiers}
        assert kinds["contact_key"] == "contact-1"
        assert [one.kind for one in (await stage.event("page_viewed")).identifiers] == ["anonymous_id"]
        assert "cdp_lt" not in str([event.params for event in await stage.events()])
        old = sign_visit(key, "dev", "contact-2", now_us - 2 * 3600 * SECOND_US)
        stranger = await stage.page(stage.at(f"index.html?cdp_lt={old}"))
        assert await stranger.run("location.search") == ""
        await stage.until(lambda events: sum(one.type == "site_visited" for one in events) == 2, "the other visit")
        [first, second] = [event for event in await stage.events() if event.type == "site_visited"]
        assert Identifier("anonymous_id", kinds["anonymous_id"]) in first.identifiers
        assert [one.kind for one in second.identifiers] == ["anonymous_id"]


async def test_identify_and_reset(chromium: str, tmp_path: Path) -> None:
    async with staged(chromium, tmp_path) as stage:
        page = await stage.page()
        await page.run("cdp('identify', 'customer-7', {email: 'ann@example.com', first_name: 'Ann'})")
        await page.run("cdp('track', 'before'); cdp('reset'); cdp('track', 'after'); 0")
        before, after = await stage.event("before"), await stage.event("after")
        assert before.identifiers != after.identifiers
        [person] = await stage.facts()
        assert {(one.kind, one.value) for one in person.profile.identifiers} == {
            ("external_id", "customer-7"),
            ("email", "ann@example.com"),
            *((one.kind, one.value) for one in before.identifiers),
        }
        assert "ann@example.com" not in await page.run("JSON.stringify(localStorage) + document.cookie")
