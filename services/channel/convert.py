"""Between the wire and our values."""

from __future__ import annotations

from collections.abc import Collection

from cdp.channel.v1 import channel_pb2
from core.clock import DAY_US
from core.delivery.decision import MessageKind
from services.channel.delivery_settings import hide_secrets
from services.channel.templates import Template, Variant
from services.runtime.definitions import Stored

LIMIT_MESSAGE_BYTES = 256 * 1024
_LONGEST_ID = 200
_MOST_ALTERNATIVES = 7
#: As much of a category as the ledger of what was sent can hold.
_LONGEST_CATEGORY_BYTES = 255
_LONGEST_PATIENCE_US = 3_653 * DAY_US
_KINDS = frozenset(MessageKind)


def template_from_proto(message: channel_pb2.Template) -> Template:
    """A template without its revision."""
    return Template(
        channel=message.channel,
        subject=message.subject,
        body_html=message.body_html,
        body_text=message.body_text,
        sender=getattr(message, "from"),
        mjml=message.mjml,
        url=message.url,
        image_url=message.image_url,
        icon_url=message.icon_url,
        fallbacks=dict(message.fallbacks),
        locale=message.locale,
        currency=message.currency,
        salt=message.salt,
        variants=tuple(
            Variant(one.name, one.share, one.subject, one.body_html, one.body_text, one.mjml)
            for one in message.variants
        ),
    )


def template_to_proto(stored: Stored) -> channel_pb2.Template:
    """A stored template with its revision."""
    message = channel_pb2.Template.FromString(stored.payload)
    message.revision.CopyFrom(stored.revision.to_proto())
    return message


def settings_to_proto(stored: Stored | None) -> channel_pb2.Settings:
    """Stored settings (None: the defaults) as they may be shown: secrets never leave."""
    if stored is None:
        return channel_pb2.Settings()
    message = channel_pb2.Settings.FromString(stored.payload)
    hide_secrets(message)
    message.etag = stored.revision.etag
    return message


def message_problem(message: channel_pb2.OutgoingMessage, channels: Collection[str]) -> str:
    """Why a message cannot be taken over, as a stable reason; empty when it can."""
    if not 1 <= len(message.id) <= _LONGEST_ID or any(not "!" <= character <= "~" for character in message.id):
        return "BAD_MESSAGE_ID"
    if message.channel not in channels or any(one.channel not in channels for one in message.alternatives):
        return "UNKNOWN_CHANNEL"
    if message.kind not in _KINDS:
        return "UNKNOWN_KIND"
    if not message.template or any(not one.template for one in message.alternatives):
        return "NO_TEMPLATE"
    if len(message.alternatives) > _MOST_ALTERNATIVES:
        return "TOO_MANY_ALTERNATIVES"
    if not 0 <= message.patience_us <= _LONGEST_PATIENCE_US or message.expires_at_us < 0:
        return "BAD_TIME"
    if len(message.category.encode()) > _LONGEST_CATEGORY_BYTES:
        return "BAD_CATEGORY"
    if message.ByteSize() > LIMIT_MESSAGE_BYTES:
        return "MESSAGE_TOO_LARGE"
    return ""
