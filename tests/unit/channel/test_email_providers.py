"""Mail servers of workspaces: connections are used again and replaced, what is wrong with the server itself is put off,
and settings say what they mean."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from email import message_from_bytes, policy
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from core.delivery.outbox import Accepted, Deferred, Outcome
from services.channel.senders.email import EmailSender
from services.channel.senders.sender import Envelope as Message
from services.channel.senders.sender import ProviderSettings
from services.channel.templates import Template
from tests.contract.sender_peers.email import DOMAIN, SELECTOR, private_pem, provider, serving
from tests.contract.sender_peers.peer import LINKS, NOW_US, SETTINGS


class Server:
    """Remembers sessions, who mail was from, and the mails."""

    def __init__(self) -> None:
        self.sessions: set[int] = set()
        self.senders: list[str] = []
        self.mails: list[bytes] = []
        self.most_of_one_session = 1_000
        self.begun: dict[int, int] = {}

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.sessions.add(id(session))
        self.begun[id(session)] = self.begun.get(id(session), 0) + 1
        if self.begun[id(session)] > self.most_of_one_session:
            return "421 4.7.0 too many messages for one connection"
        envelope.mail_from = address
        self.senders.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        self.mails.append(envelope.content)
        return "250 OK"


@pytest.fixture
async def sender() -> AsyncIterator[EmailSender]:
    made = EmailSender("smtp://127.0.0.1:1025")
    yield made
    await made.close()


async def send(
    sender: EmailSender, by: ProviderSettings, number: int = 1, hosts: frozenset[str] | None = None
) -> Outcome:
    settings = SETTINGS if hosts is None else replace(SETTINGS, allowed_private_hosts=hosts)
    template = sender.compile(Template("email", "Hi", "", "Hello", ""))
    message = Message("w1", f"m{number}", False, "ann@mail.example", template, {}, LINKS, settings, NOW_US, by, "key-1")
    return await sender.send(sender.prepare(message))


async def test_connections_are_used_again_and_given_back(sender: EmailSender) -> None:
    server = Server()
    async with serving(server) as port:
        for number in range(20):
            assert isinstance(await send(sender, provider(port), number), Accepted)
        assert len(server.sessions) == 1
        outcomes = await asyncio.gather(*(send(sender, provider(port), number) for number in range(60)))
        assert all(isinstance(outcome, Accepted) for outcome in outcomes)
        assert len(server.sessions) <= 60
        known = len(server.sessions)
        await asyncio.gather(*(send(sender, provider(port), number) for number in range(40)))
        assert len(server.sessions) == known
        assert len(server.mails) == 120


async def test_a_server_that_has_had_enough_of_a_connection_gets_a_new_one(sender: EmailSender) -> None:
    server = Server()
    server.most_of_one_session = 3
    async with serving(server) as port:
        for number in range(8):
            assert isinstance(await send(sender, provider(port), number), Accepted)
    assert (len(server.mails), len(server.sessions)) == (8, 3)


async def test_a_server_that_was_restarted_takes_the_next_mail(sender: EmailSender) -> None:
    server = Server()
    async with serving(server) as port:
        assert isinstance(await send(sender, provider(port)), Accepted)
    again = Server()
    listening = await asyncio.get_running_loop().create_server(lambda: SMTP(again), "127.0.0.1", port)
    try:
        outcome = await send(sender, provider(port))
        assert isinstance(outcome, Accepted), outcome
    finally:
        listening.close()


async def test_returns_and_complaints_have_addresses_of_their_own(sender: EmailSender) -> None:
    server = Server()
    async with serving(server) as port:
        by = provider(port, bounces_to="bounces@shop.example", complaints_to="complaints@shop.example")
        assert isinstance(await send(sender, by), Accepted)
    assert server.senders == ["bounces@shop.example"]
    letter = message_from_bytes(server.mails[0], policy=policy.default)
    assert letter["CFBL-Address"] == "complaints@shop.example; report=arf"
    assert "shop@shop.example" in letter["From"]


async def test_what_is_wrong_with_the_server_is_put_off(sender: EmailSender) -> None:
    """It says nothing about the message, and another provider may take it meanwhile."""

    def refused(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        good = isinstance(data, LoginPassword) and data.password == b"right"
        return AuthResult(success=good, handled=False)

    handler = Server()

    def made() -> SMTP:
        return SMTP(handler, authenticator=refused, auth_require_tls=False)

    listening = await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    try:
        by = provider(port, user="shop")
        wrong = replace(by, secrets={**by.secrets, "password": "wrong"})
        outcome = await send(sender, wrong)
        assert isinstance(outcome, Deferred)
        assert outcome.reason == "PROVIDER_REFUSED_US"
        assert "wrong" not in outcome.reply
        right = replace(by, secrets={**by.secrets, "password": "right"})
        assert isinstance(await send(sender, right), Accepted)
        secure = await send(sender, provider(port, security="starttls"))
        assert isinstance(secure, Deferred), secure
    finally:
        listening.close()
    assert len(handler.mails) == 1


async def test_private_hosts_are_called_where_settings_allow_it_alone(sender: EmailSender) -> None:
    server = Server()
    async with serving(server) as port:
        outcome = await send(sender, provider(port), hosts=frozenset())
        assert isinstance(outcome, Deferred)
        assert outcome.reason == "PRIVATE_ADDRESS"
        own = EmailSender(f"smtp://127.0.0.1:{port}")
        assert isinstance(await send(own, own.default_provider(), hosts=frozenset()), Accepted)
        await own.close()
    assert len(server.mails) == 1


@pytest.mark.parametrize(
    ("settings", "secrets", "words"),
    [
        ({"port": "0"}, {}, "port"),
        ({"port": "٣"}, {}, "port"),
        ({"host": "a b"}, {}, "host"),
        ({"host": "mx.example:25"}, {}, "host"),
        ({"security": "none"}, {}, "security"),
        ({"bounces_to": "a@b.example>\r\nRCPT TO:<x@evil.example"}, {}, "bounces_to"),
        ({"complaints_to": "nobody"}, {}, "complaints_to"),
        ({"dkim_domain": DOMAIN}, {}, "go together"),
        ({"dkim_domain": DOMAIN, "dkim_selector": SELECTOR}, {}, "go together"),
        ({}, {"dkim_key": "x"}, "go together"),
        ({"dkim_domain": DOMAIN, "dkim_selector": "a; d=evil.example"}, {"dkim_key": "x"}, "dkim_selector"),
        ({"dkim_domain": "a..b", "dkim_selector": SELECTOR}, {"dkim_key": "x"}, "dkim_domain"),
        ({"dkim_domain": DOMAIN, "dkim_selector": SELECTOR}, {"dkim_key": "no key at all"}, "dkim_key"),
        ({"dkim_domain": DOMAIN, "dkim_selector": SELECTOR}, {"dkim_key": private_pem()}, ""),
        ({"security": "starttls", "port": "587", "user": "shop"}, {"password": "p"}, ""),
    ],
)
def test_settings(settings: Mapping[str, str], secrets: Mapping[str, str], words: str) -> None:
    rules = EmailSender("smtp://127.0.0.1:25").kinds()["smtp"]
    told = rules.problem({"host": "mx.example", **settings}, secrets)
    assert words in told
    assert bool(words) == bool(told)
    assert "no key at all" not in told
