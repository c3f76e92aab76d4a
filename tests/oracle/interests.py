"""Interests, event by event, as core/segments/README.md defines them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from tests.oracle.events import reader
from tests.oracle.facts import Plain
from tests.oracle.filters import Around, passes

if TYPE_CHECKING:
    from tests.oracle.row import Row

_DAY_US = 86_400_000_000


@cache
def fading(days: int, half_life: int) -> int:
    """The largest whole number that is at most 2**24 * 2**(-days / half_life), by its power: no roots, no fractions."""
    least, most = 0, 2**24
    while least < most:
        middle = (least + most + 1) // 2
        if middle**half_life * 2**days <= 2 ** (24 * half_life):
            least = middle
        else:
            most = middle - 1
    return least


def held(event: Plain, parameter: str) -> set[str]:
    """ "An event holds the texts of its own parameter; one that has none holds those of its lines." """
    own = _texts(event["params"].get(parameter))
    return own or {text for line in event["items"] for text in _texts(line.get(parameter))}


def _texts(value: object) -> set[str]:
    values = value if isinstance(value, list) else [value]
    return {one for one in values if isinstance(one, str)}


def sums(row: Row, model: Plain) -> dict[str, int]:
    """Text -> sum in 2**-24 as of the day of as_of."""
    found: dict[str, int] = {}
    today = row.as_of // _DAY_US
    for event in row.events:
        weight = model["weights"].get(event["type"])
        if weight is None or event["machine"]:
            continue
        if model["filter"] is not None and not passes(row, model["filter"], Around(reader(event), event=event)):
            continue
        left = fading(today - event["occurred_at"] // _DAY_US, model["half_life"])
        for text in held(event, model["parameter"]):
            found[text] = found.get(text, 0) + weight * left
    return found


def units(total: int) -> int:
    """A score, cut to units of 1e-4."""
    return total * 10_000 // 2**24


def top(row: Row, model: Plain) -> str | None:
    """The value of the largest sum, of equal ones the smallest; none below 0.0001."""
    known = {text: total for text, total in sums(row, model).items() if units(total) > 0}
    return min(known, key=lambda text: (-known[text], text.encode()), default=None)
