"""Numbers in few bytes are the numbers."""

from __future__ import annotations

import random

import numpy as np
import pytest

from core.index.packing import Packed, join_packed, offsets_of, pack_values

SEED = 81
INT64 = np.dtype(np.int64)
LEAST, GREATEST = -(2**63), 2**63 - 1


def width(packed: Packed) -> int:
    return int(packed.codes.dtype.itemsize)


@pytest.mark.parametrize(
    ("values", "bytes_each"),
    [
        ([], 1),
        ([7], 1),
        ([LEAST, LEAST + 255], 1),
        ([GREATEST, GREATEST - 255, GREATEST - 256], 2),
        ([0, 10_000 * 255], 1),
        ([5, 10_000 * 255 + 5], 1),
        ([0, 1, 2**16], 4),
        ([-1, 0, 2**32 - 1], 8),
        ([LEAST, GREATEST], 8),
        ([LEAST, 0], 8),
        ([0, 2**62], 1),
    ],
)
def test_the_smallest_form_that_holds_all(values: list[int], bytes_each: int) -> None:
    packed = pack_values(np.array(values, np.int64), scaled=True)
    assert packed.values(INT64).tolist() == values
    assert width(packed) == bytes_each
    assert packed.bounds() == ((min(values), max(values)) if values else (0, 0))


def test_ranges_of_codes_and_joins() -> None:
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    for _ in range(1500):
        parts = [some_values(rng) for _ in range(rng.randrange(1, 4))]
        packed = [pack_values(np.array(part, np.int64), scaled=rng.random() < 0.8) for part in parts]
        joined = join_packed(packed)
        whole = [value for part in parts for value in part]
        assert joined.values(INT64).tolist() == whole
        for one, values in ((joined, whole), (packed[0], parts[0])):
            ends = [*values, *(v + d for v in values for d in (-1, 1)), LEAST, GREATEST, 0]
            low, high = rng.choice(ends), rng.choice(ends)
            found = one.code_range(low, high)
            held = [] if found is None else [found[0] <= code <= found[1] for code in one.codes.tolist()]
            assert [low <= value <= high for value in values] == (held or [False] * len(values))
        rows = np.array([rng.randrange(len(whole)) for _ in range(5)] if whole else [], np.int64)
        assert joined.take(rows).values(INT64).tolist() == [whole[row] for row in rows]


def some_values(rng: random.Random) -> list[int]:
    base = rng.choice((0, 1, -5, 200, 10**12, LEAST, GREATEST - 1, -(2**40)))
    step = rng.choice((1, 1, 100, 10_000, 2**33))
    spread = rng.choice((0, 1, 255, 256, 70_000, 2**33))
    values = [base + step * rng.randrange(spread + 1) for _ in range(rng.randrange(0, 8))]
    return [min(max(value, LEAST), GREATEST) for value in values]


def test_offsets() -> None:
    assert offsets_of(np.array([2, 0, 3])).tolist() == [0, 2, 2, 5]
    assert offsets_of(np.zeros(0, np.int64)).tolist() == [0]
    assert offsets_of(np.array([2, 0], np.uint8)).dtype == np.uint32
    assert offsets_of(np.array([2**32, 1])).tolist() == [0, 2**32, 2**32 + 1]
