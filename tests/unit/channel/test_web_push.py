"""Web pushes: what is encrypted and for whom, the token of the sender, which device, and odd answers."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import http_ece
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from py_vapid import Vapid02

from cdp.profile.v1 import profile_pb2
from core.clock import DAY_US, HOUR_US, SECOND_US
from core.delivery.outbox import Accepted, Deferred, Rejected
from core.errors import CdpError
from core.identity.push_tokens import device_category, subscription_of, web_token
from services.channel.senders.devices import devices_of
from services.channel.senders.pinned_post import Answer, outcome_of, retry_after_us
from services.channel.senders.push_content import LONGEST_LIFETIME_US, Push, lifetime_s
from services.channel.senders.sender import Envelope, ProviderSettings
from services.channel.senders.web_push import WebPushSender, public_key_of
from services.channel.senders.web_push_cipher import (
    LIMIT_PAYLOAD_BYTES,
    closed,
    closed_by,
    key_out_of,
    point,
    private_key,
)
from tests.contract.sender_peers.http_peer import Asked, Reply, serving
from tests.contract.sender_peers.peer import LINKS, NOW_US, SETTINGS
from tests.contract.sender_peers.web_push import NOTICE, Browser, known_as

KEY = key_out_of("ours")
#: RFC 8291, appendix A.
UA_PRIVATE = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
UA_PUBLIC = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
AS_PRIVATE = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
AUTH, SALT = "BTBZMqHH6r4Tts7J_aSIgg", "DGv6ra1nlYgDCS1FRnbzlw"
BODY = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A"
    "_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)


def raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def envelope(sender: WebPushSender, address: str, **more: object) -> Envelope:
    values = {"name": "Ann", **({"push_tag": more["tag"]} if "tag" in more else {})}
    template = replace(NOTICE, body_text=str(more.get("text", NOTICE.body_text)), url=str(more.get("url", NOTICE.url)))
    return Envelope(
        "w1",
        str(more.get("id", "m1")),
        bool(more.get("transactional", False)),
        address,
        sender.compile(template),
        values,
        LINKS,
        SETTINGS,
        int(str(more.get("now_us", NOW_US))),
        ProviderSettings("own", "vapid", {}, {"private_key": KEY}),
        "key-1",
        int(str(more.get("expires_at_us", 0))),
    )


def test_the_example_of_the_standard() -> None:
    subscription = subscription_of(web_token("https://push.example", raw(UA_PUBLIC), raw(AUTH)))
    assert subscription is not None
    payload = b"When I grow up, I want to be a watermelon"
    assert closed_by(private_key(AS_PRIVATE), raw(SALT), payload, subscription) == raw(BODY)
    assert public_key_of(ProviderSettings("x", "vapid", {}, {"private_key": UA_PRIVATE})) == UA_PUBLIC


@pytest.mark.parametrize("text", ["", "AAAA", "é", UA_PRIVATE + "A", "!" * 43, "A" * 43, "_" * 43])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        private_key(text)


def test_every_length_is_opened_again_and_the_longest_fills_the_body() -> None:
    key, secret = ec.generate_private_key(ec.SECP256R1()), bytes(16)
    subscription = subscription_of(web_token("https://push.example", point(key.public_key()), secret))
    assert subscription is not None
    for length in (0, 1, 17, 1_000, LIMIT_PAYLOAD_BYTES):
        body = closed(bytes(length), subscription)
        assert http_ece.decrypt(body, private_key=key, auth_secret=secret, version="aes128gcm") == bytes(length)
    assert len(closed(bytes(LIMIT_PAYLOAD_BYTES), subscription)) == 4_096
    with pytest.raises(CdpError, match=str(LIMIT_PAYLOAD_BYTES)):
        closed(bytes(LIMIT_PAYLOAD_BYTES + 1), subscription)


def test_the_same_payload_is_never_the_same_body() -> None:
    token = Browser().token("https://push.example/x")
    subscription = subscription_of(token)
    assert subscription is not None
    assert len({closed(b"same", subscription) for _ in range(20)}) == 20


def test_a_key_out_of_a_secret_is_always_the_same() -> None:
    assert key_out_of("a") == key_out_of("a") != key_out_of("b")
    assert len(raw(key_out_of("a"))) == 32


async def test_what_a_push_carries() -> None:
    sender, browser = WebPushSender(KEY), Browser()
    payload = browser.open(sender.prepare(envelope(sender, browser.token("https://push.example/1"), tag="cart")).body)
    assert payload == {
        "title": "For Ann",
        "body": "Your cart waits, Ann",
        "icon": "https://shop.example/icon.png",
        "image": "https://shop.example/tea.png",
        "url": "https://t.shop.example/c/0",
        "tag": "cart",
        "id": "m1",
        "shown": "https://t.shop.example/d/x",
        "opened": "https://t.shop.example/o/x",
    }
    await sender.close()


async def test_what_replaces_what() -> None:
    sender, token = WebPushSender(KEY), Browser().token("https://push.example/1")

    def topic(**more: object) -> str:
        prepared = sender.prepare(envelope(sender, token, **more))
        assert isinstance(prepared, Push)
        return prepared.collapse_id

    assert topic(tag="cart", id="m1") == topic(tag="cart", id="m2") != topic(tag="size", id="m1")
    assert topic(id="m1") == topic(id="m1") != topic(id="m2")
    assert topic(tag=" ", id="m1") == topic(id="m1")
    await sender.close()


@pytest.mark.parametrize(
    ("address", "more", "reason"),
    [
        ("fcm:x", {}, "BAD_ADDRESS"),
        ("webpush:x.y.z", {}, "BAD_ADDRESS"),
        (Browser().token("file:///etc/passwd"), {}, "BAD_ADDRESS"),
        (Browser().token("https://a:b@push.example/"), {}, "BAD_ADDRESS"),
        (web_token("https://push.example/", b"\x04" + b"\xff" * 64, bytes(16)), {}, "BAD_ADDRESS"),
        (Browser().token("https://push.example/"), {"text": "x" * 4_000}, "PAYLOAD_TOO_LARGE"),
        (Browser().token("https://push.example/"), {"url": "javascript:alert(1)"}, "UNSAFE_URL"),
    ],
    ids=["another service", "no keys", "a file", "a password", "no point", "too large", "a script"],  # keys are random
)
async def test_what_is_not_sent(address: str, more: dict[str, object], reason: str) -> None:
    sender = WebPushSender(KEY)
    with pytest.raises(CdpError) as caught:
        sender.prepare(envelope(sender, address, **more))
    assert caught.value.reason == reason
    await sender.close()


async def test_private_addresses_are_not_called_unless_listed() -> None:
    sender, hits = WebPushSender(KEY), []

    def answers(asked: Asked) -> Reply:
        hits.append(asked)
        return Reply(201)

    async with serving(answers) as port:
        token = Browser().token(f"http://127.0.0.1:{port}/")
        closed_off = replace(SETTINGS, allowed_private_hosts=frozenset())
        prepared = sender.prepare(replace(envelope(sender, token), settings=closed_off))
        outcome = await sender.send(prepared)
        assert (isinstance(outcome, Rejected), hits) == (True, [])
        assert isinstance(outcome, Rejected)
        assert (outcome.reason, outcome.by_provider, outcome.bounced) == ("PRIVATE_ADDRESS", False, False)
        assert isinstance(await sender.send(replace(prepared, settings=SETTINGS)), Accepted)
    await sender.close()


async def test_the_senders_token_is_kept_and_renewed() -> None:
    sender, seen = WebPushSender(KEY), []

    def answers(asked: Asked) -> Reply:
        seen.append(asked.headers["authorization"])
        assert Vapid02.verify(seen[-1])
        return Reply(201)

    async with serving(answers) as port, serving(answers) as other:
        token, elsewhere = (Browser().token(f"http://127.0.0.1:{one}/") for one in (port, other))
        for now_us, address in (
            (NOW_US, token),
            (NOW_US + 5 * HOUR_US, token),
            (NOW_US + 6 * HOUR_US, token),
            (NOW_US, elsewhere),
        ):
            await sender.send(sender.prepare(envelope(sender, address, now_us=now_us)))
    first, second, third, fourth = seen
    assert first == second != third
    assert fourth not in (first, third)
    claims = json.loads(raw(first.split("t=")[1].split(",")[0].split(".")[1]))
    assert claims == {
        "aud": f"http://127.0.0.1:{port}",
        "exp": NOW_US // SECOND_US + 43_200,
        "sub": "mailto:shop@shop.example",
    }
    await sender.close()


@pytest.mark.parametrize(
    ("status", "kind", "reason", "bounced"),
    [
        (404, Rejected, "SUBSCRIPTION_GONE", True),
        (410, Rejected, "SUBSCRIPTION_GONE", True),
        (413, Rejected, "PAYLOAD_TOO_LARGE", False),
        (403, Rejected, "PROVIDER_REFUSED", False),
        (503, Deferred, "PROVIDER_BUSY", False),
    ],
)
async def test_answers(status: int, kind: type, reason: str, bounced: bool) -> None:
    sender = WebPushSender(KEY)
    async with serving(lambda _asked: Reply(status)) as port:
        token = Browser().token(f"http://127.0.0.1:{port}/")
        outcome = await sender.send(sender.prepare(envelope(sender, token)))
    assert isinstance(outcome, kind)
    assert isinstance(outcome, Rejected | Deferred)
    assert (outcome.reason, getattr(outcome, "bounced", False)) == (reason, bounced)
    await sender.close()


@pytest.mark.parametrize(
    ("headers", "after_us"),
    [
        ({}, 0),
        ({"retry-after": "120"}, 120 * SECOND_US),
        ({"retry-after": "-1"}, 0),
        ({"retry-after": "9" * 30}, 0),
        ({"retry-after": "soon"}, 0),
        ({"retry-after": "Fri, 15 Jan 2027 08:01:00 GMT", "date": "Fri, 15 Jan 2027 08:00:00 GMT"}, 60 * SECOND_US),
        ({"retry-after": "Fri, 15 Jan 2027 08:00:00 GMT", "date": "Fri, 15 Jan 2027 09:00:00 GMT"}, 0),
        ({"retry-after": "Fri, 15 Jan 2027 08:01:00 GMT"}, 0),
    ],
)
def test_when_to_come_back(headers: dict[str, str], after_us: int) -> None:
    answer = Answer(429, headers, b"")
    assert retry_after_us(answer) == after_us
    assert outcome_of(answer) == Deferred("PROVIDER_BUSY", "429 ", after_us)


def test_how_long_a_push_is_kept() -> None:
    assert lifetime_s(NOW_US, NOW_US + 90_500_000) == 90
    assert lifetime_s(NOW_US, NOW_US - 1) == 0
    assert lifetime_s(NOW_US, 0) == 3 * DAY_US // SECOND_US
    assert lifetime_s(NOW_US, NOW_US + 400 * DAY_US) == LONGEST_LIFETIME_US // SECOND_US


def test_the_device_that_was_told_of_last() -> None:
    old, new, gone, silent = (Browser().token(f"https://push.example/{name}") for name in ("o", "n", "g", "s"))
    profile = known_as(silent, old, new, gone, "fcm:phone", "a1" * 32)

    def tell(token: str, state: str, at_us: int, channel: str = "web_push") -> None:
        told = profile_pb2.Consent(channel=channel, category=device_category(token), state=state, occurred_at_us=at_us)
        profile.consents.append(told)

    tell(old, "granted", 10)
    tell(new, "granted", 20)
    tell(gone, "bounced", 30)
    tell("fcm:phone", "denied", 30, "mobile_push")
    assert devices_of(profile, "web_push") == [new, old, silent]
    assert devices_of(profile, "mobile_push") == ["a1" * 32]
    tell("a1" * 32, "bounced", 1, "mobile_push")
    assert devices_of(profile, "mobile_push") == []
