"""Compiling the kernels of events before the first question needs them."""

from __future__ import annotations

import numpy as np

from core.kernels.bits import (
    count_bits,
    mean_words_between,
    numbers_of,
    present_words_between,
    set_bits,
    set_bits_between,
    set_bits_where,
    words_between,
    words_for,
)
from core.kernels.contact_order import merge_orders, order_by_contact, places_of_contacts, rows_of_contacts
from core.kernels.counting import count_up, count_up_where
from core.kernels.folding import fold_counts, fold_extremes, fold_sums, fold_totals
from core.kernels.placing import bits_of, fill_drawers, find_places
from core.kernels.planes import PIECE, join_planes
from core.kernels.populations import count_within
from core.kernels.preceded import mark_near
from core.kernels.semijoin import keep_members, rows_in_words
from core.kernels.sums_between import MOST_RUNS, sums_between
from core.kernels.uuid_text import read_uuids
from core.kernels.warm_population import warm_up_population

_CODES = (np.uint8, np.uint16, np.uint32, np.int64)


def warm_up() -> None:
    """Compile (or read from the cache) every form that the index and its questions use.

    It takes some twenty seconds of one core where nothing is cached, else one. A service calls it before it says
    that it is ready, in a thread: later, the first question of each form would wait for the compiler.
    """
    contacts, mask, words = np.zeros(1, np.uint32), np.ones(1, np.bool_), words_for(1)
    values, counts = np.zeros(256, np.int64), np.zeros(256, np.uint32)
    set_bits(contacts, words)
    set_bits_where(mask, contacts, words)
    for dtype in (np.uint8, np.uint32):
        some = np.zeros(64, dtype)
        count_up(contacts, some, dtype(9))
        count_up_where(mask, contacts, some, dtype(9))
        words_between(some, dtype(0), dtype(1), words)
    words_between(values[:64], 0, 1, words)
    present_words_between(values[:64], counts[:64], 0, 1, words)
    mean_words_between(values[:64], counts[:64], 1, 0, 1, words)
    numbers_of(words_for(1), contacts[:0])
    count_bits(words)
    join_planes(np.zeros((1, 1, PIECE), np.uint64), np.array([[0, 0, 1]]), words_for(64 * PIECE))
    count_within(words, words, words, np.zeros(3, np.int64))
    fill_drawers(contacts, 0, np.zeros(2, np.uint32))
    find_places(contacts, 0, np.array([0, 1], np.uint32), contacts, np.zeros(1, np.uint32))
    bits_of(words, contacts, mask.copy())
    bits_of(words, np.frombuffer(bytes(4), np.uint32), mask.copy())  # contacts as they stand in an entry of the log
    rows_in_words(contacts, words, np.zeros(2, np.uint32))
    keep_members(contacts, words, np.zeros(2, np.uint32))
    before, near = np.zeros(1, np.uint32), np.zeros(1, np.uint8)
    mark_near(contacts, values[:1], contacts, values[:1], words, before, 1, 1, 0, 0, near)
    order = (np.zeros(2, np.uint32), np.zeros(1, np.uint8), np.zeros(1, np.uint32))
    order_by_contact(contacts, *order)
    merge_orders(*order, *order, np.zeros(2, np.uint32), np.zeros(2, np.uint8), np.zeros(2, np.uint32))
    places_of_contacts(order[0], order[1], contacts, np.zeros(1, np.int64), np.zeros(1, np.int64))
    rows_of_contacts(*order, contacts, 0, 1, 1)
    read_uuids(np.zeros(36, np.uint8), np.zeros(2, np.uint64))
    for code in _CODES:
        codes = np.zeros(1, code)
        set_bits_between(codes, code(0), code(0), contacts, words)
        fold_sums(*order, 0, 1, 0, 1, mask, codes, 0, 1, values, counts)
        runs = ((order[0],) * MOST_RUNS, (order[1],) * MOST_RUNS, (order[2],) * MOST_RUNS, (codes,) * MOST_RUNS)
        sums_between(*runs, np.zeros((MOST_RUNS, 4), np.int64), 0, 1, 0, 1, values, words)
        fold_totals(*order, 0, 1, 0, 1, codes, 0, 1, values)
        fold_extremes(*order, 0, 1, 0, 1, mask, codes, 0, 1, 1, values, counts)
    fold_counts(*order, 0, 1, 0, 1, counts)
    warm_up_population()
