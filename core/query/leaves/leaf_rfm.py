"""RFM cells and moves between them."""

from __future__ import annotations

import numpy as np

from core.errors import invalid
from core.index.contact_set import ContactSet
from core.query.ast import RfmInCell, RfmMoved
from core.query.execute_context import Context
from core.query.leaves.leaf_result import LeafResult
from core.query.leaves.population import DEFAULT_POPULATION
from core.query.leaves.rfm_scores import NO_CELL, cell_names, cells_of
from core.query.rfm_model import NONE, RfmModel


def rfm_in_cell_leaf(condition: RfmInCell, context: Context) -> LeafResult:
    """Contacts in one of the cells as of as_of. Everyone without a matching event is in "none"."""
    model = model_named(condition.model, context)
    cells = cells_of(model, condition.population or DEFAULT_POPULATION, 0, context)
    wanted = np.isin(cells.numbers, _numbers(condition.cells, model))
    if NONE in condition.cells:
        return LeafResult(ContactSet.from_numbers(cells.contacts[~wanted]), complement=True)
    return LeafResult(ContactSet.from_numbers(cells.contacts[wanted]))


def rfm_moved_leaf(condition: RfmMoved, context: Context) -> LeafResult:
    """Contacts whose cell then is one of `before` and now another one, of `after`. Whoever has events, but was outside
    of the population, had no cell to move from; whoever had no event yet was in "none"."""
    model = model_named(condition.model, context)
    population = condition.population or DEFAULT_POPULATION
    then = cells_of(model, population, condition.duration_us, context)
    now = cells_of(model, population, 0, context)
    contacts = np.union1d(then.contacts, now.contacts)
    none = cell_names(model).index(NONE)
    left, entered = then.of(contacts, none), now.of(contacts, none)
    moved = (left != entered) & (left != NO_CELL) & (entered != NO_CELL)
    if condition.before:
        moved &= np.isin(left, _numbers(condition.before, model))
    if condition.after:
        moved &= np.isin(entered, _numbers(condition.after, model))
    return LeafResult(ContactSet.from_numbers(contacts[moved]))


def model_named(name: str, context: Context) -> RfmModel:
    """The workspace's model of that name. Raises CdpError where it has none."""
    model = context.setting.rfm.get(name)
    if model is None:
        raise invalid("RFM_MODEL_UNKNOWN", f'no RFM model is named "{name}"')
    return model


def _numbers(cells: tuple[str, ...], model: RfmModel) -> list[int]:
    names = cell_names(model)
    return [names.index(cell) for cell in cells if cell in names]
