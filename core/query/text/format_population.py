"""Comparisons with the others, and limits, as canonical text."""

from __future__ import annotations

from dataclasses import replace

from core.query.ast import (
    AggregateMeasure,
    AttributeMeasure,
    Compare,
    CountMeasure,
    EventTime,
    InCohort,
    Interest,
    Limit,
    Measure,
    MeasureCondition,
    PopulationCondition,
    RandomBucket,
    RfmInCell,
    RfmMoved,
    Standard,
)
from core.query.text.format_filters import bracketed_text, compared_tail
from core.query.text.format_selections import clauses_text, selection_text
from core.query.text.format_values import (
    choice_text,
    dotted_text,
    duration_text,
    events_text,
    label_text,
    names_text,
    operand_text,
    quoted,
)
from core.query.text.format_windows import window_text
from core.schema import DECIMAL_SCALE

_RELATIONS = {
    Compare.GT: "above",
    Compare.LT: "below",
    Compare.GE: "at least",
    Compare.LE: "at most",
    Compare.EQ: "equal to",
    Compare.NE: "not equal to",
}
_MEDIAN_UNITS = 50 * DECIMAL_SCALE


def measure_text(measure: Measure) -> str:
    """What contacts are measured by."""
    match measure:
        case AttributeMeasure(name):
            return dotted_text(name)
        case CountMeasure(events):
            return f"number of {selection_text(events)}"
        case AggregateMeasure(function, path, events):
            where = f" where{bracketed_text(events.filter)}" if events.filter else ""
            return f"{function.value}({events_text(events.names)}.{dotted_text(path)}){where}{clauses_text(events)}"
        case EventTime(events, first):
            return f"time of {'first' if first else 'last'} {selection_text(events)}"
        case Interest(model, value):
            if value is None:
                return f"top interest in {label_text(model)}"
            return f"interest in {label_text(model)} {operand_text(value)}"


def interest_text(condition: MeasureCondition) -> str:
    """`interest in category "coffee" >= 3`."""
    return f"{measure_text(condition.measure)} {compared_tail(condition.test)}"


def population_text(condition: PopulationCondition) -> str:
    """`sum(E.p) above average`, `age in top 5 %`."""
    standard, percent = condition.standard, condition.percent
    measure = measure_text(condition.measure)
    if standard in (Standard.TOP, Standard.BOTTOM):
        return f"{measure} in {standard.value} {percent} %"
    relation = _RELATIONS[condition.compare]
    if percent is None:
        return f"{measure} {relation} {standard.value}"
    return f"{measure} {relation} {'median' if percent.units == _MEDIAN_UNITS else f'percentile {percent}'}"


def cell_text(condition: RfmInCell) -> str:
    """`rfm purchases in cell "at risk"`."""
    return f"rfm {label_text(condition.model)} in cell {names_text(condition.cells)}"


def moved_text(condition: RfmMoved) -> str:
    """`rfm purchases moved from "a" to any of ("b", "c") in last 7 days`."""
    ways = "".join(
        f" {word} {choice_text([quoted(cell) for cell in cells])}"
        for word, cells in (("from", condition.before), ("to", condition.after))
        if cells
    )
    return f"rfm {label_text(condition.model)} moved{ways} in last {duration_text(condition.duration_us)}"


def cohort_text(condition: InCohort) -> str:
    """`cohort of first E (filter) last calendar month`."""
    if condition.events is None:
        return f"cohort of contacts added {window_text(condition.window)}"
    return f"cohort of first {selection_text(replace(condition.events, window=condition.window))}"


def bucket_text(condition: RandomBucket) -> str:
    """`random bucket 0 to 999 of "experiment 7"`."""
    return f"random bucket {condition.low} to {condition.high} of {quoted(condition.salt)}"


def limit_text(limit: Limit) -> str:
    """`limit 100 of "salt" by largest age`."""
    salt = f" of {quoted(limit.salt)}" if limit.salt else ""
    if limit.by is None:
        return f"limit {limit.count}{salt}"
    return f"limit {limit.count}{salt} by {'smallest' if limit.smallest else 'largest'} {measure_text(limit.by)}"
