"""Web pushes through the whole platform: from what a page tells to what a browser shows and tells back, and how a
device leaves: taken back, expired, or in other hands."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import httpx2

from cdp.channel.v1 import channel_pb2, channel_pb2_grpc
from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from cdp.profile.v1 import profile_pb2, profile_pb2_grpc
from core.clock import MINUTE_US, ManualClock
from core.events.facts import CHANNELS
from core.identity.push_tokens import device_category
from services.demo.client import again
from services.runtime.roles import Role
from tests.contract.sender_peers.http_peer import Asked, Reply, serving
from tests.contract.sender_peers.web_push import Browser
from tests.flow.platform import Platform, eventually
from tests.unit.ingest.test_push_http import TOKEN, subscription

START_US = int(datetime(2026, 11, 2, 10, tzinfo=UTC).timestamp()) * 1_000_000
WEB_PUSH = 1 << CHANNELS.index("web_push")
FIREFOX = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
TEMPLATE = channel_pb2.Template(
    channel="web_push",
    subject="Back in stock",
    body_text="{{ tea }} is here again",
    url="https://shop.example/{{ tea | downcase }}",
)


class Shop:
    """A client of the platform, and the push service of its customers' browsers."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._numbers = count(1)
        self.browsers = {name: Browser() for name in ("laptop", "desktop", "shared")}
        self.gone: set[str] = set()
        self.port = 0

    def answer(self, asked: Asked) -> Reply:
        """The push service: a path is a browser."""
        name = asked.path.strip("/")
        if name in self.gone:
            return Reply(410)
        self.browsers[name].open(asked.body)
        return Reply(201)

    def token(self, name: str) -> str:
        """The identifier of one browser."""
        return self.browsers[name].token(f"http://127.0.0.1:{self.port}/{name}")

    async def set_up(self) -> None:
        """A template, and settings that let pushes go to this machine."""
        settings = channel_pb2.Settings(live=True, allowed_private_hosts=["127.0.0.1"])
        async with self._platform.channel(Role.CHANNEL) as opened:
            stub = channel_pb2_grpc.ChannelServiceStub(opened)
            template = channel_pb2.SaveTemplateRequest(name="back", template=TEMPLATE)
            await again(lambda: stub.SaveTemplate(template, metadata=self._platform.metadata))
            saved = channel_pb2.UpdateSettingsRequest(settings=settings)
            await again(lambda: stub.UpdateSettings(saved, metadata=self._platform.metadata))

    async def identify(self, who: str, name: str) -> None:
        """Somebody logs in with a browser that they agreed to pushes in; a minute later than what was before."""
        self._platform.clock.advance(MINUTE_US)
        token = self.token(name)
        person = ingest_pb2.Person(
            identifiers=[
                facts_pb2.Identifier(kind="external_id", value=who),
                facts_pb2.Identifier(kind="push_token", value=token),
            ],
            consents=[
                facts_pb2.ConsentChange(channel="web_push", state="granted"),
                facts_pb2.ConsentChange(channel="web_push", category=device_category(token), state="granted"),
            ],
        )
        async with self._platform.channel(Role.INGEST) as opened:
            stub = ingest_pb2_grpc.IngestServiceStub(opened)
            request = ingest_pb2.IdentifyRequest(person=person)
            await again(lambda: stub.Identify(request, metadata=self._platform.metadata))
        await eventually(lambda: self._has(who, token), f"{who} with {name}")

    async def profile(self, who: str) -> profile_pb2.GetResponse:
        """A person with the timeline; an empty answer while there is none."""
        identifier = facts_pb2.Identifier(kind="external_id", value=who)
        if who.startswith("webpush:"):
            identifier = facts_pb2.Identifier(kind="push_token", value=who)
        async with self._platform.channel(Role.PROFILE_UNIFICATION) as opened:
            stub = profile_pb2_grpc.ProfileServiceStub(opened)
            request = profile_pb2.GetRequest(identifier=identifier)
            try:
                return await again(lambda: stub.Get(request, metadata=self._platform.metadata))
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.NOT_FOUND, error
                return profile_pb2.GetResponse()

    async def _has(self, who: str, token: str) -> bool:
        found = (await self.profile(token)).profile
        return any((one.kind, one.value) == ("external_id", who) for one in found.identifiers)

    async def states(self, who: str) -> dict[str, str]:
        """What was told of the channel and of devices, by category."""
        return {one.category: one.state for one in (await self.profile(who)).profile.consents}

    async def push(self, who: str) -> channel_pb2.Message:
        """Send one push, to its end."""
        contact = (await self.profile(who)).profile.contact
        message = channel_pb2.OutgoingMessage(
            id=f"m{next(self._numbers)}",
            contact=contact,
            channel="web_push",
            template="back",
            kind="trigger",
            values={"tea": facts_pb2.Value(text="Assam")},
        )
        over = (channel_pb2.MESSAGE_STATE_ACCEPTED, channel_pb2.MESSAGE_STATE_REFUSED)
        async with self._platform.channel(Role.CHANNEL) as opened:
            stub = channel_pb2_grpc.ChannelServiceStub(opened)
            metadata = self._platform.metadata
            await again(lambda: stub.Send(channel_pb2.SendRequest(messages=[message]), metadata=metadata))
            found: list[channel_pb2.Message] = []

            async def ended() -> bool:
                request = channel_pb2.GetMessageRequest(id=message.id)
                found[:] = [(await again(lambda: stub.GetMessage(request, metadata=metadata))).message]
                return found[0].state in over

            await eventually(ended, f"the end of {message.id}")
        return found[0]


