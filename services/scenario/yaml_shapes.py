"""The form of a scenario in YAML, as a table: which words stand for which fields of the message.

`yaml_read.py` and `yaml_write.py` both go by it, so that what is written is read back as the same scenario. A new block
is one more `Shape`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cdp.scenario.v1 import scenario_pb2 as pb
from services.scenario import yaml_values as values


@dataclass(frozen=True, slots=True)
class Single:
    """One value: how it is read (ValueError: it is wrong) and written. `what` it is called; `empty`: it may be left
    without a value, which is "". `spoken`: its text stands in quotes where YAML would take it for something else."""

    what: str
    read: Callable[[str], Any]
    write: Callable[[Any], str]
    empty: bool = False
    spoken: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some words, each for a number of an enumeration."""

    words: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Texts:
    """A list of texts; one alone may stand without a list."""


@dataclass(frozen=True, slots=True)
class AnyValue:
    """A value of the platform (yaml_values.read_value)."""


@dataclass(frozen=True, slots=True)
class NamedValues:
    """A mapping from names to such values."""


@dataclass(frozen=True, slots=True)
class One:
    """A mapping of keys."""

    record: Record


@dataclass(frozen=True, slots=True)
class Many:
    """A list of such mappings."""

    record: Record


Form = Single | Choice | Texts | AnyValue | NamedValues | One | Many


@dataclass(frozen=True, slots=True)
class Key:
    """A word, and the field that it stands for (dots lead into messages within)."""

    name: str
    field: str
    form: Form


@dataclass(frozen=True, slots=True)
class Shape:
    """One way in which a record may look, known by its first key, which is always written. A message looks so where its
    field `when` is set (empty: the message of the first key) and none of `unless`; the first one that fits is written.
    `sets`: a field that is true by the first key alone. `one_of`: keys of which one must be there."""

    keys: tuple[Key, ...]
    when: str = ""
    unless: tuple[str, ...] = ()
    sets: str = ""
    one_of: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """A mapping of keys: those of every one (`before`, `after` in the order written), and those of one of `shapes`."""

    what: str
    before: tuple[Key, ...] = ()
    shapes: tuple[Shape, ...] = ()
    after: tuple[Key, ...] = ()
    needed: tuple[str, ...] = field(default=())


def _same(text: str) -> str:
    return text


TEXT = Single("a text", _same, _same, spoken=True)
_MAYBE_TEXT = Single("a text", _same, _same, empty=True, spoken=True)
DURATION = Single("a duration", values.read_duration, values.write_duration)
_SHARE = Single("a share", values.read_share, values.write_share)
_PER_CENT = Single("a share", values.read_per_cent, values.write_per_cent)
_NUMBER = Single("a number", values.read_whole, str)
_MOMENT = Single("an instant", values.read_moment, values.write_moment)
_TRUTH = Single("true or false", values.read_truth, lambda value: "true" if value else "false")
_TEXTS, _VALUE, _VALUES = Texts(), AnyValue(), NamedValues()


def _key(name: str, path: str, form: Form = TEXT) -> Key:
    return Key(name, path, form)


TRIGGER = Record(
    "a start",
    shapes=(
        Shape((_key("event", "event.type"), _key("where", "event.filter"))),
        Shape((_key("leaves segment", "segment.segment"),), when="segment.on_leave", sets="segment.on_leave"),
        Shape((_key("enters segment", "segment.segment"),)),
        Shape(
            (_key("rfm", "rfm.model"), _key("from", "rfm.from_cells", _TEXTS), _key("to", "rfm.to_cells", _TEXTS)),
        ),
        Shape(
            (
                _key("attribute", "field.attribute"),
                _key("from", "field.from", _VALUE),
                _key("to", "field.to", _VALUE),
                _key("held for", "field.held_for_us", DURATION),
            ),
        ),
        Shape(
            (
                _key("schedule", "schedule.cron"),
                _key("for everyone in", "schedule.segment"),
                _key("zone", "schedule.zone"),
                _key("not before", "schedule.not_before_us", _MOMENT),
                _key("until", "schedule.until_us", _MOMENT),
            ),
        ),
        Shape(
            (
                _key("product", "product.changes", _TEXTS),
                _key("for everyone in", "product.segment"),
                _key("by at least", "product.at_least_percent_units", _PER_CENT),
            ),
        ),
        Shape((_key("api", "api.required", _TEXTS),)),
    ),
    after=(
        _key("max age", "max_age_us", DURATION),
        _key("values", "values", _VALUES),
        _key("causes", "causes", _TEXTS),
    ),
)

_BRANCH = Record(
    "a branch",
    (_key("share", "share", _SHARE), _key("next", "next"), _key("name", "name")),
    needed=("share",),
)
_MESSAGE = (
    _key("kind", "kind"),
    _key("content", "content"),
    _key("expires after", "expires_after_us", DURATION),
)
_OPTION = Record(
    "a channel of the group",
    (_key("channel", "channel"), _key("template", "template"), *_MESSAGE),
    needed=("channel", "template"),
)
_ORDERS = {"priority": pb.GROUP_ORDER_PRIORITY, "preference": pb.GROUP_ORDER_PREFERENCE}

