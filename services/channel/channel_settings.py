"""A workspace's channel settings: brakes, sender, webhook; checked before they are saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.errors import HeaderParseError
from email.headerregistry import Address, HeaderRegistry
from typing import Any
from urllib.parse import urlsplit

from cdp.channel.v1 import channel_pb2
from core.delivery.caps import Cap
from core.delivery.content import CONTENT_WINDOW_US
from core.delivery.decision import ALL_CHANNELS, Brakes
from core.delivery.quiet import Quiet
from core.errors import Violation, invalid
from services.channel.delivery_settings import Kinds, caps_of, delivery_problems, providers_of, quiet_of
from services.channel.providers import ProviderSettings

_HEADERS = HeaderRegistry()
_LIMIT_ENTRIES = 1_000
_SHORTEST_TOKEN = 16
_LONGEST_ENTRY = 2_000
_LONGEST_SENDER = 500


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """Settings as they are used. `sender` is "Name <address>" or empty; `providers` are those in use by channel, the
    first one to be asked first."""

    brakes: Brakes
    sender: str
    webhook_url: str
    webhook_secret: str
    allowed_private_hosts: frozenset[str]
    providers: Mapping[str, Sequence[ProviderSettings]] = field(default_factory=dict)
    caps: tuple[Cap, ...] = ()
    quiet_hours: tuple[Quiet, ...] = ()
    content_window_us: int = CONTENT_WINDOW_US


def settings_from_proto(message: channel_pb2.Settings) -> ChannelSettings:
    """Stored settings as a value."""
    return ChannelSettings(
        Brakes(tuple(message.killed_channels), message.live, tuple(message.allowed_recipients)),
        getattr(message, "from"),
        message.webhook_url,
        message.webhook_secret,
        frozenset(host.lower() for host in message.allowed_private_hosts),
        providers_of(message),
        caps_of(message),
        quiet_of(message),
        message.content_window_us or CONTENT_WINDOW_US,
    )


def check_settings(message: channel_pb2.Settings, kinds: Kinds) -> None:
    """Raise INVALID/BAD_SETTINGS with every wrong field. `kinds` has an entry for every channel there is."""
    problems: list[Violation] = []
    known = {ALL_CHANNELS, *kinds}
    for index, channel in enumerate(message.killed_channels):
        if channel not in known:
            problems.append(Violation(f"settings.killed_channels[{index}]", f"is none of {', '.join(sorted(known))}"))
    for index, entry in enumerate(message.allowed_recipients):
        if not _is_recipient(entry):
            problems.append(Violation(f"settings.allowed_recipients[{index}]", "is no address and no @domain"))
    problems += [
        Violation(f"settings.{name}", f"has more than {_LIMIT_ENTRIES} entries")
        for name in ("allowed_recipients", "allowed_private_hosts")
        if len(getattr(message, name)) > _LIMIT_ENTRIES
    ]
    problems += [
        Violation(f"settings.{name}", f"has more than {_LONGEST_ENTRY} characters")
        for name, told in (
            ("allowed_recipients", message.allowed_recipients),
            ("allowed_private_hosts", message.allowed_private_hosts),
            ("webhook_url", [message.webhook_url]),
            ("webhook_secret", [message.webhook_secret]),
        )
        if any(len(one) > _LONGEST_ENTRY for one in told)
    ]
    if len(message.killed_channels) > len(known):
        problems.append(Violation("settings.killed_channels", "names a channel twice"))
    sender = getattr(message, "from")
    if sender and parse_sender(sender) is None:
        problems.append(Violation("settings.from", 'is no sender like "Shop <shop@example.com>"'))
    if message.webhook_url and not is_webhook_url(message.webhook_url):
        problems.append(Violation("settings.webhook_url", "is no http or https URL with a host and without a password"))
    problems += delivery_problems(message, kinds)
    if problems:
        raise invalid("BAD_SETTINGS", "; ".join(f"{v.path} {v.description}" for v in problems), *problems)


def _is_recipient(entry: str) -> bool:
    """An address of mail or its domain, a URL, a phone number, or a token of a device."""
    token = len(entry) >= _SHORTEST_TOKEN and not any(character.isspace() for character in entry)
    return "@" in entry or "://" in entry or entry.startswith("+") or token


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
    if len(sender) > _LONGEST_SENDER or any(character in sender for character in "\r\n\0"):
        return None
    try:
        header: Any = _HEADERS("from", sender)
    except (HeaderParseError, ValueError, IndexError):
        return None
    if header.defects or len(header.addresses) != 1:
        return None
    address: Address = header.addresses[0]
    return address if address.username and address.domain and address.addr_spec.isascii() else None
