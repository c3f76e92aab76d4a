"""The few pages that recipients see."""

from __future__ import annotations

import base64
import html
from typing import Literal

#: A transparent 1x1 GIF.
PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex"><title>{title}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:30em;margin:20vh auto;padding:0 1em;text-align:center}}
button{{font:inherit;padding:.6em 1.4em}}</style></head>
<body><h1>{title}</h1>{body}</body></html>
"""
_BODIES: dict[str, tuple[str, str]] = {
    "ask": (
        "Unsubscribe?",
        '<p>You will get no more offers from us on this channel.</p><form method="post">'
        '<button type="submit">Unsubscribe</button></form>',
    ),
    "done": ("You are unsubscribed", "<p>We will send you no more offers on this channel.</p>"),
    "saved": ("Saved", "<p>We will write to you as you chose.</p>"),
    "answered": ("Thank you", "<p>Your answer is kept.</p>"),
    "unknown": ("Link unknown", "<p>This link is not, or no longer, known here.</p>"),
    "later": ("One moment", "<p>We could not do this just now. Please try again in a minute.</p>"),
}


def page(name: Literal["ask", "done", "unknown", "later", "saved", "answered"]) -> str:
    """A whole HTML page."""
    title, body = _BODIES[name]
    return _PAGE.format(title=title, body=body)


def framed(title: str, body: str) -> str:
    """A whole page of this title, which is text, around `body`, which is HTML."""
    return _PAGE.format(title=html.escape(title), body=body)
