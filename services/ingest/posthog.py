"""Events of PostHog's SDKs -> raw items.

One event of theirs may say two things: what was done, and with `$set` something about the person. It is told as one
event and one change of the person, whose message id is the event's with `:set` at its end.

Who it is: a `distinct_id` is an anonymous id where the event says so (`$is_identified` or `$process_person_profile` is
false, or it is the device's own id), else an external id. Two ids of known people never merge, so of an alias one side
is taken for an anonymous id: what the SDK's own words call the earlier id.

`$set_once` writes what the person does not have yet. That cannot be known here, where facts are only accepted, so it
is left out and told. What PostHog says about itself (flags, recordings, exceptions, groups as such) is left out too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from core.errors import Violation
from core.events.canonical import NO_REFERRER, OF_THE_DEVICE, POSTHOG_ATTRIBUTES, POSTHOG_PARAMS
from core.events.checks import Bad
from core.events.coerce import wrong
from core.events.persons import RawPerson
from core.events.validate import RawEvent, Report
from core.schema import Instant, Kind
from services.ingest.accept import Outcome, refused, take_raw_event, take_raw_person
from services.ingest.segment_spec import Sending, occurred_at
from services.ingest.writer import BatchWriter

#: What PostHog measures for itself.
_ITS_OWN = frozenset(
    {"$feature_flag_called", "$feature_view", "$feature_interaction", "$feature_enrollment_update", "$snapshot"}
    | {"$web_vitals", "$performance_event", "$exception", "$$heatmap", "$$client_ingestion_warning", "$set_once"}
    | {"$opt_in", "$merge_dangerously"}
)
_PAGES = ("$pageview", "$pageleave")
_LINES = ("products", "items")
#: Properties that name the person, the project or a group: they are no parameters.
_NO_PARAMS = frozenset({"distinct_id", "token", "alias"})
_DEVICES = {"Mobile": "phone"}
#: In this SDK's alias() the id from before comes first, in the others the id that stays.
_PREVIOUS_FIRST = "posthog-python"


@dataclass(frozen=True, slots=True)
class Part:
    """One of the things that an event says: `$set` about the person, or the rest."""

    item: Mapping[str, object]
    is_set: bool


def parts_of(item: object) -> Sequence[object] | str:
    """What `item` says, part by part, or why it is left out as a whole; what is no event stays as it is."""
    if not isinstance(item, Mapping):
        return (item,)
    name = item.get("event")
    if not isinstance(name, str):
        name = ""  # refused with its path when it is taken
    if name in _ITS_OWN and not _told(item, "$set"):
        return "it tells about PostHog, or about a person what is not known yet ($set_once)"
    if name == "$groupidentify" and _names_group(item):
        return "it describes a group and names nobody"
    if name in ("$identify", "$set"):
        return (Part(item, is_set=True),)
    rest = () if name in _ITS_OWN else (Part(item, is_set=False),)
    return (*rest, Part(item, is_set=True)) if _told(item, "$set") else rest


def take_part(writer: BatchWriter, part: object, path: str, sending: Sending) -> Outcome:
    """One part of an event that stands at `path`."""
    if not isinstance(part, Part):
        bad = part if isinstance(part, Bad) else wrong(Kind.OBJECT_LIST)
        return refused(bad.reason, path.rstrip("."), "must be an object")
    event = _Event(part.item, path, sending)
    if event.item.get("event") == "$create_alias":
        return _alias(writer, event)
    if event.item.get("event") == "$groupidentify":
        return _group(writer, event)
    return _set(writer, event) if part.is_set else _track(writer, event)


@dataclass(slots=True)
class _Event:
    item: Mapping[str, object]
    path: str
    sending: Sending
    report: Report = field(default_factory=Report)

    @property
    def properties(self) -> Mapping[str, object]:
        value = self.item.get("properties")
        return value if isinstance(value, Mapping) else {}

    def at(self, path: str) -> str:
        return f"{self.path}{path}"

    def dig(self, key: str) -> tuple[str, object]:
        """A field of the event or of its properties, with its path."""
        if self.item.get(key) is None and self.properties.get(key) is not None:
            return self.at(f"properties.{key}"), self.properties[key]
        return self.at(key), self.item.get(key)

    def identifiers(self) -> list[tuple[str, str, object]]:
        path, value = self.dig("distinct_id")
        found = [(path, "anonymous_id" if self.is_anonymous(value) else "external_id", value)]
        before = self.properties.get("$anon_distinct_id")
        if before is not None and before != value:
            found.append((self.at("properties.$anon_distinct_id"), "anonymous_id", before))
        return found

    def is_anonymous(self, value: object) -> bool:
        told = self.properties
        if isinstance(told.get("$is_identified"), bool):
            return told["$is_identified"] is False
        return told.get("$process_person_profile") is False or (value is not None and value == told.get("$device_id"))

    def message_id(self) -> tuple[str, object]:
        path, value = self.dig("uuid")
        return (path, value) if value is not None else self.dig("$insert_id")


def _track(writer: BatchWriter, event: _Event) -> Outcome:
    properties = event.item.get("properties")
    if properties is not None and not isinstance(properties, Mapping):
        bad = properties if isinstance(properties, Bad) else wrong(Kind.OBJECT_LIST)
        event.report.bad(event.at("properties"), bad)
    params = _params(event.properties)
    lines = next((key for key in _LINES if isinstance(params.get(key), list)), _LINES[0])
    occurred, told = _occurred(event)
    id_path, message_id = event.message_id()
    raw = RawEvent(
        type=event.item.get("event"),
        type_path=event.at("event"),
        message_id=message_id,
        message_id_path=id_path,
        occurred=occurred,
        occurred_path=event.at("timestamp"),
        identifiers=event.identifiers(),
        params=(
            ({key: value for key, value in params.items() if key != lines}, event.at("properties")),
            (_own_params(event), event.at("properties")),
            (event.sending.params, "request"),
        ),
        items=params.get(lines),
        items_path=event.at(f"properties.{lines}"),
        flags=event.sending.flags,
    )
    return take_raw_event(writer, raw, event.sending.received_at_us, event.report, told)


def _params(properties: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in properties.items() if not key.startswith("$") and key not in _NO_PARAMS}


def _own_params(event: _Event) -> dict[str, object]:
    """What the SDK itself noticed, under our names."""
    found: dict[str, object] = {}
    silent = OF_THE_DEVICE if event.properties.get("$is_server") is True else frozenset()
    if event.item.get("event") not in _PAGES:
        silent |= {"$pathname"}
    for key, name in POSTHOG_PARAMS.items():
        value = event.properties.get(key)
        if value is None or value == NO_REFERRER or key in silent:
            continue
        if name == "device" and isinstance(value, str):
            value = _DEVICES.get(value, value.lower())
        found[name] = value
    return found


def _set(writer: BatchWriter, event: _Event) -> Outcome:
    given = [(event.at(where), value) for where, value in _tellings(event.item, "$set")]
    attributes = []
    for path, value in given:
        if isinstance(value, Mapping):
            attributes.append((_attributes(value), path))
        elif value is not None:
            event.report.bad(path, value if isinstance(value, Bad) else wrong(Kind.OBJECT_LIST))
    once = [event.at(where) for where, value in _tellings(event.item, "$set_once") if _says_once(value)]
    for path in once:
        event.report.note(path, "left out: what is set once is not known here; send $set")
    id_path, message_id = event.message_id()
    if isinstance(message_id, str) and event.item.get("event") not in ("$identify", "$set"):
        message_id = f"{message_id}:set"
    return _person(writer, event, tuple(attributes), event.identifiers(), (id_path, message_id))


def _attributes(told: Mapping[str, object]) -> dict[str, object]:
    plain = {key: value for key, value in told.items() if not key.startswith("$")}
    own = {name: told[key] for key, name in POSTHOG_ATTRIBUTES.items() if told.get(key) is not None}
    return {**own, **plain}


def _group(writer: BatchWriter, event: _Event) -> Outcome:
    told = event.properties
    traits = told.get("$group_set")
    group = {"group_id": told.get("$group_key"), "group": traits if isinstance(traits, Mapping) else {}}
    attributes = ((group, event.at("properties")),)
    return _person(writer, event, attributes, event.identifiers(), event.message_id())


def _alias(writer: BatchWriter, event: _Event) -> Outcome:
    distinct = event.dig("distinct_id") if "distinct_id" not in event.properties else _property(event, "distinct_id")
    alias = _property(event, "alias")
    alias_is_person = event.properties.get("$lib") == _PREVIOUS_FIRST or event.is_anonymous(distinct[1])
    person, before = (alias, distinct) if alias_is_person else (distinct, alias)
    for path, value in (person, before):
        if value is None:
            event.report.problems.append(("NO_IDENTIFIER", Violation(path, "an alias needs both ids")))
    pair = [(person[0], "external_id", person[1]), (before[0], "anonymous_id", before[1])]
    return _person(writer, event, (), pair, event.message_id())


def _property(event: _Event, key: str) -> tuple[str, object]:
    return event.at(f"properties.{key}"), event.properties.get(key)


def _person(
    writer: BatchWriter,
    event: _Event,
    attributes: tuple[tuple[Mapping[str, object], str], ...],
    identifiers: list[tuple[str, str, object]],
    message_id: tuple[str, object],
) -> Outcome:
    occurred, _ = _occurred(event)
    raw = RawPerson(
        message_id=message_id[1],
        message_id_path=message_id[0],
        occurred=occurred,
        occurred_path=event.at("timestamp"),
        identifiers=identifiers,
        attributes=attributes,
    )
    return take_raw_person(writer, raw, event.sending.received_at_us, event.report)


def _occurred(event: _Event) -> tuple[object, Mapping[str, Instant]]:
    sending = event.sending
    return occurred_at(event.item.get("timestamp"), sending.sent_at, sending.received_at_us, event.report)


def _tellings(item: Mapping[str, object], key: str) -> list[tuple[str, object]]:
    """The objects `key` of an event and of its properties, each with its path."""
    properties = item.get("properties")
    inner = properties.get(key) if isinstance(properties, Mapping) else None
    return [
        (where, value) for where, value in ((key, item.get(key)), (f"properties.{key}", inner)) if value is not None
    ]


def _told(item: Mapping[str, object], key: str) -> bool:
    """Whether the event says something about the person under `key` that is not PostHog's own."""
    return any(not isinstance(value, Mapping) or any(map(_is_kept, value)) for _, value in _tellings(item, key))


def _says_once(told: object) -> bool:
    """Whether a `$set_once` says anything: posthog-js sends nulls for every parameter that a page did not have."""
    return not isinstance(told, Mapping) or any(_is_kept(key) for key, value in told.items() if value is not None)


def _is_kept(name: str) -> bool:
    return not name.startswith("$") or name in POSTHOG_ATTRIBUTES


def _names_group(item: Mapping[str, object]) -> bool:
    """Whether its distinct id is the one that server SDKs make of the group itself."""
    told = item.get("properties")
    if not isinstance(told, Mapping):
        return False
    return item.get("distinct_id") == f"${told.get('$group_type')}_{told.get('$group_key')}"
