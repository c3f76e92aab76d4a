"""The compiled loops behind populations against their plain forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from core.index.contact_order import ContactOrder
from core.kernels.overlaps import plain_shared_members, shared_members
from core.kernels.pair_counts import ValueRows, contacts_by_value, plain_contacts_by_value
from core.kernels.ranks import plain_values_at_places, values_at_places
from core.kernels.returns import (
    cohorts_of,
    fold_first,
    mark_returns,
    period_table,
    plain_cohorts_of,
    plain_fold_first,
    plain_mark_returns,
)
from core.kernels.returns_in_order import (
    NOT_BEGUN,
    mark_in_order,
    new_counts,
    period_pieces,
    plain_mark_in_order,
)
from core.kernels.rfm import (
    all_within,
    cells_of_values,
    fold_last_count_sum,
    plain_all_within,
    plain_cells_of_values,
    plain_fold_last_count_sum,
    plain_take_present,
    take_present,
)
from core.kernels.rfm_grid import (
    NUMBER_BINS,
    SUM_BINS,
    collect_between,
    count_cells,
    fold_ranked,
    new_cells,
    new_number_counts,
    plain_collect_between,
    plain_fold_ranked,
    plain_take_ranked,
    sum_bin,
    take_ranked,
)
from core.kernels.sha256 import INITIAL_STATE, ROUND_CONSTANTS, first_eight_bytes, plain_first_eight_bytes
from core.kernels.warm_population import warm_up_population

LEAST, GREATEST = -(2**63), 2**63 - 1


def generator(seed: int) -> np.random.Generator:
    print(f"seed {seed}")
    return np.random.default_rng(seed)


@pytest.mark.parametrize("seed", range(12))
def test_folds_over_rows(seed: int) -> None:
    draw = generator(seed)
    n = int(draw.choice((1, 20, 3000)))
    order = ContactOrder.of(draw.integers(0, int(draw.choice((1, 300, 2000))), n).astype(np.uint32))
    times = np.sort(draw.integers(-50, 200, n))[order.rows]
    first_row = int(draw.integers(0, n))
    row_count = int(draw.integers(0, n - first_row + 1))
    mask = draw.random(row_count) < 0.7 if seed % 2 else np.zeros(0, np.bool_)
    codes: NDArray[Any] = draw.integers(0, 200, n).astype((np.uint8, np.uint32, np.int64)[seed % 3])
    if seed % 4 == 0:
        codes = codes[:0]
    first_block, blocks = int(draw.integers(0, 2)), 4
    where = (order.starts, order.low, order.rows, first_block, first_block + blocks, first_row, row_count, mask)
    size = 256 * blocks
    results = []
    for fold, first_of in ((fold_last_count_sum, fold_first), (plain_fold_last_count_sum, plain_fold_first)):
        last, counts, totals = np.full(size, LEAST), np.zeros(size, np.uint32), np.zeros(size, np.int64)
        fold(*where, times, codes, -3, 7, last, counts, totals)
        first = np.full(size, GREATEST)
        first_of(*where, times, first)
        results.append((last, counts, totals, first))
    for compiled_one, plain_one in zip(*results, strict=True):
        assert np.array_equal(compiled_one, plain_one)

    last, counts, totals, first = results[0]
    kept = []
    for take in (take_present, plain_take_present):
        out = np.zeros(size, np.uint32), np.zeros(size, np.int64), np.zeros(size, np.int64), np.zeros(size, np.int64)
        end = take(7, last, counts, totals, 0, *out)
        kept.append([end, *(one[:end].tolist() for one in out)])
    assert kept[0] == kept[1]

    bounds = np.array(sorted({-60, *draw.integers(-40, 190, 70).tolist(), 201}))
    members = draw.integers(0, 2**63, size // 64, np.uint64)
    cohort_count = int(draw.integers(1, len(bounds)))
    placed = []
    for place in (cohorts_of, plain_cohorts_of):
        cohorts, sizes = np.empty(size, np.int32), np.zeros(cohort_count, np.int64)
        place(first, 0, members, bounds, cohort_count, cohorts, sizes)
        placed.append((cohorts.tolist(), sizes.tolist()))
    assert placed[0] == placed[1]

    columns = int(draw.integers(1, len(bounds)))
    width = (columns + 63) >> 6
    ordered = np.sort(times)[first_row : first_row + row_count]
    period_rows = np.searchsorted(ordered, bounds, "left").astype(np.int64)
    table = period_table(period_rows, row_count)
    marked = []
    for mark in (mark_returns, plain_mark_returns):
        words, found = np.zeros(size * width, np.uint64), np.zeros((cohort_count, columns), np.int64)
        for _ in range(2):  # again: nothing new
            mark(*where, times, period_rows, table, first, cohorts, width, words, found)
        marked.append((words.tolist(), found.tolist()))
    assert marked[0] == marked[1]


def sums_of(found: NDArray[np.int64]) -> list[int]:
    return list(map(int, found.sum(axis=0)))


@pytest.mark.parametrize("seed", range(12))
def test_ranked_folds_and_cells(seed: int) -> None:
    draw = generator(seed)
    n = int(draw.choice((1, 20, 3000)))
    order = ContactOrder.of(draw.integers(0, int(draw.choice((1, 300, 2000))), n).astype(np.uint32))
    first_row = int(draw.integers(0, n))
    row_count = int(draw.integers(0, n - first_row + 1))
    mask = draw.random(row_count) < 0.7 if seed % 2 and row_count else np.zeros(0, np.bool_)
    codes: NDArray[Any] = draw.integers(0, 200, n).astype((np.uint8, np.uint32, np.int64)[seed % 3])
    if seed % 4 == 0:
        codes = codes[:0]
    first_block, blocks = int(draw.integers(0, 2)), 4
    where = (order.starts, order.low, order.rows, first_block, first_block + blocks, first_row, row_count, mask)
    size = 256 * blocks
    folded = []
    for fold in (fold_ranked, plain_fold_ranked):
        last, counts, totals = np.zeros(size, np.uint32), np.zeros(size, np.uint32), np.zeros(size, np.int64)
        fold(*where, 5, codes, -3, 7, last, counts, totals)
        folded.append((last, counts, totals))
    for compiled_one, plain_one in zip(*folded, strict=True):
        assert np.array_equal(compiled_one, plain_one)

    last, counts, totals = folded[0]
    counts[: size // 8] *= NUMBER_BINS  # some beyond the bins
    members = draw.integers(0, 2**63, (64 + size) // 64, np.uint64)
    dtype = (np.uint32, np.int64)[seed % 2]
    taken = []
    for take in (take_ranked, plain_take_ranked):
        keys: NDArray[Any] = np.zeros(size, dtype)
        numbers, sums = np.zeros(size, np.uint32), np.zeros(size, np.int64)
        bins = np.zeros(4096, np.int64), new_number_counts(), np.zeros(SUM_BINS, np.int64)
        least = -3 * 3000
        end = take(
            64,
            members,
            last.astype(dtype),
            counts,
            totals,
            0,
            keys,
            numbers,
            sums,
            5,
            1,
            bins[0],
            bins[1],
            least,
            bins[2],
        )
        taken.append(
            [
                end,
                keys[:end].tolist(),
                numbers[:end].tolist(),
                sums[:end].tolist(),
                bins[0].tolist(),
                sums_of(bins[1]),
                bins[2].tolist(),
            ]
        )
    assert taken[0] == taken[1]

    keys, numbers, sums = keys[:end], numbers[:end], sums[:end]
    for values in (keys, sums):
        unsigned = np.dtype(f"u{values.itemsize}")
        lowest = 0 if values is keys else -3000
        least_of, largest_of = np.sort(draw.integers(lowest, 3000, (2, 3)), axis=0).astype(values.dtype)
        widths = (largest_of - least_of).view(unsigned)
        inside = ((values[:, None] >= least_of) & (values[:, None] <= largest_of)).any(axis=1)
        for collect in (collect_between, plain_collect_between):
            collected = np.zeros(len(values) + 1, values.dtype)
            end = collect(values.view(unsigned), least_of.view(unsigned), widths, collected.view(unsigned))
            assert collected[:end].tolist() == values[inside].tolist()

    above = np.sort(draw.integers(0, 3000, 3)), np.sort(draw.integers(0, 4, 2)), np.sort(draw.integers(-9, 900, 4))
    cells, places = new_cells(60), np.zeros(len(keys), np.uint16)
    count_cells(keys, numbers, sums, above[0].astype(dtype), above[1].astype(np.uint32), above[2], cells)
    plain_cells_of_values(keys, numbers.astype(np.int64), sums, *above, places)
    assert sums_of(cells) == np.bincount(places, minlength=60).tolist()


def test_sum_bins_ascend() -> None:
    """The bin of each sum by Python's exact arithmetic is the one that the loop finds, up to the largest sum."""
    draw = generator(1)
    sums = sorted({0, 1, 2, 3, 2**53 - 1, 2**53, 2**53 + 1, 2**63 - 2, *(2 ** draw.integers(0, 62, 500)).tolist()})
    values = np.array(sums, np.int64)
    n = len(values)
    bins = np.zeros(SUM_BINS, np.int64)
    ones, out = np.ones(n, np.uint32), (np.zeros(n, np.uint32), np.zeros(n, np.uint32), np.zeros(n, np.int64))
    everyone = np.full((n >> 6) + 1, 2**64 - 1, np.uint64)
    take_ranked(0, everyone, ones, ones, values, 0, *out, 0, 0, np.zeros(2, np.int64), new_number_counts(), 0, bins)
    expected = [sum_bin(one) for one in sums]
    assert expected == sorted(expected)
    assert expected[-1] < SUM_BINS
    assert np.repeat(np.arange(SUM_BINS), bins).tolist() == expected


