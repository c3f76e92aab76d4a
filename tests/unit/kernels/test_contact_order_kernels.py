"""Orders by contact, and folds over them, against their NumPy forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from core.index.contact_order import ContactOrder
from core.kernels import bits, contact_order, folding
from core.kernels.sums_between import MOST_RUNS, plain_sums_between, sums_between

SEED = 72
Order = tuple[NDArray[np.uint32], NDArray[np.uint8], NDArray[np.uint32]]
Where = tuple[NDArray[np.uint32], NDArray[np.uint8], NDArray[np.uint32], int, int, int, int, NDArray[np.bool_]]


def empty_order(blocks: int, rows: int) -> Order:
    return np.zeros(blocks + 1, np.uint32), np.zeros(rows, np.uint8), np.zeros(rows, np.uint32)


def same(fast: Order, plain: Order) -> bool:
    return [part.tolist() for part in fast] == [part.tolist() for part in plain]


@pytest.mark.parametrize("contacts", (1, 255, 257, 4000))
@pytest.mark.parametrize("rows", (0, 1, 300, 6000))
def test_orders_are_made_and_searched(rows: int, contacts: int) -> None:
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    held = rng.integers(0, contacts, rows).astype(np.uint32)
    blocks = (contacts + 255) // 256 + 1
    fast, plain = empty_order(blocks, rows), empty_order(blocks, rows)
    contact_order.order_by_contact(held, *fast)
    contact_order.plain_order_by_contact(held, *plain)
    assert same(fast, plain)
    asked = np.concatenate((np.arange(min(contacts, 500), dtype=np.uint32), np.array([0, 300, 10**6], np.uint32)))
    first, after = np.zeros(len(asked), np.int64), np.zeros(len(asked), np.int64)
    plain_first, plain_after = first.copy(), after.copy()
    contact_order.places_of_contacts(fast[0], fast[1], asked, first, after)
    contact_order.plain_places_of_contacts(fast[0], fast[1], asked, plain_first, plain_after)
    assert (after - first).tolist() == (plain_after - plain_first).tolist()
    found = after > first
    assert first[found].tolist() == plain_first[found].tolist()
    for some in (asked[:0], asked[:1], asked[-3:], asked):
        for most in (0, 40, rows):
            window = (rows // 4, rows // 2, most)
            fast_rows, fast_few = contact_order.rows_of_contacts(*fast, some, *window)
            plain_rows, plain_few = contact_order.plain_rows_of_contacts(*fast, some, *window)
            assert (fast_rows.tolist(), fast_few) == (plain_rows.tolist(), plain_few)


@pytest.mark.parametrize("share", (0.0, 0.3, 1.0))
def test_orders_merge_as_if_made_anew(share: float) -> None:
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    for contacts in (3, 600, 3000):
        held = rng.integers(0, contacts, 900).astype(np.uint32)
        mine = rng.random(900) < share
        parts = []
        for rows in (np.flatnonzero(mine), np.flatnonzero(~mine)):
            part = ContactOrder.of(held[rows])
            parts.append(ContactOrder(part.starts, part.low, rows.astype(np.uint32)[part.rows]))
        merged, fresh = parts[0].merged(parts[1]), ContactOrder.of(held)
        assert merged.rows.tolist() == fresh.rows.tolist()
        assert merged.contacts().tolist() == fresh.contacts().tolist()
        plain = empty_order(merged.blocks, 900)
        a, b = parts
        contact_order.plain_merge_orders(a.starts, a.low, a.rows, b.starts, b.low, b.rows, *plain)
        assert same((merged.starts, merged.low, merged.rows), plain)


@pytest.mark.parametrize("dtype", (np.uint8, np.uint16, np.uint32, np.int64))
@pytest.mark.parametrize("rows", (0, 1, 7000))
def test_folds(rows: int, dtype: type[np.integer]) -> None:
    print(f"seed {SEED + rows}")
    rng = np.random.default_rng(SEED + rows)
    order = ContactOrder.of(rng.integers(0, 1200, rows).astype(np.uint32))
    held = (order.starts, order.low, order.rows)
    limits = np.iinfo(dtype)
    for first_row, after_row in ((0, rows), (rows // 3, rows // 2), (rows // 2, rows // 2)):
        count = after_row - first_row
        codes = rng.integers(limits.min, limits.max, rows, dtype=dtype, endpoint=True)
        base, factor = (0, 1) if dtype is np.int64 else (-7, 3)
        small = (codes >> dtype(13)) if dtype is np.int64 else codes
        for mask in (np.zeros(0, np.bool_), rng.random(count) < 0.4):
            if len(mask) in (0, count):
                where: Where = (*held, 1, 4, first_row, count, mask)
                check_folds(where, codes, small, base, factor)


def check_folds(where: Where, codes: NDArray[Any], small: NDArray[Any], base: int, factor: int) -> None:
    """All folds over the blocks 1 to 4, beginning with other rows' results."""
    for sign in (1, -1):
        best, counts = np.zeros(768, np.int64), np.zeros(768, np.uint32)
        best[5], counts[5] = 17, 2
        plain_best, plain_counts = best.copy(), counts.copy()
        folding.fold_extremes(*where, codes, base, factor, sign, best, counts)
        folding.plain_fold_extremes(*where, codes, base, factor, sign, plain_best, plain_counts)
        assert counts.tolist() == plain_counts.tolist()
        assert best[counts > 0].tolist() == plain_best[counts > 0].tolist()
    totals, counts = np.full(768, 5, np.int64), np.ones(768, np.uint32)
    plain_totals, plain_counts = totals.copy(), counts.copy()
    folding.fold_sums(*where, small, base, factor, totals, counts)
    folding.plain_fold_sums(*where, small, base, factor, plain_totals, plain_counts)
    assert totals.tolist() == plain_totals.tolist()
    assert counts.tolist() == plain_counts.tolist()
    held = where[:7]
    if len(where[7]) == 0:
        only_totals, only_counts = np.full(768, 5, np.int64), np.ones(768, np.uint32)
        folding.fold_totals(*held, small, base, factor, only_totals)
        folding.fold_counts(*held, only_counts)
        assert only_totals.tolist() == totals.tolist()
        assert only_counts.tolist() == counts.tolist()
        folding.plain_fold_totals(*held, small, base, factor, plain_totals)
        folding.plain_fold_counts(*held, plain_counts)
        assert (plain_totals - totals).tolist() == (totals - 5).tolist()
        assert (plain_counts - counts).tolist() == (counts - 1).tolist()


