"""Whether the leaves of a rule are well-formed, class by class."""

from __future__ import annotations

from core.query.ast import (
    AggregateMeasure,
    AttributeCondition,
    AttributeMeasure,
    Changed,
    Compare,
    Condition,
    CountMeasure,
    ElementMatch,
    EventAggregate,
    EventCount,
    EventTime,
    Everyone,
    FirstTime,
    HasBeen,
    HasBeenIn,
    InCohort,
    InList,
    InNext,
    Interest,
    Literal,
    Measure,
    MeasureCondition,
    MessageCount,
    OnDay,
    Parameter,
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
    Standard,
    Stopped,
    Trend,
    WasIn,
    Window,
)
from core.query.binding.shape_filters import check_element, check_event_window, check_filter, check_selection
from core.query.binding.shape_values import (
    MOVING,
    RELATION_SET,
    check_aggregate,
    check_comparison,
    check_counts,
    check_duration,
    check_name,
    check_operands,
    check_percent,
    check_periods,
    check_window,
)
from core.query.limits import MAX_OPERANDS, MAX_STEPS
from core.query.problems import SHAPE, WINDOW, problem
from core.query.walk import anchors

_BUCKETS = 10_000
_MOST_TIMES = 1_000_000


def check_condition(condition: Condition, where: str) -> int:
    """Checks one leaf and returns the number of nodes in its filters."""
    match condition:
        case Everyone():
            return 0
        case AttributeCondition(test):
            if isinstance(test, ElementMatch):
                return check_element(test, where)
            check_comparison(test, where)
            return 0
        case InList(name):
            check_name(name, where)
            return 0
        case SegmentReference():
            return _check_reference(condition, where)
        case EventCount(events, compare, counts, same):
            check_counts(compare, counts, where)
            if same is not None:
                check_name(same, where)
            return check_selection(events, where)
        case MessageCount(_, matching, window, compare, counts):
            check_counts(compare, counts, where)
            return check_event_window(window, where) + check_filter(matching, where)
        case EventAggregate(function, path, events, compare, operands):
            check_name(path, where)
            check_aggregate(function, compare, operands, where)
            return check_selection(events, where)
        case FirstTime(events, window):
            _check_not_anchored(window, where)
            return check_selection(events, where, windowed=False) + check_event_window(window, where)
        case PickedEvent(events, conditions):
            if not conditions:
                raise problem(SHAPE, where, '"had" needs conditions.')
            return check_selection(events, where) + check_filter(conditions, where)
        case Stopped(events, first_us, second_us) | Restarted(events, first_us, second_us):
            _check_positive(first_us, where)
            _check_positive(second_us, where)
            return check_selection(events, where, windowed=False)
        case Regularly(events, times, k, n, period):
            if not (1 <= k <= n and 1 <= times <= _MOST_TIMES):
                raise problem(SHAPE, where, f"{k} of {n} periods, at least {times} times, is no rhythm.")
            check_periods(period, n, where)
            return check_selection(events, where, windowed=False)
        case Trend(events, _, percent, span_us):
            check_percent(percent, where, above_hundred=condition.rising)
            _check_positive(span_us, where)
            return check_selection(events, where, windowed=False)
        case Sequence():
            return _check_sequence(condition, where)
        case MeasureCondition(measure, test):
            if not isinstance(measure, Interest):
                raise problem(SHAPE, where, "only an interest is compared in this way.")
            if test.relation is not None:
                raise problem(SHAPE, where, f'"{test.compare.value}" does not fit an interest.')
            check_comparison(test, where)
            return check_measure(measure, where)
        case PopulationCondition():
            return _check_population(condition, where)
        case RfmInCell(model, cells):
            check_name(model, where)
            return _check_cells(cells, where, needed=True)
        case RfmMoved(model, before, after, duration_us):
            check_name(model, where)
            _check_positive(duration_us, where)
            return _check_cells(before, where, needed=False) + _check_cells(after, where, needed=False)
        case InCohort(events, window):
            if isinstance(window, InNext | OnDay):
                raise problem(SHAPE, where, "a cohort lies in the past.", 'Write "in calendar month 2026-10".')
            _check_not_anchored(window, where)
            check_window(window, where)
            return 0 if events is None else check_selection(events, where, windowed=False)
        case HasBeen(test, duration_us):
            check_comparison(test, where)
            if test.compare in MOVING:
                raise problem(SHAPE, where, f'"has been" does not fit "{test.compare.value}", which moves with time.')
            _check_positive(duration_us, where)
            return 0
        case Changed(name, before_values, after_values, changed_in):
            check_name(name, where)
            for values in (before_values, after_values):
                check_operands(values or (), where)
            _check_not_anchored(changed_in, where)
            check_window(changed_in, where)
            return 0
        case WasIn(_, name, was_in):
            check_name(name, where)
            _check_not_anchored(was_in, where)
            check_window(was_in, where)
            return 0
        case HasBeenIn(_, name, duration_us):
            check_name(name, where)
            _check_positive(duration_us, where)
            return 0
        case Reachable(channels):
            for channel in channels:
                check_name(channel, where)
            return 0
        case RandomBucket(low, high, salt):
            check_name(salt, where)
            if not 0 <= low <= high < _BUCKETS:
                raise problem(SHAPE, where, f"random buckets lie from 0 to {_BUCKETS - 1}, the smaller number first.")
            return 0


