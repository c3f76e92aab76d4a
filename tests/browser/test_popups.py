"""Pop-ups and the inbox in a real browser: who sees them, how they are used without a mouse, and what arrives."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from cdp.channel.v1 import channel_pb2, channel_pb2_grpc, inbox_pb2, inbox_pb2_grpc, popup_pb2, popup_pb2_grpc
from cdp.coupon.v1 import coupon_pb2, coupon_pb2_grpc
from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from cdp.profile.v1 import profile_pb2, profile_pb2_grpc
from cdp.segment.v1 import segment_pb2, segment_pb2_grpc
from core.clock import ManualClock
from services.demo.client import again
from services.runtime.roles import Role
from tests.browser.chromium import Page, browsing
from tests.flow.platform import Platform, eventually
from tests.shop.server import Shop, serve

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

START_US = int(datetime(2026, 11, 2, 10, tzinfo=UTC).timestamp()) * 1_000_000
ANN = facts_pb2.Identifier(kind="external_id", value="ann")
ROOT = "(document.querySelector('[data-cdp-popup]') || {shadowRoot: document}).shadowRoot"
ASKED = "r.name.endsWith('/popups')"
SHOWN = "!!document.querySelector('[data-cdp-popup]')"


@dataclass(frozen=True, slots=True)
class Place:
    """A platform and its clients."""

    platform: Platform
    channel: grpc.aio.Channel

    async def ask(self, stub: Any, name: str, request: Any) -> Any:
        """The answer of a method, asked again while the service is not there yet."""
        method = getattr(stub(self.channel), name)
        return await again(lambda: method(request, metadata=self.platform.metadata))

    async def types(self, identifier: facts_pb2.Identifier) -> list[str]:
        """The types of somebody's events, the newest first; none for nobody."""
        asked = profile_pb2.GetRequest(identifier=identifier, timeline_size=200)
        try:
            answer = await self.ask(profile_pb2_grpc.ProfileServiceStub, "Get", asked)
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.NOT_FOUND
            return []
        return [event.type for event in answer.timeline]

    async def told(self, identifier: facts_pb2.Identifier, *types: str) -> None:
        """Wait until somebody's timeline has events of these types."""

        async def there() -> bool:
            return set(types) <= set(await self.types(identifier))

        await eventually(there, f"{types} arrive")

    @asynccontextmanager
    async def shop(self, consent: str = "implied", inbox_token: str = "") -> AsyncIterator[Shop]:
        """The demo shop with pop-ups."""
        platform = self.platform
        made = serve(
            0,
            platform.http_url(Role.INGEST),
            platform.key,
            consent=consent,
            channel_url=platform.http_url(Role.CHANNEL),
            inbox_token=inbox_token,
        )
        try:
            yield made
        finally:
            await asyncio.to_thread(made.stop)

    async def note(self, message_id: str, contact: int) -> None:
        """A message to somebody's inbox."""
        message = channel_pb2.OutgoingMessage(
            id=message_id, contact=contact, channel="inbox", template="note", kind="promo"
        )
        request = channel_pb2.SendRequest(messages=[message])
        answer = await self.ask(channel_pb2_grpc.ChannelServiceStub, "Send", request)
        assert [one.reason for one in answer.results] == [""]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    async with (
        Platform(tmp_path_factory.mktemp("data"), ManualClock(START_US)) as platform,
        platform.channel(Role.CHANNEL) as channel,
    ):
        made = Place(platform, channel)
        pool = coupon_pb2.Pool(name="welcome", pattern="HI-######", for_forms=True)
        await made.ask(coupon_pb2_grpc.CouponServiceStub, "SavePool", coupon_pb2.SavePoolRequest(pool=pool))
        rule = segment_pb2.RuleSource(text="among anonymous contacts: did product_list_viewed")
        saving = segment_pb2.SaveSegmentRequest(name="lookers", rule=rule)
        await made.ask(segment_pb2_grpc.SegmentServiceStub, "SaveSegment", saving)
        await made.ask(
            popup_pb2_grpc.PopupServiceStub, "SavePopup", popup_pb2.SavePopupRequest(name="lead", popup=lead())
        )
        settings = channel_pb2.UpdateSettingsRequest(settings=channel_pb2.Settings(live=True))
        await made.ask(channel_pb2_grpc.ChannelServiceStub, "UpdateSettings", settings)
        yield made