@pytest.mark.parametrize("seed", range(12))
def test_marks_in_order(seed: int) -> None:
    draw = generator(seed)
    n = int(draw.choice((1, 20, 3000)))
    order = ContactOrder.of(draw.integers(0, int(draw.choice((1, 300, 1000))), n).astype(np.uint32))
    in_time = np.sort(draw.integers(-50, 200, n))
    first_row = int(draw.integers(0, n))
    row_count = int(draw.integers(0, n - first_row + 1))
    mask = draw.random(row_count) < 0.7 if seed % 2 and row_count else np.zeros(0, np.bool_)
    bounds = np.array(sorted({-60, *draw.integers(-40, 190, int(draw.choice((1, 70)))).tolist(), 150}))
    period_rows = np.searchsorted(in_time[first_row : first_row + row_count], bounds, "left").astype(np.int64)
    pieces = period_pieces(period_rows, row_count)
    expected = np.searchsorted(period_rows, np.arange(row_count), "right") - 1
    piece = np.arange(row_count) >> pieces.shift
    found = np.where(np.arange(row_count) >= pieces.changes[piece], pieces.after[piece], pieces.before[piece])
    assert np.array_equal(found, expected)

    members = draw.integers(0, 2**63, 5 * 256 // 64, np.uint64)
    cohort_count, columns = int(draw.integers(1, len(bounds))), int(draw.integers(1, len(bounds)))
    first_block = int(draw.integers(0, 2))
    results = []
    for mark in (mark_in_order, plain_mark_in_order):
        first, cohorts = np.zeros(1024, np.int64), np.full(1024, NOT_BEGUN, np.int32)
        seen, sizes, counts = np.zeros(1024, np.int32), new_counts(cohort_count, 1), new_counts(cohort_count, columns)
        mark(
            order.starts,
            order.low,
            order.rows,
            first_block,
            first_block + 4,
            first_row,
            row_count,
            mask,
            in_time[order.rows],
            pieces.shift,
            pieces.before,
            pieces.changes,
            pieces.after,
            len(bounds) - 2,
            members,
            columns,
            first,
            cohorts,
            seen,
            sizes,
            counts,
        )
        begun = cohorts != NOT_BEGUN
        state = [cohorts.tolist(), first[begun].tolist(), seen[begun].tolist()]
        results.append([*state, sizes[:cohort_count].tolist(), counts[: cohort_count * columns].tolist()])
    assert results[0] == results[1]


@pytest.mark.parametrize("spread", [0, 1, 1_000, 2**40, 2**63])
def test_values_at_places(spread: int) -> None:
    draw = generator(spread % 1_000)
    for n in (1, 100, 5_000, 30_000):
        values = draw.integers(-spread, spread, n, np.int64, endpoint=spread < 2**63)
        places = tuple(sorted(draw.integers(0, n, 4).tolist()))
        expected = tuple(np.sort(values)[list(places)].tolist())
        assert values_at_places(values, places) == plain_values_at_places(values, places) == expected
        assert values_at_places(values, ()) == ()
    skewed = np.concatenate((np.full(9_000, 5), [LEAST, GREATEST]))
    assert values_at_places(skewed, (0, 1, 9_000, 9_001)) == (LEAST, 5, 5, GREATEST)


@pytest.mark.parametrize("seed", range(6))
def test_cells_of_values(seed: int) -> None:
    draw = generator(seed)
    n = int(draw.choice((0, 1, 2_048, 5_000)))
    a, b, c = (draw.integers(-9, 9, n) for _ in range(3))
    above_a, above_b, above_c = (np.sort(draw.integers(-9, 9, int(draw.integers(0, 5)))) for _ in range(3))
    cells, plain_cells = np.empty(n, np.uint16), np.empty(n, np.uint16)
    cells_of_values(a, b, c, above_a, above_b, above_c, cells)
    plain_cells_of_values(a, b, c, above_a, above_b, above_c, plain_cells)
    assert np.array_equal(cells, plain_cells)


def test_all_within() -> None:
    words = np.array([2**64 - 1, 2**63, 0], np.uint64)
    for contacts, expected in (([], True), ([0, 63, 127], True), ([0, 126], False), ([128], False)):
        some = np.array(contacts, np.uint32)
        assert all_within(some, words) is plain_all_within(some, words) is expected


@pytest.mark.parametrize("seed", range(10))
def test_contacts_by_value(seed: int) -> None:
    draw = generator(seed)
    contact_count = int(draw.choice((1, 500, 100_000)))
    value_count = int(draw.choice((1, 3, 200, 5_000)))
    members = draw.integers(0, 2**63, (contact_count + 63) >> 6, np.uint64)

    def rows(dtype: type[np.unsignedinteger[Any]]) -> ValueRows:
        numbers = np.concatenate((np.arange(value_count + 1), [0])).astype(np.uint32)
        top = min(len(numbers), int(np.iinfo(dtype).max))
        n = int(draw.choice((0, 1, 4_000)))
        contacts = draw.integers(0, contact_count, n).astype(np.uint32)
        return ValueRows(contacts, draw.integers(0, top, n).astype(dtype), numbers)

    having, lacking = [rows(np.uint8), rows(np.uint32)], [rows(np.uint16)] * (seed % 2)
    expected = plain_contacts_by_value(having, lacking, members, value_count)
    assert np.array_equal(contacts_by_value(having, lacking, members, value_count), expected)


def test_shared_members() -> None:
    draw = generator(3)
    for sets, length in ((1, 0), (1, 1), (5, 1_300)):
        words = draw.integers(0, 2**64 - 1, (sets, length), np.uint64, endpoint=True)
        assert np.array_equal(shared_members(list(words)), plain_shared_members(list(words)))
        # Sets may end early.
        ragged = [row[: draw.integers(0, length + 1)] for row in words]
        assert np.array_equal(shared_members(ragged), plain_shared_members(ragged))


def test_first_eight_bytes() -> None:
    draw = generator(4)
    lengths = draw.integers(0, 150, 300)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    texts = draw.integers(0, 256, int(offsets[-1])).astype(np.uint8)
    for prefix in (b"", b"workspace\0salt\0", b"x" * 64):
        found, plain = np.zeros(300, np.uint64), np.zeros(300, np.uint64)
        start = np.frombuffer(prefix, np.uint8)
        first_eight_bytes(start, texts, offsets, ROUND_CONSTANTS, INITIAL_STATE, found)
        plain_first_eight_bytes(start, texts, offsets, ROUND_CONSTANTS, INITIAL_STATE, plain)
        assert np.array_equal(found, plain)


def test_every_form_compiles() -> None:
    warm_up_population()
    warm_up_population()
