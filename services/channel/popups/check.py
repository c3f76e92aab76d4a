"""What a pop-up may be, checked before it is saved."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from cdp.channel.v1 import popup_pb2
from core.delivery.links import is_destination
from core.errors import Violation, invalid
from core.events.checks import Bad, clean_name, clean_text
from core.events.facts import CHANNELS
from services.channel.preferences import is_category

LIMIT_FIELDS = 10
LIMIT_OPTIONS = 20
LIMIT_CONSENTS = 5
LIMIT_LISTS = 20
LIMIT_PATHS = 50
_LIMIT_LINE = 200
_LIMIT_TEXT = 2_000
_LIMIT_URL = 2_000
#: A week on one page, ten years: whatever is more is a mistake.
_LIMIT_AFTER_S = 7 * 86_400
_LIMIT_DAYS = 3_650

_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_KINDS = frozenset(popup_pb2.PopupFieldKind.values()) - {popup_pb2.POPUP_FIELD_KIND_UNSPECIFIED}
#: Fields that say who somebody is are asked once each.
_WHO = (popup_pb2.POPUP_FIELD_KIND_EMAIL, popup_pb2.POPUP_FIELD_KIND_PHONE)


def check_popup(name: str, popup: popup_pb2.Popup) -> None:
    """Raise INVALID/BAD_POPUP with every wrong field."""
    problems = [Violation(path, what) for path, what in _problems(name, popup)]
    if problems:
        raise invalid("BAD_POPUP", "; ".join(f"{v.path} {v.description}" for v in problems)[:1_000], *problems)


def _problems(name: str, popup: popup_pb2.Popup) -> Iterator[tuple[str, str]]:
    if not _NAME.fullmatch(name):
        yield "name", "has 1 to 100 letters, digits, _ and -"
    for field, least, most in (
        ("segment", 0, _LIMIT_LINE), ("title", 1, _LIMIT_LINE), ("text", 0, _LIMIT_TEXT), ("button", 0, _LIMIT_LINE),
        ("close_label", 0, _LIMIT_LINE), ("mistake", 0, _LIMIT_LINE), ("thanks", 0, _LIMIT_TEXT),
        ("coupon_pool", 0, _LIMIT_LINE),
    ):  # fmt: skip
        yield from _text(f"popup.{field}", getattr(popup, field), least, most)
    if popup.image_url and not _is_picture(popup.image_url):
        yield "popup.image_url", "is no https address"
    if popup.button_url and not _is_address(popup.button_url):
        yield "popup.button_url", "is no web address and no path of the shop"
    asks = bool(popup.fields or popup.consents)
    if asks and popup.button_url:
        yield "popup.button_url", "leads nowhere where something is asked: the button sends the answer"
    if (asks or popup.button_url) and not popup.button:
        yield "popup.button", "is needed"
    if not asks and (popup.coupon_pool or popup.lists or popup.thanks):
        yield "popup.fields", "are none: nobody can answer, so nothing can follow"
    yield from _fields(popup.fields)
    yield from _consents(popup.consents)
    yield from _names("popup.lists", popup.lists)
    yield from _style(popup.style)
    yield from _rules(popup.rules)


def _fields(fields: Sequence[popup_pb2.PopupField]) -> Iterator[tuple[str, str]]:
    if len(fields) > LIMIT_FIELDS:
        yield "popup.fields", f"are more than {LIMIT_FIELDS}"
    names: set[str] = set()
    kinds: set[int] = set()
    for index, one in enumerate(fields):
        path = f"popup.fields[{index}]"
        if not _FIELD.fullmatch(one.name):
            yield f"{path}.name", "has 1 to 40 letters, digits and _, a letter first"
        if one.name in names:
            yield f"{path}.name", "stands twice"
        names.add(one.name)
        yield from _text(f"{path}.label", one.label, 1, _LIMIT_LINE)
        if one.kind not in _KINDS:
            yield f"{path}.kind", "is none that is known"
        if one.kind in _WHO and one.kind in kinds:
            yield f"{path}.kind", "is asked twice"
        kinds.add(one.kind)
        if one.attribute and isinstance(clean_name(one.attribute), Bad):
            yield f"{path}.attribute", "is no name of an attribute"
        if one.attribute in ("email", "phone", "external_id"):
            yield f"{path}.attribute", "names the person: ask for it by a field of that kind"
        yield from _options(path, one)


def _options(path: str, field: popup_pb2.PopupField) -> Iterator[tuple[str, str]]:
    if field.kind != popup_pb2.POPUP_FIELD_KIND_CHOICE:
        if field.options:
            yield f"{path}.options", "belong to a choice"
        return
    if not 1 <= len(field.options) <= LIMIT_OPTIONS:
        yield f"{path}.options", f"of a choice are 1 to {LIMIT_OPTIONS}"
    values: set[str] = set()
    for number, option in enumerate(field.options):
        here = f"{path}.options[{number}]"
        yield from _text(f"{here}.value", option.value, 1, _LIMIT_LINE)
        yield from _text(f"{here}.label", option.label, 0, _LIMIT_LINE)
        if option.value in values:
            yield f"{here}.value", "stands twice"
        values.add(option.value)
        if option.list:
            yield from _names(f"{here}.list", [option.list])


def _consents(consents: Sequence[popup_pb2.PopupConsent]) -> Iterator[tuple[str, str]]:
    if len(consents) > LIMIT_CONSENTS:
        yield "popup.consents", f"are more than {LIMIT_CONSENTS}"
    for index, one in enumerate(consents):
        path = f"popup.consents[{index}]"
        if one.channel not in CHANNELS:
            yield f"{path}.channel", f"is one of {', '.join(CHANNELS)}"
        if one.category and not is_category(one.category):
            yield f"{path}.category", "has 1 to 60 letters, digits, _ and -"
        yield from _text(f"{path}.text", one.text, 1, 500)


def _style(style: popup_pb2.PopupStyle) -> Iterator[tuple[str, str]]:
    for field in ("background", "colour", "accent", "accent_colour"):
        told = getattr(style, field)
        if told and not _COLOUR.fullmatch(told):
            yield f"popup.style.{field}", 'is a colour like "#1a2b3c"'
    if style.place not in popup_pb2.PopupPlace.values():
        yield "popup.style.place", "is none that is known"


def _rules(rules: popup_pb2.PopupRules) -> Iterator[tuple[str, str]]:
    for field, most in (("after_s", _LIMIT_AFTER_S), ("scroll_percent", 100), ("every_days", _LIMIT_DAYS)):
        if getattr(rules, field) > most:
            yield f"popup.rules.{field}", f"is at most {most}"
    for field in ("paths", "not_paths"):
        paths: Sequence[str] = getattr(rules, field)
        if len(paths) > LIMIT_PATHS:
            yield f"popup.rules.{field}", f"are more than {LIMIT_PATHS}"
        for index, path in enumerate(paths):
            if not path.startswith("/") or len(path) > _LIMIT_LINE or isinstance(clean_text(path), Bad):
                yield f"popup.rules.{field}[{index}]", 'begins with "/"'


def _names(path: str, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    if len(names) > LIMIT_LISTS:
        yield path, f"are more than {LIMIT_LISTS}"
    for index, name in enumerate(names):
        clean = clean_name(name)
        if isinstance(clean, Bad):
            yield f"{path}[{index}]", clean.description


def _text(path: str, text: str, least: int, most: int) -> Iterator[tuple[str, str]]:
    clean = clean_text(text)
    if isinstance(clean, Bad):
        yield path, clean.description
    elif not least <= len(text.strip()) or len(text) > most:
        yield path, f"has {least} to {most} characters"


def _is_picture(url: str) -> bool:
    return len(url) <= _LIMIT_URL and is_destination(url) and url[:8].lower() == "https://" and _is_sound(url)


def _is_address(url: str) -> bool:
    """A web address, or a path of the shop itself; "//host" is another one's."""
    if len(url) > _LIMIT_URL or not url.isprintable() or any(one in url for one in " \\"):
        return False
    return (url.startswith("/") and not url.startswith("//")) or (is_destination(url) and _is_sound(url))


def _is_sound(url: str) -> bool:
    try:
        return bool(urlsplit(url).hostname)
    except ValueError:
        return False
