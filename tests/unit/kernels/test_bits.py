"""Compiled kernels over bits and counts against their NumPy forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from core.kernels import bits, counting, semijoin

SEED = 71
#: Rows: none, one, less than a piece, one piece and more, several pieces.
SIZES = (0, 1, 63, 1025, 5000)
DTYPES = (np.uint8, np.uint16, np.uint32, np.int64)


def rows_of(size: int, contacts: int = 3001) -> tuple[np.random.Generator, NDArray[np.uint32]]:
    print(f"seed {SEED + size}")
    rng = np.random.default_rng(SEED + size)
    return rng, rng.integers(0, contacts, size).astype(np.uint32)


@pytest.mark.parametrize("size", SIZES)
def test_bits_of_rows(size: int) -> None:
    rng, contacts = rows_of(size)
    for mask in (rng.random(size) < 0.5, np.ones(size, np.bool_), np.zeros(size, np.bool_)):
        fast, plain = bits.words_for(3001), bits.words_for(3001)
        assert len(fast) == 47
        bits.set_bits_where(mask, contacts, fast)
        bits.plain_set_bits_where(mask, contacts, plain)
        assert fast.tolist() == plain.tolist()
    fast, plain = bits.words_for(3001), bits.words_for(3001)
    bits.set_bits(contacts, fast)
    bits.plain_set_bits(contacts, plain)
    assert fast.tolist() == plain.tolist()
    assert bits.count_bits(fast) == bits.plain_count_bits(fast) == len(set(contacts.tolist()))


@pytest.mark.parametrize("size", SIZES)
def test_contacts_and_rows_in_a_set(size: int) -> None:
    rng, contacts = rows_of(size)
    words = bits.words_for(3001)
    bits.set_bits(rng.integers(0, 3001, 700).astype(np.uint32), words)
    held = semijoin.plain_rows_in_words(contacts, words, np.empty(size + 1, np.uint32))
    for keep, rows_in in (
        (semijoin.keep_members, semijoin.rows_in_words),
        (semijoin.plain_keep_members, semijoin.plain_rows_in_words),
    ):
        kept, rows = np.empty(size + 1, np.uint32), np.empty(size + 1, np.uint32)
        assert keep(contacts, words, kept) == rows_in(contacts, words, rows) == held
        assert kept[:held].tolist() == contacts[rows[:held]].tolist()
        assert ((words[kept[:held] >> 6] >> (kept[:held] & 63).astype(np.uint64)) & np.uint64(1)).all()


@pytest.mark.parametrize("size", SIZES)
def test_numbers_of_bits(size: int) -> None:
    _, contacts = rows_of(size)
    words = bits.words_for(3001)
    bits.set_bits(contacts, words)
    members = np.unique(contacts)
    for find in (bits.numbers_of, bits.plain_numbers_of):
        found = np.zeros(len(members), np.uint32)
        find(words, found)
        assert found.tolist() == members.tolist()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_bits_between_codes(size: int, dtype: type[np.integer]) -> None:
    rng, contacts = rows_of(size)
    limits = np.iinfo(dtype)
    codes = rng.integers(limits.min, limits.max, size, dtype=dtype, endpoint=True)
    codes[:3] = (limits.min, limits.max, 7)[: len(codes[:3])]
    ends = (limits.min, limits.max, dtype(7), *rng.integers(limits.min, limits.max, 4, dtype=dtype, endpoint=True))
    for low in ends:
        for high in ends:
            fast, plain = bits.words_for(3001), bits.words_for(3001)
            bits.set_bits_between(codes, dtype(low), dtype(high), contacts, fast)
            bits.plain_set_bits_between(codes, dtype(low), dtype(high), contacts, plain)
            assert fast.tolist() == plain.tolist()


@pytest.mark.parametrize("dtype", (np.uint8, np.uint32, np.int64))
@pytest.mark.parametrize("words", (0, 1, 40))
def test_words_of_values(words: int, dtype: type[np.integer]) -> None:
    print(f"seed {SEED + words}")
    rng = np.random.default_rng(SEED + words)
    limits = np.iinfo(dtype)
    values = rng.integers(limits.min, limits.max, 64 * words, dtype=dtype, endpoint=True)
    values[:2] = (limits.min, limits.max)[: len(values[:2])]
    counts = rng.integers(0, 3, 64 * words).astype(np.uint32)
    for low, high in ((limits.min, limits.max), (limits.max, limits.max), (limits.max // 3, limits.max // 2), (1, 0)):
        bounds: tuple[Any, Any] = (dtype(low), dtype(high))
        fast, plain = np.ones(words, np.uint64), np.ones(words, np.uint64)
        bits.words_between(values, *bounds, fast)
        bits.plain_words_between(values, *bounds, plain)
        assert fast.tolist() == plain.tolist()
        bits.present_words_between(values, counts, *bounds, fast)
        bits.plain_present_words_between(values, counts, *bounds, plain)
        assert fast.tolist() == plain.tolist()


def test_means_round_half_to_even() -> None:
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    for scale in (1, 10_000):
        counts = rng.integers(0, 7, 64 * 20).astype(np.uint32)
        totals = rng.integers(-40, 40, 64 * 20) * counts.astype(np.int64) // rng.integers(1, 3, 64 * 20)
        for low in range(-6 * scale, 7 * scale, max(1, scale // 2)):
            for high in (low - 1, low, low + 1, low + 3 * scale):
                fast, plain = bits.words_for(64 * 20), bits.words_for(64 * 20)
                bits.mean_words_between(totals, counts, scale, low, high, fast)
                bits.plain_mean_words_between(totals, counts, scale, low, high, plain)
                assert fast.tolist() == plain.tolist()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", (np.uint8, np.uint32))
def test_counts_stay_at_their_limit(size: int, dtype: type[np.unsignedinteger[Any]]) -> None:
    rng, contacts = rows_of(size, contacts=9)
    mask = rng.random(size) < 0.7
    for limit in (dtype(255), dtype(3)):
        fast, plain = np.zeros(9, dtype), np.zeros(9, dtype)
        counting.count_up(contacts, fast, limit)
        counting.plain_count_up(contacts, plain, limit)
        assert fast.tolist() == plain.tolist()
        counting.count_up_where(mask, contacts, fast, limit)
        counting.plain_count_up_where(mask, contacts, plain, limit)
        assert fast.tolist() == plain.tolist()
