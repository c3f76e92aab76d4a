"""Grids and cohorts of as many contacts as are worth two threads, against NumPy on plain arrays."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pytest
from numpy.typing import NDArray

from core.analytics.cohort import cohort_matrix
from core.analytics.overlap import overlap
from core.analytics.rfm import rfm_grid
from core.events.columns import EventColumns, ParamColumn
from core.index.bulk import StateColumns
from core.index.contact_set import ContactSet
from core.index.index import Index
from core.index.root import Root
from core.kernels.threads import use_threads
from core.query.ast import EventSelection, Period, Population, Scope
from core.query.execute_context import Context
from core.query.rfm_model import PURCHASES
from core.schema import Kind

CONTACTS = 150_000
ROWS = 400_000
DAY_US = 86_400_000_000
START_US = 1_700_000_000_000_000
KNOWN = Population(Scope.KNOWN)


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    use_threads(int(request.param))
    yield int(request.param)
    use_threads(min(2, os.cpu_count() or 1))


class Purchases:
    """Purchases of many contacts, on whole hours, so that instants tie; `late`: the last batch is from all times."""

    def __init__(self, seed: int, *, late: bool) -> None:
        print(f"seed {seed}, late {late}")
        draw = np.random.default_rng(seed)
        self.at_us = START_US + np.sort(draw.integers(0, 200 * 24, ROWS)) * 3_600_000_000
        self.contacts = (CONTACTS * draw.random(ROWS) ** 2).astype(np.uint32)
        self.units = draw.integers(-5_000, 3_000_000, ROWS)
        self.known = draw.random(CONTACTS) < 0.9
        if late:
            self.at_us[-5_000:] = START_US + np.sort(draw.integers(0, 200 * 24, 5_000)) * 3_600_000_000

    def root(self) -> Root:
        index = Index()
        everyone = np.arange(CONTACTS, dtype=np.uint32)
        keys = np.zeros((CONTACTS, 16), np.uint8)
        keys[:, :4] = everyone.astype(">u4").view(np.uint8).reshape(-1, 4)
        created = np.full(CONTACTS, START_US - 1)
        index.apply_columns([StateColumns(everyone, keys, self.known, self.known.astype(np.uint8), created)], 1)
        for first in (0, 270_000, ROWS - 5_000):
            after = {0: 270_000, 270_000: ROWS - 5_000}.get(first, ROWS)
            index.apply(self._columns(first, after), (), index.position + 1)
            index.root()
        return index.root()

    def _columns(self, first: int, after: int) -> EventColumns:
        n = after - first
        rows = np.arange(n, dtype=np.uint32)
        return EventColumns(
            ids=tuple(f"e{number}" for number in range(first, after)),
            types=np.zeros(n, np.uint32),
            occurred_at_us=self.at_us[first:after],
            received_at_us=self.at_us[first:after],
            flags=np.zeros(n, np.uint8),
            params=(ParamColumn("total", Kind.DECIMAL, rows, self.units[first:after]),),
            item_offsets=np.zeros(n + 1, np.uint32),
            item_params=(),
            strings=("order_completed",),
            contacts=self.contacts[first:after],
        )

    def grid(self, after_us: int, as_of_us: int) -> NDArray[np.int64]:
        """By the definition: 1 + floor(5 * worse / n), equal values equal scores."""
        inside = (self.at_us > after_us) & (self.at_us <= as_of_us) & self.known[self.contacts]
        owners = self.contacts[inside]
        last, number, total = np.zeros(CONTACTS, np.int64), np.zeros(CONTACTS, np.int64), np.zeros(CONTACTS, np.int64)
        np.maximum.at(last, owners, self.at_us[inside])
        np.add.at(number, owners, 1)
        np.add.at(total, owners, self.units[inside])
        held = np.flatnonzero(number)
        scores = []
        for values in (last[held], number[held], total[held]):
            worse = np.searchsorted(np.sort(values), values, "left")
            scores.append(5 * worse // len(held))
        return np.bincount((scores[0] * 5 + scores[1]) * 5 + scores[2], minlength=125).reshape(5, 5, 5)

    def retention(self, bounds: NDArray[np.int64], as_of_us: int) -> tuple[list[int], list[list[int]]]:
        """Sizes and counts of the cohorts of all periods."""
        inside = (self.at_us <= as_of_us) & self.known[self.contacts]
        owners, times = self.contacts[inside], self.at_us[inside]
        first = np.full(CONTACTS, np.iinfo(np.int64).max)
        np.minimum.at(first, owners, times)
        cohorts = np.searchsorted(bounds, first, "right") - 1
        n = len(bounds) - 1
        later = times > first[owners]
        pairs = np.unique(owners[later].astype(np.int64) * n + np.searchsorted(bounds, times[later], "right") - 1)
        counts = np.zeros((n, n), np.int64)
        np.add.at(counts, (cohorts[pairs // n], pairs % n - cohorts[pairs // n]), 1)
        return np.bincount(cohorts[first <= as_of_us], minlength=n).tolist(), counts.tolist()


@pytest.mark.parametrize("late", [False, True])
def test_grid_and_cohorts(threads: int, late: bool) -> None:
    world = Purchases(17 + threads, late=late)
    root = world.root()
    assert len(root.events["order_completed"]) > 1
    as_of_us = START_US + 190 * DAY_US
    for days in (30, 365):
        model = replace(PURCHASES, period_us=days * DAY_US)
        found = rfm_grid(model, KNOWN, Context(root, as_of_us, "UTC"))
        assert np.array_equal(found, world.grid(as_of_us - days * DAY_US, as_of_us))

    first, last = (datetime.fromtimestamp(instant // 1_000_000, UTC).date() for instant in (START_US, as_of_us))
    orders = EventSelection(("order_completed",))
    matrix = cohort_matrix(orders, None, Period.MONTH, first, last, Context(root, as_of_us, "UTC"))
    starts = [*matrix.starts, date(2100, 1, 1)]
    bounds = np.array([int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 10**6 for day in starts])
    assert (matrix.sizes.tolist(), matrix.counts.tolist()) == world.retention(bounds, as_of_us)
    apart = cohort_matrix(
        orders, replace(orders, with_machines=True), Period.MONTH, first, last, Context(root, as_of_us, "UTC")
    )
    assert np.array_equal(matrix.counts, apart.counts)


def test_overlap(threads: int) -> None:
    draw = np.random.default_rng(threads)
    print(f"seed {threads}")
    masks = draw.random((20, 700_000)) < draw.random((20, 1))
    shared = overlap([ContactSet.from_mask(mask) for mask in masks], 700_000).shared
    for i in range(20):
        for j in range(i, 20):
            assert shared[i, j] == shared[j, i] == np.count_nonzero(masks[i] & masks[j])
