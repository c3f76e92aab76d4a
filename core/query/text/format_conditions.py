"""The leaves of a rule as canonical text."""

from __future__ import annotations

from core.query.ast import (
    AttributeCondition,
    Changed,
    Condition,
    ElementMatch,
    EventAggregate,
    EventCount,
    Everyone,
    FirstTime,
    HasBeen,
    HasBeenIn,
    InCohort,
    InList,
    MeasureCondition,
    MessageCount,
    PickedEvent,
    PopulationCondition,
    RandomBucket,
    Reachable,
    Regularly,
    Restarted,
    RfmInCell,
    RfmMoved,
    SegmentReference,
    Sequence,
    Stopped,
    Trend,
    WasIn,
)
from core.query.text.format_events import (
    aggregate_text,
    event_count_text,
    first_time_text,
    message_text,
    picked_text,
    regularly_text,
    restarted_text,
    sequence_text,
    stopped_text,
    trend_text,
)
from core.query.text.format_filters import comparison_text, element_text
from core.query.text.format_history import changed_text, has_been_in_text, has_been_text, reachable_text, was_in_text
from core.query.text.format_population import (
    bucket_text,
    cell_text,
    cohort_text,
    interest_text,
    moved_text,
    population_text,
)
from core.query.text.format_values import name_text, operand_text, quoted


def condition_text(condition: Condition, step_break: str = " ") -> str:
    """One leaf; `step_break` stands before the steps of a sequence."""
    match condition:
        case Everyone():
            return "everyone"
        case AttributeCondition(test):
            return element_text(test) if isinstance(test, ElementMatch) else comparison_text(test)
        case InList(name):
            return f"in list {quoted(name)}"
        case SegmentReference():
            return _reference_text(condition)
        case EventCount():
            return event_count_text(condition)
        case MessageCount():
            return message_text(condition)
        case EventAggregate():
            return aggregate_text(condition)
        case FirstTime():
            return first_time_text(condition)
        case PickedEvent():
            return picked_text(condition)
        case Stopped():
            return stopped_text(condition)
        case Restarted():
            return restarted_text(condition)
        case Regularly():
            return regularly_text(condition)
        case Trend():
            return trend_text(condition)
        case Sequence():
            return sequence_text(condition, step_break)
        case MeasureCondition():
            return interest_text(condition)
        case PopulationCondition():
            return population_text(condition)
        case RfmInCell():
            return cell_text(condition)
        case RfmMoved():
            return moved_text(condition)
        case InCohort():
            return cohort_text(condition)
        case HasBeen():
            return has_been_text(condition)
        case Changed():
            return changed_text(condition)
        case WasIn():
            return was_in_text(condition)
        case HasBeenIn():
            return has_been_in_text(condition)
        case Reachable():
            return reachable_text(condition)
        case RandomBucket():
            return bucket_text(condition)


def denied_text(condition: Condition) -> str | None:
    """A "not" and the leaf together, where that is not the one before the other: a message condition takes a "not" for
    its own, so brackets keep the two apart, and "not was in" reads "was never in"."""
    match condition:
        case MessageCount():
            return f"not ({message_text(condition)})"
        case WasIn():
            return was_in_text(condition, never=True)
        case _:
            return None


def _reference_text(reference: SegmentReference) -> str:
    arguments = [f"{name_text(name)} = {operand_text(operand)}" for name, operand in reference.arguments]
    text = f"in segment {quoted(reference.name)}"
    if not arguments:
        return text
    return f"{text} with {arguments[0]}" if len(arguments) == 1 else f"{text} with ({', '.join(arguments)})"
