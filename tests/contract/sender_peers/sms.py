"""An SMS centre of another make (the npm package `smpp`)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from cdp.facts.v1 import facts_pb2
from cdp.profile.v1 import profile_pb2
from services.channel.senders.sms import SmsSender
from services.channel.templates import Template
from services.runtime.server_process import free_port
from tests.contract.sender_peers.peer import Behaviour, Peer, Subject
from tests.smsc import Smsc

PHONE = "+436601234567"


@asynccontextmanager
async def _open() -> AsyncIterator[Subject]:
    with Smsc() as smsc:
        provider = smsc.provider()
        yield Subject(
            SmsSender(),
            provider,
            PHONE,
            profile_pb2.Profile(contact=1, key="key-1", identifiers=[facts_pb2.Identifier(kind="phone", value=PHONE)]),
            Template("sms", "", "", "Hello {{ name }}, [{{ message.id }}] {{ link }}", "", url="https://shop.example/"),
            lambda behaviour: smsc.behave(behaviour.value),
            lambda: [text.partition("[")[2].partition("]")[0] for text in smsc.texts()],
            replace(provider, settings={**provider.settings, "port": str(free_port())}),
        )


PEER = Peer(
    "sms",
    frozenset(set(Behaviour) - {Behaviour.BROKEN, Behaviour.REDIRECT}),
    _open,
)
