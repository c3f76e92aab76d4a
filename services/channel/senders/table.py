"""Every channel there is, by the name that messages, templates and consents use."""

from __future__ import annotations

from collections.abc import Mapping

from services.channel.senders.email import EmailSender
from services.channel.senders.messenger import MessengerSender
from services.channel.senders.mobile_push import MobilePushSender
from services.channel.senders.sender import Sender
from services.channel.senders.sms import SmsSender
from services.channel.senders.web_push import WebPushSender
from services.channel.senders.web_push_cipher import key_out_of
from services.channel.senders.webhook import WebhookSender
from services.runtime.settings import Settings


def all_senders(settings: Settings) -> Mapping[str, Sender]:
    """One sender per channel, shared by all workspaces of the process."""
    return {
        "email": EmailSender(settings.smtp_url),
        "webhook": WebhookSender(),
        "sms": SmsSender(),
        "messenger": MessengerSender(),
        # The tracking key is the same in all processes, and lasts: so must be what browsers subscribed with.
        "web_push": WebPushSender(key_out_of(settings.tracking_key.hex()), _subject(settings.public_url)),
        "mobile_push": MobilePushSender(),
    }


def _subject(public_url: str) -> str:
    """By what push services reach whoever runs this."""
    return public_url if public_url.startswith("https://") else ""
