"""A receiver of webhooks that checks their signature by its own code."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from services.channel.senders.webhook import WebhookSender
from services.channel.templates import Template
from tests.contract.sender_peers.http_peer import PLAIN, Asked, Reply, free_port, serving
from tests.contract.sender_peers.peer import SETTINGS, Behaviour, Peer, Subject, no_profile


@asynccontextmanager
async def _open() -> AsyncIterator[Subject]:
    now = [Behaviour.ACCEPT]
    taken: list[str] = []
    problems: list[str] = []

    def answers(asked: Asked) -> Reply | None:
        seconds, _, mac = asked.headers["cdp-signature"].removeprefix("t=").partition(",v1=")
        secret = SETTINGS.webhook_secret.encode()
        wanted = hmac.new(secret, seconds.encode() + b"." + asked.body, hashlib.sha256).hexdigest()
        if mac != wanted:
            problems.append("the signature is wrong")
        json.loads(asked.body)
        if now[0] in (Behaviour.ACCEPT, Behaviour.NO_ANSWER):
            taken.append(asked.headers["idempotency-key"])
        return PLAIN[now[0]]

    async with serving(answers) as port:
        url = f"http://127.0.0.1:{port}/hook?x=1"
        sender = WebhookSender()
        provider = sender.default_provider()
        yield Subject(
            sender,
            provider,
            url,
            no_profile(),
            Template("webhook", "", "", '{"name": "{{ name }}"}', ""),
            lambda behaviour: now.__setitem__(0, behaviour),
            lambda: taken,
            f"http://127.0.0.1:{await free_port()}/hook",
            replace(SETTINGS, webhook_url=url),
            problems,
        )


PEER = Peer("webhook", frozenset(PLAIN.keys() | {Behaviour.ABSENT}) - {Behaviour.GONE}, _open)
