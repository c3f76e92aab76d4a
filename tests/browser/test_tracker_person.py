"""From a visitor to a person without a login: the whole platform, a real letter, a real browser."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cdp.channel.v1 import channel_pb2, channel_pb2_grpc
from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from cdp.profile.v1 import profile_pb2, profile_pb2_grpc
from core.clock import ManualClock
from services.runtime.roles import Role
from tests.browser.chromium import browsing
from tests.flow.mailbox import Mailbox
from tests.flow.platform import Platform, eventually
from tests.shop.server import serve

START_US = int(datetime(2026, 11, 2, 10, tzinfo=UTC).timestamp()) * 1_000_000
EMAIL = "ann@example.com"
ANN = profile_pb2.GetRequest(identifier=facts_pb2.Identifier(kind="email", value=EMAIL), timeline_size=100)


@pytest.mark.slow
async def test_a_click_in_a_letter_joins_what_the_visitor_did_before(chromium: str, tmp_path: Path) -> None:
    with Mailbox() as mailbox:
        extra = {"CDP_SMTP_URL": mailbox.url, "CDP_LINK_TOKEN_HOSTS": "shop.localhost"}
        async with Platform(tmp_path / "data", ManualClock(START_US), extra=extra) as platform:
            shop = serve(0, platform.http_url(Role.INGEST), platform.key, consent="implied")
            try:
                await mail_to_ann(platform, shop.url + "category.html?c=tea")
                async with browsing(chromium, tmp_path / "profile") as browser:
                    page = await browser.page()
                    await page.goto(shop.url + "product.html?id=yirga")
                    await page.click("#product [data-add=yirga]")
                    await page.until("!Object.keys(localStorage).some(k => k.startsWith('cdp_q.'))")
                    assert "product_viewed" not in await timeline(platform)

                    async def mailed() -> bool:
                        return len(mailbox.letters) == 1

                    await eventually(mailed, "the letter arrives")
                    html = mailbox.letters[0].get_body(("html",))
                    assert html is not None
                    link = re.search(r'href="([^"]+/c/[^"]+)"', html.get_content())
                    assert link is not None
                    await page.goto(link.group(1))
                    assert await page.run("location.href") == shop.url + "category.html?c=tea"
                    wanted = {"product_viewed", "product_added_to_cart", "message_clicked", "product_list_viewed"}

                    async def told() -> bool:
                        return wanted <= await timeline(platform)

                    await eventually(told, "Ann's timeline has what the visitor did before and after")
            finally:
                await asyncio.to_thread(shop.stop)


async def timeline(platform: Platform) -> set[str]:
    """The types of Ann's events so far."""
    async with platform.channel(Role.PROFILE_UNIFICATION) as channel:
        answer = await profile_pb2_grpc.ProfileServiceStub(channel).Get(ANN, metadata=platform.metadata)
        assert answer.profile.known
        return {event.type for event in answer.timeline}


async def mail_to_ann(platform: Platform, destination: str) -> None:
    """Ann agrees to letters, and one with a link to the shop is sent to her."""
    async with platform.channel(Role.INGEST) as channel:
        ann = ingest_pb2.Person(
            identifiers=[facts_pb2.Identifier(kind="email", value=EMAIL)],
            consents=[facts_pb2.ConsentChange(channel="email", state="granted", source="sign-up")],
        )
        request = ingest_pb2.IdentifyRequest(person=ann)
        stub = ingest_pb2_grpc.IngestServiceStub(channel)
        position = (await stub.Identify(request, metadata=platform.metadata)).position
    async with platform.channel(Role.PROFILE_UNIFICATION) as channel:
        profiles = profile_pb2_grpc.ProfileServiceStub(channel)
        asked = profile_pb2.BatchGetRequest(contacts=[1], min_upstream_position=position)
        assert (await profiles.BatchGet(asked, metadata=platform.metadata)).profiles[0].contact == 1
    async with platform.channel(Role.CHANNEL) as channel:
        channels = channel_pb2_grpc.ChannelServiceStub(channel)
        body = f'<a href="{destination}">Tea</a> <a href="{{{{ unsubscribe_url }}}}">Stop</a>'
        template = channel_pb2.Template(channel="email", subject="Tea", body_html=body)
        saving = channel_pb2.SaveTemplateRequest(name="tea", template=template)
        await channels.SaveTemplate(saving, metadata=platform.metadata)
        settings = channel_pb2.Settings(live=True)
        setattr(settings, "from", "Shop <shop@shop.example>")  # a keyword of Python is no argument
        await channels.UpdateSettings(channel_pb2.UpdateSettingsRequest(settings=settings), metadata=platform.metadata)
        message = channel_pb2.OutgoingMessage(id="m1", contact=1, channel="email", template="tea", kind="promo")
        internal = platform.host(Role.CHANNEL).runtime.stubs.internal_metadata("dev")
        answer = await channels.Send(channel_pb2.SendRequest(messages=[message]), metadata=internal)
        assert [one.reason for one in answer.results] == [""]
