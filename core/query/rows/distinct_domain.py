"""The distinct values of an attribute as rows, so that a condition is decided once for each of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.errors import CdpError, Code
from core.index.step_run import MISSING
from core.kernels.ranges import expand_ranges
from core.query.ast import Compare, Comparison, Literal, Zone
from core.query.execute_context import Context
from core.query.rows.domain import Domain, Operand
from core.query.windows import zone_of
from core.schema import Kind

#: Forms that look at the value, the operands and, where one stands there, the zone: nothing else of a contact.
_BY_VALUE = frozenset(
    {
        Compare.EQ,
        Compare.LT,
        Compare.LE,
        Compare.GT,
        Compare.GE,
        Compare.BETWEEN,
        Compare.IN,
        Compare.CONTAINS,
        Compare.STARTS,
        Compare.ENDS,
        Compare.MATCHES,
        Compare.PRESENT,
        Compare.HAS_ANY,
        Compare.HAS_ALL,
        Compare.LENGTH,
        Compare.WITHIN,
        Compare.ANNIVERSARY,
        Compare.AGE,
        Compare.DISTANCE,
    }
)


def decided_by_value(comparison: Comparison) -> bool:
    """Whether equal values give equal answers to a positive form, whoever holds them."""
    return (
        comparison.compare in _BY_VALUE
        and all(isinstance(operand, Literal) for operand in comparison.operands)
        and comparison.zone is not Zone.CONTACT
        and zone_of(comparison.window) is not Zone.CONTACT
    )


class DistinctDomain:
    """One row for each of some values of the attribute that a comparison names: `kinds` uint8 (0: missing) and
    `values`. Other names have no values here."""

    def __init__(
        self,
        name: str,
        kinds: NDArray[np.uint8],
        values: NDArray[np.int64] | NDArray[np.uint32],
        context: Context,
    ) -> None:
        self._name = name
        self._kinds = kinds
        self._values = values
        self._context = context

    @property
    def n(self) -> int:
        """The number of values."""
        return len(self._kinds)

    @property
    def binds_missing(self) -> bool:
        """True: a missing value is a row too."""
        return True

    def contacts(self, rows: NDArray[np.integer] | None) -> NDArray[np.uint32] | None:
        """Zeros: a value is of no contact, and conditions that are decided by value do not look."""
        return None if rows is None else np.zeros(len(rows), np.uint32)

    def operands(self, name: str) -> tuple[Operand, ...]:
        """The values by kind."""
        if name != self._name or self.n == 0:
            return ()
        kinds = self._kinds
        first = int(kinds.min())
        if first == int(kinds.max()):
            return () if first == MISSING else (self._operand(Kind(first), None),)
        present = np.flatnonzero(np.bincount(kinds)).tolist()
        return tuple(self._operand(Kind(kind), np.flatnonzero(kinds == kind)) for kind in present if kind != MISSING)

    def elements(self, name: str) -> tuple[Domain, NDArray[np.int64]]:
        """Raises: element matches are not asked of values."""
        raise CdpError(Code.INTERNAL, "NO_ELEMENTS", "element matches are asked of contacts")

    def instants(self, rows: NDArray[np.integer] | None) -> NDArray[np.int64]:
        """Raises: values are no events."""
        raise CdpError(Code.INTERNAL, "NO_EVENT", "only events and their lines have an instant")

    def _operand(self, kind: Kind, rows: NDArray[np.intp] | None) -> Operand:
        values = self._values if rows is None else self._values[rows]
        if kind is not Kind.TEXT:
            values = values.astype(np.int64, copy=False)
        if kind is not Kind.TEXT_LIST:
            return Operand(kind, rows, values)
        holders = np.arange(self.n) if rows is None else rows
        lists = self._context.root.text_lists
        places, parents = expand_ranges(lists.offsets[values], lists.offsets[values + 1])
        columns = lists.elements.columns.get("", ())
        codes = columns[0].select(places).values if columns else np.zeros(0, np.uint32)
        return Operand(kind, holders[parents], codes, holders)
