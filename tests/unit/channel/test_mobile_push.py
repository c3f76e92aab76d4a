"""Pushes to apps: every documented answer of FCM and APNs, tokens that are kept, and what a workspace may say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from core.clock import MINUTE_US, SECOND_US
from core.delivery.outbox import Accepted, Deferred, Outcome, Rejected, Unknown
from core.errors import CdpError
from services.channel.senders.mobile_push import MobilePushSender
from services.channel.senders.sender import Envelope, ProviderSettings
from tests.contract.sender_peers import apns, fcm
from tests.contract.sender_peers.http_peer import Asked, Reply, free_port, serving
from tests.contract.sender_peers.peer import LINKS, NOW_US, SETTINGS
from tests.contract.sender_peers.web_push import NOTICE

NOTICE_OF_APPS = replace(NOTICE, channel="mobile_push")
BAD_TOKEN_FIELD = {
    "@type": "type.googleapis.com/google.rpc.BadRequest",
    "fieldViolations": [{"field": "message.token"}],
}


def envelope(sender: MobilePushSender, provider: ProviderSettings, address: str, **more: object) -> Envelope:
    template = replace(NOTICE_OF_APPS, body_text=str(more.get("text", NOTICE.body_text)))
    now_us = int(str(more.get("now_us", NOW_US)))
    values = {"name": "Ann"}
    compiled = sender.compile(template)
    return Envelope("w1", "m1", False, address, compiled, values, LINKS, SETTINGS, now_us, provider, "key-1", 0)


async def said(kind: str, reply: Reply) -> Outcome:
    """What the sender makes of one answer."""
    sender = MobilePushSender()
    peer, serve = (apns, apns.serving) if kind == "apns" else (fcm, serving)
    token = json.dumps({"access_token": "t", "expires_in": 3_600}).encode()
    async with serve(lambda asked: Reply(200, token) if asked.path == "/token" else reply) as port:
        outcome = await sender.send(sender.prepare(envelope(sender, peer.provider(port), peer.TOKEN)))
    await sender.close()
    return outcome


@pytest.mark.parametrize(
    ("status", "name", "details", "message", "wanted", "reason"),
    [
        (404, "NOT_FOUND", [fcm.fcm_error("UNREGISTERED")], "", "bounced", "TOKEN_GONE"),
        (404, "NOT_FOUND", [], "no such project", "rejected", "PROVIDER_REFUSED"),
        (400, "INVALID_ARGUMENT", [BAD_TOKEN_FIELD], "", "bounced", "BAD_TOKEN"),
        (
            400,
            "INVALID_ARGUMENT",
            [],
            "The registration token is not a valid FCM registration token",
            "bounced",
            "BAD_TOKEN",
        ),
        (
            400,
            "INVALID_ARGUMENT",
            [fcm.fcm_error("INVALID_ARGUMENT")],
            "Android message is too big",
            "rejected",
            "PROVIDER_REFUSED",
        ),
        (403, "PERMISSION_DENIED", [fcm.fcm_error("SENDER_ID_MISMATCH")], "", "rejected", "PROVIDER_REFUSED"),
        (401, "UNAUTHENTICATED", [fcm.fcm_error("THIRD_PARTY_AUTH_ERROR")], "", "deferred", "PROVIDER_AUTH"),
        (429, "RESOURCE_EXHAUSTED", [fcm.fcm_error("QUOTA_EXCEEDED")], "", "deferred", "PROVIDER_BUSY"),
        (503, "UNAVAILABLE", [fcm.fcm_error("UNAVAILABLE")], "", "deferred", "PROVIDER_BUSY"),
        (500, "INTERNAL", [fcm.fcm_error("INTERNAL")], "", "unknown", "PROVIDER_FAILED: 500"),
    ],
)
async def test_what_fcm_answers(
    status: int, name: str, details: list[Mapping[str, object]], message: str, wanted: str, reason: str
) -> None:
    check(await said("fcm", Reply(status, fcm.refusal(status, name, *details, message=message))), wanted, reason)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"[" * 4_000, b'{"error": 7}', b'{"error": {"details": [7]}}', b"\xff"]
)
async def test_what_fcm_should_not_answer(body: bytes) -> None:
    check(await said("fcm", Reply(400, body)), "rejected", "PROVIDER_REFUSED")


@pytest.mark.parametrize(
    ("status", "word", "wanted", "reason"),
    [
        (410, "Unregistered", "bounced", "TOKEN_GONE"),
        (410, "ExpiredToken", "bounced", "TOKEN_GONE"),
        (400, "BadDeviceToken", "bounced", "BAD_TOKEN"),
        (400, "DeviceTokenNotForTopic", "rejected", "PROVIDER_REFUSED"),
        (400, "BadTopic", "rejected", "PROVIDER_REFUSED"),
        (403, "ExpiredProviderToken", "deferred", "PROVIDER_AUTH"),
        (403, "InvalidProviderToken", "deferred", "PROVIDER_AUTH"),
        (403, "Forbidden", "rejected", "PROVIDER_REFUSED"),
        (413, "PayloadTooLarge", "rejected", "PAYLOAD_TOO_LARGE"),
        (429, "TooManyProviderTokenUpdates", "deferred", "PROVIDER_BUSY"),
        (429, "TooManyRequests", "deferred", "PROVIDER_BUSY"),
        (500, "InternalServerError", "unknown", "PROVIDER_FAILED: 500"),
        (503, "ServiceUnavailable", "deferred", "PROVIDER_BUSY"),
        (503, "Shutdown", "deferred", "PROVIDER_BUSY"),
    ],
)
async def test_what_apns_answers(status: int, word: str, wanted: str, reason: str) -> None:
    check(await said("apns", Reply(status, apns.reason(word))), wanted, reason)


def check(outcome: Outcome, wanted: str, reason: str) -> None:
    kinds = {"bounced": Rejected, "rejected": Rejected, "deferred": Deferred, "unknown": Unknown}
    assert isinstance(outcome, kinds[wanted]), outcome
    assert not isinstance(outcome, Accepted)
    assert (outcome.reason, getattr(outcome, "bounced", False)) == (reason, wanted == "bounced")


async def test_one_token_of_google_for_many_and_a_new_one_when_it_ends_or_is_refused() -> None:
    sender, asked, refused = MobilePushSender(), [], [False]

    def answers(request: Asked) -> Reply:
        asked.append(request.path)
        if request.path == "/token":
            return Reply(200, json.dumps({"access_token": f"t{len(asked)}", "expires_in": 3_600}).encode())
        return Reply(401) if refused[0] else Reply(200)

    async with serving(answers) as port:
        provider = fcm.provider(port)

        async def push(now_us: int) -> Outcome:
            return await sender.send(sender.prepare(envelope(sender, provider, fcm.TOKEN, now_us=now_us)))

        await asyncio.gather(*(push(NOW_US) for _ in range(5)))
        assert asked.count("/token") == 1
        await push(NOW_US + 54 * MINUTE_US)
        assert asked.count("/token") == 1
        await push(NOW_US + 55 * MINUTE_US)
        assert asked.count("/token") == 2
        refused[0] = True
        assert isinstance(await push(NOW_US + 56 * MINUTE_US), Deferred)
        refused[0] = False
        assert isinstance(await push(NOW_US + 56 * MINUTE_US), Accepted)
        assert asked.count("/token") == 3
    await sender.close()


@pytest.mark.parametrize(
    "reply",
    [
        Reply(400, b'{"error": "invalid_grant"}'),
        Reply(200, b"{}"),
        Reply(200, b'{"access_token": 7}'),
        Reply(503),
        None,
    ],
)
async def test_without_a_token_nothing_was_sent(reply: Reply | None) -> None:
    sender, asked = MobilePushSender(), []

    def answers(request: Asked) -> Reply | None:
        asked.append(request.path)
        return reply

    async with serving(answers) as port:
        outcome = await sender.send(sender.prepare(envelope(sender, fcm.provider(port), fcm.TOKEN)))
    assert isinstance(outcome, Deferred)
    assert (outcome.reason, asked) == ("PROVIDER_AUTH", ["/token"])
    await sender.close()


async def test_one_token_of_apple_for_forty_minutes_over_one_connection() -> None:
    sender, seen = MobilePushSender(), []

    def answers(request: Asked) -> Reply:
        seen.append(request.headers["authorization"])
        return Reply(403, apns.reason("ExpiredProviderToken")) if len(seen) == 4 else Reply(200)

    async with apns.serving(answers) as port:
        for minutes in (0, 39, 40, 41, 41):
            now_us = NOW_US + minutes * MINUTE_US
            await sender.send(sender.prepare(envelope(sender, apns.provider(port), apns.TOKEN, now_us=now_us)))
    assert seen[0] == seen[1] != seen[2] == seen[3] != seen[4]
    assert apns.claims_of(seen[4].removeprefix("bearer "))["iat"] == (NOW_US + 41 * MINUTE_US) // SECOND_US
    await sender.close()


async def test_fcm_is_told_to_replace_only_what_the_message_says() -> None:
    sender = MobilePushSender()
    plain = envelope(sender, fcm.provider(1), fcm.TOKEN)
    tagged = replace(plain, values={"name": "Ann", "push_tag": "cart"}, expires_at_us=NOW_US + 90 * SECOND_US)
    first, second = (json.loads(sender.prepare(one).body)["message"] for one in (plain, tagged))
    assert "collapse_key" not in first["android"]
    assert (first["android"]["notification"]["tag"], second["android"]["notification"]["tag"]) == ("m1", "cart")
    assert len(second["android"]["collapse_key"]) == 32
    assert second["android"]["ttl"] == "90s"
    assert second["apns"]["headers"]["apns-expiration"] == str(NOW_US // SECOND_US + 90)
    assert second["notification"] == {
        "title": "For Ann",
        "body": "Your cart waits, Ann",
        "image": "https://shop.example/tea.png",
    }
    assert second["data"]["url"] == "https://t.shop.example/c/0"
    await sender.close()


async def test_what_fits_into_a_push_and_what_is_no_token() -> None:
    sender = MobilePushSender()
    port = await free_port()
    for provider, address in ((fcm.provider(port), fcm.TOKEN), (apns.provider(port), apns.TOKEN)):
        with pytest.raises(CdpError) as caught:
            sender.prepare(envelope(sender, provider, address, text="x" * 4_200))
        assert caught.value.reason == "PAYLOAD_TOO_LARGE"
    with pytest.raises(CdpError) as caught:
        sender.prepare(envelope(sender, apns.provider(port), "apns:../../3/device/x"))
    assert caught.value.reason == "BAD_ADDRESS"
    assert sender.carries("apns", apns.TOKEN)
    assert sender.carries("fcm", fcm.TOKEN)
    for kind, address in (("apns", fcm.TOKEN), ("fcm", apns.TOKEN), ("fcm", "webpush:x"), ("vapid", fcm.TOKEN)):
        assert not sender.carries(kind, address)
    await sender.close()


@pytest.mark.parametrize(
    ("kind", "name", "value", "about"),
    [
        ("apns", "team_id", "short", "team_id"),
        ("apns", "key_id", "KEY 123456", "key_id"),
        ("apns", "topic", "a/b", "topic"),
        ("apns", "environment", "moon", "environment"),
        ("apns", "endpoint", "ftp://x", "endpoint"),
        ("apns", "private_key", "-----BEGIN", "private_key"),
        ("fcm", "endpoint", "https://a:b@c", "endpoint"),
        ("fcm", "service_account", "{}", "project_id"),
        ("fcm", "service_account", "[" * 9_999, "project_id"),
        ("fcm", "private_key", "nonsense", "private_key"),
        ("fcm", "token_uri", "file:///etc/passwd", "token_uri"),
    ],
)
async def test_what_a_workspace_may_not_say(kind: str, name: str, value: str, about: str) -> None:
    sender = MobilePushSender()
    provider = (apns if kind == "apns" else fcm).provider(1)
    settings, secrets = dict(provider.settings), dict(provider.secrets)
    if name in secrets:
        secrets[name] = value
    elif kind == "fcm" and name != "endpoint":
        secrets["service_account"] = json.dumps({**json.loads(secrets["service_account"]), name: value})
    else:
        settings[name] = value
    problem = sender.kinds()[kind].problem(settings, secrets)
    assert about in problem
    assert value not in problem
    await sender.close()
