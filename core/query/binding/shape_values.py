"""Whether comparisons, counts, windows and values are well-formed."""

from __future__ import annotations

from datetime import date

from core.clock import MAX_INSTANT_US, MIN_INSTANT_US, SECOND_US
from core.query.ast import (
    Absolute,
    AttributeAtEvent,
    AttributeOperand,
    BetweenAgo,
    Calendar,
    Circle,
    Compare,
    Comparison,
    Function,
    InLast,
    InNext,
    Literal,
    Moments,
    MoreThanAgo,
    OnDay,
    Operand,
    Parameter,
    Period,
    SinceLast,
    StepOperand,
    UntilFirst,
    Window,
    Zone,
)
from core.query.limits import MAX_DURATION_DAYS, MAX_DURATION_US, MAX_OPERANDS, MAX_STRING
from core.query.problems import SHAPE, TOO_LARGE, VALUE, WINDOW, problem
from core.query.text.words import RELATIONS
from core.query.walk import anchors
from core.schema import DECIMAL_SCALE, MAX_DECIMAL_UNITS, MAX_INTEGER, MIN_INTEGER, DecimalUnits, Instant, Scalar

#: `= != < <= > >=`.
RELATION_SET = frozenset(RELATIONS.values())
#: True or false of the same facts as time goes on.
MOVING = frozenset((Compare.WITHIN, Compare.ANNIVERSARY, Compare.AGE))
_NONE = frozenset((Compare.MISSING, Compare.PRESENT, Compare.WITHIN, Compare.ANNIVERSARY, Compare.AT, Compare.DISTANCE))
_RELATED = frozenset((Compare.LENGTH, Compare.AGE))
_WINDOWED = frozenset((Compare.WITHIN, Compare.ANNIVERSARY))
_TEXTUAL = frozenset(
    (
        *(Compare.IN, Compare.NOT_IN, Compare.CONTAINS, Compare.NOT_CONTAINS),
        *(Compare.STARTS, Compare.ENDS, Compare.MATCHES),
    )
)
_CHOSEN = frozenset((Function.FIRST, Function.LAST, Function.MOST_FREQUENT))
_FULL_CIRCLE_MM = 20_100_000_000
_DAY_S = 86_400
_MANY = frozenset((Compare.IN, Compare.NOT_IN, Compare.HAS_ANY, Compare.HAS_ALL, Compare.HAS_NONE))
_NEVER_FOLDED = _RELATED | _WINDOWED | {Compare.AT, Compare.DISTANCE}
_PERIODS_A_CENTURY = {
    Period.DAY: MAX_DURATION_DAYS,
    Period.WEEK: MAX_DURATION_DAYS // 7,
    Period.MONTH: 1200,
    Period.QUARTER: 400,
    Period.YEAR: 100,
}


def check_comparison(test: Comparison, where: str) -> None:
    """Operands, relation, window and folding as the operator needs them."""
    check_name(test.name, where)
    compare = test.compare
    _check_arity(_arity_of(test), test.operands, where)
    check_operands(test.operands, where)
    if (compare in _WINDOWED) != (test.window is not None):
        raise problem(SHAPE, where, f'"{compare.value}" {"takes no" if test.window else "needs a"} window.')
    if (compare in _RELATED) != (test.relation is not None):
        raise problem(SHAPE, where, f'"{compare.value}" {"takes no" if test.relation else "needs a"} relation.')
    if test.relation is not None and test.relation not in RELATION_SET and test.relation is not Compare.BETWEEN:
        raise problem(SHAPE, where, f'"{compare.value}" cannot be compared by "{test.relation.value}".')
    if (compare is Compare.AT) != (test.moments is not None):
        raise problem(SHAPE, where, 'weekdays and hours belong to "at", and "at" needs them.')
    if (compare is Compare.DISTANCE) != (test.circle is not None):
        raise problem(SHAPE, where, "a distance needs a place, and a place a distance.")
    if test.moments is not None:
        check_moments(test.moments, where)
    if test.circle is not None:
        _check_circle(test.circle, where)
    _check_zone(test, where)
    if test.ignoring_case and compare in _NEVER_FOLDED:
        raise problem(SHAPE, where, f'"ignoring case" does not fit "{compare.value}".')
    check_window(test.window, where)
    if anchors(test.window) is not None:
        raise problem(SHAPE, where, '"since last" and "until first" are windows of events.')


def _arity_of(test: Comparison) -> Compare:
    """The operator that says how many operands there are."""
    return test.relation if test.compare in _RELATED and test.relation is not None else test.compare


def _check_zone(test: Comparison, where: str) -> None:
    """A zone of the comparison itself is for what asks for today; calendar and absolute windows carry their own."""
    if test.zone is Zone.WORKSPACE or test.compare is Compare.AGE:
        return
    if test.compare not in _WINDOWED or isinstance(test.window, Absolute | Calendar):
        raise problem(SHAPE, where, f'a zone of its own does not fit "{test.compare.value}".')


def check_moments(moments: Moments, where: str) -> None:
    """Weekdays 1 to 7, ascending, hours of the day as seconds; at least one of both."""
    days = moments.weekdays
    if not days and moments.hours is None:
        raise problem(SHAPE, where, "weekdays or hours are needed.")
    if list(days) != sorted(set(days)) or any(not 1 <= day <= 7 for day in days):
        raise problem(SHAPE, where, "weekdays are numbers from 1 (Monday) to 7, ascending.")
    if moments.hours is None:
        return
    start_s, until_s = moments.hours
    if not (0 <= start_s < _DAY_S and 0 <= until_s <= _DAY_S and start_s != until_s):
        raise problem(SHAPE, where, "hours are two different times of the day.")


