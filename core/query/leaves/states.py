"""States of an attribute as rows of a comparison: what it was for some contacts over some time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from core.index.step_run import MISSING
from core.query.ast import Compare, Comparison, Operand
from core.query.execute_context import Context, Valid
from core.query.rows.comparisons import compare, positive_form
from core.query.rows.domain import ContactDomain


class StateDomain(ContactDomain):
    """Rows that each hold one state of one attribute, of contacts that may repeat."""

    def __init__(self, context: Context, contacts: NDArray[np.uint32], states: Valid) -> None:
        """`states` has one entry for each of `contacts`."""
        super().__init__(context)
        self._contacts = contacts
        self._states = states

    @property
    def n(self) -> int:
        """The number of states."""
        return len(self._contacts)

    def contacts(self, rows: NDArray[np.integer] | None) -> NDArray[np.uint32] | None:
        """The contact of each state."""
        return self._contacts if rows is None else self._contacts[rows]

    def _valid(self, name: str) -> Valid:
        return self._states

    def _owners(self) -> NDArray[np.uint32]:
        return self._contacts


def states_that(test: Comparison, context: Context, contacts: NDArray[np.uint32], states: Valid) -> NDArray[np.bool_]:
    """The states that satisfy the positive form of `test`."""
    form, _ = positive_form(test.compare)
    positive = replace(test, compare=form)
    return compare(positive, StateDomain(context, contacts, states), context)


def states_among(
    name: str, wanted: tuple[Operand, ...] | None, context: Context, contacts: NDArray[np.uint32], states: Valid
) -> NDArray[np.bool_]:
    """The states that are one of `wanted`; None: any state, the empty tuple: missing."""
    if wanted is None:
        return np.ones(len(contacts), np.bool_)
    if not wanted:
        return np.asarray(states.kinds == MISSING, np.bool_)
    return compare(Comparison(name, Compare.IN, wanted), StateDomain(context, contacts, states), context)
