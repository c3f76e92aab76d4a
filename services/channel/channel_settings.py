"""A workspace's channel settings: brakes, sender, webhook; checked before they are saved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.headerregistry import Address, HeaderRegistry
from typing import Any
from urllib.parse import urlsplit

from cdp.channel.v1 import channel_pb2
from core.delivery.decision import ALL_CHANNELS, Brakes
from core.errors import Violation, invalid

_HEADERS = HeaderRegistry()
_LIMIT_ENTRIES = 1_000


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """Settings as the senders use them. `sender` is "Name <address>" or empty."""

    brakes: Brakes
    sender: str
    webhook_url: str
    webhook_secret: str
    allowed_private_hosts: frozenset[str]


def settings_from_proto(message: channel_pb2.Settings) -> ChannelSettings:
    """Stored settings as a value."""
    return ChannelSettings(
        Brakes(tuple(message.killed_channels), message.live, tuple(message.allowed_recipients)),
        getattr(message, "from"),
        message.webhook_url,
        message.webhook_secret,
        frozenset(host.lower() for host in message.allowed_private_hosts),
    )


def check_settings(message: channel_pb2.Settings, channels: Iterable[str]) -> None:
    """Raise INVALID/BAD_SETTINGS with every wrong field."""
    problems: list[Violation] = []
    known = {ALL_CHANNELS, *channels}
    for index, channel in enumerate(message.killed_channels):
        if channel not in known:
            problems.append(Violation(f"settings.killed_channels[{index}]", f"is none of {', '.join(sorted(known))}"))
    for index, entry in enumerate(message.allowed_recipients):
        if "@" not in entry and "://" not in entry:
            problems.append(Violation(f"settings.allowed_recipients[{index}]", "is no address and no @domain"))
    problems += [
        Violation(f"settings.{name}", f"has more than {_LIMIT_ENTRIES} entries")
        for name in ("allowed_recipients", "allowed_private_hosts")
        if len(getattr(message, name)) > _LIMIT_ENTRIES
    ]
    sender = getattr(message, "from")
    if sender and parse_sender(sender) is None:
        problems.append(Violation("settings.from", 'is no sender like "Shop <shop@example.com>"'))
    if message.webhook_url and not is_webhook_url(message.webhook_url):
        problems.append(Violation("settings.webhook_url", "is no http or https URL with a host and without a password"))
    if problems:
        raise invalid("BAD_SETTINGS", "; ".join(f"{v.path} {v.description}" for v in problems), *problems)


def is_webhook_url(url: str) -> bool:
    """Whether a webhook may be configured to go there (its address is checked at every call)."""
    if not url.isascii() or any(character <= " " or character in "\\\x7f" for character in url):
        return False
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    host = parts.hostname or ""
    return parts.scheme in ("http", "https") and host != "" and "@" not in parts.netloc and port != 0


def parse_sender(sender: str) -> Address | None:
    """The one address of a From line, or None for anything else (several, none, line breaks)."""
    if any(character in sender for character in "\r\n\0"):
        return None
    try:
        header: Any = _HEADERS("from", sender)
    except (HeaderParseError, ValueError, IndexError):
        return None
    if header.defects or len(header.addresses) != 1:
        return None
    address: Address = header.addresses[0]
    return address if address.username and address.domain and address.addr_spec.isascii() else None
