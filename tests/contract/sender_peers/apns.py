"""A fake of the Apple Push Notification service, made from its documents, over real HTTP/2 (by the library h2, without
TLS: a client that knows what it speaks to begins at once)."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import cache
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded

from services.channel.senders.mobile_push import MobilePushSender
from services.channel.senders.sender import ProviderSettings
from tests.contract.sender_peers.http_peer import Answers, Asked, Reply, free_port
from tests.contract.sender_peers.peer import NOW_US, Behaviour, Peer, Subject
from tests.contract.sender_peers.web_push import NOTICE, known_as

TOKEN = "apns:" + "a1" * 32


def reason(word: str) -> bytes:
    """The body of a refusal."""
    return json.dumps({"reason": word}).encode()


REPLIES: Mapping[Behaviour, Reply | None] = {
    Behaviour.ACCEPT: Reply(200),
    Behaviour.REFUSE: Reply(400, reason("TopicDisallowed")),
    Behaviour.GONE: Reply(410, b'{"reason": "Unregistered", "timestamp": 1800000000000}'),
    Behaviour.THROTTLE: Reply(429, reason("TooManyRequests")),
    Behaviour.NO_ANSWER: None,
    Behaviour.BROKEN: Reply(500, reason("InternalServerError")),
    Behaviour.REDIRECT: Reply(301, b"", {"location": "/elsewhere"}),
}


@cache
def team_key() -> ec.EllipticCurvePrivateKey:
    """The team's key."""
    return ec.generate_private_key(ec.SECP256R1())


def provider(port: int) -> ProviderSettings:
    """APNs at `port`."""
    pem = team_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    told = {"team_id": "TEAM123456", "key_id": "KEY1234567", "topic": "example.shop.app"}
    return ProviderSettings("ios", "apns", {**told, "endpoint": f"http://127.0.0.1:{port}"}, {"private_key": pem})


def claims_of(token: str) -> dict[str, object]:
    """The claims of a provider token; raises where its signature is not the team's."""
    head, claims, mac = token.split(".")
    raw = _raw(mac)
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    team_key().public_key().verify(der, f"{head}.{claims}".encode(), ec.ECDSA(SHA256()))
    assert json.loads(_raw(head)) == {"alg": "ES256", "kid": "KEY1234567"}
    told: dict[str, object] = json.loads(_raw(claims))
    return told


def wrong_in(asked: Asked) -> list[str]:
    """What APNs would not like."""
    found = []
    headers, payload = asked.headers, json.loads(asked.body)
    if asked.path != f"/3/device/{TOKEN.removeprefix('apns:')}":
        found.append(asked.path)
    claims = claims_of(headers["authorization"].removeprefix("bearer "))
    if claims != {"iss": "TEAM123456", "iat": NOW_US // 1_000_000}:
        found.append(f"claims {claims}")
    if headers["apns-topic"] != "example.shop.app" or headers["apns-push-type"] != "alert":
        found.append("topic or type")
    if headers["apns-expiration"] != str(NOW_US // 1_000_000 + 3_600) or len(headers["apns-collapse-id"]) > 64:
        found.append("expiration or collapse id")
    if str(UUID(headers["apns-id"])) != headers["apns-id"] or not payload["aps"]["alert"]["title"]:
        found.append("id or title")
    return found


@asynccontextmanager
async def serving(answers: Answers) -> AsyncIterator[int]:
    """The port of a running HTTP/2 server."""
    writers: set[asyncio.StreamWriter] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        with suppress(ConnectionError):
            await _speak(reader, writer, answers)
        writers.discard(writer)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in tuple(writers):
            writer.close()


async def _speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: Answers) -> None:
    """One connection, until it ends or a request is answered by nothing."""
    spoken = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
    spoken.initiate_connection()
    heads: dict[int, dict[str, str]] = {}
    bodies: dict[int, bytes] = {}
    writer.write(spoken.data_to_send())
    while received := await reader.read(65_536):
        for event in spoken.receive_data(received):
            if isinstance(event, RequestReceived):
                heads[event.stream_id] = {str(name): str(value) for name, value in event.headers}
                bodies[event.stream_id] = b""
            elif isinstance(event, DataReceived):
                bodies[event.stream_id] += event.data
                spoken.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                head = heads[event.stream_id]
                reply = answers(Asked(head[":path"], head, bodies[event.stream_id]))
                if reply is None:
                    return
                named = [(name.lower(), value) for name, value in reply.headers.items()]
                spoken.send_headers(event.stream_id, [(":status", str(reply.status)), *named])
                spoken.send_data(event.stream_id, reply.body, end_stream=True)
        writer.write(spoken.data_to_send())
        await writer.drain()


def _raw(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@asynccontextmanager
async def _open() -> AsyncIterator[Subject]:
    now = [Behaviour.ACCEPT]
    taken: list[str] = []
    problems: list[str] = []

    def answers(asked: Asked) -> Reply | None:
        problems.extend(wrong_in(asked))
        if now[0] in (Behaviour.ACCEPT, Behaviour.NO_ANSWER):
            taken.append(json.loads(asked.body)["message_id"])
        return REPLIES[now[0]]

    async with serving(answers) as port:
        yield Subject(
            MobilePushSender(),
            provider(port),
            TOKEN,
            known_as(TOKEN),
            replace(NOTICE, channel="mobile_push"),
            lambda behaviour: now.__setitem__(0, behaviour),
            lambda: taken,
            provider(await free_port()),
            problems=problems,
        )


PEER = Peer("mobile_push", frozenset(REPLIES.keys() | {Behaviour.ABSENT}), _open)
