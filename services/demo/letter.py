"""An email as it arrived, for reading."""

from __future__ import annotations

import re
from email.message import EmailMessage

from services.demo.screen import Screen

_HEADERS = ("From", "To", "Subject", "Message-ID", "List-Unsubscribe", "List-Unsubscribe-Post", "Content-Type")
_LINK = re.compile(r'(?:href|src)="([^"]+)"')
_SHOWN = 76


def show_letter(screen: Screen, letter: EmailMessage, http_url: str) -> None:
    """The headers of interest, the text part, and where the links of the HTML part lead."""
    for name in _HEADERS:
        value = str(letter.get(name, "(none)")).partition(";")[0]
        screen.plain(f"    {name}: {_short(value)}")
    text = letter.get_body(("plain",))
    if text is not None:
        screen.plain("")
        for line in str(text.get_content()).strip().splitlines():
            screen.plain(f"    | {_short(line)}")
    kinds = links_of(letter, http_url)
    screen.plain("")
    screen.plain(
        f"    HTML part: {kinds['click']} signed click links, {kinds['pixel']} open pixel, "
        f"{kinds['unsubscribe']} unsubscribe link, {kinds['other']} links past the platform"
    )


def links_of(letter: EmailMessage, http_url: str) -> dict[str, int]:
    """How many links of the HTML part are signed clicks, open pixels, unsubscribe links, and any other."""
    found = {"click": 0, "pixel": 0, "unsubscribe": 0, "other": 0}
    kinds = {"c": "click", "o": "pixel", "u": "unsubscribe"}
    html = letter.get_body(("html",))
    for link in _LINK.findall(str(html.get_content()) if html is not None else ""):
        path = link.removeprefix(f"{http_url}/")
        kind, slash, token = path.partition("/")
        signed = path != link and slash and token
        found[kinds.get(kind, "other") if signed else "other"] += 1
    return found


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
