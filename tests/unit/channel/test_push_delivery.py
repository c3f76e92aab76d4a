"""Pushes through the outbox: each device by the provider that knows it, bounces that name the device alone, and
Retry-After."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from cdp.profile.v1 import profile_pb2
from core.clock import SECOND_US
from core.identity.push_tokens import device_category
from services.channel.senders.mobile_push import MobilePushSender
from services.channel.senders.sender import ProviderSettings
from tests.contract.sender_peers import apns, fcm
from tests.contract.sender_peers.http_peer import Asked, Reply, serving
from tests.unit.channel.world import World, a_world, outgoing

TOKEN_OF_GOOGLE = Reply(200, b'{"access_token": "t", "expires_in": 3600}')


class Services:
    """FCM and APNs: what they answer, and which of them was asked."""

    def __init__(self) -> None:
        self.replies = {"fcm": Reply(200), "apns": Reply(200)}
        self.asked: list[str] = []

    def fcm(self, asked: Asked) -> Reply:
        """Google."""
        if asked.path == "/token":
            return TOKEN_OF_GOOGLE
        self.asked.append("fcm")
        return self.replies["fcm"]

    def apns(self, _asked: Asked) -> Reply:
        """Apple."""
        self.asked.append("apns")
        return self.replies["apns"]


@pytest.fixture
def services() -> Services:
    return Services()


@pytest.fixture
async def world(services: Services) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        ports = {
            "fcm": await stack.enter_async_context(serving(services.fcm)),
            "apns": await stack.enter_async_context(apns.serving(services.apns)),
        }
        made = await stack.enter_async_context(a_world())
        made.senders["mobile_push"] = MobilePushSender()
        providers = [listed(fcm.provider(ports["fcm"])), listed(apns.provider(ports["apns"]))]
        await made.set(providers=providers, allowed_private_hosts=["127.0.0.1"])
        await made.save_template("push", channel="mobile_push", subject="Hi", body_text="Your order is on its way")
        yield made


def listed(provider: ProviderSettings) -> dict[str, Any]:
    """A provider as a workspace's settings hold it."""
    told = {"channel": "mobile_push", "name": provider.name, "kind": provider.kind}
    return {**told, "settings": dict(provider.settings), "secrets": dict(provider.secrets)}


def owner(world: World, *states: tuple[str, str, int]) -> None:
    """Contact 1 with devices: token, state, since when."""
    world.peers.add(1, "", channel="mobile_push")
    profile = world.peers.profiles[1]
    for token, state, at_us in states:
        profile.identifiers.add(kind="push_token", value=token)
        profile.consents.append(
            profile_pb2.Consent(
                channel="mobile_push", category=device_category(token), state=state, occurred_at_us=at_us
            )
        )


def message(message_id: str) -> Any:
    return outgoing(message_id, channel="mobile_push", template="push")


async def test_each_device_goes_by_the_provider_that_knows_it(world: World, services: Services) -> None:
    owner(world, (fcm.TOKEN, "granted", 1), (apns.TOKEN, "granted", 2))
    await world.send(message("m1"))
    assert (await world.until("m1", "accepted")).provider == "ios"
    owner(world, (fcm.TOKEN, "granted", 3), (apns.TOKEN, "granted", 2))
    await world.send(message("m2"))
    done = await world.until("m2", "accepted")
    assert (done.provider, done.address) == ("android", fcm.TOKEN)
    assert services.asked == ["apns", "fcm"]


async def test_a_bounce_is_told_of_the_device_alone(world: World, services: Services) -> None:
    owner(world, (fcm.TOKEN, "granted", 1), (apns.TOKEN, "granted", 2))
    services.replies["apns"] = Reply(410, apns.reason("Unregistered"))
    await world.send(message("m1"))
    done = await world.until("m1", "refused")
    assert (done.reason, done.address) == ("TOKEN_GONE", apns.TOKEN)
    items = await world.told(2)
    [consent] = [one for item in items for one in item.person.consents]
    assert (consent.channel, consent.category, consent.state) == (
        "mobile_push",
        device_category(apns.TOKEN),
        "bounced",
    )
    assert [event.params["bounce"].text for event in world.peers.events("message_bounced")] == ["hard"]
    # As long as the profile does not say so yet, the device is known here to be gone.
    await world.send(message("m2"))
    assert (await world.until("m2", "refused")).reason == "BOUNCED"
    owner(world, (fcm.TOKEN, "granted", 1), (apns.TOKEN, "bounced", 3))
    await world.send(message("m3"))
    assert (await world.until("m3", "accepted")).address == fcm.TOKEN
    assert services.asked == ["apns", "fcm"]


async def test_who_is_busy_is_asked_again_when_it_said(world: World, services: Services) -> None:
    owner(world, (apns.TOKEN, "granted", 1))
    services.replies["apns"] = Reply(429, apns.reason("TooManyRequests"), {"retry-after": "120"})
    await world.send(message("m1"))
    await world.committed(lambda: bool(services.asked) and world.shard.state.pending["m1"].delivery.reply != "")
    due_us = (await world.message("m1")).due_at_us
    assert due_us == world.clock.now_us() + 120 * SECOND_US
    services.replies["apns"] = Reply(200)
    world.clock.advance(119 * SECOND_US)
    assert len(services.asked) == 1
    world.clock.advance(SECOND_US)
    assert (await world.until("m1", "accepted")).attempts == 2
    assert services.asked == ["apns", "apns"]


async def test_without_a_provider_that_knows_the_device_nothing_goes(world: World, services: Services) -> None:
    owner(world, (fcm.TOKEN, "granted", 1))
    await world.set(providers=[listed(apns.provider(1))])
    await world.send(message("m1"))
    assert (await world.until("m1", "refused")).reason == "NO_PROVIDER"
    load = {"channel": "mobile_push", "name": "load", "kind": "null"}
    await world.set(providers=[load])
    await world.send(message("m2"))
    assert (await world.until("m2", "accepted")).provider == "load"
    assert services.asked == []
