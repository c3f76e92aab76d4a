"""The routes of web pushes: scripts, the key to subscribe with, and what a device showed."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator

import httpx2
import pytest
from starlette.applications import Starlette

from core.delivery.links import OPEN_INDEX, SHOWN_INDEX, sign
from core.errors import not_found, unavailable
from services.channel.push.http import FOLDER, PushPages
from services.channel.senders.sender import ProviderSettings
from services.channel.senders.web_push import WebPushSender, public_key_of
from services.channel.senders.web_push_cipher import key_out_of
from services.channel.shard import ChannelShard
from tests.unit.channel.world import KEY, PUBLIC, World, a_world, outgoing

OWN = key_out_of("own")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with a_world() as made:
        made.senders["web_push"] = WebPushSender(OWN)
        yield made


@pytest.fixture
async def pages(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    def shards(workspace: str) -> ChannelShard:
        if workspace == "elsewhere":
            raise unavailable("NOT_READY", "not here")
        if workspace != "w1":
            raise not_found("NO_SUCH_WORKSPACE", "there is none")
        return world.shard

    app = Starlette(routes=PushPages(shards, world.senders["web_push"], KEY).routes())
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=PUBLIC) as client:
        yield client


@pytest.mark.parametrize("name", ["sw.js", "subscribe.js"])
async def test_scripts_are_small_stand_alone_and_are_cached(pages: httpx2.AsyncClient, name: str) -> None:
    source = (FOLDER / name).read_bytes()
    answer = await pages.get(f"/push/{name}", headers={"accept-encoding": "gzip"})
    assert (answer.status_code, answer.content) == (200, source)
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert len(gzip.compress(source, 9)) <= 4 << 10
    again = await pages.get(f"/push/{name}", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    plain = await pages.get(f"/push/{name}", headers={"accept-encoding": "identity"})
    assert plain.content == source
    for word in (b"import ", b"require(", b"eval(", b"document.write", b"innerHTML"):
        assert word not in source


async def test_the_key_of_a_workspace(world: World, pages: httpx2.AsyncClient) -> None:
    async def key() -> object:
        answer = await pages.get("/push/key/w1")
        assert answer.headers["access-control-allow-origin"] == "*"
        return answer.json()["publicKey"]

    def public(secret: str) -> str:
        return public_key_of(ProviderSettings("x", "vapid", {}, {"private_key": secret}))

    assert await key() == public(OWN)
    theirs = {
        "channel": "web_push",
        "name": "theirs",
        "kind": "vapid",
        "secrets": {"private_key": key_out_of("theirs")},
    }
    load = {"channel": "web_push", "name": "load", "kind": "null", "priority": 0}
    await world.set(providers=[load, {**theirs, "priority": 1}])
    assert await key() == public(key_out_of("theirs"))
    await world.set(providers=[{**theirs, "disabled": True}])
    assert await key() == public(OWN)
    assert (await pages.get("/push/key/elsewhere")).status_code == 503
    assert (await pages.get("/push/key/nobody")).status_code == 404
    for odd in ("/push/key/", "/push/key/a/b", "/push/other.js"):
        assert (await pages.get(odd)).status_code == 404


async def test_a_message_that_was_shown_is_delivered(world: World, pages: httpx2.AsyncClient) -> None:
    await world.send(outgoing("m1"))
    await world.until("m1", "accepted")
    token = sign(KEY, "w1", "m1", 1, SHOWN_INDEX)
    for _ in range(2):  # a device may tell twice
        answer = await pages.post(f"/d/{token}")
        assert (answer.status_code, answer.content) == (204, b"")
    await world.told(2)
    assert {event.message_id for event in world.peers.events("message_delivered")} == {"m1:delivered"}
    assert (await pages.get(f"/d/{token}")).status_code == 405


async def test_only_a_genuine_token_of_its_kind_counts(world: World, pages: httpx2.AsyncClient) -> None:
    await world.send(outgoing("m1"))
    await world.until("m1", "accepted")
    good = sign(KEY, "w1", "m1", 1, SHOWN_INDEX)
    forged = ("A" if good[-1] != "A" else "B").join((good[:-1], ""))
    foreign = sign(b"k" * 32, "w1", "m1", 1, SHOWN_INDEX)
    for token in (forged, foreign, sign(KEY, "w1", "m1", 1, OPEN_INDEX), sign(KEY, "w1", "m1", 1, 0), "x", "%00", "é"):
        assert (await pages.post(f"/d/{token}")).status_code == 404
    assert (await pages.post(f"/d/{sign(KEY, 'elsewhere', 'm1', 1, SHOWN_INDEX)}")).status_code == 503
    assert (await pages.post(f"/d/{sign(KEY, 'w1', 'never-sent', 1, SHOWN_INDEX)}")).status_code == 204
    assert world.peers.events("message_delivered") == []
