"""Steps over bit planes against their NumPy form."""

from __future__ import annotations

import numpy as np
import pytest

from core.kernels.planes import PIECE, join_planes, plain_join_planes

SEED = 83


@pytest.mark.parametrize("pieces", (0, 1, 3))
@pytest.mark.parametrize("bits", (1, 5))
def test_steps_over_planes(pieces: int, bits: int) -> None:
    print(f"seed {SEED + pieces}")
    rng = np.random.default_rng(SEED + pieces)
    planes = rng.integers(0, 2**64 - 1, (pieces, bits, PIECE), np.uint64, endpoint=True)
    for count in (1, 2, 9):
        steps = np.array(
            [(rng.integers(0, bits), rng.integers(0, s + 2), rng.integers(0, s + 2)) for s in range(count)], np.int64
        )
        fast, plain = np.ones(PIECE * pieces, np.uint64), np.zeros(PIECE * pieces, np.uint64)
        join_planes(planes, steps, fast)
        plain_join_planes(planes, steps, plain)
        assert fast.tolist() == plain.tolist()
