"""A channel whose provider is this process: it keeps what it gets, and answers as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cdp.profile.v1 import profile_pb2
from core.clock import Clock
from core.delivery.outbox import Accepted, Outcome, Unknown
from services.channel.channel_settings import ChannelSettings
from services.channel.render import CompiledTemplate, compile_json, render_json
from services.channel.senders.sender import Envelope, KindRules, Prepared, ProviderSettings
from services.channel.templates import Template


@dataclass(frozen=True, slots=True)
class Taken:
    """One call."""

    message_id: str
    address: str
    provider: str
    at_us: int


class TakingSender:
    """`answer` decides each call; without it all are accepted. Addresses are identifiers of kind `address_kind`."""

    personal = True
    own_surface = False

    def __init__(self, clock: Clock, address_kind: str = "phone") -> None:
        self._clock = clock
        self._address_kind = address_kind
        self.taken: list[Taken] = []
        self.accepted: list[Taken] = []
        #: Accepted, or of unknown fate.
        self.arrived: list[Taken] = []
        self.answer: Callable[[Taken], Outcome] = lambda _taken: Accepted("taken")
        self.hold: asyncio.Event | None = None
        #: How long the answer takes once the message has arrived.
        self.answer_s = 0.0
        self.under_way = 0

    def kinds(self) -> Mapping[str, KindRules]:
        """One kind, with a needed setting and a needed secret."""
        needed, secret = frozenset({"host"}), frozenset({"password"})
        return {"taking": KindRules(needed, frozenset({"port"}), secret, frozenset(), _problem)}

    def default_provider(self) -> ProviderSettings:
        """The process's own."""
        return ProviderSettings("own", "taking")

    def carries(self, kind: str, address: str) -> bool:
        """Addresses that begin with the name of another kind are of that one alone."""
        return ":" not in address or address.startswith(f"{kind}:")

    def compile(self, source: Template) -> CompiledTemplate:
        """A JSON document."""
        return compile_json(source)

    def address(self, profile: profile_pb2.Profile, settings: ChannelSettings) -> str | None:
        """The first one."""
        return next((one.value for one in profile.identifiers if one.kind == self._address_kind), None)

    def prepare(self, envelope: Envelope) -> Prepared:
        """Render."""
        body = render_json(envelope.template, envelope.values).text.encode()
        settings, now_us = envelope.settings, envelope.now_us
        return Prepared(
            envelope.message_id,
            "",
            envelope.address,
            body,
            (),
            settings,
            now_us,
            envelope.provider,
            envelope.expires_at_us,
        )

    async def send(self, prepared: Prepared) -> Outcome:
        """Keep it and answer."""
        taken = Taken(prepared.message_id, prepared.address, prepared.provider.name, self._clock.now_us())
        self.taken.append(taken)
        if self.hold is not None:
            await self.hold.wait()
        outcome = self.answer(taken)
        if isinstance(outcome, Accepted):
            self.accepted.append(taken)
        if isinstance(outcome, Accepted | Unknown):
            self.arrived.append(taken)
        if self.answer_s:
            self.under_way += 1
            try:
                await asyncio.sleep(self.answer_s)
            finally:
                self.under_way -= 1
        return outcome

    async def close(self) -> None:
        """Nothing is open."""


def _problem(settings: Mapping[str, str], secrets: Mapping[str, str]) -> str:
    return "" if settings.get("port", "1").isdigit() else "port is no number"
