"""Retention: contacts by the calendar period in which they began, and in how many later periods they came again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from core.analytics.cohort_counts import CohortSource, Question, count_cohorts
from core.errors import invalid
from core.query.ast import EventSelection, Period, Population, Scope, Zone
from core.query.execute_context import Context
from core.query.local_time import current_day, find_zone, period_start, shift_period, start_of

#: Cohorts, and periods after them, that one matrix may have.
MAX_PERIODS = 1_000
_KNOWN = Population(Scope.KNOWN)


@dataclass(frozen=True, slots=True)
class CohortMatrix:
    """Row i is the cohort of the period that begins on `starts[i]`, of `sizes[i]` contacts (int64). `counts[i, j]`
    (int64): how many of them came again in the j-th period after it; j = 0 is the cohort's own period, after the first
    time. Periods that have not `started` (bool, same shape) are absent and count 0; `unfinished` ones may grow."""

    period: Period
    starts: tuple[date, ...]
    sizes: NDArray[np.int64]
    counts: NDArray[np.int64]
    started: NDArray[np.bool_]
    unfinished: NDArray[np.bool_]

    def rate(self, cohort: int, period: int) -> Fraction | None:
        """The share of the cohort that came again; None for an empty cohort or a period that has not started."""
        if not self.started[cohort, period] or self.sizes[cohort] == 0:
            return None
        return Fraction(int(self.counts[cohort, period]), int(self.sizes[cohort]))


def cohort_matrix(
    cohort: CohortSource,
    returns: EventSelection | None,
    period: Period,
    first: date,
    last: date,
    context: Context,
    *,
    population: Population = _KNOWN,
    zone: Zone = Zone.WORKSPACE,
    periods: int | None = None,
) -> CohortMatrix:
    """The cohorts of the periods that hold `first` to `last`, of the population as of as_of.

    `cohort`: the events whose first one begins a contact, an attribute (an instant; or a date, which begins with its
    local day), or None: its earliest fact. `returns`: the events that count as coming again, None: the cohort's events.
    `periods`: columns at most; None: up to the period of as_of. Candidates of `context` do not narrow the answer.
    Raises CdpError for contacts' own zones, for more than MAX_PERIODS, and for no events to come again by.
    """
    came_again = cohort if returns is None and isinstance(cohort, EventSelection) else returns
    if came_again is None:
        raise invalid("COHORT_RETURNS", "what counts as coming again has to be named where no event begins a cohort")
    if zone is Zone.CONTACT:
        raise invalid("COHORT_ZONE", "a matrix of cohorts is read by one zone: the workspace's or UTC")
    clock = find_zone("UTC" if zone is Zone.UTC else context.zone_name)
    assert clock is not None, "a context has a zone that exists"
    current = period_start(current_day(context.as_of_us, clock), period)
    days = _days(period_start(first, period), current, period)
    cohort_count = sum(day <= last for day in days)
    shown = min(len(days), MAX_PERIODS if periods is None else periods)
    if cohort_count == 0 or shown == 0:
        return _empty(period, max(shown, 0))
    ends = [*days, shift_period(current, period, 1)]
    bounds = np.array([start_of(day, clock) for day in ends], np.int64)
    question = Question(cohort, came_again, bounds, cohort_count, shown, population, clock)
    sizes, counts = count_cohorts(question, context.whole())
    number = np.arange(cohort_count)[:, None] + np.arange(shown)
    started = number < len(days)
    growing = context.as_of_us + 1 < int(bounds[-1])
    return CohortMatrix(
        period, tuple(days[:cohort_count]), sizes, counts, started, started & (number == len(days) - 1) & growing
    )


def _days(first: date, current: date, period: Period) -> list[date]:
    """The first days of the periods from the one of `first` to the current one."""
    days: list[date] = []
    day = first
    while day <= current:
        days.append(day)
        if len(days) > MAX_PERIODS:
            raise invalid("COHORT_PERIODS", f"a matrix has at most {MAX_PERIODS} periods; choose longer or fewer ones")
        day = shift_period(day, period, 1)
    return days


def _empty(period: Period, columns: int) -> CohortMatrix:
    nothing = np.zeros((0, columns), np.bool_)
    return CohortMatrix(period, (), np.zeros(0, np.int64), np.zeros((0, columns), np.int64), nothing, nothing)


def cohort_csv(matrix: CohortMatrix) -> str:
    """One line a cohort: its first day, its size, then per period the count and, in per cent with two digits, the rate;
    empty where a period has not started. Unfinished counts are followed by an asterisk."""
    columns = range(matrix.counts.shape[1])
    lines = [",".join(("cohort", "size", *(f"{name} {j}" for j in columns for name in ("period", "rate"))))]
    for i, start in enumerate(matrix.starts):
        cells = [start.isoformat(), str(int(matrix.sizes[i]))]
        for j in columns:
            cells += _cell(matrix, i, j)
        lines.append(",".join(cells))
    return "\n".join(lines) + "\n"


def _cell(matrix: CohortMatrix, cohort: int, period: int) -> tuple[str, str]:
    if not matrix.started[cohort, period]:
        return "", ""
    count = f"{int(matrix.counts[cohort, period])}{'*' if matrix.unfinished[cohort, period] else ''}"
    rate = matrix.rate(cohort, period)
    return count, "" if rate is None else percent(rate)


def percent(rate: Fraction) -> str:
    """A share in per cent with two digits, rounded half to even."""
    hundredths = round(rate * 10_000)
    return f"{hundredths // 100}.{hundredths % 100:02d}"
