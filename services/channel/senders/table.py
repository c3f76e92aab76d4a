"""Every channel there is, by the name that messages, templates and consents use."""

from __future__ import annotations

from collections.abc import Mapping

from services.channel.senders.email import EmailSender
from services.channel.senders.sender import Sender
from services.channel.senders.webhook import WebhookSender
from services.runtime.settings import Settings


def all_senders(settings: Settings) -> Mapping[str, Sender]:
    """One sender per channel, shared by all workspaces of the process."""
    return {
        "email": EmailSender(settings.smtp_url),
        "webhook": WebhookSender(),
    }
