"""The calls into core.analytics that questions need, one function each: a changed signature is changed here alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np

from core.analytics.cohort import cohort_matrix
from core.analytics.overlap import overlap
from core.analytics.rfm import rfm_grid
from core.index.contact_set import ContactSet
from core.index.root import Root
from core.query.ast import EventSelection, Period
from core.query.execute_context import Context
from core.query.for_each import evaluate_for_each
from core.query.leaves.population import DEFAULT_POPULATION
from core.query.names import BoundRule
from core.query.rfm_model import PURCHASES
from tests.bench.engine import Answer
from tests.bench.workload import START_US

_HOUR_US = 3_600_000_000


def counts_for_each(
    bound: BoundRule, root: Root, as_of_us: int, parameter: str, values: Sequence[str]
) -> Sequence[int]:
    """Members of a parametric rule for each of `values`, in their order."""
    return evaluate_for_each(bound, root, as_of_us, parameter, values, {})


def rfm_cells(root: Root, as_of_us: int, hours: int) -> Answer:
    """Rows (recency, frequency, monetary score 1 to 5, contacts) of purchases of the last `hours`; empty cells out."""
    model = replace(PURCHASES, period_us=hours * _HOUR_US)
    grid = rfm_grid(model, DEFAULT_POPULATION, Context(root, as_of_us, "UTC"))
    return tuple((r + 1, f + 1, m + 1, int(count)) for (r, f, m), count in np.ndenumerate(grid) if count)


def cohort_rows(root: Root, as_of_us: int) -> Answer:
    """Rows (12 * year + month - 1 of the first purchase in UTC, period, contacts), empty ones out; period -1 is the
    size of the cohort."""
    orders = EventSelection(("order_completed",))
    first, last = _day(START_US), _day(as_of_us)
    matrix = cohort_matrix(orders, None, Period.MONTH, first, last, Context(root, as_of_us, "UTC"))
    rows = []
    for start, size, counts in zip(matrix.starts, matrix.sizes.tolist(), matrix.counts.tolist(), strict=True):
        month = 12 * start.year + start.month - 1
        rows += [(month, period, count) for period, count in enumerate([size, *counts], -1) if count]
    return tuple(rows)


def overlaps(sets: Sequence[ContactSet], population: int) -> Answer:
    """Rows (number, number not smaller, members of both); numbers count from 1."""
    shared = overlap(sets, population).shared.tolist()
    return tuple((i + 1, j + 1, shared[i][j]) for i in range(len(sets)) for j in range(i, len(sets)))


def _day(instant_us: int) -> date:
    return datetime.fromtimestamp(instant_us // 1_000_000, UTC).date()
