"""Questions about codes through their bits, against looking up each code."""

from __future__ import annotations

import numpy as np
import pytest

from core.index.bit_planes import bit_planes
from core.index.contact_set import ContactSet
from core.index.distinct import look_up


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 9, 90, 256, 300, 65_536])
def test_planes_and_look_ups_agree(count: int) -> None:
    seed = count
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    for n in (0, 63, 64, 1000, 70_003):
        codes = rng.integers(0, count, n).astype(np.min_scalar_type(count - 1))
        planes = bit_planes(codes, count)
        assert planes.n == n // 64 * 64
        first, last = sorted(rng.integers(0, count, 2).tolist())
        some = np.zeros(count, np.bool_)
        some[rng.integers(0, count, 3)] = True
        stretch = np.zeros(count, np.bool_)
        stretch[first : last + 1] = True
        tail = np.arange(count) >= first
        scattered = rng.random(count) < 0.5
        for truth in (some, stretch, ~stretch, tail, scattered, np.zeros(count, np.bool_), np.ones(count, np.bool_)):
            expected = truth[codes]
            assert np.array_equal(look_up(codes, truth), expected)
            words = planes.select(truth)
            if words is not None:
                assert np.array_equal(ContactSet(words, None).mask(planes.n), expected[: planes.n])
        assert planes.select(stretch) is not None
        assert planes.select(some) is not None


def test_codes_that_came_after_the_planes_are_false_there() -> None:
    codes = np.tile(np.arange(4, dtype=np.uint8), 32)
    planes = bit_planes(codes, 4)
    truth = np.array([False, False, False, True, True, True, False])
    words = planes.select(truth)
    assert words is not None
    assert np.array_equal(ContactSet(words, None).mask(128), codes == 3)


def test_a_scattered_table_is_left_to_looking_up() -> None:
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 65_536, 640).astype(np.uint16)
    assert bit_planes(codes, 65_536).select(rng.random(65_536) < 0.5) is None
