"""What a channel must be able to do. A new channel is one file beside this one and one line in `table.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from cdp.profile.v1 import profile_pb2
from core.delivery.outbox import Outcome
from services.channel.channel_settings import ChannelSettings
from services.channel.providers import KindRules as KindRules
from services.channel.providers import ProviderSettings as ProviderSettings
from services.channel.render import CompiledTemplate, TrackedLinks
from services.channel.templates import Template


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message before it is rendered. `message_id` is printable ASCII; `key` is the contact's public id;
    `expires_at_us` is the instant after which nobody wants it any more, 0 for never."""

    workspace: str
    message_id: str
    transactional: bool
    address: str
    template: CompiledTemplate
    values: Mapping[str, object]
    links: TrackedLinks
    settings: ChannelSettings
    now_us: int
    provider: ProviderSettings
    key: str
    expires_at_us: int = 0


@dataclass(frozen=True, slots=True)
class Prepared:
    """One message as it goes over the wire, to `provider`. `links` are the destinations of its click links by index."""

    message_id: str
    sender: str
    address: str
    body: bytes
    links: tuple[str, ...]
    settings: ChannelSettings
    now_us: int
    provider: ProviderSettings
    expires_at_us: int = 0
    #: Where connections are a workspace's own; senders that share them leave it empty.
    workspace: str = ""


class Sender(Protocol):
    """One channel. `personal`: an address belongs to one person, so an unsubscribe or a bounce holds for the address as
    well. `own_surface`: its messages are shown on the shop's own pages or app, so they need no consent of their own; a
    denial holds."""

    personal: bool
    own_surface: bool

    def kinds(self) -> Mapping[str, KindRules]:
        """The provider kinds that it can speak to, with what a workspace must say of each. `null` is not among them:
        every channel has it."""
        ...

    def default_provider(self) -> ProviderSettings | None:
        """The process's own provider, for workspaces that name none; None: they have to."""
        ...

    def carries(self, kind: str, address: str) -> bool:
        """Whether a provider of `kind` can reach `address`: a token of one push service goes by that one only."""
        ...

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
        """Call `prepared.provider` once. Whatever happens is an outcome; only cancellation raises."""
        ...

    async def close(self) -> None:
        """Let connections go. Idempotent."""
        ...
