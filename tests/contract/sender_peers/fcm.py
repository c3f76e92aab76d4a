"""A fake of Firebase Cloud Messaging and of Google's token endpoint, made from their documents: what they answer, and
that they want a bearer token for an assertion signed by the service account."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cache
from urllib.parse import parse_qs

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from services.channel.senders.mobile_push import MobilePushSender
from services.channel.senders.sender import ProviderSettings
from tests.contract.sender_peers.http_peer import Asked, Reply, free_port, serving
from tests.contract.sender_peers.peer import NOW_US, Behaviour, Peer, Subject
from tests.contract.sender_peers.web_push import NOTICE, known_as

TOKEN = "fcm:dX-9:APA91bExample"


def refusal(status: int, name: str, *details: Mapping[str, object], message: str = "") -> bytes:
    """google.rpc.Status as FCM writes it."""
    return json.dumps({"error": {"code": status, "message": message, "status": name, "details": details}}).encode()


def fcm_error(code: str) -> Mapping[str, object]:
    """The detail that names an error of FCM's own."""
    return {"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code}


REPLIES: Mapping[Behaviour, Reply | None] = {
    Behaviour.ACCEPT: Reply(200, b'{"name": "projects/shop/messages/0:1"}'),
    Behaviour.REFUSE: Reply(403, refusal(403, "PERMISSION_DENIED", fcm_error("SENDER_ID_MISMATCH"))),
    Behaviour.GONE: Reply(404, refusal(404, "NOT_FOUND", fcm_error("UNREGISTERED"))),
    Behaviour.THROTTLE: Reply(429, refusal(429, "RESOURCE_EXHAUSTED", fcm_error("QUOTA_EXCEEDED"))),
    Behaviour.NO_ANSWER: None,
    Behaviour.BROKEN: Reply(500, refusal(500, "INTERNAL", fcm_error("INTERNAL"))),
    Behaviour.REDIRECT: Reply(302, b"", {"Location": "/elsewhere"}),
}


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    """One for all tests: making it takes a tenth of a second."""
    return rsa.generate_private_key(65_537, 2_048)


def provider(port: int) -> ProviderSettings:
    """A service account whose token endpoint and FCM are at `port`."""
    pem = rsa_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    account = {
        "type": "service_account",
        "project_id": "shop",
        "private_key_id": "k1",
        "private_key": pem,
        "client_email": "push@shop.iam.example",
        "token_uri": f"http://127.0.0.1:{port}/token",
    }
    endpoint = f"http://127.0.0.1:{port}"
    return ProviderSettings("android", "fcm", {"endpoint": endpoint}, {"service_account": json.dumps(account)})


def claims_of(assertion: str) -> dict[str, object]:
    """The claims of an assertion; raises where its signature is not the account's."""
    head, claims, mac = assertion.split(".")
    rsa_key().public_key().verify(_raw(mac), f"{head}.{claims}".encode(), padding.PKCS1v15(), SHA256())
    assert json.loads(_raw(head)) == {"alg": "RS256", "typ": "JWT", "kid": "k1"}
    told: dict[str, object] = json.loads(_raw(claims))
    return told


def _raw(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@asynccontextmanager
async def _open() -> AsyncIterator[Subject]:
    now = [Behaviour.ACCEPT]
    taken: list[str] = []
    problems: list[str] = []
    ports: list[int] = []

    def answers(asked: Asked) -> Reply | None:
        if asked.path == "/token":
            told = parse_qs(asked.body.decode())
            claims = claims_of(told["assertion"][0])
            if claims["aud"] != f"http://127.0.0.1:{ports[0]}/token" or claims["iat"] != NOW_US // 1_000_000:
                problems.append(f"claims {claims}")
            return Reply(200, json.dumps({"access_token": "a-token", "expires_in": 3599}).encode())
        message = json.loads(asked.body)["message"]
        if asked.path != "/v1/projects/shop/messages:send" or asked.headers.get("authorization") != "Bearer a-token":
            problems.append(f"{asked.path} {asked.headers.get('authorization')}")
        if f"fcm:{message['token']}" != TOKEN or message["android"]["ttl"] != "3600s":
            problems.append(f"message {message}")
        if any(not isinstance(value, str) for value in message["data"].values()):
            problems.append("data holds texts alone")
        if now[0] in (Behaviour.ACCEPT, Behaviour.NO_ANSWER):
            taken.append(message["data"]["message_id"])
        return REPLIES[now[0]]

    async with serving(answers) as port:
        ports.append(port)
        yield Subject(
            MobilePushSender(),
            provider(port),
            TOKEN,
            known_as(TOKEN, "webpush:not-a-phone"),
            replace(NOTICE, channel="mobile_push"),
            lambda behaviour: now.__setitem__(0, behaviour),
            lambda: taken,
            provider(await free_port()),
            problems=problems,
        )


PEER = Peer("mobile_push", frozenset(REPLIES.keys() | {Behaviour.ABSENT}), _open)
