"""What a channel must be able to do. A new channel is one file beside this one and one line in `table.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from cdp.profile.v1 import profile_pb2
from core.delivery.outbox import Outcome
from services.channel.channel_settings import ChannelSettings
from services.channel.render import CompiledTemplate, TrackedLinks
from services.channel.templates import Template


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message before it is rendered. `message_id` is printable ASCII."""

    workspace: str
    message_id: str
    transactional: bool
    address: str
    template: CompiledTemplate
    values: Mapping[str, object]
    links: TrackedLinks
    settings: ChannelSettings
    now_us: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """One message as it goes over the wire. `links` are the destinations of its click links by index."""

    message_id: str
    sender: str
    address: str
    body: bytes
    links: tuple[str, ...]
    settings: ChannelSettings
    now_us: int


class Sender(Protocol):
    """One channel's provider. `personal`: an address belongs to one person, so an unsubscribe or a bounce holds for
    the address as well."""

    personal: bool

    def compile(self, source: Template) -> CompiledTemplate:
        """Check and compile a template of this channel; INVALID/BAD_TEMPLATE names field and line. Runs in a thread."""
        ...

    def address(self, profile: profile_pb2.Profile, settings: ChannelSettings) -> str | None:
        """Where this person is reached, None if nowhere."""
        ...

    def prepare(self, envelope: Envelope) -> Prepared:
        """Render and encode. Runs in a thread; INVALID errors refuse the message with their reason."""
        ...

    async def send(self, prepared: Prepared) -> Outcome:
        """Call the provider once. Whatever happens is an outcome; only cancellation raises."""
        ...

    async def close(self) -> None:
        """Let connections go. Idempotent."""
        ...
