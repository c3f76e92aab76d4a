"""Conditions on events and messages."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from core.query.ast_tree import NOWHERE, Span
from core.query.ast_values import Compare, EventSelection, FilterTree, Operand, Period, Window, Zone
from core.schema import DecimalUnits


@dataclass(frozen=True, slots=True)
class EventCount:
    """The number of selected events compared with whole numbers: EQ NE LT LE GT GE (one operand) or BETWEEN (two).
    `did E` is GE 1, `did not E` is EQ 0. `same`: the parameter of `for the same p`, or None."""

    events: EventSelection
    compare: Compare
    counts: tuple[Operand, ...]
    same: str | None = None
    span: Span = field(default=NOWHERE, compare=False)


class MessageVerb(Enum):
    """Message activity; the values are the canonical events that carry it."""

    RECEIVED = "received"
    SENT = "sent"
    OPENED = "opened"
    CLICKED = "clicked"
    BOUNCED = "bounced"
    UNSUBSCRIBED = "unsubscribed"
    COMPLAINED = "complained"


class Daypart(Enum):
    """When a message was sent, by the contact's zone stored at sending: DAY is [08:00, 20:00)."""

    DAY = "day"
    NIGHT = "night"


@dataclass(frozen=True, slots=True)
class MessageCount:
    """The number of distinct messages for which the verb happened in the window (by a human, unless `with_machines`),
    compared as above. `sent`: only messages sent by day or by night; opens and clicks inherit it by message id."""

    verb: MessageVerb
    filter: FilterTree
    window: Window | None
    compare: Compare
    counts: tuple[Operand, ...]
    sent: Daypart | None = None
    with_machines: bool = False
    span: Span = field(default=NOWHERE, compare=False)


class Function(Enum):
    """An aggregate of one parameter over the selected events."""

    SUM = "sum"
    AVG = "avg"
    MIN = "min"
    MAX = "max"
    DISTINCT = "distinct"
    FIRST = "first"
    LAST = "last"
    MOST_FREQUENT = "most frequent"


@dataclass(frozen=True, slots=True)
class EventAggregate:
    """`function(event.path)` over the selected events against operands. `path` is a parameter, or "items.p" for a
    field of the lines (one value a line). FIRST, LAST and MOST_FREQUENT may be texts: EQ NE IN NOT_IN CONTAINS
    NOT_CONTAINS STARTS ENDS MATCHES are allowed then; MISSING and PRESENT always."""

    function: Function
    path: str
    events: EventSelection
    compare: Compare
    operands: tuple[Operand, ...]
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class FirstTime:
    """`first time did E (filter) in W`: the earliest matching event ever lies in `window`. `events` has no window."""

    events: EventSelection
    window: Window
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class PickedEvent:
    """`last E (filter) had (conditions)`, or `first`: the latest (earliest) selected event, as it is, satisfies
    `conditions`. False with none."""

    events: EventSelection
    conditions: FilterTree
    first: bool = False
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Stopped:
    """Some in `(as_of - silent - active, as_of - silent]`, none in `(as_of - silent, as_of]`. No window in `events`."""

    events: EventSelection
    active_us: int
    silent_us: int
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Restarted:
    """Some in `(as_of - recent, as_of]`, none in `(as_of - recent - silent, as_of - recent]`, some at or before
    `as_of - recent - silent`. No window in `events`."""

    events: EventSelection
    recent_us: int
    silent_us: int
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Regularly:
    """At least `times` selected events in at least `k` of the last `n` complete calendar periods, 1 <= k <= n.
    No window in `events`."""

    events: EventSelection
    times: int
    k: int
    n: int
    period: Period
    zone: Zone = Zone.WORKSPACE
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Trend:
    """`E rising (falling) by p % over last D`: new is the number in `(as_of - D, as_of]`, old that in the D before;
    rising: 100 new >= (100 + p) old, falling: 100 new <= (100 - p) old; old >= 1. No window in `events`."""

    events: EventSelection
    rising: bool
    percent: DecimalUnits
    span_us: int
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a sequence; `events` has no window. `within_us` is inclusive and measures from the last positive
    step, or from the first one (`from_first`). `name` lets later steps speak of this event (positive steps only)."""

    events: EventSelection
    negative: bool = False
    name: str | None = None
    within_us: int | None = None
    from_first: bool = False


@dataclass(frozen=True, slots=True)
class Sequence:
    """Some assignment of distinct events to the positive steps satisfies everything (semantics.md, Sequences). The
    first step is positive and has no `within`. `window` restricts the first step's event. `same`: a name p such that
    one value v is held by the events of all positive steps; negative steps forbid only events that hold v. An event
    holds the value of its parameter p; one that has no such value holds those of p on its lines ("items.p": lines
    only)."""

    steps: tuple[Step, ...]
    window: Window | None = None
    same: str | None = None
    span: Span = field(default=NOWHERE, compare=False)