def lead() -> popup_pb2.Popup:
    """What visitors who have looked at a category are asked. A title that would be a script, were it not a text."""
    popup = popup_pb2.Popup(
        title="Tea or coffee? <img src=x onerror=window.hurt=1>",
        text="Tell us what you drink.\n\nYou get 10 % off your first order.",
        segment="lookers",
        button="Get my code",
        thanks="Welcome! Show this code at the till:",
        coupon_pool="welcome",
    )
    drink = popup.fields.add(name="drink", label="I drink", kind=popup_pb2.POPUP_FIELD_KIND_CHOICE, required=True)
    drink.attribute = "favourite_drink"
    drink.options.add(value="tea", label="Tea", list="tea lovers")
    drink.options.add(value="coffee", label="Coffee")
    popup.fields.add(name="email", label="Email", kind=popup_pb2.POPUP_FIELD_KIND_EMAIL)
    popup.consents.add(channel="email", text="Yes, send me news of the shop")
    return popup


async def press(page: Page, key: str, code: int) -> None:
    for kind in ("keyDown", "keyUp"):
        await page.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)


async def answered(page: Page) -> None:
    """Wait until the page knows what it may show, and has shown it."""
    await page.until(f"performance.getEntriesByType('resource').some(r => {ASKED} && r.responseEnd)")
    await page.run("new Promise(done => setTimeout(done, 100))")


async def test_a_visitor_of_a_segment_is_asked_and_gets_a_code(place: Place, chromium: str, tmp_path: Path) -> None:
    async with place.shop() as shop, browsing(chromium, tmp_path / "profile") as browser:
        page = await browser.page()
        await page.goto(shop.url + "category.html?c=tea")
        visitor = facts_pb2.Identifier(
            kind="anonymous_id", value=await page.run("/cdp_vid=(\\w+)/.exec(document.cookie)[1]")
        )
        await place.told(visitor, "product_list_viewed")

        async def asked() -> bool:
            # Who is known already is asked about once on each page: what this page tells counts on the next one.
            await page.goto(shop.url + "category.html?c=tea")
            await answered(page)
            return bool(await page.run(SHOWN))

        await eventually(asked, "the pop-up shows to who is in the segment")
        assert await page.run(f"{ROOT}.querySelector('dialog').matches(':modal')")
        name = f"{ROOT}.getElementById({ROOT}.querySelector('dialog').getAttribute('aria-labelledby')).textContent"
        assert (await page.run(name)).startswith("Tea or coffee? <img")
        assert await page.run("window.hurt === undefined")
        assert await page.run(f"{ROOT}.activeElement.name === 'drink'")
        for _ in range(9):
            await press(page, "Tab", 9)
            assert await page.run("!document.activeElement || document.activeElement === document.body ||"
                                  " 'cdpPopup' in document.activeElement.dataset")  # fmt: skip
        await press(page, "Escape", 27)
        await page.until(f"!({SHOWN})")
        await place.told(visitor, "popup_shown", "popup_closed")
        await page.goto(shop.url + "category.html?c=tea")
        await answered(page)
        assert not await page.run(SHOWN), "once is once"

        await page.run("localStorage.removeItem('cdp_popups'); cdpPopups(); 0")
        await page.until(SHOWN)
        fill = f"const r = {ROOT}; r.querySelector('[value=tea]').click(); r.querySelector('[name=email]').value = '%s'"
        await page.run(f"{{ {fill % 'zoe@nowhere'}; r.querySelector('form button').click(); 0 }}")
        await page.until(f"!{ROOT}.querySelector('[role=alert]').hidden")
        assert await page.run(f"{ROOT}.querySelector('[role=alert]').textContent") == "is no email address"
        await page.picture(tmp_path / "asked.png")
        await page.run(f"{{ {fill % 'zoe@shop.example'}; r.querySelector('[name=consent]').click(); 0 }}")
        await page.run(f"{{ {ROOT}.querySelector('form button').click(); 0 }}")
        await page.until(f"!!{ROOT}.querySelector('output')")
        code = await page.run(f"{ROOT}.querySelector('output').textContent")
        assert code.startswith("HI-")
        await page.picture(tmp_path / "code.png")
        zoe = facts_pb2.Identifier(kind="email", value="zoe@shop.example")
        await place.told(zoe, "popup_answered", "coupon_issued", "popup_shown", "product_list_viewed")
        answer = await place.ask(profile_pb2_grpc.ProfileServiceStub, "Get", profile_pb2.GetRequest(identifier=zoe))
        [consent] = answer.profile.consents
        assert (consent.channel, consent.state, list(answer.profile.lists)) == ("email", "granted", ["tea lovers"])
        assert "Yes, send me news of the shop" in consent.proof
        await press(page, "Escape", 27)
        await page.until(f"!({SHOWN})")
        await page.run("performance.clearResourceTimings(); cdpPopups(); 0")
        await answered(page)
        assert not await page.run(SHOWN), "who answered is not asked again"


