"""Pushes to apps: through Firebase (Android, and iOS apps that use it) or Apple."""

from __future__ import annotations

from collections.abc import Mapping

from cdp.profile.v1 import profile_pb2
from core.delivery.outbox import Outcome
from core.identity.push_tokens import MOBILE_PUSH, PushService, service_of
from services.channel.channel_settings import ChannelSettings
from services.channel.notice import compile_notice
from services.channel.providers import NULL_KIND
from services.channel.render import CompiledTemplate
from services.channel.senders import apns, fcm
from services.channel.senders.devices import devices_of
from services.channel.senders.push_content import content_of, push_of
from services.channel.senders.sender import Envelope, KindRules, Prepared, ProviderSettings
from services.channel.templates import Template

_SERVICES = {fcm.KIND: PushService.FCM, apns.KIND: PushService.APNS}


class MobilePushSender:
    """Providers of kind `fcm` and `apns`; a workspace brings its own, because an app takes pushes of its maker only."""

    personal = True
    own_surface = False

    def __init__(self) -> None:
        self._ways: Mapping[str, fcm.Fcm | apns.Apns] = {fcm.KIND: fcm.Fcm(), apns.KIND: apns.Apns()}

    def kinds(self) -> Mapping[str, KindRules]:
        """See Sender."""
        return {kind: way.rules() for kind, way in self._ways.items()}

    def default_provider(self) -> ProviderSettings | None:
        """See Sender."""
        return None

    def carries(self, kind: str, address: str) -> bool:
        """Each service knows its own tokens."""
        return service_of(address) is _SERVICES.get(kind)

    def compile(self, source: Template) -> CompiledTemplate:
        """See Sender."""
        return compile_notice(source)

    def address(self, profile: profile_pb2.Profile, settings: ChannelSettings) -> str | None:
        """The device that was told of last."""
        return next(iter(devices_of(profile, MOBILE_PUSH)), None)

    def prepare(self, envelope: Envelope) -> Prepared:
        """See Sender. Raises INVALID: BAD_ADDRESS, PAYLOAD_TOO_LARGE, UNSAFE_URL, TEMPLATE_FAILED."""
        content = content_of(envelope)
        kind = envelope.provider.kind
        if kind == NULL_KIND:
            kind = apns.KIND if service_of(envelope.address) is PushService.APNS else fcm.KIND
        return push_of(envelope, content, self._ways[kind].body(envelope, content))

    async def send(self, prepared: Prepared) -> Outcome:
        """See Sender."""
        return await self._ways[prepared.provider.kind].send(prepared)

    async def close(self) -> None:
        """See Sender."""
        for way in self._ways.values():
            await way.close()
