"""Places in a column and bits of a set, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from core.kernels.placing import Places, bits_of, fill_drawers, find_places, plain_bits_of


def column_of(draw: np.random.Generator, size: int, style: int) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    """Ascending and distinct: anywhere, close together, or in two heaps far apart."""
    if style == 0:
        return np.unique(draw.integers(0, 2**32, size, np.uint32, endpoint=False))
    near = np.unique(draw.integers(7, 7 + 2 * size, size).astype(np.uint32))
    return near if style == 1 else np.concatenate((near, near + np.uint32(4_000_000_000)))


@pytest.mark.parametrize("seed", range(18))
def test_places_are_those_of_a_search(seed: int) -> None:
    print(f"seed {seed}")
    draw = np.random.default_rng(seed)
    column = column_of(draw, int(draw.choice([1, 2, 70, 5_000])), seed % 3)
    wanted = draw.choice(column, int(draw.choice([0, 1, 64, 20_000])))
    expected = np.searchsorted(column, wanted)
    places_in = Places(column)
    for some in (wanted, wanted[::-1].copy()):
        assert places_in.of(some).tolist() == np.searchsorted(column, some).tolist()
    shift = int(draw.integers(0, 32))
    span = int(column[-1]) - int(column[0])
    if span >> shift < 100_000:
        places, starts = np.zeros(len(wanted), np.uint32), np.empty((span >> shift) + 2, np.uint32)
        fill_drawers(column, shift, starts)
        find_places(column, shift, starts, wanted, places)
        assert places.tolist() == expected.tolist()


@pytest.mark.parametrize("size", [0, 1, 47])
def test_bits_are_those_of_the_mask(size: int) -> None:
    print(f"seed {size}")
    draw = np.random.default_rng(size)
    words = draw.integers(0, 2**64, size, np.uint64, endpoint=False)
    numbers = np.append(draw.integers(0, 64 * size + 100, 500), [0, 63, 64, 2**32 - 1]).astype(np.uint32)
    fast, plain = np.ones(len(numbers), np.bool_), np.ones(len(numbers), np.bool_)
    bits_of(words, numbers, fast)
    plain_bits_of(words, numbers, plain)
    assert fast.tolist() == plain.tolist()
