"""The sweep that looks for near rows against its NumPy form."""

from __future__ import annotations

import numpy as np
import pytest

from core.kernels.preceded import mark_near, plain_mark_near
from core.kernels.sequences import NO_LIMIT

SEED = 83


@pytest.mark.parametrize("contacts", (1, 40, 900))
@pytest.mark.parametrize("others", (0, 1, 255, 256, 257, 2000))
def test_near_rows(others: int, contacts: int) -> None:
    seed = SEED + others + contacts
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    near_rows = 0
    for span in (1, 30, 5_000, 2**60):
        for size in (0, 1, 300):
            rows = rng.integers(0, contacts, size).astype(np.uint32)
            times = np.sort(rng.integers(-span, span, size))
            other = rng.integers(0, contacts + 100, others).astype(np.uint32)
            other_times = np.sort(rng.integers(-span, span, others))
            inside = np.zeros(1024, np.bool_)
            inside[rows] = True
            inside[rng.integers(0, 1024, 5)] = True
            words = np.packbits(inside, bitorder="little").view(np.uint64)
            counts = np.bitwise_count(words)
            before = (np.cumsum(counts, dtype=np.uint32) - counts).astype(np.uint32)
            held = (rng.random(size) < 0.1).astype(np.uint8)
            for sign in (1, -1):
                for touching in (0, 1):
                    for within in (0, 1, span // 7, NO_LIMIT):
                        fast, plain = held.copy(), held.copy()
                        asked = (rows, times, other, other_times, words, before, int(inside.sum()), sign, within)
                        mark_near(*asked, touching, fast)
                        plain_mark_near(*asked, touching, plain)
                        assert fast.tolist() == plain.tolist()
                        near_rows += int(plain.sum())
    assert near_rows > 0
