"""Sets of contacts against Python's own, in both forms and across them."""

from __future__ import annotations

import random

import numpy as np
import pytest
from pyroaring import BitMap

from core.index.contact_set import ContactSet

SEED = 20_260


def sample(rng: random.Random) -> set[int]:
    """Empty, sparse, dense, or clustered numbers, at any height."""
    shape = rng.randrange(5)
    if shape == 0:
        return set()
    if shape == 1:
        return {rng.randrange(3_000_000) for _ in range(rng.randrange(1, 40))}
    if shape == 2:
        return set(range(0, rng.randrange(1, 200_000), rng.randrange(1, 4)))
    if shape == 3:
        base = rng.randrange(2_000_000)
        return set(range(base, base + rng.randrange(1, 9_000)))
    return {rng.randrange(5_000) for _ in range(rng.randrange(1, 3_000))}


def of(numbers: set[int]) -> ContactSet:
    return ContactSet.from_numbers(np.array(sorted(numbers), np.uint32))


def test_every_operation_agrees_with_python_sets() -> None:
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    for _ in range(120):
        a, b = sample(rng), sample(rng)
        x, y = of(a), of(b)
        for name, expected, got in (
            ("and", a & b, x & y),
            ("or", a | b, x | y),
            ("sub", a - b, x - y),
            ("xor", a ^ b, x ^ y),
        ):
            assert set(got) == expected, name
            assert len(got) == len(expected), name
            assert got == of(expected), name
            assert got.compact() == got
            assert got.numbers().tolist() == sorted(expected)
        assert (x == y) == (a == b)
        probe = [rng.randrange(3_000_000), *rng.sample(sorted(a), min(3, len(a)))]
        assert [n in x for n in probe] == [n in a for n in probe]
        assert -1 not in x and "1" not in x


def test_bytes_are_those_of_roaring_and_equal_for_equal_sets() -> None:
    print(f"seed {SEED}")
    rng = random.Random(SEED + 1)
    for _ in range(60):
        numbers = sample(rng)
        one = of(numbers)
        data = one.serialize()
        assert set(BitMap.deserialize(data)) == numbers
        mask = np.zeros(max(numbers, default=0) + 1, np.bool_)
        mask[sorted(numbers)] = True
        assert ContactSet.from_mask(mask).serialize() == data
        assert ContactSet.deserialize(data) == one
        foreign = BitMap(numbers)
        foreign.run_optimize()
        assert ContactSet.deserialize(foreign.serialize()) == one
        assert np.array_equal(one.mask(len(mask)), mask)
        assert len(one.mask(10)) == 10


def test_a_mask_shorter_than_the_set_leaves_members_out() -> None:
    assert of({1, 70, 4_000_000}).mask(3).tolist() == [False, True, False]


def test_bytes_that_are_no_bitmap_are_refused() -> None:
    for data in (b"", b"\0\0\0\0\0\0\0\0", b"\x3a\x30\0\0\x01\0\0\0"):
        with pytest.raises(ValueError):
            ContactSet.deserialize(data)
