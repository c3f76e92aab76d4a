"""A push service with one subscribed browser. The payload is opened by http_ece and the sender's token is read by
py_vapid: neither of them shares code with ours."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import http_ece
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from py_vapid import Vapid02

from cdp.facts.v1 import facts_pb2
from cdp.profile.v1 import profile_pb2
from core.identity.push_tokens import web_token
from services.channel.senders.sender import ProviderSettings
from services.channel.senders.web_push import WebPushSender
from services.channel.senders.web_push_cipher import key_out_of
from services.channel.templates import Template
from tests.contract.sender_peers.http_peer import PLAIN, Asked, Reply, free_port, serving
from tests.contract.sender_peers.peer import Behaviour, Peer, Subject

NOTICE = Template(
    "web_push",
    "For {{ name }}",
    "",
    "Your cart waits, {{ name }}",
    "",
    url="https://shop.example/cart",
    image_url="https://shop.example/tea.png",
    icon_url="https://shop.example/icon.png",
)
#: What push services insist on, by the name of the header.
WANTED = {"ttl": "3600", "urgency": "normal", "content-encoding": "aes128gcm"}


class Browser:
    """Keys of one subscription, and what was opened with them."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._secret = os.urandom(16)
        self.opened: list[dict[str, str]] = []

    def told(self, endpoint: str) -> dict[str, object]:
        """The subscription as a browser tells it."""
        keys = {"p256dh": self._point(), "auth": self._secret}
        plain = {name: base64.urlsafe_b64encode(raw).rstrip(b"=").decode() for name, raw in keys.items()}
        return {"endpoint": endpoint, "expirationTime": None, "keys": plain}

    def token(self, endpoint: str) -> str:
        """The subscription as an identifier."""
        return web_token(endpoint, self._point(), self._secret)

    def _point(self) -> bytes:
        return self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def open(self, body: bytes) -> dict[str, str]:
        """The payload of a push."""
        raw = http_ece.decrypt(body, private_key=self._key, auth_secret=self._secret, version="aes128gcm")
        payload: dict[str, str] = json.loads(raw)
        self.opened.append(payload)
        return payload


def known_as(*tokens: str) -> profile_pb2.Profile:
    """Somebody with these push tokens."""
    named = [facts_pb2.Identifier(kind="push_token", value=token) for token in tokens]
    return profile_pb2.Profile(contact=1, key="key-1", identifiers=named)


def wrong_in(asked: Asked, port: int) -> list[str]:
    """What a push service would not like."""
    found = [f"{name}: {asked.headers.get(name)}" for name, value in WANTED.items() if asked.headers.get(name) != value]
    if not 0 < len(asked.headers.get("topic", "")) <= 32:
        found.append("topic")
    told = asked.headers.get("authorization", "")
    if not Vapid02.verify(told):
        found.append("the token of the sender")
    part = told.split("t=")[1].split(",")[0].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    if claims["aud"] != f"http://127.0.0.1:{port}" or claims["sub"] != "mailto:push@shop.example":
        found.append(f"claims {claims}")
    return found


@asynccontextmanager
async def _open() -> AsyncIterator[Subject]:
    now, browser = [Behaviour.ACCEPT], Browser()
    taken: list[str] = []
    problems: list[str] = []
    ports: list[int] = []

    def answers(asked: Asked) -> Reply | None:
        problems.extend(wrong_in(asked, ports[0]))
        if asked.path != "/push/ann":
            return Reply(404)
        payload = browser.open(asked.body)
        if now[0] in (Behaviour.ACCEPT, Behaviour.NO_ANSWER):
            taken.append(payload["id"])
        return PLAIN[now[0]]

    async with serving(answers) as port:
        ports.append(port)
        token = browser.token(f"http://127.0.0.1:{port}/push/ann")
        yield Subject(
            WebPushSender(key_out_of("the process's own")),
            ProviderSettings(
                "theirs", "vapid", {"subject": "mailto:push@shop.example"}, {"private_key": key_out_of("theirs")}
            ),
            token,
            known_as(token, "fcm:a-phone"),
            NOTICE,
            lambda behaviour: now.__setitem__(0, behaviour),
            lambda: taken,
            browser.token(f"http://127.0.0.1:{await free_port()}/push/ann"),
            problems=problems,
        )


PEER = Peer("web_push", frozenset(PLAIN.keys() | {Behaviour.ABSENT}), _open)
