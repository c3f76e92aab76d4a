"""What whole runs say of their contacts, against the plain form and against the rows themselves."""

from __future__ import annotations

import numpy as np
import pytest

from core.index.contact_order import ContactOrder
from core.index.contact_totals import ContactTotals
from core.kernels.contact_totals import (
    fold_totals,
    plain_fold_totals,
    plain_total_by_contact,
    total_by_contact,
)
from core.kernels.rfm_grid import plain_fold_ranked

EVERYONE = np.zeros(0, np.bool_)


@pytest.mark.parametrize("seed", range(12))
def test_totals_say_what_the_rows_say(seed: int) -> None:
    print(f"seed {seed}")
    draw = np.random.default_rng(seed)
    n = int(draw.choice((1, 20, 3000)))
    order = ContactOrder.of(draw.integers(0, int(draw.choice((1, 300, 1000))), n).astype(np.uint32))
    dtype = draw.choice(np.array([np.uint8, np.uint16, np.uint32, np.int64], object))
    codes = draw.integers(0, 200, n).astype(dtype) if seed % 4 else np.zeros(0, np.uint8)
    found = []
    for total in (total_by_contact, plain_total_by_contact):
        starts, low, rows = np.empty(len(order.starts), np.uint32), np.empty(n, np.uint8), np.empty(n, np.uint32)
        counts, sums = np.empty(n, np.uint32), np.empty(n, np.int64)
        held = total(order.starts, order.low, order.rows, codes, starts, low, rows, counts, sums)
        found.append([starts.tolist(), *(one[:held].tolist() for one in (low, rows, counts, sums))])
    assert found[0] == found[1]
    totals = ContactTotals.of(order, codes)
    kept = (totals.starts, totals.low, totals.rows, totals.counts, totals.sums)
    assert [one.tolist() for one in kept] == found[0]

    first_block = int(draw.integers(0, 2))
    states = []
    for fold in (fold_totals, plain_fold_totals, None):
        last, counts, sums = np.full(1024, 3, np.uint32), np.full(1024, 5, np.uint32), np.full(1024, -7, np.int64)
        if fold is None:
            where = (order.starts, order.low, order.rows, first_block, first_block + 4, 0, n, EVERYONE, 9)
            plain_fold_ranked(*where, codes, 40, 100, last, counts, sums)
        else:
            base = 40 if len(codes) else 0
            fold(*kept, first_block, first_block + 4, 9, base, 100, last, counts, sums)
        states.append((last.tolist(), counts.tolist(), sums.tolist()))
    assert states[0] == states[1] == states[2]
