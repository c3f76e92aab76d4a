"""What an RFM model is: which events, which grid, which cells; and the two that every workspace has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.query.ast import EventSelection

#: The cell of a contact with no matching event, and that of one in no named cell.
NONE, OTHER = "none", "other"


@dataclass(frozen=True, slots=True)
class Axis:
    """Scores 1 to `bins`, the best highest: by rank within the population (semantics.md, Population), or by fixed
    `bounds` if given: bins - 1 ascending numbers, score = 1 + how many of them the value reaches (recency: age in
    microseconds, descending bounds not needed: score = 1 + how many bounds the age is below or at). Monetary bounds
    are units of 1e-4."""

    bins: int = 5
    bounds: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class NamedCell:
    """A rectangle of scores, both ends inclusive."""

    name: str
    recency: tuple[int, int]
    frequency: tuple[int, int]
    monetary: tuple[int, int]


@dataclass(frozen=True, slots=True)
class RfmModel:
    """`events` has no window; `period_us` None: all time, else `(instant - period, instant]`. `value_path`: the
    parameter (or "items.p") whose sum is monetary; None: every contact has monetary 0. `cells` in order, first match
    wins."""

    name: str
    events: EventSelection
    value_path: str | None
    cells: tuple[NamedCell, ...]
    period_us: int | None = None
    recency: Axis = Axis()
    frequency: Axis = Axis()
    monetary: Axis = Axis()


_ANY = (1, 5)

PURCHASES = RfmModel(
    "purchases",
    EventSelection(("order_completed",)),
    "total",
    (
        NamedCell("VIP", (4, 5), (4, 5), (4, 5)),
        NamedCell("newcomers", (4, 5), (1, 2), _ANY),
        NamedCell("regulars", (3, 5), (3, 5), _ANY),
        NamedCell("at risk", (2, 2), (3, 5), _ANY),
        NamedCell("sleeping", (2, 3), (1, 2), _ANY),
        NamedCell("lost", (1, 1), _ANY, _ANY),
    ),
)
ENGAGEMENT = RfmModel(
    "engagement",
    EventSelection(("message_opened", "message_clicked")),
    None,
    (
        NamedCell("active", (4, 5), (3, 5), _ANY),
        NamedCell("fresh", (4, 5), (1, 2), _ANY),
        NamedCell("cooling", (3, 3), _ANY, _ANY),
        NamedCell("sleeping", (2, 2), _ANY, _ANY),
        NamedCell("lost", (1, 1), _ANY, _ANY),
    ),
)
#: Models of a workspace that has saved none of these names.
DEFAULT_MODELS: Mapping[str, RfmModel] = {model.name: model for model in (PURCHASES, ENGAGEMENT)}
