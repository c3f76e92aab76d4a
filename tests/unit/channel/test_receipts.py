"""What providers tell later finds its message after a restart and counts once; strangers are not believed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
from starlette.applications import Starlette

from cdp.channel.v1 import channel_pb2
from cdp.facts.v1 import facts_pb2
from cdp.profile.v1 import profile_pb2
from core.errors import unavailable
from core.eventlog.protocol import Commit
from services.channel.receipt_listeners import ReceiptListeners
from services.channel.receipts import names_of
from services.channel.senders.messenger import MessengerSender
from services.channel.senders.sms import SmsSender
from services.channel.shard import ChannelShard
from services.channel.viber_callbacks import ViberCallbacks, read_report
from tests.contract.sender_peers import messenger
from tests.contract.sender_peers.http_peer import Asked, Reply, serving
from tests.smsc import PASSWORD, Smsc
from tests.unit.channel.world import WORKSPACE, World, a_world, outgoing

TOKEN = 5_098_034_272_017_990_000


@asynccontextmanager
async def a_phone_world() -> AsyncIterator[tuple[World, SmsSender]]:
    """A world with SMS and Viber, and contact 2 who has a phone and agreed to both."""
    async with a_world() as world:
        sms = SmsSender()
        world.senders["sms"] = sms
        world.senders["messenger"] = MessengerSender()
        world.peers.profiles[2] = profile_pb2.Profile(
            contact=2,
            key="key-2",
            known=True,
            identifiers=[facts_pb2.Identifier(kind="phone", value=messenger.PHONE)],
            consents=[
                profile_pb2.Consent(channel=channel, state="granted", occurred_at_us=1)
                for channel in ("sms", "messenger")
            ],
        )
        try:
            yield world, sms
        finally:
            await sms.close()
            await world.senders["messenger"].close()


def named(channel: str, kind: str, settings: dict[str, str], secrets: dict[str, str]) -> channel_pb2.Provider:
    return channel_pb2.Provider(channel=channel, name=kind, kind=kind, settings=settings, secrets=secrets)


async def told_types(world: World, count: int) -> list[str]:
    return [item.event.type for item in await world.told(count)]


async def test_a_receipt_after_a_restart_finds_its_message() -> None:
    async with a_phone_world() as (world, sms):
        with Smsc() as smsc:
            told = dict(smsc.provider().settings)
            await world.set(
                providers=[named("sms", "smpp", told, {"password": PASSWORD})], allowed_private_hosts=["127.0.0.1"]
            )
            await world.save_template("text", channel="sms", subject="", body_text="Hello")
            await world.send(outgoing("m1", 2, channel="sms", template="text"))
            (name,) = names_of((await world.until("m1", "accepted")).provider_reply)
            # The process ends, and another one takes the workspace over.
            await world.stop()
            await sms.close()
            again = SmsSender()
            world.senders["sms"] = again
            await world.start()

            def shards(workspace: str) -> ChannelShard:
                if workspace != WORKSPACE.id:
                    raise unavailable("NOT_READY", "not here")
                return world.shard

            listeners = ReceiptListeners(again, lambda: ["w1", "w2"], shards, world.clock)
            await listeners.look()
            await smsc.until(lambda: len(smsc.units("bind")) == 2, "the second bind")
            for _ in range(2):  # a centre that did not hear us brings a receipt again
                smsc.ask(id=name, state="DELIVRD")
            smsc.ask(id="beef", state="DELIVRD")
            await smsc.until(lambda: len(smsc.units("deliver_sm_resp")) == 3, "all receipts answered")
            assert [unit["status"] for unit in smsc.units("deliver_sm_resp")] == [0, 0, 0]
            assert set(await told_types(world, 2)) == {"message_sent", "message_delivered"}
            (delivered,) = {event.message_id for event in world.peers.events("message_delivered")}
            assert delivered.startswith("m1:")
            await again.close()


async def test_a_receipt_that_overtakes_the_commit_of_its_message_waits_for_it() -> None:
    async with a_phone_world() as (world, sms):
        with Smsc() as smsc:
            told = dict(smsc.provider().settings)
            await world.set(
                providers=[named("sms", "smpp", told, {"password": PASSWORD})], allowed_private_hosts=["127.0.0.1"]
            )
            await world.save_template("text", channel="sms", subject="", body_text="Hello")
            ReceiptListeners(sms, lambda: ["w1"], lambda _workspace: world.shard, world.clock)
            entered, go_on = asyncio.Event(), asyncio.Event()

            async def before(commit: Commit) -> None:
                if any(write.table == "receipts" for write in commit.writes):
                    entered.set()
                    await go_on.wait()

            world.log.before = before
            await world.send(outgoing("m1", 2, channel="sms", template="text"))
            await entered.wait()
            smsc.ask(id=smsc.units("submit")[0]["id"], state="UNDELIV", error="007")
            await asyncio.sleep(0.1)  # it is here before its message, for all we know
            assert smsc.units("deliver_sm_resp") == []
            go_on.set()
            await smsc.until(lambda: len(smsc.units("deliver_sm_resp")) == 1, "the answer")
            assert smsc.units("deliver_sm_resp")[0]["status"] == 0
            await world.told(2)
            (bounced,) = world.peers.events("message_bounced")
            assert bounced.params["reason"].text == "UNDELIV err:007"


@asynccontextmanager
async def viber(world: World, reply: Reply | None = None) -> AsyncIterator[httpx2.AsyncClient]:
    """Viber beside the world; the client plays its callbacks."""

    def answers(_asked: Asked) -> Reply | None:
        return reply or messenger.answer(0, TOKEN)

    async with serving(answers) as port:
        provider = messenger.provider(port)
        ours = named("messenger", "viber", dict(provider.settings), dict(provider.secrets))
        await world.set(providers=[ours], allowed_private_hosts=["127.0.0.1"])
        await world.save_template("chat", channel="messenger", subject="", body_text="Hello")

        def shards(workspace: str) -> ChannelShard:
            if workspace != WORKSPACE.id:
                raise unavailable("NOT_READY", "not here")
            return world.shard

        app = Starlette(routes=ViberCallbacks(shards, world.clock).routes())
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://channel") as client:
            yield client


def path(key: str = messenger.CALLBACK_KEY, provider: str = "viber", workspace: str = WORKSPACE.id) -> str:
    return f"/viber/{workspace}/{provider}/{key}"


async def test_viber_tells_delivered_and_seen() -> None:
    async with a_phone_world() as (world, _), viber(world) as client:
        await world.send(outgoing("m1", 2, channel="messenger", template="chat"))
        await world.until("m1", "accepted")
        for status in (0, 1, 0):
            report = {"message_token": TOKEN, "message_status": status, "message_time": 1}
            answer = await client.post(path(), json=report)
            assert answer.status_code == 200, answer.text
        assert set(await told_types(world, 3)) == {"message_sent", "message_delivered", "message_opened"}
        assert len({event.message_id for event in world.peers.events("message_delivered")}) == 1
        # Whoever is erased takes the names of their messages along.
        assert await world.shard.state.named("viber", str(TOKEN)) == "m1"
        await world.shard.forget(frozenset({2}))
        assert await world.shard.state.named("viber", str(TOKEN)) == ""
        answer = await client.post(path(), json={"message_token": TOKEN, "message_status": 0})
        assert answer.text == "no message of ours"


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        (path(key="another-key-of-callbacks"), 404),
        (path(key="x"), 404),
        (path(provider="other"), 404),
        (path(workspace="w9"), 503),
        (f"{path()}/more", 404),
    ],
)
async def test_strangers_tell_nothing(wrong: str, status: int) -> None:
    async with a_phone_world() as (world, _), viber(world) as client:
        answer = await client.post(wrong, json={"message_token": TOKEN, "message_status": 0})
        assert answer.status_code == status
        assert world.peers.items == []


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"message_token": 1}',
        b'{"message_token": "a b", "message_status": 0}',
        b'{"message_token": true, "message_status": 0}',
        b'{"message_token": 1, "message_status": false}',
        b'{"message_token": 1, "message_status": 7}',
        b'{"message_token": 1, "message_status": [0]}',
        b'{"message_token": "' + b"9" * 31 + b'", "message_status": 0}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_report(raw: bytes) -> None:
    assert read_report("viber", raw) is None


async def test_long_reports_are_refused() -> None:
    async with a_phone_world() as (world, _), viber(world) as client:
        assert (await client.post(path(), content=b" " * 20_000)).status_code == 413


@pytest.mark.parametrize("expires", [False, True])
async def test_who_is_not_reached_by_viber_gets_an_sms(expires: bool) -> None:
    """Because there is no Viber on the phone, or because it was not switched on in time."""
    reply = messenger.answer(0, TOKEN) if expires else messenger.answer(9)
    async with a_phone_world() as (world, _), viber(world, reply) as client:
        with Smsc() as smsc:
            told = dict(smsc.provider().settings)
            providers = [
                *channel_pb2.Settings.FromString(world.shard.state.settings_versions.newest()[-1].payload).providers,
                named("sms", "smpp", told, {"password": PASSWORD}),
            ]
            await world.set(providers=providers, allowed_private_hosts=["127.0.0.1"])
            await world.save_template("text", channel="sms", subject="", body_text="Hello")
            sms = channel_pb2.Alternative(channel="sms", template="text")
            message = outgoing(
                "m1", 2, channel="messenger", template="chat", alternatives=[sms], patience_us=3_600_000_000
            )
            await world.send(message)
            await world.until("m1", "accepted")
            if expires:
                answer = await client.post(path(), json={"message_token": TOKEN, "message_status": 2})
                assert answer.status_code == 200
                # Said again, it is about a way that the message does not go by any more.
                await client.post(path(), json={"message_token": TOKEN, "message_status": 2})
            await smsc.until(lambda: smsc.texts() == ["Hello"], "the SMS")
            found = await world.until("m1", "accepted")
            while found.channel != "sms":
                found = await world.message("m1")
                await asyncio.sleep(0.01)
            assert [one.channel for one in found.tries] == ["messenger"]
            assert smsc.texts() == ["Hello"]
