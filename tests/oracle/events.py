"""Conditions on events: counts, aggregates, the first ever, the last one as it is, cohorts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from tests.oracle.facts import Plain
from tests.oracle.filters import Around, passes
from tests.oracle.values import key
from tests.oracle.windows import interval, within

if TYPE_CHECKING:
    from tests.oracle.row import Row


def reader(event: Plain) -> Callable[[str], Any]:
    """Reads a parameter of the event by name, or its lines under "items"; columns cannot tell no lines from missing
    ones, so an event without lines misses them."""
    return lambda name: (event["items"] or None) if name == "items" else event["params"].get(name)


def values_at(event: Plain, path: str) -> list[Any]:
    """The present values of the event at "p" (each text of a list) or at "items.p" (one a line)."""
    if path.startswith("items."):
        found = [line.get(path.removeprefix("items.")) for line in event["items"]]
    else:
        value = event["params"].get(path)
        found = value if isinstance(value, list) else [value]
    return [v for v in found if v is not None]


def distinct(values: Iterable[Any]) -> list[Any]:
    """Each different value once."""
    return list({key(v): v for v in values}.values())


def bound_to(path: str, value: Any) -> tuple[str, Any] | None:
    """What `for the same` binds lines to: nothing where p is a parameter of the event itself."""
    return (path.removeprefix("items."), value) if path.startswith("items.") else None


def counted(row: Row, condition: Plain) -> bool:
    """ "counts run over the union"; "Counts count events, not lines." """
    selection = condition["events"]
    # "with no B the condition is false, `did not` included"
    if interval(row, selection["window"]) is None:
        return False
    if condition["same"] is None:
        return row.compared(condition, len(row.selected(selection)))
    # "some value v of p satisfies the whole condition on events that hold v"
    path = condition["same"]
    everything = {**selection, "filter": None, "window": None, "moments": None, "products": []}
    for value in distinct(v for event in row.selected(everything) for v in values_at(event, path)):
        matching = row.selected(selection, bound_to(path, value))
        if row.compared(condition, sum(key(value) in map(key, values_at(e, path)) for e in matching)):
            return True
    return False


def aggregated(row: Row, condition: Plain) -> bool:
    """ "`sum` over nothing is 0, `distinct` 0; `avg`, `min`, `max`, `first`, `last`, `most frequent` are missing." """
    if interval(row, condition["events"]["window"]) is None:
        return False
    value = aggregate(row, condition)
    if value is None and condition["function"] in ("sum", "distinct"):
        value = 0
    return row.compared(condition, value)


def aggregate(row: Row, measure: Plain) -> Any:
    """The aggregate where at least one value exists. "Aggregates and the divisor of `avg` use only present values; a
    list path yields one value a line." """
    values = [v for event in row.selected(measure["events"]) for v in values_at(event, measure["path"])]
    if not values:
        return None
    match measure["function"]:
        case "sum":
            return sum(map(Fraction, values), Fraction(0))
        case "distinct":
            return len(distinct(values))
        case "min":
            return min(values, key=key)
        case "max":
            return max(values, key=key)
        case "avg":  # "sum / count rounded half-even to 1e-4"
            return Fraction(round(sum(map(Fraction, values)) * 10_000 / len(values)), 10_000)
        case "first":  # "take the earliest / latest matching event that has p"
            return values[0]
        case "last":
            return values[-1]
        case "most frequent":
            return _most_frequent(row, measure)
    raise ValueError(measure["function"])


def _most_frequent(row: Row, measure: Plain) -> Any:
    """ "`most frequent` breaks ties by the latest occurrence, then the smaller value." """
    pairs = [
        (place, v) for place, e in enumerate(row.selected(measure["events"])) for v in values_at(e, measure["path"])
    ]
    best: Any = None
    for value in sorted(distinct(v for _, v in pairs), key=key):
        places = [place for place, v in pairs if key(v) == key(value)]
        if best is None or (len(places), max(places)) > best[0]:
            best = ((len(places), max(places)), value)
    return best[1]


def first_time(row: Row, condition: Plain) -> bool:
    """ "`first time did E (filter) in W` means the earliest matching event ever lies in W"."""
    found = row.selected(condition["events"])
    return bool(found) and within(row, condition["window"], found[0]["occurred_at"])


def picked(row: Row, condition: Plain) -> bool:
    """ "`last E (filter) had (conditions)` takes the latest matching event as it is, and is false with none"."""
    found = row.selected(condition["events"])
    if not found:
        return False
    event = found[0] if condition["first"] else found[-1]
    return passes(row, condition["conditions"], Around(reader(event), event=event))


def in_cohort(row: Row, condition: Plain) -> bool:
    """ "Cohort = the calendar period of the first cohort event"; without one, of the contact's "earliest fact"."""
    if condition["events"] is None:
        return within(row, condition["window"], row.contact.earliest)
    return first_time(row, condition)
