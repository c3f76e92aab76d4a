"""Measures as values of a contact: what a computed attribute is at an instant."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tests.oracle import interests
from tests.oracle.events import aggregate
from tests.oracle.facts import Plain

if TYPE_CHECKING:
    from tests.oracle.row import Row


def value_of(row: Row, measure: Plain) -> Any:
    """The measure where it exists, else 0 for what counts or adds up, else missing."""
    found = existing(row, measure)
    if found is not None:
        return found
    return 0 if _adds_up(measure) else None


def existing(row: Row, measure: Plain) -> Any:
    """ "a number exists only where at least one matching value exists" """
    match measure["is"]:
        case "attribute":
            return row.attribute(measure["name"])
        case "count":
            return len(row.selected(measure["events"])) or None
        case "aggregate":
            return aggregate(row, measure)
        case "time":
            found = row.selected(measure["events"])
            return ("instant", found[0 if measure["first"] else -1]["occurred_at"]) if found else None
        case "interest":
            model = row.oracle.setting["interests"][measure["model"]]
            if measure["value"] is None:
                return interests.top(row, model)
            scores = interests.sums(row, model)
            score = interests.units(scores.get(row.operand(measure["value"]), 0))
            return Decimal(score).scaleb(-4) if score else None
    raise ValueError(measure["is"])


def _adds_up(measure: Plain) -> bool:
    if measure["is"] == "interest":
        return measure["value"] is not None
    return measure["is"] == "count" or measure.get("function") in ("sum", "distinct")
