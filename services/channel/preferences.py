"""The subscription categories of a workspace, and the page on which a person chooses among them."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs

from cdp.channel.v1 import channel_pb2
from cdp.profile.v1 import profile_pb2
from core.errors import Violation, invalid
from services.channel.pages import framed

PREFERENCES_NAME = "preferences"
LIMIT_CATEGORIES = 50
_NAME = re.compile(r"[A-Za-z0-9_-]{1,60}")
_LIMIT_TEXT = 300
#: The box of the channel itself; no category has this name, as it is no name at all.
_CHANNEL = "*"
_TITLE = "What may we write to you about?"

#: Told on the page where a consent says yes.
GRANTED = "granted"


@dataclass(frozen=True, slots=True)
class Choice:
    """One box of the page: a category of the channel (empty: everything on it), and whether it is ticked."""

    category: str
    title: str
    description: str
    chosen: bool


def check_preferences(message: channel_pb2.Preferences, channels: Iterable[str]) -> None:
    """Raise INVALID/BAD_PREFERENCES with every wrong field."""
    problems: list[Violation] = []
    if len(message.categories) > LIMIT_CATEGORIES:
        problems.append(Violation("preferences.categories", f"are more than {LIMIT_CATEGORIES}"))
    if len(message.title) > _LIMIT_TEXT:
        problems.append(Violation("preferences.title", f"has more than {_LIMIT_TEXT} characters"))
    known, seen = frozenset(channels), set()
    for index, one in enumerate(message.categories):
        path = f"preferences.categories[{index}]"
        if not is_category(one.name):
            problems.append(Violation(f"{path}.name", "has 1 to 60 letters, digits, _ and -"))
        if one.name in seen:
            problems.append(Violation(f"{path}.name", "stands twice"))
        seen.add(one.name)
        problems += [
            Violation(f"{path}.{name}", f"has 1 to {_LIMIT_TEXT} characters")
            for name, text, least in (("title", one.title, 1), ("description", one.description, 0))
            if not least <= len(text) <= _LIMIT_TEXT
        ]
        problems += [
            Violation(f"{path}.channels", f"{name!r} is no channel") for name in one.channels if name not in known
        ]
    if problems:
        raise invalid("BAD_PREFERENCES", "; ".join(f"{v.path} {v.description}" for v in problems), *problems)


def is_category(name: str) -> bool:
    """Whether a category may be called so."""
    return bool(_NAME.fullmatch(name))


def choices_of(saved: channel_pb2.Preferences, channel: str, profile: profile_pb2.Profile) -> list[Choice]:
    """The boxes for one channel: everything first, then the categories that it offers, as the profile's consents are.
    A category of which nothing was said is as the channel."""
    states = {one.category: one.state for one in profile.consents if one.channel == channel}
    whole = states.get("", "") == GRANTED
    choices = [Choice("", "Messages on this channel at all", "", whole)]
    for one in saved.categories:
        if not one.channels or channel in one.channels:
            chosen = states[one.name] == GRANTED if one.name in states else whole
            choices.append(Choice(one.name, one.title, one.description, chosen))
    return choices


def preference_page(saved: channel_pb2.Preferences, choices: Sequence[Choice]) -> str:
    """The form. What the shop wrote is shown as text, whatever is in it."""
    boxes = "".join(_box(one) for one in choices)
    form = f'<form method="post" style="text-align:left">{boxes}<p><button type="submit">Save</button></p></form>'
    return framed(saved.title or _TITLE, form)


def chosen_in(body: bytes, choices: Sequence[Choice]) -> Mapping[str, bool]:
    """What a posted form says of each category (empty: the channel). Boxes that the page did not show count nowhere.
    Who had refused the channel, and ticks a category, wants the channel for it."""
    ticked = set(parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=200).get("on", ()))
    chosen = {one.category: (one.category or _CHANNEL) in ticked for one in choices}
    newly = any(chosen[one.category] and not one.chosen for one in choices if one.category)
    if newly and not any(one.chosen for one in choices if not one.category):
        chosen[""] = True
    return chosen


def _box(one: Choice) -> str:
    value, checked = html.escape(one.category or _CHANNEL), " checked" if one.chosen else ""
    about = f"<br><small>{html.escape(one.description)}</small>" if one.description else ""
    box = f'<input type="checkbox" name="on" value="{value}"{checked}>'
    return f"<p><label>{box} {html.escape(one.title)}</label>{about}</p>"
