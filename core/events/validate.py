"""Facts at the door: from plain Python values with their paths to an accepted fact, or to a refusal.

A refusal has a stable reason and names every wrong place as the caller wrote it. What the model has no place for (a
list within a line, a value that names nobody) is left out and told in `notes`; nothing is dropped in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from core.clock import MINUTE_US
from core.events.canonical import FALLBACKS, event_type, item_name, param_kind, param_name
from core.events.checks import BAD_NAME, BAD_TIME, WRONG_TYPE, Bad, clean_instant, clean_name, instant_from_text
from core.events.coerce import flatten, scalar, texts, wrong
from core.events.columns import Event, Identifier
from core.events.report import Refusal as Refusal
from core.events.report import Report as Report
from core.events.schema import Family
from core.events.schema_check import SchemaCheck
from core.schema import Instant, Kind, Scalar

BAD_MESSAGE_ID = "BAD_MESSAGE_ID"
NO_IDENTIFIER = "NO_IDENTIFIER"
TOO_MANY_PROPERTIES = "TOO_MANY_PROPERTIES"
TOO_MANY_ITEMS = "TOO_MANY_ITEMS"
NO_TYPE = "NO_TYPE"

MAX_PROPERTIES = 1_000
MAX_ITEMS = 1_000
MAX_ITEM_FIELDS = 100
MAX_MESSAGE_ID_CHARACTERS = 256

#: What is dated further ahead of its acceptance is told that it waits; less is the doing of clocks.
AHEAD_US = MINUTE_US

#: Ids of orders begin so; no caller may choose such an id.
ORDER_ID_PREFIX = "order:"

#: Whether an identifier names somebody; core.identity knows.
Usable = Callable[[Identifier], bool]


@dataclass(frozen=True, slots=True)
class RawEvent:
    """An event as a caller gave it. `params` are (object, its path); of one name the earlier object wins.
    `occurred` is None, an instant, or a text. `identifiers` are (path, kind, value)."""

    type: object
    type_path: str
    message_id: object
    message_id_path: str
    occurred: object
    occurred_path: str
    identifiers: Sequence[tuple[str, str, object]]
    params: Sequence[tuple[Mapping[str, object], str]]
    items: object
    items_path: str
    flags: int = 0


def check_event(
    raw: RawEvent, new_id: str, received_at_us: int, usable: Usable, report: Report, names: SchemaCheck | None = None
) -> Event | None:
    """`raw` under its canonical names; `new_id` is taken where the caller gave no id, `received_at_us` where it gave
    no time. None when `report` has problems. Names that `names` wants learned stand in the event as they came."""
    names = names or SchemaCheck(None, report)
    type_ = names.event(check_type(raw.type, raw.type_path, report), raw.type_path)
    message_id = check_message_id(raw.message_id, raw.message_id_path, new_id, report)
    occurred_at_us = check_occurred(raw.occurred, raw.occurred_path, received_at_us, report)
    identifiers = check_identifiers(raw.identifiers, usable, report)
    params = check_params(type_, raw.params, report, names)
    items = check_items(raw.items, raw.items_path, report, names)
    if report.problems:
        return None
    return Event(message_id, type_, occurred_at_us, received_at_us, identifiers, params, items, raw.flags)


def check_type(value: object, path: str, report: Report) -> str:
    """The canonical event type; empty when it is wrong."""
    if value is None or value == "":
        report.bad(path, Bad(NO_TYPE, "an event needs a name"))
        return ""
    name = clean_name(value) if isinstance(value, str) else value if isinstance(value, Bad) else wrong(Kind.TEXT)
    if isinstance(name, Bad):
        report.bad(path, name)
        return ""
    type_ = event_type(name)
    if not type_:
        report.bad(path, Bad(BAD_NAME, "a name needs a letter or a digit"))
    return type_


def check_message_id(value: object, path: str, new_id: str, report: Report) -> str:
    """The id, or `new_id` when there is none."""
    if value is None or value == "":
        return new_id
    text = scalar(value, Kind.TEXT)
    if isinstance(text, Bad):
        report.bad(path, text)
    elif len(str(text)) > MAX_MESSAGE_ID_CHARACTERS:
        report.bad(path, Bad(BAD_MESSAGE_ID, f"is longer than {MAX_MESSAGE_ID_CHARACTERS} characters"))
    elif str(text).startswith(ORDER_ID_PREFIX):
        report.bad(path, Bad(BAD_MESSAGE_ID, f'ids that begin with "{ORDER_ID_PREFIX}" are made by the platform'))
    else:
        return str(text)
    return new_id


def check_occurred(value: object, path: str, received_at_us: int, report: Report) -> int:
    """The instant, or `received_at_us` when there is none or it is wrong."""
    if value is None:
        return received_at_us
    if isinstance(value, Instant):
        found = clean_instant(value.us)
    elif isinstance(value, str):
        found = instant_from_text(value)
    else:
        found = value if isinstance(value, Bad) else Bad(BAD_TIME, "must be a text like 2026-11-22T10:15:00Z")
    if isinstance(found, Bad):
        report.bad(path, found)
        return received_at_us
    return found.us


def check_identifiers(
    given: Sequence[tuple[str, str, object]], usable: Usable, report: Report
) -> tuple[Identifier, ...]:
    """The identifiers that name somebody; the others are noted, and refused when none is left."""
    kept: dict[Identifier, None] = {}
    for path, kind, value in given:
        if value is None:
            continue
        text = scalar(value, Kind.TEXT)
        if isinstance(text, Bad):
            report.bad(path, text)
            continue
        identifier = Identifier(kind, str(text))
        if usable(identifier):
            kept[identifier] = None
        else:
            report.note(path, f"names nobody: it is no usable {kind}")
    if not kept and not report.problems:
        lacking = [path for path, _, value in given if value is None][:2]
        told = "; ".join(f"{note.path} {note.description}" for note in report.notes[:3])
        told = f" ({told})" if told else f": give {' or '.join(lacking)}" if lacking else ""
        place = report.notes[0].path if report.notes else "identifiers"
        report.bad(place, Bad(NO_IDENTIFIER, f"nothing says whose this is{told}"))
    return tuple(kept)


def check_params(
    type_: str, given: Sequence[tuple[Mapping[str, object], str]], report: Report, names: SchemaCheck
) -> dict[str, Scalar | tuple[str, ...]]:
    """Parameters under their canonical names. Of one name the earlier object wins; within an object the one that was
    written canonically, else the first."""
    found: dict[str, Scalar | tuple[str, ...]] = {}
    left = MAX_PROPERTIES
    for fields, prefix in given:
        earlier = frozenset(found)
        for path, name, value in flatten(fields, prefix):
            left -= 1
            if left < 0:
                report.bad(prefix, Bad(TOO_MANY_PROPERTIES, f"an event has at most {MAX_PROPERTIES} properties"))
                return found
            canonical = _checked_name(name, path, lambda raw: param_name(type_, raw), report)
            if canonical is None or value is None:
                continue
            canonical = names.key(Family.PARAMETER, type_, canonical, path)
            if canonical is None or canonical in earlier or (canonical in found and canonical != name):
                continue
            kept = _param(value, type_, canonical, path, report, names)
            if kept is not None:
                found[canonical] = kept
    for name, sources in FALLBACKS.get(type_, {}).items():
        if name not in found:
            source = next((found[one] for one in sources if one in found), None)
            filled = scalar(source, param_kind(type_, name))
            if filled is not None and not isinstance(filled, Bad):
                found[name] = filled
    return found


def check_items(value: object, path: str, report: Report, names: SchemaCheck) -> tuple[dict[str, Scalar], ...]:
    """Lines of an order, a cart or a list."""
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        report.bad(path, value if isinstance(value, Bad) else wrong(Kind.OBJECT_LIST))
        return ()
    if len(value) > MAX_ITEMS:
        report.bad(path, Bad(TOO_MANY_ITEMS, f"at most {MAX_ITEMS} lines, here are {len(value)}"))
        return ()
    return tuple(_item(one, f"{path}[{i}]", report, names) for i, one in enumerate(value))


def _item(value: object, path: str, report: Report, names: SchemaCheck) -> dict[str, Scalar]:
    found: dict[str, Scalar] = {}
    if not isinstance(value, Mapping):
        report.bad(path, value if isinstance(value, Bad) else Bad(WRONG_TYPE, "must be an object"))
        return found
    for count, (here, name, leaf) in enumerate(flatten(value, path)):
        if count >= MAX_ITEM_FIELDS:
            report.bad(path, Bad(TOO_MANY_PROPERTIES, f"a line has at most {MAX_ITEM_FIELDS} fields"))
            return found
        clean = _checked_name(name, here, item_name, report)
        canonical = None if clean is None else names.key(Family.ITEM, "", clean, here)
        if canonical is None or (canonical in found and canonical != name):
            continue
        if isinstance(leaf, list | tuple):
            report.note(here, "left out: a field of a line is a single value")
            continue
        kept: Scalar | Bad | None = names.fitted(Family.ITEM, "", canonical, here, partial(scalar, leaf))
        if isinstance(kept, Bad):
            report.bad(here, kept)
        elif kept is not None:
            found[canonical] = kept
    return found


def _checked_name(name: str, path: str, canonical: Callable[[str], str], report: Report) -> str | None:
    clean = clean_name(name)
    found = clean if isinstance(clean, Bad) else canonical(clean) or Bad(BAD_NAME, "a name needs a letter or a digit")
    if isinstance(found, Bad):
        report.bad(path, found)
        return None
    return found


def _param(
    value: object, type_: str, name: str, path: str, report: Report, names: SchemaCheck
) -> Scalar | tuple[str, ...] | None:
    if isinstance(value, list | tuple) and any(isinstance(one, Mapping | list | tuple) for one in value):
        report.note(path, "left out: a list of objects can stand in `products` only")
        return None
    if isinstance(value, list | tuple) and not value:
        return None
    kept: Scalar | tuple[str, ...] | Bad | None
    kept = names.fitted(Family.PARAMETER, type_, name, path, partial(_single_or_texts, value))
    if isinstance(kept, Bad):
        report.bad(path, kept)
        return None
    return kept or None if isinstance(kept, tuple) else kept


def _single_or_texts(value: object, wanted: Kind | None) -> Scalar | tuple[str, ...] | Bad | None:
    if not isinstance(value, list | tuple):
        return scalar(value, wanted)
    return texts(value) if wanted in (None, Kind.TEXT_LIST) else wrong(wanted)
