"""Messages from Send to the SMTP server or the webhook, and back to ingest as events."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from email import message_from_bytes
from email.policy import SMTP
from hashlib import sha256
from typing import Any

import pytest

from cdp.channel.v1 import channel_pb2
from cdp.facts.v1 import facts_pb2
from core.clock import SECOND_US
from core.delivery.outbox import MAXIMUM_ATTEMPTS, State
from core.errors import CdpError
from core.eventlog.protocol import Commit, Committed, Fence, Partition
from services.channel.record import decode
from tests.unit.channel.world import NO_CONTEXT, World, a_world, outgoing, soon


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with a_world() as made:
        yield made


async def test_a_cart_mail_arrives_whole(world: World) -> None:
    await world.save_template(
        "cart",
        subject="{{ contact.first_name }}, your cart 🛒",
        body_html="<h1>{{ promo | default: 'none' }}</h1>{% for i in items %}<a href='{{ i.url }}'>{{ i.name }}"
        " {{ i.price | money }}</a>{% endfor %}<a href='{{ unsubscribe_url }}'>stop</a>",
        body_text="{{ items[0].name }}",
    )
    item = facts_pb2.Object(
        fields={
            "name": facts_pb2.Value(text="Tea & Co"),
            "price": facts_pb2.Value(decimal_units=125_000),
            "url": facts_pb2.Value(text="https://shop.example/tea"),
        }
    )
    await world.send(
        outgoing("m1", template="cart", items=[item], scenario="n3", run_id="r1", step="s1", min_upstream_position=42)
    )
    done = await world.until("m1", "accepted")
    assert (done.address, done.attempts, done.provider_reply) == ("ann@mail.example", 1, "250 queued")
    (recipients, raw), *rest = world.mailbox.mails
    assert (recipients, rest) == (["ann@mail.example"], [])
    mail = message_from_bytes(raw, policy=SMTP)
    assert mail["Subject"] == "Ann1, your cart 🛒"
    assert mail["List-Unsubscribe"].startswith("<https://t.shop.example/u/")
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    text, html = mail.iter_parts()
    assert text.get_content().strip() == "Tea & Co"
    body = html.get_content()
    assert "Tea &amp; Co $12.50" in body
    assert "https://t.shop.example/c/" in body
    assert "https://t.shop.example/o/" in body
    assert "https://shop.example/tea" not in body
    assert mail["List-Unsubscribe"].strip("<>") in body
    assert world.peers.positions == [42, 42]
    (told,) = await world.told(1)
    assert (told.event.message_id, told.event.type) == ("m1:sent", "message_sent")
    assert told.event.identifiers[0] == facts_pb2.Identifier(kind="contact_key", value="key-1")
    assert {name: value.text for name, value in told.event.params.items()} == {
        **{"message_id": "m1", "channel": "email", "kind": "trigger", "template": "cart"},
        **{"scenario": "n3", "run_id": "r1", "step": "s1", "time_zone": "America/New_York"},
    }


async def test_send_is_idempotent(world: World) -> None:
    first, twin = await world.send(outgoing("m1"), outgoing("m1"))
    assert (first.duplicate, twin.duplicate) == (False, True)
    await world.until("m1", "accepted")
    assert [one.duplicate for one in await world.send(outgoing("m1", contact=9))] == [True]
    assert (await world.message("m1")).message.contact == 1
    assert len(world.mailbox.mails) == 1


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"id": ""}, "BAD_MESSAGE_ID"),
        ({"id": "a\r\nb"}, "BAD_MESSAGE_ID"),
        ({"id": "x" * 201}, "BAD_MESSAGE_ID"),
        ({"channel": "pigeon"}, "UNKNOWN_CHANNEL"),
        ({"kind": "urgent"}, "UNKNOWN_KIND"),
        ({"template": ""}, "NO_TEMPLATE"),
        ({"step": "x" * 300_000}, "MESSAGE_TOO_LARGE"),
    ],
)
async def test_one_bad_message_fails_alone(world: World, fields: dict[str, Any], reason: str) -> None:
    bad = outgoing("bad")
    for name, value in fields.items():
        setattr(bad, name, value)
    results = await world.send(bad, outgoing("good"))
    assert [one.reason for one in results] == [reason, ""]
    await world.until("good", "accepted")


async def test_batches_have_a_limit(world: World) -> None:
    with pytest.raises(CdpError) as caught:
        await world.send(*[outgoing(f"m{number}") for number in range(1_001)])
    assert caught.value.reason == "BATCH_TOO_LARGE"


async def test_refusals_are_visible_and_reach_no_provider(world: World) -> None:
    world.peers.add(2, "bo@mail.example", consent="denied")
    world.peers.add(3, "")
    world.peers.add(4, "x@mail.example> SIZE=1")
    await world.save_template("broken", body_text="{{ 1 | divided_by: 0 }}")
    await world.save_template("inject", subject="Hi {{ name }}")
    values = {"name": facts_pb2.Value(text="x\r\nBcc: all@evil.example")}
    await world.send(
        outgoing("denied", 2),
        outgoing("nowhere", 3),
        outgoing("odd", 4),
        outgoing("gone", 99),
        outgoing("lost", template="none"),
        outgoing("broken", template="broken"),
        outgoing("inject", template="inject", values=values),
    )
    reasons = {name: (await world.until(name, "refused")).reason for name in
               ("denied", "nowhere", "odd", "gone", "lost", "broken", "inject")}  # fmt: skip
    assert reasons == {
        "denied": "NO_CONSENT",
        "nowhere": "NO_ADDRESS",
        "odd": "BAD_ADDRESS",
        "gone": "CONTACT_GONE",
        "lost": "NO_SUCH_TEMPLATE",
        "broken": "TEMPLATE_FAILED",
        "inject": "HEADER_INJECTION",
    }
    assert world.mailbox.mails == []
    assert world.peers.items == []
    await world.send(outgoing("receipt", 2, kind="transactional"))
    await world.until("receipt", "accepted")
    assert b"List-Unsubscribe" not in world.mailbox.mails[0][1]


async def test_brakes_hold_until_lifted(world: World) -> None:
    await world.set(live=False, allowed_recipients=["@test.example"])
    await world.send(outgoing("m1"))
    assert (await world.until("m1", "refused")).reason == "RECIPIENT_NOT_ALLOWED"
    await world.set(killed_channels=["*"])
    await world.send(outgoing("m2", kind="transactional"))
    assert (await world.until("m2", "refused")).reason == "CHANNEL_KILLED"
    await world.set(live=False, allowed_recipients=["Ann@mail.example"])
    await world.send(outgoing("m3"))
    await world.until("m3", "accepted")


@pytest.mark.parametrize("kind", ["promo", "transactional"])
async def test_a_switch_that_falls_while_a_message_is_being_prepared_still_stops_it(world: World, kind: str) -> None:
    async def kill(commit: Commit) -> None:
        rows = [row for write in commit.writes if write.table == "outbox" for row in write.put.values()]
        if any(decode(row).delivery.state is State.SENDING for row in rows):
            world.log.before = None
            await world.set(killed_channels=["email"])

    world.log.before = kill
    await world.send(outgoing("m1", kind=kind))
    assert (await world.until("m1", "refused")).reason == "CHANNEL_KILLED"
    assert world.mailbox.mails == []


def on_sending(world: World, change: Callable[[], None]) -> None:
    """Run `change` once, in front of the first commit of a message in `sending`."""

    async def before(commit: Commit) -> None:
        rows = [row for write in commit.writes if write.table == "outbox" for row in write.put.values()]
        if any(decode(row).delivery.state is State.SENDING for row in rows):
            world.log.before = None
            change()

    world.log.before = before


async def test_a_consent_withdrawn_while_a_message_is_being_prepared_stops_it(world: World) -> None:
    on_sending(world, lambda: world.peers.add(1, "ann@mail.example", consent="denied", at_us=2))
    await world.send(outgoing("m1"))
    assert (await world.until("m1", "refused", "accepted")).reason == "NO_CONSENT"
    assert world.mailbox.mails == []


async def test_an_address_that_changes_while_a_message_is_being_prepared_is_used(world: World) -> None:
    on_sending(world, lambda: world.peers.add(1, "ann@new.example"))
    await world.send(outgoing("m1"))
    done = await world.until("m1", "accepted")
    assert (done.address, done.attempts) == ("ann@new.example", 1)
    assert [recipients for recipients, _ in world.mailbox.mails] == [["ann@new.example"]]


async def test_profiles_that_go_away_while_a_message_is_being_prepared_only_delay(world: World) -> None:
    on_sending(world, lambda: setattr(world.peers, "profiles_away", True))
    await world.send(outgoing("m1"))
    await world.until("m1", "sending")
    assert (await world.until("m1", "reserved")).reason == "PROFILE_UNAVAILABLE"
    assert world.mailbox.mails == []
    world.peers.profiles_away = False
    world.clock.advance(SECOND_US)
    done = await world.until("m1", "accepted")
    assert (done.attempts, len(world.mailbox.mails)) == (1, 1)


@pytest.mark.parametrize("table", ["template", "channel_settings"])
async def test_a_cancelled_save_keeps_its_version(world: World, table: str) -> None:
    durable, answered = asyncio.Event(), asyncio.Event()
    commit_now = world.log.commit

    async def commit_slowly(partition: Partition, fence: Fence, commit: Commit) -> Committed:
        done = await commit_now(partition, fence, commit)
        if any(write.table == "definition_versions" for write in commit.writes):
            durable.set()
            await answered.wait()
        return done

    def saving(text: str) -> Coroutine[Any, Any, None]:
        return world.save_template(subject=text) if table == "template" else world.set(webhook_secret=text)

    world.log.commit = commit_slowly  # type: ignore[method-assign]
    first = asyncio.create_task(saving("first"))
    await durable.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second = asyncio.create_task(saving("second"))
    answered.set()
    await second
    definitions = world.shard.state.templates if table == "template" else world.shard.state.settings_versions
    versions = definitions.versions("hello" if table == "template" else "settings")
    assert [one.revision.version for one in versions] == [3, 2, 1]
    keys = [key async for key, _ in world.log.scan(world.partition, "audit")]
    assert len([key for key in keys if key.startswith(f"{table}/".encode())]) == 3
    await world.stop()
    await world.start()
    assert world.shard.state.settings.webhook_secret == ("" if table == "template" else "second")


async def test_4xx_is_tried_again_with_the_same_message_id(world: World) -> None:
    world.mailbox.script = ["451 later", "250 ok", "250 ok"]
    await world.send(outgoing("m1"))
    await world.until("m1", "sending")
    found = await world.until("m1", "reserved")
    assert (found.reason, found.provider_reply) == ("PROVIDER_BUSY", "451 later")
    assert world.mailbox.mails == []
    world.clock.advance(5 * SECOND_US)
    assert (await world.until("m1", "accepted")).attempts == 2
    assert len(world.mailbox.mails) == 1


async def test_4xx_for_ever_ends(world: World) -> None:
    world.mailbox.rcpt_reply = "450 greylisted"
    await world.send(outgoing("m1"))
    for _ in range(MAXIMUM_ATTEMPTS):
        await world.until("m1", "sending")
        found = await world.until("m1", "reserved", "refused")
        world.clock.advance(600 * SECOND_US)
    assert (found.reason, found.attempts) == ("RETRIES_EXHAUSTED", MAXIMUM_ATTEMPTS)


async def test_5xx_on_the_mailbox_is_a_bounce_that_lasts(world: World) -> None:
    world.mailbox.rcpt_reply = "550 5.1.1 no such user"
    await world.send(outgoing("m1"))
    assert (await world.until("m1", "refused")).reason == "RECIPIENT_REFUSED"
    await world.told(2)
    (event,) = world.peers.events("message_bounced")
    assert event.params["reason"].text == "550 5.1.1 no such user"
    assert [item.person.consents[0].state for item in world.peers.items if item.HasField("person")] == ["bounced"]
    world.mailbox.rcpt_reply = ""
    await world.send(outgoing("m2", kind="transactional"))
    assert (await world.until("m2", "refused")).reason == "BOUNCED"


async def test_5xx_on_the_content_is_no_bounce_of_the_address(world: World) -> None:
    world.mailbox.script = ["554 5.7.1 spam"]
    await world.send(outgoing("m1"))
    assert (await world.until("m1", "refused")).reason == "CONTENT_REFUSED"
    await world.send(outgoing("m2"))
    await world.until("m2", "accepted")


async def test_a_connection_lost_after_data_is_uncertain_and_never_doubled(world: World) -> None:
    world.mailbox.script = ["drop"]
    await world.send(outgoing("m1"))
    lost = await world.until("m1", "uncertain")
    assert lost.reason.startswith("CONNECTION_LOST")
    await world.stop()
    await world.start()
    world.clock.advance(86_400 * SECOND_US)
    assert [one.duplicate for one in await world.send(outgoing("m1"), outgoing("m2"))] == [True, False]
    await world.until("m2", "accepted")
    assert len(world.mailbox.mails) == 2
    assert (await world.message("m1")).state == channel_pb2.MESSAGE_STATE_UNCERTAIN
    await world.told(1)
    assert [event.message_id for event in world.peers.events("message_sent")] == ["m2:sent"]


async def test_transactional_mail_is_sent_again_under_the_same_message_id(world: World) -> None:
    world.mailbox.script = ["drop"]
    await world.send(outgoing("m1", kind="transactional"))
    await soon(world.mailbox.changed, lambda: len(world.mailbox.mails) == 1)
    await world.until("m1", "reserved")
    world.clock.advance(5 * SECOND_US)
    await world.until("m1", "accepted")
    ids = [message_from_bytes(raw)["Message-ID"] for _, raw in world.mailbox.mails]
    assert len(ids) == 2
    assert len(set(ids)) == 1


async def test_reports_wait_for_ingest_and_survive_a_restart(world: World) -> None:
    world.peers.closed = True
    await world.send(outgoing("m1"))
    await world.until("m1", "accepted")
    await world.stop()
    assert world.peers.items == []
    world.peers.closed = False
    await world.start()
    (told,) = await world.told(1)
    assert told.event.message_id == "m1:sent"
    await world.committed(lambda: not world.shard.state.reports)


async def test_listing_is_newest_first_and_by_state(world: World) -> None:
    world.peers.add(2, "bo@mail.example", consent="denied")
    await world.send(*[outgoing(f"m{number}", 1 + number % 2) for number in range(10)])
    for number in range(10):
        await world.until(f"m{number}", "accepted", "refused")

    async def listed(size: int, state: Any) -> list[str]:
        found: list[str] = []
        token = ""
        while True:
            page = await world.rpc.ListMessages(
                channel_pb2.ListMessagesRequest(page_size=size, page_token=token, state=state), NO_CONTEXT
            )
            found += [one.message.id for one in page.messages]
            token = page.next_page_token
            if not token:
                return found

    for _ in range(2):
        assert await listed(3, channel_pb2.MESSAGE_STATE_UNSPECIFIED) == [f"m{n}" for n in range(9, -1, -1)]
        assert await listed(2, channel_pb2.MESSAGE_STATE_REFUSED) == ["m9", "m7", "m5", "m3", "m1"]
        assert await listed(100, channel_pb2.MESSAGE_STATE_UNCERTAIN) == []
        await world.stop()
        await world.start()
    with pytest.raises(CdpError) as caught:
        await world.rpc.ListMessages(channel_pb2.ListMessagesRequest(page_token="x"), NO_CONTEXT)
    assert caught.value.reason == "BAD_PAGE_TOKEN"


async def test_definitions_have_versions_and_an_audit_and_hide_the_secret(world: World) -> None:
    await world.set(webhook_secret="s3cret", webhook_url="https://hooks.example/")
    await world.set(webhook_url="https://hooks.example/")
    assert world.shard.state.settings.webhook_secret == "s3cret"
    shown = (await world.rpc.GetSettings(channel_pb2.GetSettingsRequest(), NO_CONTEXT)).settings
    assert shown.webhook_secret == ""
    with pytest.raises(CdpError) as caught:
        await world.set(etag="old")
    assert caught.value.reason == "ETAG_MISMATCH"
    with pytest.raises(CdpError) as caught:
        await world.set(killed_channels=["pigeon"], webhook_url="ftp://x")
    assert {one.path for one in caught.value.violations} == {"settings.killed_channels[0]", "settings.webhook_url"}
    await world.save_template(subject="Second")
    versions = await world.rpc.ListTemplateVersions(channel_pb2.ListTemplateVersionsRequest(name="hello"), NO_CONTEXT)
    assert [(one.revision.version, one.subject) for one in versions.versions] == [
        (2, "Second"),
        (1, "Hi {{ contact.first_name }}"),
    ]
    await world.rpc.DeleteTemplate(channel_pb2.DeleteTemplateRequest(name="hello"), NO_CONTEXT)
    with pytest.raises(CdpError) as caught:
        await world.rpc.GetTemplate(channel_pb2.GetTemplateRequest(name="hello"), NO_CONTEXT)
    assert caught.value.reason == "NO_SUCH_TEMPLATE"
    found: list[tuple[str, str, int]] = []
    token = ""
    while True:
        page = await world.rpc.ListAuditRecords(
            channel_pb2.ListAuditRecordsRequest(page_size=2, page_token=token), NO_CONTEXT
        )
        found += [(one.kind, one.action, one.version) for one in page.records]
        token = page.next_page_token
        if not token:
            break
    assert sorted(found) == [
        ("channel_settings", "saved", 1),
        ("channel_settings", "saved", 2),
        ("channel_settings", "saved", 3),
        ("template", "deleted", 3),
        ("template", "saved", 1),
        ("template", "saved", 2),
    ]


class Hooks:
    """A webhook receiver that keeps requests and answers by a script of raw replies ("" hangs up)."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.script: list[bytes] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request per connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        self.requests.append((headers, await reader.readexactly(int(headers["content-length"]))))
        status = self.script.pop(0) if self.script else b"200 OK"
        if status:
            body = b'{"code": "A1", "left": 12.5}'
            length = b"\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
            writer.write(b"HTTP/1.1 " + status + length + body)
            await writer.drain()
        writer.close()


