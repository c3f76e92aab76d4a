"""A message as it goes over the wire: its template compiled, rendered for one contact, encoded by its channel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from cdp.channel.v1 import channel_pb2
from cdp.profile.v1 import profile_pb2
from core.clock import Clock
from core.delivery import links
from core.errors import CdpError, invalid
from services.channel.building import Building
from services.channel.computed import ComputedValues, about_of
from services.channel.convert import template_from_proto
from services.channel.providers import ProviderSettings
from services.channel.record import Record
from services.channel.render import CompiledTemplate, TrackedLinks
from services.channel.senders.sender import Envelope, Prepared, Sender
from services.channel.state import ChannelState
from services.channel.templates import Template
from services.channel.values import template_values
from services.channel.variants import variant_of, wording
from services.runtime.caller import Workspace
from services.runtime.definitions import Stored
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)
_COMPILED_TEMPLATES = 256
_Built = TypeVar("_Built")


@dataclass(frozen=True, slots=True)
class Tracking:
    """How links of this process are signed, and where they lead back to (no trailing slash)."""

    key: bytes
    public_url: str
    #: Hosts to which a click takes the token of the visit along.
    visit_hosts: tuple[str, ...] = ()


class Builder:
    """Builds messages of one workspace."""

    def __init__(
        self,
        workspace: Workspace,
        state: ChannelState,
        clock: Clock,
        computed: ComputedValues,
        senders: Mapping[str, Sender],
        tracking: Tracking,
    ) -> None:
        self._workspace = workspace
        self._state = state
        self._clock = clock
        self._computed = computed
        self._senders = senders
        self._tracking = tracking
        self._sources: dict[tuple[str, int], Template] = {}
        self._compiled: dict[tuple[str, int, str], CompiledTemplate] = {}
        self._building = Building()

    async def build(
        self, record: Record, profile: profile_pb2.Profile, position: int, address: str, provider: ProviderSettings
    ) -> tuple[Prepared, str]:
        """The message by its way to `address`, and the variant of the template that the contact gets.

        Raises INVALID or NOT_FOUND for a message that cannot be built, UNAVAILABLE while what the template names of the
        segment engine cannot be asked.
        """
        stored = self._state.templates.get(record.template)
        source = self._source(stored)
        variant = variant_of(source, stored.revision.name, self._workspace.id, profile.key)
        compiled = await self._compiled_of(stored, variant, record.channel)
        before = await self._state.links(record.id) if _may_be_read_already(record) else []
        prepared = await self.built(compiled, record, profile, position, address, provider, len(before))
        return replace(prepared, links=(*before, *prepared.links)), variant

    async def built(
        self,
        template: CompiledTemplate,
        record: Record,
        profile: profile_pb2.Profile,
        position: int,
        address: str,
        provider: ProviderSettings,
        first_link: int = 0,
    ) -> Prepared:
        """The same by a template that is compiled already; its links are numbered from `first_link` on."""
        message, sender, zone = record.message, self._senders[record.channel], self._workspace.zone
        transactional = record.kind.transactional
        computed = await self._computed.of(
            template.needs, profile, position, transactional=transactional, about=about_of(message)
        )
        settings, now_us = self._state.settings, self._clock.now_us()

        def build() -> Prepared:
            envelope = Envelope(
                self._workspace.id,
                message.id,
                transactional,
                address,
                template,
                template_values(message, profile, zone, now_us, computed, template.source, self._workspace.currency),
                self.tracked(message, first_link),
                settings,
                now_us,
                provider,
                profile.key,
                message.expires_at_us,
            )
            prepared = sender.prepare(envelope)
            return replace(prepared, workspace=self._workspace.id, expires_at_us=message.expires_at_us)

        return await self.in_thread(build)

    async def compiled(self, source: Template) -> CompiledTemplate:
        """A template that is not saved, or changed. Raises INVALID/BAD_TEMPLATE."""
        return await self.in_thread(lambda: self._senders[source.channel].compile(source))

    async def in_thread(self, build: Callable[[], _Built]) -> _Built:
        """What `build` makes, in a thread. Raises INVALID/PREPARE_FAILED for whatever is no error of ours."""
        try:
            return await self._building.make(build)
        except CdpError:
            raise
        except Exception as error:
            # A message that cannot be built is refused, so that it stops no other; why is logged and kept with it.
            _LOG.exception("message not built", workspace=self._workspace.id)
            raise invalid("PREPARE_FAILED", f"{type(error).__name__}: {error}") from error

    def tracked(self, message: channel_pb2.OutgoingMessage, first_link: int = 0) -> TrackedLinks:
        """The public addresses of a message whose links are numbered from `first_link` on."""

        def url(path: str, index: int) -> str:
            token = links.sign(self._tracking.key, self._workspace.id, message.id, message.contact, index)
            return f"{self._tracking.public_url}/{path}/{token}"

        return TrackedLinks(
            lambda index: url("c", first_link + index),
            url("o", links.OPEN_INDEX),
            url("u", links.UNSUBSCRIBE_INDEX),
            url("p", links.PREFERENCES_INDEX),
            url("d", links.SHOWN_INDEX),
        )

    def _source(self, stored: Stored) -> Template:
        key = (stored.revision.name, stored.revision.version)
        if key not in self._sources:
            if len(self._sources) >= _COMPILED_TEMPLATES:
                self._sources.clear()
            self._sources[key] = template_from_proto(channel_pb2.Template.FromString(stored.payload))
        return self._sources[key]

    async def _compiled_of(self, stored: Stored, variant: str, channel: str) -> CompiledTemplate:
        key = (stored.revision.name, stored.revision.version, variant)
        if key in self._compiled:
            return self._compiled[key]
        source = wording(self._source(stored), variant)
        compiled = await self.in_thread(lambda: self._senders[channel].compile(source))
        if len(self._compiled) >= _COMPILED_TEMPLATES:
            self._compiled.clear()
        self._compiled[key] = compiled
        return compiled


def _may_be_read_already(record: Record) -> bool:
    """Whether somebody may hold an earlier form of the message, whose links are to lead where they led."""
    return bool(record.earlier()) or (record.kind.transactional and record.delivery.attempts > 0)
