"""The most common comparisons of an attribute, decided for its distinct values in a few operations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.index.distinct import MOST_ENTRIES
from core.query.ast import Compare, Comparison, Literal
from core.query.execute_context import Context
from core.query.rows.literal_ranges import NOWHERE, range_of
from core.query.rows.texts import composed
from core.schema import Kind

#: Kinds whose values have an order and stand in columns as they are compared.
_ORDERED = (Kind.INTEGER, Kind.DECIMAL, Kind.BOOLEAN, Kind.INSTANT, Kind.DATE)


def plain_truth(
    test: Comparison, kinds: NDArray[np.uint8], values: NDArray[np.int64] | NDArray[np.uint32], context: Context
) -> NDArray[np.bool_] | None:
    """The truth of a positive form for each value, false for those of kind 0: of EQ and IN with texts where no value is
    a list, of ranges where all values have an order. None for all else, which `comparisons.compare` decides, and for
    more values than are numbered."""
    if test.ignoring_case or len(kinds) > MOST_ENTRIES:
        return None
    present = set(np.flatnonzero(np.bincount(kinds)).tolist()) - {0}
    if test.compare in (Compare.EQ, Compare.IN) and Kind.TEXT_LIST not in present:
        texts = [one.value for one in test.operands if isinstance(one, Literal) and isinstance(one.value, str)]
        if len(texts) == len(test.operands):
            return _one_of(texts, kinds, values, context)
    if not present.issubset(_ORDERED):
        return None
    truth = np.zeros(len(kinds), np.bool_)
    for kind in present:
        found = range_of(Kind(kind), test.compare, test.operands)
        if found is None:
            return None
        if found != NOWHERE:
            truth |= (kinds == kind) & (values >= found[0]) & (values <= found[1])
    return truth


def _one_of(
    texts: list[str], kinds: NDArray[np.uint8], values: NDArray[np.int64] | NDArray[np.uint32], context: Context
) -> NDArray[np.bool_]:
    truth = np.zeros(len(kinds), np.bool_)
    for text in texts:
        code = context.root.dictionary.code(composed(text))
        if code is not None:
            truth |= values == code
    truth &= kinds == Kind.TEXT
    return truth
