"""A saved segment: its rule, and what can change its members."""

from __future__ import annotations

from dataclasses import dataclass

from core.query.edges import Edges, edges
from core.query.names import BoundRule
from core.query.row import RowRule
from core.query.touches import Touches, touches


@dataclass(frozen=True, slots=True)
class Saved:
    """A saved segment without parameters, bound to the vocabulary; `edges` say what time can change, `touches` what
    facts can. `row` is the rule as functions of one contact (None: it has a limit)."""

    name: str
    version: int
    bound: BoundRule
    edges: Edges
    touches: Touches
    row: RowRule | None = None

    @staticmethod
    def make(name: str, version: int, bound: BoundRule) -> Saved:
        """Works out what facts and which instants can change `bound`."""
        row = RowRule(bound) if not bound.parameters and bound.rule.limit is None else None
        return Saved(name, version, bound, edges(bound), touches(bound), row)
