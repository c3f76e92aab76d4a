"""All values of a parameter over events of one run, in their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.query.rows.domain import ITEMS, Domain
from core.query.rows.numbers_compare import in_units
from core.query.rows.picked import Picked
from core.query.rows.total_order import Entries
from core.schema import Kind

_ITEM_PREFIX = ITEMS + "."
_NUMBERS = (Kind.INTEGER, Kind.DECIMAL)


@dataclass(frozen=True, slots=True)
class OrderedValues:
    """`kinds` (Kind numbers, uint8) and `values` (int64, as in columns of events) of each of `entries`. Lists of texts
    give one TEXT an element."""

    entries: Entries
    kinds: NDArray[np.uint8]
    values: NDArray[np.int64]


def read_in_order(path: str, picked: Picked) -> list[OrderedValues]:
    """The present values of `path` over the events; "items.p" gives one value a line. Nothing where there is none."""
    domain: Domain = picked.domain()
    parents: NDArray[np.int64] | None = None
    name = path
    if path.startswith(_ITEM_PREFIX):
        domain, parents = domain.elements(ITEMS)
        name = path.removeprefix(_ITEM_PREFIX)
    rows, kinds, values = [], [], []
    for operand in domain.operands(name):
        held = np.arange(len(operand.values)) if operand.rows is None else operand.rows.astype(np.int64)
        kind = Kind.TEXT if operand.kind is Kind.TEXT_LIST else operand.kind
        rows.append(held)
        kinds.append(np.full(len(held), kind, np.uint8))
        values.append(operand.values.astype(np.int64))
    if not rows:
        return []
    all_rows, all_kinds, all_values = np.concatenate(rows), np.concatenate(kinds), np.concatenate(values)
    if len(rows) > 1:
        # A name with several kinds: its values go back to the order of their lines.
        order = np.argsort(all_rows, kind="stable")
        all_rows, all_kinds, all_values = all_rows[order], all_kinds[order], all_values[order]
    events = all_rows if parents is None else parents[all_rows]
    return [OrderedValues(Entries(picked, events), all_kinds, all_values)]


def joined_values(parts: Sequence[OrderedValues]) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Kinds and values of all parts, part after part, as `one_kind_of_numbers` gives them."""
    return one_kind_of_numbers(
        np.concatenate([part.kinds for part in parts]), np.concatenate([part.values for part in parts])
    )


def one_kind_of_numbers(kinds: NDArray[np.uint8], values: NDArray[Any]) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """The same values; where integers and decimals occur, all numbers as DECIMAL units (Python integers where int64 is
    too narrow), so that equal ones are equal."""
    if not all((kinds == number).any() for number in _NUMBERS):
        return kinds, values
    whole = kinds == Kind.INTEGER
    units = in_units(values[whole], Kind.INTEGER)
    values = values.astype(np.result_type(values, units))
    values[whole] = units
    return np.where(whole, np.uint8(Kind.DECIMAL), kinds), values
