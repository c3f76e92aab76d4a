"""Calls of the Segment specification (Segment and RudderStack SDKs) -> raw items.

`occurred_at = received_at - (sent_at - original_timestamp)`: the clock of the device is not trusted, the time that
passed on it is. All four are kept: occurred and received as such, the other two as the parameters `_original_at` and
`_sent_at` of the event. A `previousId` of an alias is an anonymous id: two ids of known people never merge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from core.errors import Violation
from core.events.canonical import CONTEXT_PARAMS, IDENTIFIER_PATHS, NO_REFERRER
from core.events.checks import BAD_TIME, WRONG_TYPE, Bad, clean_instant, instant_from_text
from core.events.coerce import wrong
from core.events.persons import RawPerson
from core.events.validate import NO_TYPE, RawEvent, Report
from core.identity.rules import CONTACT_KEY, VISITOR_COOKIE
from core.schema import Instant, Kind
from services.ingest.accept import Outcome, refused, take_raw_event, take_raw_person
from services.ingest.quick_call import take_quickly
from services.ingest.writer import ORIGINAL_AT, SENT_AT, BatchWriter

_LINES = ("products", "items")
#: Calls that tell an event.
_EVENTS = frozenset({"track", "page", "screen"})
_NO_NAMES: Mapping[str, object] = {}


@dataclass(frozen=True, slots=True)
class Sending:
    """What all items of one request share. `sent_at` is the request's; an item may have its own. `visitor` is the
    anonymous id in the cookie that a click in a message left: it names the person without a login."""

    received_at_us: int
    sent_at: object = None
    anonymous_id: object = None
    visitor: object = None
    #: The public id of the contact that a signed link token names.
    contact_key: str | None = None
    #: Flags of every event (core.events.columns).
    flags: int = 0
    #: What the request itself tells, such as the browser; an event's own parameters win.
    params: Mapping[str, object] = field(default_factory=dict)

    def names_nobody(self) -> bool:
        """Whether the calls alone say whose they are."""
        return self.visitor is None and self.contact_key is None and self.anonymous_id is None


@dataclass(slots=True)
class _Call:
    item: Mapping[str, object]
    path: str
    sending: Sending
    report: Report = field(default_factory=Report)

    def at(self, path: str) -> str:
        return f"{self.path}{path}"

    def fields(self, key: str) -> Mapping[str, object]:
        value = self.item.get(key)
        if value is None:
            return {}
        if isinstance(value, Mapping):
            return value
        self.report.bad(self.at(key), value if isinstance(value, Bad) else Bad(WRONG_TYPE, "must be an object"))
        return {}

    def dig(self, path: str) -> object:
        value: object = self.item
        for key in path.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def identifiers(self) -> list[tuple[str, str, object]]:
        found = [(self.at(path), kind, self.dig(path)) for path, kind in IDENTIFIER_PATHS.items()]
        if self.sending.anonymous_id is not None and self.item.get("anonymousId") is None:
            found.append(("header anonymousid", "anonymous_id", self.sending.anonymous_id))
        if self.sending.visitor is not None:
            found.append((f"cookie {VISITOR_COOKIE}", "anonymous_id", self.sending.visitor))
        if self.sending.contact_key is not None:
            found.append((self.at("linkToken"), CONTACT_KEY, self.sending.contact_key))
        return found

    def times(self) -> tuple[object, dict[str, Instant]]:
        """When it happened (None: now), and what was told."""
        path = "originalTimestamp" if self.item.get("originalTimestamp") is not None else "timestamp"
        sent = self.item.get("sentAt", self.sending.sent_at)
        return occurred_at(self.item.get(path), sent, self.sending.received_at_us, self.report)

    def context_params(self) -> dict[str, object]:
        found = {name: self.dig(f"context.{path}") for path, name in CONTEXT_PARAMS.items()}
        return {
            name: value
            for name, value in found.items()
            if isinstance(value, str | int | Decimal) and value != NO_REFERRER
        }


def occurred_at(told: object, sent: object, received_at_us: int, report: Report) -> tuple[object, dict[str, Instant]]:
    """When it happened by our clock (None: now; a `Bad` when `told` is no time), and what was told, as parameters. A
    time of sending that cannot be read is noted, and the time that was told taken as it is."""
    original = _time(told)
    if original is None or isinstance(original, Bad):
        return original, {}
    sent_at = _time(sent)
    if isinstance(sent_at, Bad):
        report.note("sentAt", f"left out: {sent_at.description}")
    if not isinstance(sent_at, Instant):
        return original, {ORIGINAL_AT: original}
    occurred = clean_instant(received_at_us - (sent_at.us - original.us))
    return occurred, {ORIGINAL_AT: original, SENT_AT: sent_at}


def _time(value: object) -> Instant | Bad | None:
    if value is None or isinstance(value, Bad):
        return value
    if not isinstance(value, str):
        return Bad(BAD_TIME, "must be a text like 2026-11-22T10:15:00Z")
    return instant_from_text(value)


def take_call(writer: BatchWriter, item: object, kind: str | None, path: str, sending: Sending) -> Outcome:
    """One call; `kind` is that of the endpoint, None in a batch, where each item tells its own."""
    if not isinstance(item, Mapping):
        bad = item if isinstance(item, Bad) else wrong(Kind.OBJECT_LIST)
        return refused(bad.reason, path.rstrip("."), "must be an object")
    told = kind if kind is not None else item.get("type")
    if isinstance(told, str) and told in _EVENTS and sending.names_nobody():
        type_ = item.get("event") if told == "track" else told
        named = _NO_NAMES if told == "track" else _named(item)
        taken = take_quickly(
            writer, item, type_, named, sending.received_at_us, sending.sent_at, sending.params, sending.flags
        )
        if taken is not None:
            return taken
    return take_closely(writer, item, told, path, sending)


def take_closely(writer: BatchWriter, item: Mapping[str, object], told: object, path: str, sending: Sending) -> Outcome:
    """A call whose every part is looked at; `told` is its type."""
    call = _Call(item, path, sending)
    take = _KINDS.get(told) if isinstance(told, str) else None
    if take is None:
        return refused(NO_TYPE, call.at("type"), f"must be one of {', '.join(_KINDS)}")
    return take(writer, call)


def _track(writer: BatchWriter, call: _Call) -> Outcome:
    return _event(writer, call, call.item.get("event"), "event", {})


def _page(writer: BatchWriter, call: _Call) -> Outcome:
    return _event(writer, call, "page", "type", _named(call.item))


def _screen(writer: BatchWriter, call: _Call) -> Outcome:
    return _event(writer, call, "screen", "type", _named(call.item))


def _named(item: Mapping[str, object]) -> dict[str, object]:
    return {key: item[key] for key in ("name", "category") if item.get(key) is not None}


def _event(writer: BatchWriter, call: _Call, type_: object, type_path: str, named: Mapping[str, object]) -> Outcome:
    properties = call.fields("properties")
    lines = next((key for key in _LINES if isinstance(properties.get(key), list)), _LINES[0])
    occurred, told = call.times()
    raw = RawEvent(
        type=type_,
        type_path=call.at(type_path),
        message_id=call.item.get("messageId"),
        message_id_path=call.at("messageId"),
        occurred=occurred,
        occurred_path=call.at("timestamp"),
        identifiers=call.identifiers(),
        params=(
            (_without(properties, lines), call.at("properties")),
            (named, call.path.rstrip(".")),
            (call.context_params(), call.at("context")),
            (call.sending.params, "request"),
        ),
        items=properties.get(lines),
        items_path=call.at(f"properties.{lines}"),
        flags=call.sending.flags,
    )
    return take_raw_event(writer, raw, call.sending.received_at_us, call.report, told)


def _without(properties: Mapping[str, object], lines: str) -> dict[str, object]:
    return {key: value for key, value in properties.items() if key != lines and value != NO_REFERRER}


def _identify(writer: BatchWriter, call: _Call) -> Outcome:
    context_traits = call.dig("context.traits")
    traits = [(call.fields("traits"), call.at("traits"))]
    if isinstance(context_traits, Mapping):
        traits.append((context_traits, call.at("context.traits")))
    return _person(writer, call, tuple(traits), call.identifiers())


def _group(writer: BatchWriter, call: _Call) -> Outcome:
    group = {"group_id": call.item.get("groupId"), "group": call.fields("traits")}
    return _person(writer, call, ((group, call.at("traits")),), call.identifiers()[:2])


def _alias(writer: BatchWriter, call: _Call) -> Outcome:
    pair: list[tuple[str, str, object]] = [
        (call.at("userId"), "external_id", call.item.get("userId")),
        (call.at("previousId"), "anonymous_id", call.item.get("previousId")),
    ]
    missing = next((path for path, _, value in pair if value is None), None)
    if missing is not None:
        call.report.problems.append(("NO_IDENTIFIER", Violation(missing, "an alias needs both ids")))
    return _person(writer, call, (), pair)


def _person(
    writer: BatchWriter,
    call: _Call,
    attributes: tuple[tuple[Mapping[str, object], str], ...],
    identifiers: list[tuple[str, str, object]],
) -> Outcome:
    occurred, _ = call.times()
    raw = RawPerson(
        message_id=call.item.get("messageId"),
        message_id_path=call.at("messageId"),
        occurred=occurred,
        occurred_path=call.at("timestamp"),
        identifiers=identifiers,
        attributes=attributes,
    )
    return take_raw_person(writer, raw, call.sending.received_at_us, call.report)


_KINDS: Mapping[str, Callable[[BatchWriter, _Call], Outcome]] = {
    "track": _track,
    "identify": _identify,
    "page": _page,
    "screen": _screen,
    "group": _group,
    "alias": _alias,
}
