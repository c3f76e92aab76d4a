"""The compiled loops of sequences against their plain forms."""

from __future__ import annotations

import random

import numpy as np
import pytest

from core.kernels.followed import mark_calendars, plain_mark_calendars, plain_rows_followed, rows_followed
from core.kernels.searching import plain_search_pieces, search_pieces
from core.kernels.semijoin import plain_rows_in_words, rows_in_words
from core.kernels.sequences import NO_LIMIT, groups_with_sequence, plain_groups_with_sequence

SEED = 5


def test_groups_with_a_sequence() -> None:
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    holding = 0
    for _ in range(3_000):
        steps = rng.randrange(2, 6)
        negative = np.array([0, *(rng.random() < 0.4 for _ in range(steps - 1))], np.uint8)
        pool = [(rng.randrange(3), rng.randrange(12), number) for number in range(rng.randrange(12))]
        columns = [[row for row in pool if rng.random() < 0.6] for _ in range(steps)]
        for column in columns:
            rng.shuffle(column)
            column.sort(key=lambda row: row[:2])
        rows = [row for column in columns for row in column]
        within = np.array([rng.choice((NO_LIMIT, 0, 1, 2, 3, 6)) for _ in range(steps)], np.int64)
        from_first = (np.array([rng.random() < 0.2 for _ in range(steps)]) & (within != NO_LIMIT)).astype(np.uint8)
        from_first[0] = 0
        offsets = np.cumsum([0, *map(len, columns)]).astype(np.int64)
        keys = np.array([row[0] for row in rows], np.uint64)
        times, ids = (np.array([row[i] for row in rows], np.int64) for i in (1, 2))
        as_of_us = rng.randrange(11, 16)
        found = [np.zeros(len(columns[0]), np.uint64) for _ in range(2)]
        fast = groups_with_sequence(offsets, keys, times, ids, negative, within, from_first, as_of_us, found[0])
        slow = plain_groups_with_sequence(offsets, keys, times, ids, negative, within, from_first, as_of_us, found[1])
        assert found[0][:fast].tolist() == found[1][:slow].tolist()
        holding += slow
    assert holding > 500


@pytest.mark.parametrize("rows", [0, 1, 64, 500])
def test_rows_of_a_set_that_are_followed(rows: int) -> None:
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED + rows)
    for span in (1, 63, 10**6, 2**60):
        for members in (0, 1, 64, 257):
            contacts = rng.integers(0, 257, rows).astype(np.uint32)
            inside = np.zeros(320, np.bool_)
            inside[rng.integers(0, 257, members)] = True
            words = np.packbits(inside, bitorder="little").view(np.uint64)
            one, other = np.zeros(rows + 1, np.uint32), np.zeros(rows + 1, np.uint32)
            count = rows_in_words(contacts, words, one)
            assert count == plain_rows_in_words(contacts, words, other)
            assert one[:count].tolist() == other[:count].tolist() == np.flatnonzero(inside[contacts]).tolist()
            counts = np.bitwise_count(words)
            before = (np.cumsum(counts, dtype=np.uint32) - counts).astype(np.uint32)
            shift = max(span.bit_length() - 6, 0)
            start_us = int(rng.integers(-(2**61), 2**60))
            times = start_us + rng.integers(0, span + 1, rows)
            held = np.flatnonzero(inside[contacts])[: rows // 2]
            calendars = np.zeros(int(inside.sum()), np.uint64)
            plain = calendars.copy()
            mark_calendars(contacts[held], times[held], words, before, start_us, shift, calendars)
            plain_mark_calendars(contacts[held], times[held], words, before, start_us, shift, plain)
            assert calendars.tolist() == plain.tolist()
            for within in (0, 1, span // 9, NO_LIMIT):
                asked = (contacts, times, words, before, start_us, shift, within, calendars)
                count = rows_followed(*asked, one)
                assert count == plain_rows_followed(*asked, other)
                assert one[:count].tolist() == other[:count].tolist()
                for row in np.flatnonzero(inside[contacts]).tolist():
                    near = (times[held] >= times[row]) & (times[held] <= times[row] + within)
                    if (near & (contacts[held] == contacts[row])).any():
                        assert row in one[:count], "a row that is followed must stay"


def test_search_in_pieces() -> None:
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    for size in (0, 1, 40):
        values = np.sort(rng.integers(0, 20, size))
        starts = rng.integers(0, size + 1, 100)
        stops = np.minimum(starts + rng.integers(0, 12, 100), size)
        wanted = rng.integers(-1, 22, 100)
        for after in (False, True):
            found = search_pieces(values, starts, stops, wanted, after)
            assert found.tolist() == plain_search_pieces(values, starts, stops, wanted, after).tolist()
