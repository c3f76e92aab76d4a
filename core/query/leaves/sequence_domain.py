"""Events (or their lines) beside the values that earlier steps of a sequence bound."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from core.errors import CdpError, Code
from core.query.ast import StepOperand
from core.query.execute_context import Valid
from core.query.rows.domain import Domain, Operand

#: The value that an operand has in each of some rows.
StepValues = Callable[[StepOperand, NDArray[np.int64]], Valid]


class SteppedDomain:
    """`inner`, and for each of its rows the values of earlier steps: `values(operand, rows)`."""

    def __init__(self, inner: Domain, values: StepValues) -> None:
        self._inner = inner
        self._values = values

    @property
    def n(self) -> int:
        """The number of rows."""
        return self._inner.n

    @property
    def binds_missing(self) -> bool:
        """As the inner domain has it."""
        return self._inner.binds_missing

    def contacts(self, rows: NDArray[np.integer] | None) -> NDArray[np.uint32] | None:
        """The contact of each row."""
        return self._inner.contacts(rows)

    def operands(self, name: str) -> tuple[Operand, ...]:
        """The values of `name` in the later step's event."""
        return self._inner.operands(name)

    def elements(self, name: str) -> tuple[Domain, NDArray[np.int64]]:
        """The lines of the later step's events; each sees the values that its event sees."""
        lines, parents = self._inner.elements(name)
        values = self._values
        return SteppedDomain(lines, lambda operand, rows: values(operand, parents[rows])), parents

    def instants(self, rows: NDArray[np.integer] | None) -> NDArray[np.int64]:
        """When the later step's event of each row occurred."""
        return self._inner.instants(rows)

    def step_values(self, operand: StepOperand, rows: NDArray[np.integer] | None) -> Valid:
        """The operand's value in each of `rows` (None: all)."""
        return self._values(operand, np.arange(self.n) if rows is None else rows.astype(np.int64, copy=False))


def step_values(domain: Domain, operand: StepOperand, rows: NDArray[np.integer] | None) -> Valid:
    """The value of an earlier step's event in each of `rows` (None: all) of `domain`."""
    if not isinstance(domain, SteppedDomain):
        raise CdpError(Code.INTERNAL, "STEP_UNKNOWN", f"no sequence is around {operand.step}.{operand.path}")
    return domain.step_values(operand, rows)
