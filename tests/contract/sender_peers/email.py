"""A mail server (aiosmtpd) that verifies every signature with another implementation of DKIM (dkimpy)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from functools import cache

import dkim  # type: ignore[import-untyped]
from aiosmtpd.smtp import SMTP, Envelope, Session
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from cdp.facts.v1 import facts_pb2
from cdp.profile.v1 import profile_pb2
from services.channel.senders.email import EmailSender
from services.channel.senders.sender import ProviderSettings
from services.channel.templates import Template
from services.runtime.server_process import free_port
from tests.contract.sender_peers.peer import Behaviour, Peer, Subject

ADDRESS = "ann@mail.example"
DOMAIN, SELECTOR = "shop.example", "s2026"


@cache
def dkim_key() -> rsa.RSAPrivateKey:
    """One for all tests: making it takes a tenth of a second."""
    return rsa.generate_private_key(65_537, 2_048)


def private_pem() -> str:
    """As a workspace would give it."""
    return dkim_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def key_record(name: bytes, timeout: int = 5) -> bytes:
    """The TXT record that shows the public half, as dkimpy asks for it."""
    assert name == f"{SELECTOR}._domainkey.{DOMAIN}.".encode()
    pem = dkim_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return b"v=DKIM1; k=rsa; p=" + "".join(pem.splitlines()[1:-1]).encode()


def provider(port: int, **settings: str) -> ProviderSettings:
    """A workspace's own server that signs."""
    told = {"host": "127.0.0.1", "port": str(port), "dkim_domain": DOMAIN, "dkim_selector": SELECTOR, **settings}
    return ProviderSettings("letters", "smtp", told, {"dkim_key": private_pem()})


class Server:
    """Takes mail as it is told to."""

    def __init__(self) -> None:
        self.behaviour = Behaviour.ACCEPT
        self.taken: list[str] = []
        self.problems: list[str] = []

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.behaviour is Behaviour.GONE:
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        if self.behaviour is Behaviour.REFUSE:
            return "554 5.6.0 not this"
        if self.behaviour is Behaviour.THROTTLE:
            return "451 4.7.1 later"
        if not dkim.verify(envelope.content, dnsfunc=key_record):
            self.problems.append("the signature does not hold")
        letter = message_from_bytes(envelope.content, policy=policy.default)
        self.taken.append(str(letter["Subject"]).partition("[")[2].partition("]")[0])
        if self.behaviour is Behaviour.NO_ANSWER:
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
        return "250 OK"


@asynccontextmanager
async def serving(handler: object) -> AsyncIterator[int]:
    """The port of a running mail server."""
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(handler, enable_SMTPUTF8=False, hostname="mx.example"), "127.0.0.1", 0
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@asynccontextmanager
async def _open() -> AsyncIterator[Subject]:
    handler = Server()

    def behave(behaviour: Behaviour) -> None:
        handler.behaviour = behaviour

    async with serving(handler) as port:
        yield Subject(
            EmailSender("smtp://127.0.0.1:1025"),
            provider(port),
            ADDRESS,
            profile_pb2.Profile(
                contact=1, key="key-1", identifiers=[facts_pb2.Identifier(kind="email", value=ADDRESS)]
            ),
            Template("email", "[{{ message.id }}] Hello {{ name }}", "<p>Hello {{ name }}</p>", "", ""),
            behave,
            lambda: handler.taken,
            provider(free_port()),
            problems=handler.problems,
        )


PEER = Peer(
    "email",
    frozenset(set(Behaviour) - {Behaviour.BROKEN, Behaviour.REDIRECT}),
    _open,
)