async def test_webhooks_are_signed_and_their_answers_decide(world: World) -> None:
    hooks = Hooks()
    server = await asyncio.start_server(hooks.answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        settings = {"webhook_url": f"http://127.0.0.1:{port}/in?x=1", "webhook_secret": "s3cret"}
        await world.set(**settings)
        await world.save_template("hook", channel="webhook", subject="", body_text='{"to": "{{ contact.email }}"}')
        world.peers.add(1, 'a"n\\n@mail.example', channel="webhook")
        await world.send(outgoing("private", channel="webhook", template="hook"))
        assert (await world.until("private", "refused")).reason == "PRIVATE_ADDRESS"
        assert hooks.requests == []
        assert world.peers.events("message_bounced") == []
        await world.set(**settings, allowed_private_hosts=["127.0.0.1"])
        hooks.script = [b"200 OK", b"302 Found\r\nLocation: http://127.0.0.1/", b"500 Oops", b"", b"410 Gone"]
        wanted = [("accepted", ""), ("refused", "REDIRECTED"), ("uncertain", "PROVIDER_FAILED: 500"),
                  ("uncertain", "NO_ANSWER"), ("refused", "PROVIDER_REFUSED")]  # fmt: skip
        for number, (state, reason) in enumerate(wanted):
            await world.send(outgoing(f"m{number}", channel="webhook", template="hook"))
            assert (await world.until(f"m{number}", state)).reason.startswith(reason)
        assert len(hooks.requests) == 5
        headers, body = hooks.requests[0]
        assert json.loads(body) == {"to": 'a"n\\n@mail.example'}
        assert headers["idempotency-key"] == "m0"
        assert headers["host"] == f"127.0.0.1:{port}"
        stamp, mac = (part.partition("=")[2] for part in headers["cdp-signature"].split(","))
        assert mac == hmac.new(b"s3cret", f"{stamp}.".encode() + body, sha256).hexdigest()
        assert stamp == headers["cdp-timestamp"] == str(world.clock.now_us() // SECOND_US)
        await soon(world.peers.changed, lambda: len(world.peers.events("webhook_failed")) >= 5)
    (told,) = world.peers.events("webhook_answered")
    assert (told.params["message_id"].text, told.params["status"].integer) == ("m0", 200)
    assert (told.params["answer_code"].text, told.params["answer_left"].decimal_units) == ("A1", 125_000)
    failed = {one.params["message_id"].text: one.params["reason"].text for one in world.peers.events("webhook_failed")}
    assert failed.keys() == {"private", "m1", "m2", "m3", "m4"}
    assert failed["m2"] == "PROVIDER_FAILED: 500"
    assert failed["private"] == "PRIVATE_ADDRESS"


async def test_an_answer_that_ingest_does_not_take_is_told_as_a_failure(world: World) -> None:
    hooks = Hooks()
    server = await asyncio.start_server(hooks.answer, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        await world.set(webhook_url=url, webhook_secret="s3cret", allowed_private_hosts=["127.0.0.1"])
        await world.save_template("hook", channel="webhook", subject="", body_text="{}")
        world.peers.refused_types = {"webhook_answered": "WRONG_TYPE"}
        await world.send(outgoing("m1", channel="webhook", template="hook", kind="transactional"))
        await soon(world.peers.changed, lambda: len(world.peers.events("webhook_failed")) >= 1)
    (told,) = world.peers.events("webhook_failed")
    assert told.params["reason"].text == "ANSWER_REFUSED: WRONG_TYPE"
    assert told.params["message_id"].text == "m1"
    assert "answer_code" not in told.params
