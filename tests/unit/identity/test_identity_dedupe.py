"""Remembered message ids."""

from __future__ import annotations

import random

import numpy as np

from core.identity.dedupe import HORIZON_HOURS, SeenIds, hash_ids


def test_a_repetition_is_found_within_seven_days() -> None:
    seen = SeenIds()
    ids = hash_ids(["a", "b"])
    seen.add(ids, 1000)
    assert seen.contains(hash_ids(["b", "c", "a"]), 1000 + HORIZON_HOURS).tolist() == [True, False, True]
    assert seen.contains(ids, 1001 + HORIZON_HOURS).tolist() == [False, False]


def test_many_ids_against_a_plain_dict() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    seen = SeenIds()
    plain: dict[int, int] = {}
    for hour in range(5000, 5000 + HORIZON_HOURS + 60, 4):
        batch = rng.integers(0, 400_000, 8_000).astype(np.uint64)
        asked = rng.integers(0, 400_000, 500).astype(np.uint64)
        expected = [plain.get(one, -1) >= hour - HORIZON_HOURS for one in asked.tolist()]
        assert seen.contains(asked, hour).tolist() == expected
        seen.add(batch, hour)
        plain.update(dict.fromkeys(batch.tolist(), hour))
        seen.expire(hour)
    assert seen.horizon_hours(hour) == HORIZON_HOURS


def test_past_the_budget_the_oldest_hours_go_and_the_horizon_tells() -> None:
    seen = SeenIds(budget_ids=250)
    for hour in range(10, 14):
        seen.add(np.arange(hour * 100, hour * 100 + 100, dtype=np.uint64), hour)
        seen.expire(hour)
    assert len(seen) == 200
    assert seen.horizon_hours(13) == 1
    assert seen.contains(np.array([1000, 1100, 1200, 1300], np.uint64), 13).tolist() == [False, False, True, True]