def check_measure(measure: Measure, where: str) -> int:
    """Checks a measure and returns the number of nodes in its filters."""
    match measure:
        case AttributeMeasure(name):
            check_name(name, where)
            return 0
        case CountMeasure(events) | EventTime(events):
            _check_not_anchored(events.window, where)
            return check_selection(events, where)
        case Interest(model, value):
            check_name(model, where)
            if not isinstance(value, Literal | Parameter | None):
                raise problem(SHAPE, where, "an interest is in a text or in a parameter.")
            check_operands(() if value is None else (value,), where)
            return 0
        case AggregateMeasure(_, path, events):
            check_name(path, where)
            _check_not_anchored(events.window, where)
            return check_selection(events, where)


def _check_reference(reference: SegmentReference, where: str) -> int:
    check_name(reference.name, where)
    names = [argument for argument, _ in reference.arguments]
    if names != sorted(set(names)):
        raise problem(SHAPE, where, "arguments stand sorted by name, each once.")
    for argument in names:
        check_name(argument, where)
    check_operands(tuple(operand for _, operand in reference.arguments), where)
    return 0


def _check_sequence(sequence: Sequence, where: str) -> int:
    steps = sequence.steps
    if not 2 <= len(steps) <= MAX_STEPS:
        raise problem(SHAPE, where, f"a sequence has 2 to {MAX_STEPS} steps.")
    if steps[0].negative or steps[0].within_us is not None:
        raise problem(SHAPE, where, 'a sequence begins with an event that happened, without "within".')
    names = [step.name for step in steps if step.name is not None]
    if len(names) != len(set(names)):
        raise problem(SHAPE, where, "two steps have the same name.")
    if sequence.same is not None:
        check_name(sequence.same, where)
    count = 0
    for step in steps:
        if step.negative and step.name is not None:
            raise problem(SHAPE, where, "what did not happen has no name.")
        if step.from_first and step.within_us is None:
            raise problem(SHAPE, where, '"of the first" belongs to "within".')
        if step.name is not None:
            check_name(step.name, where)
        if step.within_us is not None:
            check_duration(step.within_us, where)
        count += 1 + check_selection(step.events, where, windowed=False)
    return count + check_event_window(sequence.window, where)


def _check_population(condition: PopulationCondition, where: str) -> int:
    standard, compare, percent = condition.standard, condition.compare, condition.percent
    if standard in (Standard.TOP, Standard.BOTTOM):
        fits = compare is Compare.GE
    else:
        fits = compare in RELATION_SET
    if not fits:
        raise problem(SHAPE, where, f'"{standard.value}" cannot be compared by "{compare.value}".')
    if (percent is not None) != (standard in (Standard.TOP, Standard.BOTTOM, Standard.PERCENTILE)):
        raise problem(SHAPE, where, f'"{standard.value}" takes {"no" if percent is not None else "a"} percentage.')
    if percent is not None:
        check_percent(percent, where)
    if standard is Standard.EVENT_AVERAGE and not isinstance(condition.measure, AggregateMeasure):
        raise problem(SHAPE, where, '"average of events" needs a parameter of events.')
    return check_measure(condition.measure, where)


def _check_cells(cells: tuple[str, ...], where: str, *, needed: bool) -> int:
    if (needed and not cells) or len(cells) > MAX_OPERANDS:
        raise problem(SHAPE, where, f"1 to {MAX_OPERANDS} cells are named.")
    for cell in cells:
        check_name(cell, where)
    return 0


def _check_positive(duration_us: int, where: str) -> None:
    check_duration(duration_us, where)
    if duration_us == 0:
        raise problem(WINDOW, where, "a span of no time can never hold anything.")


def _check_not_anchored(window: Window | None, where: str) -> None:
    if anchors(window) is not None:
        raise problem(SHAPE, where, '"since last" and "until first" do not fit here.')
