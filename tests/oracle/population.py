"""A contact's number against those of all the others: sorted and counted."""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, Any

from tests.oracle.computed import existing
from tests.oracle.events import aggregate, values_at
from tests.oracle.facts import Plain
from tests.oracle.values import holds
from tests.oracle.windows import interval

if TYPE_CHECKING:
    from tests.oracle.row import Row


def measured(row: Row, measure: Plain) -> Fraction | None:
    """ "For statistics, tops and RFM a number exists only where at least one matching value exists." """
    match measure["is"]:
        case "attribute" if measure["name"] in row.oracle.computed:
            return measured(row, row.oracle.computed[measure["name"]])
        case "attribute" | "time" | "interest":
            return _number(existing(row, measure))
        case "count":
            if interval(row, measure["events"]["window"]) is None:
                return None
            return Fraction(len(row.selected(measure["events"]))) or None
        case "aggregate":
            return _number(aggregate(row, measure))
    raise ValueError(measure["is"])


def _number(value: Any) -> Fraction | None:
    """Numbers as they are, instants as microseconds, dates as days."""
    if value is None:
        return None
    if isinstance(value, date):
        return Fraction(value.toordinal())
    return Fraction(value[1] if isinstance(value, tuple) else value)


def stands(row: Row, condition: Plain) -> bool:
    """Whether the contact's measure stands to its population's statistic as asked."""
    own = measured(row, condition["measure"])
    bound = statistic(row, condition)
    if own is None or bound is None:
        return False
    match condition["standard"]:
        case "top":
            return own >= bound
        case "bottom":
            return own <= bound
    return holds(condition["op"], own, [bound])


def statistic(row: Row, condition: Plain) -> Fraction | None:
    """The number that the population of the condition (or of its rule) has; None where nobody has the measure."""
    people = condition["population"] or {"scope": row.rule["scope"], "base": row.rule.get("base")}
    given = tuple(sorted((name, repr(value)) for name, value in row.parameters.items()))
    key = ("statistic", id(condition), row.as_of, people["scope"], people["base"], given)
    return row.oracle.known(key, condition, lambda: _statistic(row, condition, people))  # type: ignore[no-any-return]


def _statistic(row: Row, condition: Plain, people: Plain) -> Fraction | None:
    measure = condition["measure"]
    rows = row.oracle.rows(people, row.as_of, row.parameters)
    values = sorted(v for one in rows if (v := measured(one, measure)) is not None)
    n = len(values)
    if n == 0:
        return None
    match condition["standard"]:
        case "average":  # "`above average` = above the mean over contacts (x·n > Σ)"
            return sum(values, Fraction(0)) / n
        case "average of events":  # "above Σ value / Σ events"
            every = [
                Fraction(v)
                for one in rows
                for event in one.selected(measure["events"])
                for v in values_at(event, measure["path"])
            ]
            return sum(every, Fraction(0)) / len(every)
    share = Fraction(condition["percent"]) * n / 100
    match condition["standard"]:
        case "percentile":  # "Percentile p: the max(1, ceil(p·n/100))-th smallest"
            return values[max(1, ceil(share)) - 1]
        case "top":  # "all at least as good as the ceil(p·n/100)-th best"
            return values[-ceil(share)]
        case "bottom":
            return values[ceil(share) - 1]
    raise ValueError(condition["standard"])
