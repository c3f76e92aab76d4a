"""Counts of members in one pass, against NumPy and against Python's sets."""

from __future__ import annotations

import numpy as np
import pytest

from core.index.contact_set import ContactSet
from core.kernels.populations import count_within, plain_count_within


@pytest.mark.parametrize("size", [0, 1, 7, 64, 1001])
def test_counts_of_words(size: int) -> None:
    print(f"seed {size}")
    draw = np.random.default_rng(size)
    words, one, other = (draw.integers(0, 2**64, size, np.uint64, endpoint=False) for _ in range(3))
    words[: size // 3] = 2**64 - 1
    fast, plain = np.full(3, -1), np.full(3, -1)
    count_within(words, one, other, fast)
    plain_count_within(words, one, other, plain)
    assert fast.tolist() == plain.tolist()


@pytest.mark.parametrize("seed", range(12))
def test_counts_of_sets_in_any_form(seed: int) -> None:
    print(f"seed {seed}")
    draw = np.random.default_rng(seed)
    sizes = draw.choice([0, 3, 100, 20_000], 3)
    numbers = [draw.integers(0, draw.choice([50, 30_000, 500_000]), size).astype(np.uint32) for size in sizes]
    members, one, other = map(ContactSet.from_numbers, numbers)
    expected = [set(some.tolist()) for some in numbers]
    counts = members.counts_with(one, other)
    assert counts == (len(expected[0]), len(expected[0] & expected[1]), len(expected[0] & expected[2]))
    assert len(members) == counts[0]
