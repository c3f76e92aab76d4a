"""Between the wire and our values."""

from __future__ import annotations

from collections.abc import Iterable

from cdp.channel.v1 import channel_pb2
from core.delivery.decision import MessageKind
from services.channel.templates import Template
from services.runtime.definitions import Stored

LIMIT_MESSAGE_BYTES = 256 * 1024
_LONGEST_ID = 200
_KINDS = frozenset(MessageKind)


def template_from_proto(message: channel_pb2.Template) -> Template:
    """A template without its revision."""
    return Template(message.channel, message.subject, message.body_html, message.body_text, getattr(message, "from"))


def template_to_proto(stored: Stored) -> channel_pb2.Template:
    """A stored template with its revision."""
    message = channel_pb2.Template.FromString(stored.payload)
    message.revision.CopyFrom(stored.revision.to_proto())
    return message


def settings_to_proto(stored: Stored | None) -> channel_pb2.Settings:
    """Stored settings (None: the defaults) as they may be shown: the secret never leaves."""
    if stored is None:
        return channel_pb2.Settings()
    message = channel_pb2.Settings.FromString(stored.payload)
    message.webhook_secret = ""
    message.etag = stored.revision.etag
    return message


def message_problem(message: channel_pb2.OutgoingMessage, channels: Iterable[str]) -> str:
    """Why a message cannot be taken over, as a stable reason; empty when it can."""
    if not 1 <= len(message.id) <= _LONGEST_ID or any(not "!" <= character <= "~" for character in message.id):
        return "BAD_MESSAGE_ID"
    if message.channel not in set(channels):
        return "UNKNOWN_CHANNEL"
    if message.kind not in _KINDS:
        return "UNKNOWN_KIND"
    if not message.template:
        return "NO_TEMPLATE"
    if message.ByteSize() > LIMIT_MESSAGE_BYTES:
        return "MESSAGE_TOO_LARGE"
    return ""
