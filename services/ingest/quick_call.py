"""Events of the Segment specification that are plainly right, into the entry without the thorough checks.

A server's SDK sends hundreds of events that look alike: known type, known names, values of the right kind. Those are
written in a fifth of the time. `take_quickly` answers None, with nothing written, for whatever needs a closer look, and
`segment_spec` then reads the call from the start; a property test holds both ways to the same result.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

from core.clock import MAX_INSTANT_US, MIN_INSTANT_US
from core.events.canonical import CONTEXT_PARAMS, event_type
from core.events.checks import clean_name, is_plain_text
from core.events.columns import Identifier
from core.events.validate import (
    MAX_ITEM_FIELDS,
    MAX_ITEMS,
    MAX_MESSAGE_ID_CHARACTERS,
    MAX_PROPERTIES,
    ORDER_ID_PREFIX,
)
from core.identity.rules import ANONYMOUS_ID, EXTERNAL_ID
from services.ingest.accept import AHEAD_US, Outcome, counts_once, new_id
from services.ingest.writer import BatchWriter

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
#: With no, three or six digits of the second.
_ZULU = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3}(?:\d{3})?)?Z", re.ASCII)
_LINES = ("products", "items")


def _by_head() -> Mapping[str, str | Mapping[str, str]]:
    heads: dict[str, str | dict[str, str]] = {}
    for path, name in CONTEXT_PARAMS.items():
        head, dot, rest = path.partition(".")
        if not dot:
            heads[head] = name
            continue
        if "." in rest:
            raise ValueError(f"{path}: a path of the context has two steps at most")
        below = heads.setdefault(head, {})
        assert isinstance(below, dict), f"{head} is a value and an object"
        below[rest] = name
    return heads


#: Key of the context -> parameter, or key below it -> parameter.
_CONTEXT = _by_head()


def take_quickly(
    writer: BatchWriter,
    item: Mapping[str, object],
    type_: object,
    named: Mapping[str, object],
    received_at_us: int,
    sent_at: object,
    params: Mapping[str, object],
    flags: int,
) -> Outcome | None:
    """An event called `type_`; `named` and `params` are parameters besides its properties, `sent_at` that of the
    request. None, and nothing written: look closer."""
    if type(type_) is not str or "traits" in item:
        return None
    event = _plain_type(type_)
    properties = item.get("properties")
    if properties is None:
        properties = {}
    if not event or event in writer.reserved or type(properties) is not dict:
        return None
    told = _context_params(item.get("context"))
    message_id, whose = _message_id(item.get("messageId")), _identifiers(writer, item)
    if told is None or message_id is None or whose is None or len(properties) > MAX_PROPERTIES // 2:
        return None
    original = item.get("originalTimestamp")
    times = _times(original if original is not None else item.get("timestamp"), item.get("sentAt", sent_at))
    if times is None:
        return None
    original_us, sent_us = times
    at_us = received_at_us
    if original_us is not None:
        at_us = original_us if sent_us is None else received_at_us - (sent_us - original_us)
    if not MIN_INSTANT_US <= at_us < min(MAX_INSTANT_US, received_at_us + AHEAD_US):
        return None
    lines = _lines(properties)
    if lines is None:
        return None
    if lines:
        properties = {name: value for name, value in properties.items() if value is not lines}
    taken = writer.add_plainly(
        message_id, event, at_us, received_at_us, whose, flags, properties, (named, told, params), lines,
        original_us, sent_us,
    )  # fmt: skip
    return Outcome(message_id) if taken else None


@lru_cache(4_096)
def _plain_type(name: str) -> str:
    """The canonical type; empty where the name, or what it counts, needs a closer look."""
    if clean_name(name) != name:
        return ""
    type_ = event_type(name)
    return "" if counts_once(type_) else type_


def _message_id(value: object) -> str | None:
    if value is None or value == "":
        return new_id()
    if type(value) is not str or len(value) > MAX_MESSAGE_ID_CHARACTERS or not is_plain_text(value):
        return None
    return None if value.startswith(ORDER_ID_PREFIX) else value


def _identifiers(writer: BatchWriter, item: Mapping[str, object]) -> tuple[Identifier, ...] | None:
    found = []
    for key, kind in (("userId", EXTERNAL_ID), ("anonymousId", ANONYMOUS_ID)):
        value = item.get(key)
        if value is None:
            continue
        if type(value) is not str or not is_plain_text(value):
            return None
        identifier = Identifier(kind, value)
        if not writer.usable(identifier):
            return None
        found.append(identifier)
    return tuple(found) or None


def _context_params(context: object) -> dict[str, object] | None:
    """What the context tells, by parameter; None where it says something about the person, or is no object."""
    if type(context) is not dict:
        return {} if context is None else None
    found: dict[str, object] = {}
    for key, value in context.items():
        if key == "traits":
            return None
        name = _CONTEXT.get(key)
        if name is None:
            continue
        if isinstance(name, str):
            if isinstance(value, str | int | Decimal):
                found[name] = value
        elif type(value) is dict:
            for below, parameter in name.items():
                one = value.get(below)
                if isinstance(one, str | int | Decimal):
                    found[parameter] = one
    return found


def _times(original: object, sent: object) -> tuple[int | None, int | None] | None:
    """The instants told, each None where nothing was told; None: look closer."""
    if original is None:
        return None, None
    original_us = _instant(original)
    if original_us is None:
        return None
    if sent is None:
        return original_us, None
    sent_us = _sent(sent) if type(sent) is str else None
    return None if sent_us is None else (original_us, sent_us)


def _instant(value: object) -> int | None:
    """Microseconds of 2026-11-22T10:15:00.123Z; None for every other form."""
    if type(value) is not str or _ZULU.fullmatch(value) is None:
        return None
    try:
        return (datetime.fromisoformat(value) - _EPOCH) // _MICROSECOND
    except ValueError:
        return None


_sent = lru_cache(1_024)(_instant)


def _lines(properties: Mapping[str, object]) -> list[dict[str, object]] | None:
    """The lines of an order or a cart: none, or all of them plain objects; None: look closer."""
    for key in _LINES:
        value = properties.get(key)
        if type(value) is list:
            sound = len(value) <= MAX_ITEMS and all(type(one) is dict and len(one) <= MAX_ITEM_FIELDS for one in value)
            return value if sound and value else None
        if value is not None:
            return None
    return []
