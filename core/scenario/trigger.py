"""What may start a run: fresh facts of now, never history, never a bot, never an edit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from core.events.columns import IMPORTED, MACHINE, Event
from core.scenario.definition import (
    Definition,
    FieldTrigger,
    ProductTrigger,
    RfmTrigger,
    ScheduleTrigger,
    SegmentTrigger,
    Trigger,
)
from core.scenario.filter_row import RowContext, matches
from core.scenario.plan import Plan
from core.schema import Scalar

#: The value by which a run knows the segment that started it.
SEGMENT_VALUE = "segment"


class Cause(StrEnum):
    """Why a membership changed. OTHER (a segment was saved for the first time, a contact erased) starts nothing."""

    EVENT = "event"
    TIME = "time"
    CATALOGUE = "catalogue"
    IMPORT = "import"
    EDIT = "edit"
    MERGE = "merge"
    UNMERGE = "unmerge"
    POPULATION = "population"
    OTHER = "other"


#: Causes that start runs of every scenario, and those that start them only if the scenario says so.
_ALWAYS = frozenset((Cause.EVENT, Cause.TIME, Cause.CATALOGUE))
SETTABLE_CAUSES = (Cause.IMPORT, Cause.EDIT, Cause.MERGE, Cause.UNMERGE, Cause.POPULATION)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A fact that starts runs. `id` names it for ever; `upstream_position` is ingest's, 0 if it is not known."""

    id: str
    at_us: int
    contact: int
    values: Mapping[str, Scalar]
    items: tuple[Mapping[str, Scalar], ...] = ()
    upstream_position: int = 0


@dataclass(frozen=True, slots=True)
class MembershipChange:
    """A record of the engine's membership log; `record` names its place there."""

    contact: int
    segment: str
    entered: bool
    cause: Cause
    effective_at_us: int
    recorded_at_us: int
    record: str


def is_fresh(plan: Plan, occurred_at_us: int, recorded_at_us: int) -> bool:
    """Whether a fact was of now when the log accepted it: at most the greatest age old, and dated ahead by at most as
    much (a sender's clock that is fast)."""
    return abs(recorded_at_us - occurred_at_us) <= plan.definition.max_age_us


def instant_of(event: Event, recorded_at_us: int) -> int:
    """When an event happened at the latest: one that is dated ahead happened before it was received. What follows it
    is dated by other clocks, and would else seem to come before it."""
    return min(event.occurred_at_us, event.received_at_us, recorded_at_us)


def is_live(flags: int) -> bool:
    """Whether an event happened now and was made by a person: neither imported nor by a machine."""
    return not flags & (IMPORTED | MACHINE)


def counts(plan: Plan, flags: int) -> bool:
    """Whether an event may start runs: live, or imported where the scenario's causes say so; never by a machine."""
    return is_live(flags) or (not flags & MACHINE and Cause.IMPORT in plan.definition.causes)


def may_cause(definition: Definition, cause: Cause) -> bool:
    """Whether a change of membership for this cause starts runs. A move between cells of an RFM model is one by its
    population as well, whoever's facts moved the grid, and never one by an edit."""
    if isinstance(definition.trigger, RfmTrigger):
        return cause is not Cause.EDIT and (cause in (*_ALWAYS, Cause.POPULATION) or cause in definition.causes)
    return cause in _ALWAYS or cause in definition.causes


def carried(trigger: Trigger) -> frozenset[str] | None:
    """The values that a trigger brings to its runs, by name; None: whatever its event or its caller has."""
    match trigger:
        case SegmentTrigger() | ScheduleTrigger():
            return frozenset((SEGMENT_VALUE,))
        case RfmTrigger():
            return frozenset(("model", "from_cell", "to_cell"))
        case FieldTrigger():
            return frozenset(("attribute", "old", "new"))
        case ProductTrigger():
            return frozenset(("product_id", "change", "old_price", "new_price", "percent"))
        case _:
            return None


def started_by_event(
    plan: Plan, event: Event, contact: int, recorded_at_us: int, zone: str, upstream_position: int
) -> Occurrence | None:
    """What `event` starts, or None: another type, filtered out, imported (unless the
    scenario says that imports start it), by a machine, too old, or too far ahead."""
    if event.type != plan.event_type or not counts(plan, event.flags):
        return None
    if not is_fresh(plan, event.occurred_at_us, recorded_at_us):
        return None
    if not matches(plan.trigger_filter, event, RowContext(recorded_at_us, zone, plan.definition.values)):
        return None
    at_us = instant_of(event, recorded_at_us)
    return Occurrence(event.id, at_us, contact, scalars(event), event.items, upstream_position)


def started_by_membership(plan: Plan, change: MembershipChange) -> Occurrence | None:
    """What a change of membership starts, or None: another segment, direction or cause, too old, or too far ahead."""
    trigger = plan.definition.trigger
    if not isinstance(trigger, SegmentTrigger) or trigger.segment != change.segment:
        return None
    if trigger.on_leave is change.entered or not may_cause(plan.definition, change.cause):
        return None
    if not is_fresh(plan, change.effective_at_us, change.recorded_at_us):
        return None
    trigger_id = f"{change.segment}@{change.record}:{'entered' if change.entered else 'left'}"
    at_us = min(change.effective_at_us, change.recorded_at_us)
    return Occurrence(trigger_id, at_us, change.contact, {SEGMENT_VALUE: change.segment})


def scalars(event: Event) -> dict[str, Scalar]:
    """The parameters of an event that hold a single value."""
    return {name: value for name, value in event.params.items() if not isinstance(value, tuple)}
