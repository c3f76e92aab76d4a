"""Periods of contacts as bits, against the plain form and against sets counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from core.index.contact_order import ContactOrder
from core.kernels.returns_by_bits import (
    MOST_PERIODS,
    begin_members,
    mark_bits,
    new_bit_counts,
    plain_begin_members,
    plain_mark_bits,
    row_periods,
)

EVERYONE = np.zeros(0, np.bool_)


@pytest.mark.parametrize("seed", range(16))
def test_marks_bits(seed: int) -> None:
    print(f"seed {seed}")
    draw = np.random.default_rng(seed)
    n = int(draw.choice((1, 20, 3000)))
    contacts = draw.integers(0, int(draw.choice((1, 300, 1000))), n).astype(np.uint32)
    order = ContactOrder.of(contacts)
    in_time = np.sort(draw.integers(-50, 200, n))
    whole = seed % 3 == 0
    first_row = 0 if whole else int(draw.integers(0, n))
    row_count = n if whole else int(draw.integers(1, n - first_row + 1))
    mask = draw.random(row_count) < 0.7 if seed % 2 else EVERYONE
    times = in_time[order.rows]
    repeated = EVERYONE
    if not len(mask) and seed % 4:
        owners = order.contacts()
        repeated = np.append(False, (times[1:] == times[:-1]) & (owners[1:] == owners[:-1]))
    bounds = np.array(sorted({-60, *draw.integers(-40, 190, int(draw.choice((1, MOST_PERIODS - 4)))).tolist(), 150}))
    window = in_time[first_row : first_row + row_count]
    periods = row_periods(np.searchsorted(window, bounds, "left").astype(np.int64), row_count)
    members = draw.integers(0, 2**63, 6 * 256 // 64, np.uint64)
    members[draw.integers(0, len(members), 9)] = np.uint64(2**64 - 1)
    first_block, own = int(draw.integers(0, 2)), len(bounds) + 1
    results = []
    for begin, mark in ((begin_members, mark_bits), (plain_begin_members, plain_mark_bits)):
        held, counts = np.ones(1024, np.uint64), new_bit_counts(own)
        begin(members, first_block * 256, held)
        begun = held.tolist()
        mark(
            order.starts,
            order.low,
            order.rows,
            first_block,
            first_block + 4,
            first_row,
            row_count,
            mask,
            repeated,
            periods.shift,
            periods.pieces,
            own,
            held,
            counts,
        )
        results.append((begun, held.tolist(), counts.sum(axis=0).tolist()))
    assert results[0] == results[1]

    expected = np.zeros((own, own + 1), np.int64)
    inside = (order.rows >= first_row) & (order.rows < first_row + row_count)
    if len(mask):
        inside[inside] = mask[order.rows[inside] - first_row]
    if len(repeated):
        inside &= ~repeated
    member = np.unpackbits(members.view(np.uint8), bitorder="little")
    for contact in range(first_block * 256, first_block * 256 + 1024):
        mine = np.searchsorted(bounds, times[inside & (order.contacts() == contact)], "right").tolist()
        if mine and member[contact]:
            expected[mine[0], list(set(mine))] += 1
            expected[mine[0], own] += mine.count(mine[0]) > 1
    assert np.array_equal(np.array(results[0][2]).reshape(own, own + 1), expected)
