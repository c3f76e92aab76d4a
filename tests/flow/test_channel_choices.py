"""What recipients choose: subscription categories on the preference page, and answers that move them between lists."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from email import message_from_bytes
from email.policy import SMTP

import httpx2
import pytest
from starlette.applications import Starlette

from cdp.channel.v1 import channel_pb2
from cdp.ingest.v1 import ingest_pb2
from core.clock import SECOND_US
from core.delivery.links import sign
from core.errors import CdpError, unavailable
from services.channel.http import LinkPages
from services.channel.shard import ChannelShard
from services.channel.worker import Tracking
from tests.unit.channel.world import KEY, NO_CONTEXT, PUBLIC, World, a_world, outgoing

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36"
BODY = (
    '<a href="{{ preferences_url }}">choose</a>'
    '<a href="https://shop.example/thanks" data-list-to="tea lovers" data-list-from="undecided"'
    ' data-answer="Tea &amp; cake">tea</a>'
)
CATEGORIES = [
    channel_pb2.SubscriptionCategory(name="news", title="News <b>of the shop</b>", description="Once a month"),
    channel_pb2.SubscriptionCategory(name="sales", title="Sales"),
    channel_pb2.SubscriptionCategory(name="push", title="Only elsewhere", channels=["webhook"]),
]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with a_world() as made:
        await made.save_template(body_html=BODY)
        await made.save_template("news", category="news")
        await made.save_template("sales", category="sales")
        preferences = channel_pb2.Preferences(categories=CATEGORIES, title="Letters")
        await made.rpc.UpdatePreferences(channel_pb2.UpdatePreferencesRequest(preferences=preferences), NO_CONTEXT)
        yield made


@pytest.fixture
async def browser(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    def shards(workspace: str) -> ChannelShard:
        if workspace != "w1":
            raise unavailable("NOT_READY", "not here")
        return world.shard

    app = Starlette(routes=LinkPages(shards, Tracking(KEY, PUBLIC), world.clock).routes())
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url=PUBLIC, headers={"User-Agent": CHROME}) as client:
        yield client


async def mailed(world: World) -> dict[str, str]:
    """Send a message; its links by path letter."""
    await world.send(outgoing("m1"))
    await world.until("m1", "accepted")
    body = next(
        part.get_content()
        for part in message_from_bytes(world.mailbox.mails[-1][1], policy=SMTP).walk()
        if part.get_content_type() == "text/html"
    )
    return {letter: url for url, letter in re.findall(rf'"({PUBLIC}/(.)/[^"]+)"', body)}


def people(world: World) -> list[ingest_pb2.Person]:
    """What was told of people."""
    return [item.person for item in world.peers.items if item.HasField("person")]


async def fate(world: World, message_id: str, template: str, kind: str = "promo") -> str:
    """Whether a message is accepted, else why not."""
    await world.send(outgoing(message_id, template=template, kind=kind))
    done = await world.until(message_id, "accepted", "refused")
    return done.reason


def consents(world: World, **told: str) -> None:
    """What the profile says of categories of email; `channel` is the channel itself."""
    profile = world.peers.profiles[1]
    del profile.consents[:]
    for name, state in told.items():
        category = "" if name == "channel" else name
        profile.consents.add(channel="email", category=category, state=state, occurred_at_us=world.clock.now_us())


async def test_a_refused_category_holds_back_its_own_messages_alone(world: World) -> None:
    consents(world, channel="granted", news="denied")
    assert await fate(world, "a", "news") == "CATEGORY_REFUSED"
    assert await fate(world, "b", "sales") == ""
    assert await fate(world, "c", "hello") == ""
    assert await fate(world, "d", "news", kind="transactional") == ""
    consents(world, news="granted")
    assert await fate(world, "e", "news") == ""
    assert await fate(world, "f", "sales") == "NO_CONSENT"
    consents(world, news="unconfirmed", channel="granted")
    assert await fate(world, "g", "news") == "CATEGORY_REFUSED"
    consents(world, news="granted", channel="denied")
    assert await fate(world, "h", "news") == "NO_CONSENT"
    consents(world, news="granted", channel="suppressed")
    assert await fate(world, "i", "news") == "SUPPRESSED"


async def test_the_page_shows_and_only_its_form_changes(world: World, browser: httpx2.AsyncClient) -> None:
    consents(world, channel="granted", sales="denied")
    links = await mailed(world)
    shown = await browser.get(links["p"])
    assert shown.status_code == 200
    assert "News &lt;b&gt;of the shop&lt;/b&gt;" in shown.text
    assert "Only elsewhere" not in shown.text
    assert re.findall(r'value="([^"]+)"( checked)?', shown.text) == [
        ("*", " checked"),
        ("news", " checked"),
        ("sales", ""),
    ]
    assert not [one for one in people(world) if one.consents]

    answer = await browser.post(links["p"], data={"on": ["*", "sales", "made up"]})
    assert (answer.status_code, "Saved" in answer.text) == (200, True)
    assert await fate(world, "at-once", "news") == "UNSUBSCRIBED", "before the profile knows"
    await world.told(2)
    [person] = [one for one in people(world) if one.consents]
    assert {(one.category, one.state) for one in person.consents} == {("news", "denied"), ("sales", "granted")}
    assert all(one.source == "preferences:m1" for one in person.consents)
    assert all(re.fullmatch(r"preference page, ip:[0-9a-f]{16}", one.proof) for one in person.consents)

    world.clock.advance(SECOND_US)
    consents(world, channel="granted", news="granted", sales="granted")
    assert await fate(world, "later", "news") == "", "a later grant lifts the hold"
    await browser.post(links["p"], data={"on": ["news"]})
    assert await fate(world, "none", "sales") == "UNSUBSCRIBED", "the channel was left"
    too_much = await browser.post(links["p"], content=b"x" * 70_000)
    assert too_much.status_code == 413
    forged = await browser.get(links["p"][:-4] + "AAAA")
    assert forged.status_code == 404


async def test_who_left_and_ticks_a_category_comes_back(world: World, browser: httpx2.AsyncClient) -> None:
    links = await mailed(world)
    consents(world, channel="denied")
    await browser.post(links["p"], data={"on": ["news"]})
    await world.told(2)
    [person] = [one for one in people(world) if one.consents]
    assert {(one.category, one.state) for one in person.consents} == {("", "granted"), ("news", "granted")}


async def test_an_answer_moves_from_list_to_list_by_its_button(world: World, browser: httpx2.AsyncClient) -> None:
    links = await mailed(world)
    asked = await browser.get(links["c"])
    assert asked.status_code == 200
    assert "<button" in asked.text
    assert "Tea &amp; cake" in asked.text
    await world.told(2)
    assert not [one for one in people(world) if one.lists]

    done = await browser.post(links["c"])
    assert (done.status_code, done.headers["location"]) == (303, "https://shop.example/thanks")
    async with asyncio.timeout(10):
        while not world.peers.events("list_link_clicked"):
            await world.told(len(world.peers.items) + 1)
    [person] = [one for one in people(world) if one.lists]
    assert {(one.list, one.member) for one in person.lists} == {("tea lovers", True), ("undecided", False)}
    [event] = world.peers.events("list_link_clicked")
    told = {name: value.text for name, value in event.params.items()}
    assert (told["answer"], told["to_list"], told["from_list"]) == ("Tea & cake", "tea lovers", "undecided")
    assert told["message_id"] == "m1"
    assert (await browser.post(f"{PUBLIC}/c/{sign(KEY, 'w1', 'm1', 1, 7)}")).status_code == 404


async def test_forgotten_messages_do_not_come_back(world: World) -> None:
    await mailed(world)
    await world.send(outgoing("m2", contact=2))
    listed = await world.rpc.ListMessages(channel_pb2.ListMessagesRequest(contacts=[1]), NO_CONTEXT)
    assert [one.message.id for one in listed.messages] == ["m1"]
    assert any("tea lovers" in link for link in listed.messages[0].links)
    forgotten = await world.rpc.Forget(channel_pb2.ForgetRequest(contacts=[1]), NO_CONTEXT)
    assert forgotten.messages == 1
    assert (await world.send(outgoing("m3")))[0].reason == "CONTACT_GONE"
    with pytest.raises(CdpError, match="no message"):
        await world.message("m1")
    again = await world.rpc.Forget(channel_pb2.ForgetRequest(contacts=[1]), NO_CONTEXT)
    assert (again.messages, again.suppressions) == (0, 0)
    await world.stop()
    await world.start()
    assert [
        one.message.id for one in (await world.rpc.ListMessages(channel_pb2.ListMessagesRequest(), NO_CONTEXT)).messages
    ] == ["m2"]
    assert (await world.send(outgoing("m4")))[0].reason == "CONTACT_GONE"
    await world.send(outgoing("m5", contact=2))
    assert world.shard.state.last_sequence == 3


async def test_preferences_are_checked(world: World) -> None:
    bad = channel_pb2.Preferences(
        categories=[
            channel_pb2.SubscriptionCategory(name="a/b", title="x"),
            channel_pb2.SubscriptionCategory(name="twice", title="", channels=["pigeon"]),
            channel_pb2.SubscriptionCategory(name="twice", title="x"),
        ]
    )
    with pytest.raises(CdpError) as refused:
        await world.rpc.UpdatePreferences(channel_pb2.UpdatePreferencesRequest(preferences=bad), NO_CONTEXT)
    assert {one.path for one in refused.value.violations} == {
        "preferences.categories[0].name",
        "preferences.categories[1].title",
        "preferences.categories[1].channels",
        "preferences.categories[2].name",
    }
    with pytest.raises(CdpError, match="category"):
        await world.save_template("x", category="not a name")
