"""Kernels against plain Python."""

from __future__ import annotations

import random

import numpy as np
import pytest

from core.index.contact_order import ContactOrder
from core.kernels.grouping import count_by_contact, extreme_by_contact, sum_by_contact, unique_pairs
from core.kernels.ranges import expand_ranges, last_of_groups, sorted_unique

SEED = 31


@pytest.mark.parametrize("largest", [10, 10**12, 9 * 10**18])
@pytest.mark.parametrize("rows", [0, 3, 400])
def test_groups_are_exact_however_large(largest: int, rows: int) -> None:
    print(f"seed {SEED}")
    rng = random.Random(SEED + rows)
    contact_count = 50 if rows != 3 else 5_000
    pairs = [(rng.randrange(contact_count), rng.randrange(-largest, largest + 1)) for _ in range(rows)]
    contacts = np.array([c for c, _ in pairs], np.uint32)
    values = np.array([v for _, v in pairs], np.int64)
    by_contact: dict[int, list[int]] = {}
    for contact, value in pairs:
        by_contact.setdefault(contact, []).append(value)
    expected = sorted(by_contact.items())
    for dtype in (np.int64, object):
        found, sums = sum_by_contact(contacts, values.astype(dtype), contact_count)
        assert list(zip(found.tolist(), map(int, sums), strict=True)) == [(c, sum(v)) for c, v in expected]
        for most, pick in ((True, max), (False, min)):
            found, ends = extreme_by_contact(contacts, values.astype(dtype), contact_count, largest=most)
            assert list(zip(found.tolist(), map(int, ends), strict=True)) == [(c, pick(v)) for c, v in expected]
    found, counts = count_by_contact(contacts, contact_count)
    assert list(zip(found.tolist(), counts.tolist(), strict=True)) == [(c, len(v)) for c, v in expected]


def test_pairs_and_ranges() -> None:
    owners, counts = unique_pairs(np.array([2, 1, 2, 2], np.uint32), np.array([5, 5, 5, 0], np.uint64))
    assert (owners.tolist(), counts.tolist()) == ([1, 2, 2], [1, 1, 2])
    numbers, parents = expand_ranges(np.array([3, 9, 0]), np.array([5, 9, 2]))
    assert (numbers.tolist(), parents.tolist()) == ([3, 4, 0, 1], [0, 0, 2, 2])
    assert last_of_groups(np.array([1, 1, 4, 7, 7], np.uint32)).tolist() == [1, 2, 4]
    assert last_of_groups(np.zeros(0, np.uint32)).tolist() == []
    assert sorted_unique(np.array([3, 1, 3])).tolist() == [1, 3]
    assert sorted_unique(np.zeros(0, np.int64)).tolist() == []


def test_a_moved_order_is_the_order_made_anew() -> None:
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    for _ in range(200):
        count = rng.choice((3, 11, 700))
        contacts = np.array([rng.randrange(count) for _ in range(rng.randrange(1, 60))], np.uint32)
        losers = np.array(sorted(rng.sample(range(count), rng.randrange(1, min(count, 12) + 1))), np.uint32)
        target = {loser: rng.randrange(count + 300) for loser in losers.tolist()}
        after = np.array([target.get(c, c) for c in contacts.tolist()], np.uint32)
        moved, fresh = ContactOrder.of(contacts).moved(losers, after), ContactOrder.of(after)
        assert moved.contacts().tolist() == fresh.contacts().tolist()
        assert moved.rows.tolist() == fresh.rows.tolist()
