"""The stable draw is the random bucket of the segment language, and divides as it says."""

from __future__ import annotations

from hashlib import sha256

import pytest

from core.scenario.draw import CONTROL_SALT, WHOLE, bucket_of, part_of, salt_of


def test_it_is_the_bucket_of_semantics() -> None:
    for number in range(50):
        key = f"key-{number}"
        plain = int.from_bytes(sha256(f"w1\0n3/letter\0{key}".encode()).digest()[:8], "big") % WHOLE
        assert bucket_of("w1", salt_of("n3", "letter"), key) == plain


def test_it_does_not_follow_other_draws() -> None:
    keys = [f"key-{number}" for number in range(2_000)]
    first = [bucket_of("w1", "a", key) < 5_000 for key in keys]
    second = [bucket_of("w1", CONTROL_SALT, key) < 5_000 for key in keys]
    both = sum(one and other for one, other in zip(first, second, strict=True))
    assert abs(both - 500) < 100
    assert abs(sum(first) - 1_000) < 120


def test_parts() -> None:
    shares = (1, 4_999, 5_000)
    assert [part_of(bucket, shares) for bucket in (0, 1, 4_999, 5_000, 9_999)] == [0, 1, 1, 2, 2]
    with pytest.raises(ValueError, match="leave a bucket out"):
        part_of(9_999, (1, 2))