async def test_without_consent_nothing_is_asked(place: Place, chromium: str, tmp_path: Path) -> None:
    popup = popup_pb2.Popup(title="Hello", text="To everybody.", priority=9)
    popup.style.place = popup_pb2.POPUP_PLACE_CORNER
    popup.rules.paths.append("/index.html")
    await place.ask(popup_pb2_grpc.PopupServiceStub, "SavePopup", popup_pb2.SavePopupRequest(name="hello", popup=popup))
    async with place.shop(consent="required") as shop, browsing(chromium, tmp_path / "profile") as browser:
        page = await browser.page()
        await page.goto(shop.url + "index.html")
        await asyncio.sleep(1.2)
        assert not await page.run(f"performance.getEntriesByType('resource').some(r => {ASKED})")
        assert await page.run("Object.keys(localStorage).filter(k => k.startsWith('cdp_')).length") == 0
        await page.click("[data-answer=yes]")
        await page.until(SHOWN)
        assert not await page.run(f"{ROOT}.querySelector('dialog').matches(':modal')"), "the page goes on"
        assert await page.run("'cdp_popups' in localStorage")
        await page.run("cdp('consent', false); 0")
        await page.until(f"!({SHOWN})")
        assert await page.run("Object.keys(localStorage).filter(k => k.startsWith('cdp_')).length") == 0


async def test_the_inbox_of_who_is_logged_in(place: Place, chromium: str, tmp_path: Path) -> None:
    template = channel_pb2.Template(
        channel="inbox", subject="Your order", body_text="It is on its way.", url="https://shop.example/order"
    )
    saving = channel_pb2.SaveTemplateRequest(name="note", template=template)
    await place.ask(channel_pb2_grpc.ChannelServiceStub, "SaveTemplate", saving)
    person = ingest_pb2.IdentifyRequest(person=ingest_pb2.Person(identifiers=[ANN]))
    position = (await place.ask(ingest_pb2_grpc.IngestServiceStub, "Identify", person)).position
    waiting = profile_pb2.BatchGetRequest(contacts=[1], min_upstream_position=position)
    await place.ask(profile_pb2_grpc.ProfileServiceStub, "BatchGet", waiting)
    ann = await place.ask(profile_pb2_grpc.ProfileServiceStub, "Get", profile_pb2.GetRequest(identifier=ANN))
    asked = inbox_pb2.IssueInboxTokenRequest(identifier=ANN)
    token = (await place.ask(inbox_pb2_grpc.InboxServiceStub, "IssueInboxToken", asked)).token
    await place.note("m1", ann.profile.contact)
    async with place.shop(inbox_token=token) as shop, browsing(chromium, tmp_path / "profile") as browser:
        page = await browser.page()
        await page.goto(shop.url + "inbox.html")
        await page.until("document.querySelectorAll('#messages article').length === 1")
        await place.note("m2", ann.profile.contact)
        await page.until("document.querySelectorAll('#messages article').length === 2")
        assert await page.run("document.querySelector('#unread').textContent") == "2"
        await page.click("[data-read=m1]")
        await page.until("document.querySelector('#unread').textContent === '1'")
        await page.picture(tmp_path / "inbox.png")
        await page.click("[data-delete=m2]")
        await page.until("document.querySelectorAll('#messages article').length === 1")
        assert json.loads(
            await page.run("JSON.stringify([...document.querySelectorAll('article')].map(a => a.id))")
        ) == ["m1"]
        assert "/c/" in await page.run("document.querySelector('#m1 a').href")
    await place.told(ANN, "message_sent", "message_opened")
