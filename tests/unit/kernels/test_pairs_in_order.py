"""Pairs of contacts and values listed in the order of contacts, and counted beside those that are dealt out."""

from __future__ import annotations

import numpy as np
import pytest

from core.index.contact_order import ContactOrder
from core.kernels.pair_counts import ValueRows, contacts_by_value, plain_contacts_by_value
from core.kernels.pairs_in_order import OrderedRows, list_in_order, plain_list_in_order


def some_rows(draw: np.random.Generator, most_contact: int, value_count: int) -> tuple[OrderedRows, ValueRows]:
    """The same rows of a window, with their order by contact and without."""
    n = int(draw.choice((1, 30, 5000)))
    contacts = draw.integers(0, most_contact, n).astype(np.uint32)
    dtype = draw.choice(np.array([np.uint8, np.uint16, np.uint32], object))
    codes = draw.integers(0, 40, n).astype(dtype)
    numbers = draw.integers(draw.integers(0, 2), value_count + 1, 40).astype(np.uint32)
    order = ContactOrder.of(contacts)
    first = int(draw.integers(0, n)) if draw.random() < 0.5 else 0
    count = n if first == 0 else int(draw.integers(1, n - first + 1))
    here = slice(first, first + count)
    ordered = OrderedRows(order.starts, order.low, order.rows, first, count, codes[order.rows], numbers)
    return ordered, ValueRows(contacts[here], codes[here], numbers)


def some_members(
    draw: np.random.Generator, most_contact: int, seed: int
) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Everyone, or about half."""
    members = draw.integers(0, 2**64, (most_contact + 63) >> 6, np.uint64, endpoint=False)
    if seed % 2:
        members[:] = np.uint64(2**64 - 1)
    return members


@pytest.mark.parametrize("seed", range(16))
def test_lists_in_order(seed: int) -> None:
    print(f"seed {seed}")
    draw = np.random.default_rng(seed)
    most_contact = int(draw.choice((1, 700, 3000)))
    rows, _ = some_rows(draw, most_contact, 9)
    members = some_members(draw, most_contact, seed)
    shift = int(draw.integers(8, 11))
    first = int(draw.integers(0, 2))
    after = first + int(draw.integers(1, 14))
    results = []
    for listed in (list_in_order, plain_list_in_order):
        begins, packed = np.zeros(after - first + 1, np.int64), np.zeros(len(rows.rows) + 8, np.uint32)
        where = (rows.starts, rows.low, rows.rows, rows.first_row, rows.row_count, rows.codes, rows.numbers)
        end = listed(*where, members, shift, first, after, 7, begins, packed)
        assert end - 7 <= rows.most(first, after, shift)
        results.append((end, begins.tolist(), packed[7:end].tolist()))
    assert results[0] == results[1]


@pytest.mark.parametrize("seed", range(12))
def test_counts_are_the_same_by_either_way(seed: int) -> None:
    print(f"seed {seed}")
    draw = np.random.default_rng(seed)
    most_contact, value_count = int(draw.choice((1, 700, 20_000))), int(draw.choice((1, 9, 3000)))
    held, lacked = ([some_rows(draw, most_contact, value_count) for _ in range(draw.integers(0, 4))] for _ in range(2))
    members = some_members(draw, most_contact, seed)
    dealt, dealt_without = ([rows for _, rows in some] for some in (held, lacked))
    expected = plain_contacts_by_value(dealt, dealt_without, members, value_count)
    for share in (0.0, 0.5, 1.0):
        some, without = ([pair[int(draw.random() < share)] for pair in pairs] for pairs in (held, lacked))
        assert np.array_equal(contacts_by_value(some, without, members, value_count), expected)
