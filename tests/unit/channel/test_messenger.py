"""Viber's business messages: which type a template becomes, and what the numbers of answers mean."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.delivery.outbox import Deferred, Outcome, Rejected, Unknown
from core.errors import CdpError
from services.channel.receipts import accepted_as, names_of
from services.channel.senders.messenger import MessengerSender, outcome_of
from services.channel.senders.pinned_post import Answer
from services.channel.senders.sender import Envelope
from services.channel.templates import Template
from tests.contract.sender_peers.messenger import PHONE, problems_of, provider
from tests.contract.sender_peers.peer import LINKS, NOW_US, SETTINGS

BUTTON = {"url": "https://shop.example/", "subject": "Go"}
PICTURE = {**BUTTON, "image_url": "https://shop.example/rose.jpg"}


def asked(transactional: bool = False, left_us: int = 0, text: str = "Hello", **fields: Any) -> dict[str, Any]:
    sender = MessengerSender()
    template = sender.compile(Template("messenger", fields.pop("subject", ""), "", "{{ text }}", "", **fields))
    message = Envelope(
        "w1",
        "m1",
        transactional,
        PHONE,
        template,
        {"text": text},
        LINKS,
        SETTINGS,
        NOW_US,
        provider(1),
        "key-1",
        NOW_US + left_us if left_us else 0,
    )
    document: dict[str, Any] = json.loads(sender.prepare(message).body)
    assert problems_of(document) == []
    return document


@pytest.mark.parametrize(
    ("transactional", "fields", "number", "label"),
    [
        (True, {}, 206, "transaction"),
        (False, {}, 225, "promotion"),
        (False, BUTTON, 109, "promotion"),
        (True, PICTURE, 108, "transaction"),
    ],
)
def test_types(transactional: bool, fields: dict[str, Any], number: int, label: str) -> None:
    document = asked(transactional, **fields)
    assert (document["type"], document["label"], document["dest"]) == (number, label, PHONE[1:])
    assert document["message"].get("#action", LINKS.click(0)) == LINKS.click(0)
    assert "ttl" not in document


@pytest.mark.parametrize(("left_us", "ttl"), [(1, 30), (3_600_000_000, 3_600), (10**14, 1_209_600)])
def test_time_to_live(left_us: int, ttl: int) -> None:
    assert asked(left_us=left_us)["ttl"] == ttl


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"text": " "}, "EMPTY_TEXT"),
        ({"text": "a" * 1_001}, "TEXT_TOO_LONG"),
        ({**BUTTON, "subject": "{{ none }}"}, "EMPTY_TEXT"),
        ({**BUTTON, "subject": "a" * 31}, "TEXT_TOO_LONG"),
        ({**BUTTON, "url": "javascript:alert(1)"}, "UNSAFE_URL"),
        ({"url": "https://shop.example/"}, "BAD_TEMPLATE"),
        ({"image_url": "https://shop.example/rose.jpg"}, "BAD_TEMPLATE"),
    ],
)
def test_what_cannot_be_sent(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(CdpError) as caught:
        asked(**fields)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("status", "body", "wanted"),
    [
        (200, b'{"status": 0, "seq": 1, "message_token": 5098034272017990000}', accepted_as(["5098034272017990000"])),
        (200, b'{"status": 0, "message_token": "12"}', accepted_as(["12"])),
        (200, b'{"status": 0, "message_token": "a b"}', accepted_as([])),
        (200, b'{"status": 8}', Rejected("RECIPIENT_BLOCKED_US", "status 8 RECIPIENT_BLOCKED_US")),
        (200, b'{"status": 9}', Rejected("RECIPIENT_NOT_ON_CHANNEL", "status 9 RECIPIENT_NOT_ON_CHANNEL")),
        (200, b'{"status": 10}', Rejected("RECIPIENT_HAS_NO_DEVICE", "status 10 RECIPIENT_HAS_NO_DEVICE")),
        (200, b'{"status": 27}', Rejected("RECIPIENT_REFUSED", "status 27", bounced=True)),
        (200, b'{"status": 17}', Deferred("PROVIDER_BUSY", "status 17")),
        (200, b'{"status": 2}', Deferred("PROVIDER_REFUSED_US", "status 2")),
        (200, b'{"status": 7}', Unknown("PROVIDER_FAILED: status 7")),
        (200, b'{"status": 99}', Rejected("PROVIDER_REFUSED", "status 99")),
        (200, b'{"status": [0]}', Unknown("PROVIDER_FAILED: the answer is no status")),
        (200, b'{"status": true}', Unknown("PROVIDER_FAILED: the answer is no status")),
        (200, b"{}", Unknown("PROVIDER_FAILED: the answer is no status")),
        (200, b"<html>", Unknown("PROVIDER_FAILED: the answer is no status")),
        (200, b"[" * 4_000, Unknown("PROVIDER_FAILED: the answer is no status")),
        (429, b"later", Deferred("PROVIDER_BUSY", "429 later")),
        (502, b"", Unknown("PROVIDER_FAILED: 502")),
        (404, b"no", Rejected("PROVIDER_REFUSED", "404 no")),
        (302, b"", Rejected("REDIRECTED", "302 ")),
    ],
)
def test_answers(status: int, body: bytes, wanted: Outcome) -> None:
    assert outcome_of(Answer(status, {}, body)) == wanted


def test_names_of_replies() -> None:
    assert names_of(accepted_as(["a", "b"]).reply) == ["a", "b"]
    assert names_of(accepted_as([]).reply) == []
    assert names_of("250 OK message_id: a") == []