def _check_circle(circle: Circle, where: str) -> None:
    if abs(circle.latitude_e7) > 90 * 10**7 or abs(circle.longitude_e7) > 180 * 10**7:
        raise problem(VALUE, where, "a place has a latitude of -90 to 90 and a longitude of -180 to 180 degrees.")
    if not 0 <= circle.radius_mm <= _FULL_CIRCLE_MM:
        raise problem(VALUE, where, "a distance lies from 0 to 20,100 km.")


def check_percent(percent: DecimalUnits, where: str, *, above_hundred: bool = False) -> None:
    """Above 0 and at most 100, or more where a number may more than double."""
    most = MAX_DECIMAL_UNITS if above_hundred else 100 * DECIMAL_SCALE
    if not 0 < percent.units <= most:
        raise problem(VALUE, where, "a percentage is above 0 and at most 100.")


def check_periods(period: Period, count: int, where: str) -> None:
    """At most a century of calendar periods."""
    if count > _PERIODS_A_CENTURY[period]:
        raise problem(WINDOW, where, "a calendar window reaches at most a hundred years.")


def check_counts(compare: Compare, counts: tuple[Operand, ...], where: str) -> None:
    """A count is compared by a relation with one number, or lies between two."""
    if compare not in RELATION_SET and compare is not Compare.BETWEEN:
        raise problem(SHAPE, where, f'a count cannot be compared by "{compare.value}".')
    _check_arity(compare, counts, where)
    check_operands(counts, where)


def check_aggregate(function: Function, compare: Compare, operands: tuple[Operand, ...], where: str) -> None:
    """An aggregate is compared as a count is, or is missing or present; one that may be a text also as a text is."""
    allowed = RELATION_SET | {Compare.BETWEEN, Compare.MISSING, Compare.PRESENT}
    if function in _CHOSEN:
        allowed |= _TEXTUAL
    if compare not in allowed:
        raise problem(SHAPE, where, f'"{function.value}" cannot be compared by "{compare.value}".')
    _check_arity(compare, operands, where)
    check_operands(operands, where)


def _check_arity(compare: Compare, operands: tuple[Operand, ...], where: str) -> None:
    count = len(operands)
    if compare in _NONE:
        fits = count == 0
    elif compare in _MANY:
        fits = count >= 1
    else:
        fits = count == (2 if compare is Compare.BETWEEN else 1)
    if not fits:
        raise problem(SHAPE, where, f'"{compare.value}" cannot take {count} values.')
    if count > MAX_OPERANDS:
        raise problem(TOO_LARGE, where, f"a list has more than {MAX_OPERANDS} values.")


def check_operands(operands: tuple[Operand, ...], where: str) -> None:
    """Names are names, and literals lie within the range of their kind."""
    for operand in operands:
        match operand:
            case Literal(value):
                _check_scalar(value, where)
            case Parameter(name) | AttributeOperand(name) | AttributeAtEvent(name):
                check_name(name, where)
            case StepOperand(step, path):
                check_name(step, where)
                check_name(path, where)


def _check_scalar(value: Scalar, where: str) -> None:
    if isinstance(value, str):
        if len(value) > MAX_STRING:
            raise problem(TOO_LARGE, where, f"a text is longer than {MAX_STRING} characters.")
    elif isinstance(value, DecimalUnits):
        if abs(value.units) > MAX_DECIMAL_UNITS:
            raise problem(VALUE, where, f"{value} is too large: a number with decimals reaches 9e14.")
    elif isinstance(value, Instant):
        if not MIN_INSTANT_US <= value.us < MAX_INSTANT_US:
            raise problem(VALUE, where, "an instant lies in the years 1 to 9999.")
    elif not isinstance(value, date) and not MIN_INTEGER <= value <= MAX_INTEGER:
        raise problem(VALUE, where, f"{value} is too large a number.")


def check_name(name: str, where: str) -> None:
    """A name has 1 to MAX_STRING characters."""
    if not 1 <= len(name) <= MAX_STRING:
        raise problem(SHAPE, where, f"a name has 1 to {MAX_STRING} characters.")


def check_window(window: Window | None, where: str) -> None:
    """Durations are whole seconds within the limit; calendar windows reach at most a century."""
    match window:
        case None:
            return
        case InLast(duration_us) | InNext(duration_us) | MoreThanAgo(duration_us):
            check_duration(duration_us, where)
        case BetweenAgo(near_us, far_us):
            check_duration(near_us, where)
            check_duration(far_us, where)
        case Absolute(start, until, through):
            ends = tuple(end for end in (start, until) if end is not None)
            if not ends or (through and until is None):
                raise problem(SHAPE, where, "a window from and until needs an end.")
            if not all(isinstance(end, Literal | Parameter) for end in ends):
                raise problem(SHAPE, where, "a window begins and ends at a date, an instant or a parameter.")
            check_operands(ends, where)
        case Calendar(period, offset, count):
            if offset not in (-1, 0, 1) or count < 1 or (offset == 0 and count != 1):
                raise problem(SHAPE, where, f"offset {offset} with count {count} is no calendar window.")
            check_periods(period, count, where)
        case OnDay(offset):
            if abs(offset) > MAX_DURATION_DAYS:
                raise problem(VALUE, where, f"a day lies at most {MAX_DURATION_DAYS} days from today.")
        case SinceLast() | UntilFirst():
            return  # the events that bound it are checked where windows of events are


def check_duration(duration_us: int, where: str) -> None:
    """Whole seconds, not negative, within the limit."""
    if duration_us < 0 or duration_us % SECOND_US:
        raise problem(SHAPE, where, "a duration is a whole number of seconds, not negative.")
    if duration_us > MAX_DURATION_US:
        raise problem(VALUE, where, f"a duration is longer than {MAX_DURATION_DAYS} days.")
