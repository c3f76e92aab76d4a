"""What a workspace says of a provider of kind `smpp`.

| setting | meaning | default |
|---|---|---|
| `host`, `port`, `tls` | where it listens; `tls` "yes" or "no" | –, 2775, no |
| `system_id`, `system_type`, secret `password` | as whom we bind | –, empty, – |
| `source` | the sender shown: a number, a short number, or up to 11 letters and digits | – |
| `long_messages` | `udh` (parts with a header), `sar` (parts with parameters), `payload` (one unit) | udh |
| `id_form` | `same`, or `hex` where answers name a message in hexadecimal and receipts in decimal | same |
| `window`, `enquire_s` | unanswered submissions, and seconds of silence before we ask | 10, 30 |
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from services.channel.senders.sender import KindRules, ProviderSettings
from services.channel.senders.smpp_pdu import Number
from services.channel.senders.smpp_session import SmppServer

KIND = "smpp"

_WORD = re.compile(r"[ -~]{1,15}")
_SOURCE = re.compile(r"\+?[0-9]{3,15}|[A-Za-z0-9 ._&-]{1,11}")
_LONG = ("udh", "sar", "payload")
_BOUNDS = {"port": (1, 65_535), "window": (1, 1_000), "enquire_s": (1, 600)}
_CHOICES = {"tls": ("yes", "no"), "long_messages": _LONG, "id_form": ("same", "hex")}
#: Type of number: international, national short number, letters. Numbering plan: ISDN.
_INTERNATIONAL, _SHORT, _LETTERS = 1, 3, 5
_ISDN = 1


def rules() -> KindRules:
    """For the check of a workspace's settings."""
    return KindRules(
        frozenset({"host", "system_id", "source"}),
        frozenset({*_BOUNDS, *_CHOICES, "system_type"}),
        frozenset({"password"}),
        frozenset(),
        _problem,
    )


def server_of(provider: ProviderSettings, private_hosts: frozenset[str]) -> SmppServer:
    """Where to bind, as sound settings say."""
    told = provider.settings
    return SmppServer(
        told["host"],
        int(told.get("port") or 2775),
        told.get("tls") == "yes",
        private_hosts,
        told["system_id"],
        provider.secrets.get("password", ""),
        told.get("system_type", ""),
        int(told.get("window") or 10),
        float(told.get("enquire_s") or 30),
    )


def is_source(text: str) -> bool:
    """Whether a message may be shown as from there."""
    return _SOURCE.fullmatch(text) is not None


def source_number(source: str) -> Number:
    """A sender in the form of SMPP: letters, a short number of up to six digits, or an international number."""
    digits = source.removeprefix("+")
    if not digits.isdigit():
        return Number(source, _LETTERS, 0)
    if len(digits) <= 6:
        return Number(digits, _SHORT, 0)
    return Number(digits, _INTERNATIONAL, _ISDN)


def destination_number(digits: str) -> Number:
    """An international number."""
    return Number(digits, _INTERNATIONAL, _ISDN)


def _problem(settings: Mapping[str, str], secrets: Mapping[str, str]) -> str:
    for name, (least, most) in _BOUNDS.items():
        text = settings.get(name, str(least))
        if not (text.isascii() and text.isdigit() and len(text) <= 5 and least <= int(text) <= most):
            return f"{name} is no number from {least} to {most}"
    for name, choices in _CHOICES.items():
        if settings.get(name, choices[0]) not in choices:
            return f"{name} is none of {', '.join(choices)}"
    if not _WORD.fullmatch(settings.get("system_id", "")):
        return "system_id has 1 to 15 printable characters"
    if settings.get("system_type") and not re.fullmatch(r"[ -~]{1,12}", settings["system_type"]):
        return "system_type has at most 12 printable characters"
    if not is_source(settings.get("source", "")):
        return "source is a number, or up to 11 letters and digits"
    if not re.fullmatch(r"[ -~]{1,8}", secrets.get("password", "")):
        return "password has 1 to 8 printable characters, as SMPP 3.4 wants it"
    return ""