@pytest.mark.parametrize("dtype", (np.uint8, np.uint16, np.uint32, np.int64))
def test_sums_over_runs(dtype: type[np.integer]) -> None:
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    contacts = 2_000
    starts, low, rows, codes = [], [], [], []
    windows = np.zeros((MOST_RUNS, 4), np.int64)
    for run, size in enumerate((5_000, 0, 700, 1, 0, 3_000, 0, 0)):
        order = ContactOrder.of(rng.integers(0, contacts if size > 1_000 else 300, size).astype(np.uint32))
        starts.append(order.starts)
        low.append(order.low)
        rows.append(order.rows)
        codes.append(rng.integers(0, 120, size).astype(dtype))
        windows[run] = (size // 3, size // 2, -7 * (run % 2), run + 1)
    runs = (tuple(starts), tuple(low), tuple(rows), tuple(codes))
    blocks = -(-contacts // 256)
    for first, after, least, most in ((0, blocks, 0, 0), (0, blocks, 100, 2**62), (2, 5, -50, 300), (3, 3, 0, 1)):
        fast, plain = bits.words_for(contacts), bits.words_for(contacts)
        sums_between(*runs, windows, first, after, least, most, np.empty(512, np.int64), fast)
        plain_sums_between(*runs, windows, first, after, least, most, np.empty(512, np.int64), plain)
        assert fast.tolist() == plain.tolist()
        assert after == first or 0 < bits.count_bits(fast) < 64 * len(fast)
