"""What `attribute name` stands for as an operand: a column, or the measure that computes it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.query.ast import AttributeOperand
from core.query.execute_context import Context, Valid


def attribute_values(operand: AttributeOperand, contacts: NDArray[np.uint32] | None, context: Context) -> Valid:
    """The attribute of each of `contacts`, which take part, as of as_of; None: of every row."""
    if operand.measure is None:
        return context.attribute_of(operand.name, contacts)
    # A filter may name an attribute that is computed of filtered events: the one circle in the language is one in the
    # modules, too. Binding refuses definitions that go around it.
    from core.query.leaves.measured_values import measured_values

    whole = measured_values(operand.measure, context)
    if contacts is None:
        return whole
    rows = context.row_of(contacts)
    return Valid(whole.kinds[rows], whole.values[rows])
