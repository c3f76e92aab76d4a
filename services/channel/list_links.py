"""Links that move a person from list to list: the buttons of a survey in a letter.

In a template such a button is a link with attributes beside its address, which is where the person is led afterwards:

    <a href="https://shop.example/thanks" data-list-to="wants tea" data-list-from="undecided" data-answer="tea">Tea</a>

What it does is stored with the message, never in the address. A click opens a page with the answer as a button, and
the button's POST moves: scanners of mail follow every link of a letter, some of them with a browser that runs scripts,
but none of them presses buttons.
"""

from __future__ import annotations

import html
import json
from dataclasses import asdict, dataclass

from services.channel.pages import framed

_PREFIX = "move:"
_LIMIT = 200


@dataclass(frozen=True, slots=True)
class ListMove:
    """What a link does: on the list `to`, off the list `off` (either may be empty, not both), the answer it stands
    for, and where it leads."""

    url: str
    to: str
    off: str
    answer: str


def encode_move(move: ListMove) -> str:
    """As the destination of a message's link."""
    return _PREFIX + json.dumps(asdict(move), sort_keys=True, ensure_ascii=False)


def move_of(destination: str) -> ListMove | None:
    """The move that a destination stands for; None: it is an address."""
    return ListMove(**json.loads(destination.removeprefix(_PREFIX))) if destination.startswith(_PREFIX) else None


def is_sound(move: ListMove) -> bool:
    """Whether the names of lists and the answer may be kept."""
    return bool(move.to or move.off) and all(
        len(text) <= _LIMIT and (text == "" or text.isprintable()) for text in (move.to, move.off, move.answer)
    )


def ask_page(move: ListMove) -> str:
    """The page with the button."""
    answer = html.escape(move.answer or move.to or "Yes")
    form = f'<form method="post"><button type="submit">{answer}</button></form>'
    return framed("Your answer", f"<p>Press the button to confirm.</p>{form}")
