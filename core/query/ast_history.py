"""Conditions on how long something has been so, and on what was."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from core.query.ast_tree import NOWHERE, Span
from core.query.ast_values import Comparison, Operand, Window


@dataclass(frozen=True, slots=True)
class HasBeen:
    """`test` held on all of `[as_of - duration, as_of]`; nothing that moves with time: no WITHIN, ANNIVERSARY, AGE."""

    test: Comparison
    duration_us: int
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Changed:
    """The attribute's step function has, in `window` (None: ever), a change from one of `before` to one of `after`.
    None: from (to) anything; the empty tuple: from (to) missing. Consecutive different values, missing included; the
    first value ever is a change from missing."""

    name: str
    before: tuple[Operand, ...] | None = None
    after: tuple[Operand, ...] | None = None
    window: Window | None = None
    span: Span = field(default=NOWHERE, compare=False)


class Group(Enum):
    """What a contact can be in. A scenario's runs are events: scenario_entered and scenario_left with `scenario`."""

    SEGMENT = "segment"
    LIST = "list"
    SCENARIO = "scenario"


@dataclass(frozen=True, slots=True)
class WasIn:
    """In the group at some instant of `window` (None: ever), as of as_of. Segments: by the recorded history since the
    segment was first saved, of all its versions; lists: by their changes."""

    group: Group
    name: str
    window: Window | None = None
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class HasBeenIn:
    """In the group on all of `[as_of - duration, as_of]`."""

    group: Group
    name: str
    duration_us: int
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Reachable:
    """Reachable now by one of the channels (names of core.events.facts.CHANNELS); none named: by any."""

    channels: tuple[str, ...] = ()
    span: Span = field(default=NOWHERE, compare=False)
