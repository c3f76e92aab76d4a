"""Compiling the kernels of populations, cohorts and overlaps before the first question needs them."""

from __future__ import annotations

import numpy as np

from core.kernels.contact_totals import fold_totals, total_by_contact
from core.kernels.overlaps import shared_members
from core.kernels.pair_counts import ValueRows, contacts_by_value
from core.kernels.pairs_in_order import OrderedRows
from core.kernels.ranks import collect_upper_bits, count_upper_bits
from core.kernels.returns import cohorts_of, fold_first, mark_returns
from core.kernels.returns_by_bits import begin_members, mark_bits, new_bit_counts
from core.kernels.returns_in_order import mark_in_order, new_counts
from core.kernels.rfm import all_within, cells_of_values, fold_last_count_sum, take_present
from core.kernels.rfm_grid import (
    SUM_BINS,
    collect_between,
    count_cells,
    fold_ranked,
    new_cells,
    new_number_counts,
    take_ranked,
)
from core.kernels.sha256 import INITIAL_STATE, ROUND_CONSTANTS, first_eight_bytes

_NARROW = (np.uint8, np.uint16, np.uint32)


def warm_up_population() -> None:
    """Compile (or read from the cache) every form that population questions use; see warm_up."""
    order = (np.zeros(2, np.uint32), np.zeros(1, np.uint8), np.zeros(1, np.uint32))
    mask, contacts, words = np.ones(1, np.bool_), np.zeros(1, np.uint32), np.zeros(4, np.uint64)
    values, counts, times = np.zeros(256, np.int64), np.zeros(256, np.uint32), np.zeros(1, np.int64)
    some, places = values[:1], np.zeros(1, np.int64)
    for code in (*_NARROW, np.int64):
        fold_last_count_sum(*order, 0, 1, 0, 1, mask, times, np.zeros(1, code), 0, 1, values, counts, values)
        fold_ranked(*order, 0, 1, 0, 1, mask, 1, np.zeros(1, code), 0, 1, counts, counts, values)
        total_by_contact(*order, np.zeros(1, code), *order, counts, values)
    fold_totals(*order, counts, values, 0, 1, 1, 0, 1, counts, counts, values)
    take_present(0, values, counts, values, 0, np.zeros(256, np.uint32), values, values, values)
    bins, numbers = np.zeros(SUM_BINS, np.int64), np.zeros(1, np.uint32)
    for key in (np.uint32, np.int64):
        keys = np.zeros(1, key)
        nobody = np.zeros(256, np.uint32)
        take_ranked(
            0,
            words,
            np.zeros(256, key),
            nobody,
            values,
            0,
            keys,
            numbers,
            some,
            0,
            0,
            bins,
            new_number_counts(),
            0,
            bins,
        )
        count_cells(keys, numbers, some, keys, numbers, some, new_cells(8))
        bits = keys.view(f"u{keys.itemsize}")
        collect_between(bits, bits, bits, np.zeros(2, bits.dtype))
    all_within(contacts, words)
    cells_of_values(some, some, some, some, some, some, np.zeros(1, np.uint16))
    count_upper_bits(some, 0, 0, counts)
    collect_upper_bits(some, 0, 0, np.zeros(1, np.uint16), places, some)
    fold_first(*order, 0, 1, 0, 1, mask, times, values)
    cohorts, bounds = np.zeros(256, np.int32), np.array([0, 1])
    cohorts_of(values, 0, words, bounds, 1, cohorts, places)
    table, matrix = np.zeros(1, np.int64), np.zeros((1, 1), np.int64)
    mark_returns(*order, 0, 1, 0, 1, mask, times, bounds, table, values, cohorts, 1, np.zeros(256, np.uint64), matrix)
    period = np.zeros(1, np.int32)
    state = np.zeros(256, np.int32)
    mark_in_order(
        *order,
        0,
        1,
        0,
        1,
        mask,
        times,
        0,
        period,
        period,
        period,
        0,
        words,
        1,
        values,
        state,
        state,
        new_counts(1, 1),
        new_counts(1, 1),
    )
    begin_members(words, 0, words[:1])
    mark_bits(*order, 0, 1, 0, 1, mask, mask, 0, words, 1, words, new_bit_counts(1))
    for code in _NARROW:
        rows = ValueRows(contacts, np.zeros(1, code), np.ones(1, np.uint32))
        contacts_by_value([rows], [], words, 1)
        ordered = OrderedRows(*order, 0, 1, rows.codes, rows.numbers)
        contacts_by_value([ordered], [], words, 1)
    shared_members([words])
    offsets = np.array([0, 1])
    hashes = np.zeros(1, np.uint64)
    text = np.frombuffer(b"x", np.uint8)  # read-only, as the texts of ids are
    first_eight_bytes(text, text, offsets, ROUND_CONSTANTS, INITIAL_STATE, hashes)
