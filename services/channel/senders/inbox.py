"""The inbox of an app, and messages in a pop-up of the shop's pages: nobody is called, a message is sent once it is
durable in what its recipient holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from cdp.channel.v1 import channel_pb2
from cdp.profile.v1 import profile_pb2
from core.delivery.outbox import Accepted, Deferred, Outcome, Unknown
from core.errors import CdpError, Code
from services.channel.channel_settings import ChannelSettings
from services.channel.inbox import INBOX, POPUP, Inbox
from services.channel.notice import compile_notice, render_notice
from services.channel.providers import KindRules, ProviderSettings, null_outcome
from services.channel.render import CompiledTemplate
from services.channel.senders.sender import Envelope, Prepared, Sender
from services.channel.templates import Template

#: The only kind of provider there is, beside `null`.
KIND = "own"


class InboxSender:
    """One of the channels `inbox` and `popup`. `inboxes` finds the inboxes of a workspace or raises UNAVAILABLE."""

    #: An address is a contact's own public id.
    personal = True
    own_surface = True

    def __init__(self, channel: str, inboxes: Callable[[str], Inbox]) -> None:
        self._channel = channel
        self._inboxes = inboxes

    def kinds(self) -> Mapping[str, KindRules]:
        """See Sender. There is nothing to be told."""
        return {KIND: KindRules()}

    def default_provider(self) -> ProviderSettings | None:
        """See Sender."""
        return ProviderSettings("own", KIND)

    def carries(self, kind: str, address: str) -> bool:
        """See Sender."""
        return True

    def compile(self, source: Template) -> CompiledTemplate:
        """See Sender."""
        return compile_notice(source)

    def address(self, profile: profile_pb2.Profile, settings: ChannelSettings) -> str | None:
        """Everybody has an inbox."""
        return profile.key or None

    def prepare(self, envelope: Envelope) -> Prepared:
        """See Sender. Raises INVALID: TEMPLATE_FAILED, UNSAFE_URL."""
        notice = render_notice(envelope.template, envelope.values, envelope.links)
        told = {
            "workspace": envelope.workspace,
            "title": notice.title,
            "text": notice.text,
            "url": notice.url,
            "image_url": notice.image_url,
        }
        return Prepared(
            envelope.message_id,
            "",
            envelope.address,
            json.dumps(told).encode(),
            notice.links,
            envelope.settings,
            envelope.now_us,
            envelope.provider,
            envelope.expires_at_us,
        )

    async def send(self, prepared: Prepared) -> Outcome:
        """Keep the message. A log that is away has nothing, or its answer was lost: then the fate is unknown."""
        if prepared.provider.kind != KIND:
            return null_outcome()
        told = json.loads(prepared.body)
        item = channel_pb2.InboxItem(
            id=prepared.message_id,
            title=told["title"],
            body=told["text"],
            url=told["url"],
            image_url=told["image_url"],
            sent_at_us=prepared.now_us,
            expires_at_us=prepared.expires_at_us,
        )
        try:
            inbox = self._inboxes(told["workspace"])
        except CdpError as error:
            return Deferred(error.reason, error.message)
        try:
            await inbox.put(prepared.address, self._channel, item)
        except CdpError as error:
            if error.code is Code.EXHAUSTED:
                return Deferred(error.reason, error.message)
            return Unknown(error.reason)
        return Accepted("kept")

    async def close(self) -> None:
        """See Sender. Nothing is open."""


def own_surfaces(inboxes: Callable[[str], Inbox]) -> Mapping[str, Sender]:
    """The channels that are shown on the shop's own pages and apps."""
    return {name: InboxSender(name, inboxes) for name in (INBOX, POPUP)}