BLOCK = Record(
    "a block",
    before=(_key("id", "id"),),
    needed=("id",),
    shapes=(
        Shape(
            (
                _key("wait until", "wait.until_local.time"),
                _key("on", "wait.until_local.weekdays", _TEXTS),
                _key("shop's zone", "wait.until_local.workspace_zone", _TRUTH),
                _key("next", "wait.next"),
            ),
            when="wait.until_local",
        ),
        Shape(
            (
                _key("wait until date", "wait.until_date.attribute"),
                _key("shifted by", "wait.until_date.offset_us", DURATION),
                _key("at", "wait.until_date.local_time"),
                _key("yearly", "wait.until_date.yearly", _TRUTH),
                _key("if missing", "wait.until_date.when_missing"),
                _key("next", "wait.next"),
            ),
            when="wait.until_date",
        ),
        Shape((_key("wait", "wait.duration_us", DURATION), _key("next", "wait.next"))),
        Shape(
            (
                _key("wait for event", "wait_for.event.type"),
                _key("where", "wait_for.event.filter"),
                _key("or condition", "wait_for.condition"),
                _key("at most", "wait_for.timeout_us", DURATION),
                _key("store as", "wait_for.store_as"),
                _key("then", "wait_for.when_met"),
                _key("else", "wait_for.when_timeout"),
            ),
            when="wait_for.event",
        ),
        Shape(
            (
                _key("wait for condition", "wait_for.condition"),
                _key("at most", "wait_for.timeout_us", DURATION),
                _key("store as", "wait_for.store_as"),
                _key("then", "wait_for.when_met"),
                _key("else", "wait_for.when_timeout"),
            ),
        ),
        Shape(
            (_key("if", "condition.text"), _key("then", "condition.when_true"), _key("else", "condition.when_false"))
        ),
        Shape((_key("split", "split.branches", Many(_BRANCH)), _key("salt", "split.salt"))),
        Shape(
            (
                _key("control group", "control.share", _SHARE),
                _key("of all scenarios", "control.global", _TRUTH),
                _key("members go to", "control.when_in"),
                _key("next", "control.next"),
            ),
        ),
        Shape(
            (
                _key("send", "send.channel"),
                _key("template", "send.template"),
                *(Key(key.name, f"send.{key.field}", key.form) for key in _MESSAGE),
                _key("next", "send.next"),
            ),
        ),
        Shape(
            (
                _key("send first of", "send_group.options", Many(_OPTION)),
                _key("order", "send_group.order", Choice(_ORDERS)),
                _key("patience", "send_group.patience_us", DURATION),
                _key("next", "send_group.next"),
            ),
        ),
        Shape(
            (_key("remove attribute", "set_attribute.name"), _key("next", "set_attribute.next")),
            unless=("set_attribute.value", "set_attribute.from_value"),
        ),
        Shape(
            (
                _key("set attribute", "set_attribute.name"),
                _key("to", "set_attribute.value", _VALUE),
                _key("to value of", "set_attribute.from_value"),
                _key("next", "set_attribute.next"),
            ),
            one_of=("to", "to value of"),
        ),
        Shape(
            (
                _key("add to lists", "change_lists.add", _TEXTS),
                _key("take off lists", "change_lists.remove", _TEXTS),
                _key("next", "change_lists.next"),
            ),
            when="change_lists.add",
        ),
        Shape((_key("take off lists", "change_lists.remove", _TEXTS), _key("next", "change_lists.next"))),
        Shape(
            (
                _key("issue coupon", "issue_coupon.pool"),
                _key("store as", "issue_coupon.store_as"),
                _key("if none left", "issue_coupon.when_empty"),
                _key("next", "issue_coupon.next"),
            ),
        ),
        Shape(
            (
                _key("call webhook", "call_webhook.template"),
                _key("store as", "call_webhook.store_as"),
                _key("at most", "call_webhook.timeout_us", DURATION),
                _key("if it fails", "call_webhook.when_failed"),
                _key("next", "call_webhook.next"),
            ),
        ),
        Shape(
            (
                _key("start scenario", "start_scenario.scenario"),
                _key("with values", "start_scenario.values", _TEXTS),
                _key("next", "start_scenario.next"),
            ),
        ),
        Shape((_key("exit", "exit.reason", _MAYBE_TEXT),)),
    ),
)

_REENTRY = {
    "one at a time": pb.REENTRY_ONE_AT_A_TIME,
    "once": pb.REENTRY_ONCE,
    "always": pb.REENTRY_ALWAYS,
    "after a pause": pb.REENTRY_AFTER,
}

SCENARIO = Record(
    "a scenario",
    before=(
        _key("name", "revision.name"),
        _key("description", "description"),
        _key("start", "trigger", One(TRIGGER)),
        _key("exit when", "exit_when"),
        _key("again", "reentry", Choice(_REENTRY)),
        _key("pause", "reentry_after_us", DURATION),
        _key("paused", "paused", _TRUTH),
        _key("entries limit", "entries_limit", _NUMBER),
        _key("sends per minute", "sends_per_minute", _NUMBER),
        _key("category", "category"),
        _key("blocks", "blocks", Many(BLOCK)),
    ),
    needed=("start", "blocks"),
)
