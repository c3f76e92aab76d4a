"""RFM: scores by rank within the population, cells, and moves between them."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from tests.oracle.events import values_at
from tests.oracle.facts import Plain

if TYPE_CHECKING:
    from tests.oracle.row import Row


def placed(row: Row, condition: Plain) -> bool:
    """ "`moved from A to B in last D`: cell at as_of-D is A and now is B, both by today's grid and today's facts, each
    instant scored within its own population"."""
    now = cell(row, condition, row.as_of)
    if condition["is"] == "rfm":
        return now in condition["cells"]
    then = cell(row, condition, row.as_of - condition["us"])
    if then is None or now is None or then == now:
        return False
    before, after = condition["before"], condition["after"]
    return (not before or then in before) and (not after or now in after)


def cell(row: Row, condition: Plain, us: int) -> str | None:
    """ "Cells are named rectangles in order, first match wins, uncovered = `other`, no event = `none`."; who has events
    and is not of the population is in no cell at all."""
    people = condition["population"] or {"scope": row.rule["scope"], "base": row.rule.get("base")}
    key = ("rfm", condition["model"], us, people["scope"], people["base"])
    model = row.oracle.setting["rfm"][condition["model"]]
    cells: dict[int, str] = row.oracle.known(key, model, lambda: _cells(row, model, people, us))
    if row.contact.number in cells:
        return cells[row.contact.number]
    return "none" if _numbers(row.at(us), model) is None else None


def _cells(row: Row, model: Plain, people: Plain, us: int) -> dict[int, str]:
    """The cell of every contact of the population that has a matching event."""
    numbers = {}
    for one in row.oracle.rows(people, us, {}):
        found = _numbers(one, model)
        if found is not None:
            numbers[one.contact.number] = found
    cells = {}
    for contact, own in numbers.items():
        scores = [
            _score(model[axis], own[place], [other[place] for other in numbers.values()], us if place == 0 else None)
            for place, axis in enumerate(("recency", "frequency", "monetary"))
        ]
        cells[contact] = _named(model, scores)
    return cells


def _numbers(row: Row, model: Plain) -> tuple[Fraction, Fraction, Fraction] | None:
    """ "Recency is the last matching event's instant, frequency the number, monetary the sum." """
    period = None if model["period_us"] is None else {"is": "in last", "us": model["period_us"]}
    events = row.selected({**model["events"], "window": period})
    if not events:
        return None
    values = [v for e in events for v in values_at(e, model["value_path"])] if model["value_path"] else []
    return Fraction(events[-1]["occurred_at"]), Fraction(len(events)), sum(map(Fraction, values), Fraction(0))


def _score(axis: Plain, own: Fraction, others: list[Fraction], us: int | None) -> int:
    """ "score with k bins `1 + floor(k·|{y worse than x}|/n)`, equal values equal scores; an axis may use fixed bounds
    instead"; of recency (`us` is given) the bounds are ages."""
    if axis["bounds"] is None:
        worse = sum(y < own for y in others)
        return 1 + int(axis["bins"]) * worse // len(others)
    if us is not None:
        return 1 + sum(bool(us - own <= bound) for bound in axis["bounds"])
    return 1 + sum(bool(own >= bound) for bound in axis["bounds"])


def _named(model: Plain, scores: list[int]) -> str:
    for one in model["cells"]:
        sides = (one["recency"], one["frequency"], one["monetary"])
        if all(low <= score <= high for score, (low, high) in zip(scores, sides, strict=True)):
            return str(one["name"])
    return "other"
