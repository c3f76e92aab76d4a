"""A fake of Viber's business messages, made from their document: HTTP 200 whatever happened, a status in the answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from cdp.facts.v1 import facts_pb2
from cdp.profile.v1 import profile_pb2
from services.channel.senders.messenger import MessengerSender
from services.channel.senders.sender import ProviderSettings
from services.channel.templates import Template
from tests.contract.sender_peers.http_peer import Asked, Reply, free_port, serving
from tests.contract.sender_peers.peer import Behaviour, Peer, Subject

PHONE = "+436601234567"
CALLBACK_KEY = "a-key-of-callbacks-1"
SERVICE_ID = 12345


def answer(status: int, token: int = 0) -> Reply:
    """What Viber answers; the token stands in the answer to a message that was taken alone."""
    told: dict[str, int] = {"status": status, "seq": 1} | ({"message_token": token} if token else {})
    return Reply(200, json.dumps(told).encode())


REPLIES: Mapping[Behaviour, Reply | None] = {
    Behaviour.ACCEPT: answer(0, 5_098_034_272_017_990_000),
    Behaviour.REFUSE: answer(5),
    Behaviour.GONE: answer(27),
    Behaviour.THROTTLE: Reply(429, b"later"),
    Behaviour.NO_ANSWER: None,
    Behaviour.BROKEN: answer(1),
    Behaviour.REDIRECT: Reply(307, b"", {"Location": "/elsewhere"}),
}


def provider(port: int) -> ProviderSettings:
    """A Viber service whose API is at `port`."""
    told = {"service_id": str(SERVICE_ID), "url": f"http://127.0.0.1:{port}/vibersrvc/1/send_message"}
    return ProviderSettings("viber", "viber", told, {"callback_key": CALLBACK_KEY})


def problems_of(asked: Mapping[str, Any]) -> list[str]:
    """What the document does not allow in a request."""
    found = []
    if asked["service_id"] != SERVICE_ID or asked["dest"] != PHONE[1:] or not 0 <= asked["seq"] < 2**31:
        found.append(f"head of {asked}")
    message = asked["message"]
    wanted: set[str] = {
        206: {"#txt", "#tracking_data"},
        225: {"#txt", "#tracking_data"},
        109: {"#txt", "#caption", "#action"},
        108: {"#txt", "#caption", "#action", "#img"},
    }.get(asked["type"], set())
    if set(message) != wanted or any(not isinstance(value, str) for value in message.values()):
        found.append(f"type {asked['type']} with {sorted(message)}")
    if not 1 <= len(message["#txt"]) <= 1_000 or len(message.get("#caption", "")) > 30:
        found.append("lengths")
    if asked["label"] not in ("promotion", "transaction") or not 30 <= asked.get("ttl", 30) <= 1_209_600:
        found.append(f"label {asked['label']}, ttl {asked.get('ttl')}")
    return found


@asynccontextmanager
async def _open() -> AsyncIterator[Subject]:
    now = [Behaviour.ACCEPT]
    taken: list[str] = []
    problems: list[str] = []

    def answers(asked: Asked) -> Reply | None:
        told = json.loads(asked.body)
        problems.extend(problems_of(told))
        if now[0] in (Behaviour.ACCEPT, Behaviour.NO_ANSWER):
            taken.append(told["message"]["#txt"].partition("[")[2].partition("]")[0])
        return REPLIES[now[0]]

    async with serving(answers) as port:
        yield Subject(
            MessengerSender(),
            provider(port),
            PHONE,
            profile_pb2.Profile(contact=1, key="key-1", identifiers=[facts_pb2.Identifier(kind="phone", value=PHONE)]),
            Template(
                "messenger",
                "To the shop",
                "",
                "Hello {{ name }}, [{{ message.id }}]",
                "",
                url="https://shop.example/",
                image_url="https://shop.example/rose.jpg",
            ),
            lambda behaviour: now.__setitem__(0, behaviour),
            lambda: taken,
            provider(await free_port()),
            problems=problems,
        )


PEER = Peer("messenger", frozenset(Behaviour), _open)