async def test_a_push_there_and_back_and_the_end_of_devices(tmp_path: Path) -> None:
    async with Platform(tmp_path, ManualClock(START_US)) as platform, httpx2.AsyncClient(headers=FIREFOX) as http:
        shop = Shop(platform)
        async with serving(shop.answer) as shop.port:
            await shop.set_up()
            await told_by_a_page(platform, shop, http)
            await shown_and_clicked(platform, shop, http)
            await gone_one_after_the_other(shop)
            await in_other_hands(shop)


async def told_by_a_page(platform: Platform, shop: Shop, http: httpx2.AsyncClient) -> None:
    """A visitor subscribes: a contact who can be reached; taken back, nobody can."""

    async def tell(**fields: Any) -> None:
        body = {"writeKey": platform.key, "subscription": subscription(), "anonymousId": "visitor-1", **fields}
        answer = await http.post(f"{platform.http_url(Role.INGEST)}/t/push", content=json.dumps(body))
        assert answer.json() == {"success": True}

    async def reachable() -> bool:
        found = (await shop.profile(TOKEN)).profile
        return found.known and found.reachable == WEB_PUSH

    await tell(agreed=True, page="https://shop.example/")
    await eventually(reachable, "a subscriber")
    assert await shop.states(TOKEN) == {"": "granted", device_category(TOKEN): "granted"}

    async def unreachable() -> bool:
        return (await shop.profile(TOKEN)).profile.reachable == 0

    await tell(gone=True)
    await eventually(unreachable, "nobody")
    assert (await shop.push(TOKEN)).reason == "NO_ADDRESS"


async def shown_and_clicked(platform: Platform, shop: Shop, http: httpx2.AsyncClient) -> None:
    """What the browser gets, and what its hits become."""
    await shop.identify("ann", "laptop")
    sent = await shop.push("ann")
    assert (sent.state, sent.provider, sent.attempts) == (channel_pb2.MESSAGE_STATE_ACCEPTED, "own", 1)
    [payload] = shop.browsers["laptop"].opened
    assert (payload["title"], payload["body"], payload["id"]) == (
        "Back in stock",
        "Assam is here again",
        sent.message.id,
    )
    assert (await http.post(payload["shown"])).status_code == 204
    assert (await http.get(payload["opened"])).status_code == 200
    answer = await http.get(payload["url"])
    assert (answer.status_code, answer.headers["location"]) == (302, "https://shop.example/assam")
    wanted = {"message_sent", "message_delivered", "message_opened", "message_clicked"}

    async def told() -> bool:
        events = [event for event in (await shop.profile("ann")).timeline if event.type.startswith("message_")]
        assert all(event.params["channel"].text == "web_push" for event in events)
        assert not any(event.machine for event in events)
        return {event.type for event in events} == wanted

    await eventually(told, "all that happened to the message")


async def gone_one_after_the_other(shop: Shop) -> None:
    """The newest browser gets the push; one that is gone bounces once, and then the other one gets it."""
    await shop.identify("ann", "desktop")
    assert (await shop.push("ann")).state == channel_pb2.MESSAGE_STATE_ACCEPTED
    assert [len(shop.browsers[name].opened) for name in ("laptop", "desktop")] == [1, 1]
    for name, left in (("desktop", WEB_PUSH), ("laptop", 0)):
        shop.gone.add(name)
        bounced = await shop.push("ann")
        assert (bounced.state, bounced.reason) == (channel_pb2.MESSAGE_STATE_REFUSED, "SUBSCRIPTION_GONE")
        category = device_category(shop.token(name))

        async def dropped(category: str = category, left: int = left) -> bool:
            found = (await shop.profile("ann")).profile
            return (await shop.states("ann")).get(category) == "bounced" and found.reachable == left

        await eventually(dropped, f"without the {name}")
        if left:
            assert (await shop.push("ann")).state == channel_pb2.MESSAGE_STATE_ACCEPTED
            assert len(shop.browsers["laptop"].opened) == 2
    assert (await shop.states("ann"))[""] == "granted"
    assert (await shop.push("ann")).reason == "NO_ADDRESS"


async def in_other_hands(shop: Shop) -> None:
    """Somebody else logs in at a browser: what is meant for the one before is not shown to them."""
    await shop.identify("ann", "shared")
    assert (await shop.push("ann")).state == channel_pb2.MESSAGE_STATE_ACCEPTED
    await shop.identify("bo", "shared")
    assert (await shop.push("ann")).reason == "NO_ADDRESS"
    assert (await shop.push("bo")).state == channel_pb2.MESSAGE_STATE_ACCEPTED
    assert len(shop.browsers["shared"].opened) == 2
