"""Exact counts, sums and extremes per contact.

Every function takes contact numbers of rows in any order and returns `(contacts, values)`: the contacts that occur,
uint32 ascending, and one value for each. Dense and sparse inputs take different ways to the same answer: a table over
all contacts costs their number, a sort costs the rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Whole numbers up to this are exact as binary floats, which is how bincount adds weights.
_EXACT_FLOAT = 2**53
_LIMB_BITS = 21
_INT64_LIMIT = 2**63

Grouped = tuple[NDArray[np.uint32], NDArray[Any]]


def count_by_contact(contacts: NDArray[np.uint32], contact_count: int) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The number of rows of each contact."""
    if len(contacts) * 16 < contact_count:
        found, counts = np.unique(contacts, return_counts=True)
        return found, counts.astype(np.int64, copy=False)
    table = np.bincount(contacts, minlength=contact_count)
    present = np.flatnonzero(table)
    return present.astype(np.uint32), table[present]


def sum_by_contact(contacts: NDArray[np.uint32], values: NDArray[Any], contact_count: int) -> Grouped:
    """The exact sum per contact: int64 where no sum can leave it, otherwise Python integers (dtype object)."""
    found, inverse = _groups(contacts, contact_count)
    if len(values) == 0:
        return found, np.zeros(0, np.int64)
    if values.dtype == object:
        totals: NDArray[Any] = np.zeros(len(found), object)
        np.add.at(totals, inverse, values)
        return found, totals
    largest = max(abs(int(values.max())), abs(int(values.min())))
    bound = largest * len(values)
    if bound < _EXACT_FLOAT:
        return found, np.bincount(inverse, weights=values, minlength=len(found)).astype(np.int64)
    wide = values.astype(np.int64, copy=False)
    exact: NDArray[Any] = np.zeros(len(found), object if bound >= _INT64_LIMIT else np.int64)
    shift = 0
    while shift < 63:
        # Low limbs are unsigned, the last one carries the sign; each limb's sum is exact for up to 2**32 rows.
        limb = wide >> shift
        if shift + _LIMB_BITS < 63:
            limb = limb & ((1 << _LIMB_BITS) - 1)
        part = np.bincount(inverse, weights=limb, minlength=len(found)).astype(np.int64)
        exact = exact + (part.astype(exact.dtype) * (1 << shift))
        shift += _LIMB_BITS
    return found, exact


def extreme_by_contact(
    contacts: NDArray[np.uint32], values: NDArray[Any], contact_count: int, *, largest: bool
) -> Grouped:
    """The smallest (or `largest`) value per contact, in the dtype of `values`."""
    found, inverse = _groups(contacts, contact_count)
    if len(values) == 0:
        return found, values[:0]
    result = np.full(len(found), values.min() if largest else values.max(), dtype=values.dtype)
    (np.maximum if largest else np.minimum).at(result, inverse, values)
    return found, result


def dense_codes(values: NDArray[Any]) -> tuple[NDArray[np.uint64], int]:
    """Numbers below a bound for values: equal ones for equal values. uint32 values (dictionary codes) are their own;
    others, Python integers included, are numbered in their order."""
    if values.dtype == np.uint32:
        return values.astype(np.uint64), int(values.max(initial=0)) + 1
    distinct, codes = np.unique(values, return_inverse=True)
    return codes.astype(np.uint64), len(distinct)


def unique_pairs(
    contacts: NDArray[np.uint32], codes: NDArray[np.uint64]
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The contact of each distinct `(contact, code)` pair, ascending, and the number of its rows; codes are below
    2**32."""
    packed, counts = np.unique((contacts.astype(np.uint64) << np.uint64(32)) | codes, return_counts=True)
    return (packed >> np.uint64(32)).astype(np.uint32), counts.astype(np.int64, copy=False)


def _groups(contacts: NDArray[np.uint32], contact_count: int) -> tuple[NDArray[np.uint32], NDArray[np.intp]]:
    """The distinct contacts and for each row the place of its contact among them."""
    if len(contacts) * 16 < contact_count:
        found, inverse = np.unique(contacts, return_inverse=True)
        return found, inverse
    seen = np.zeros(contact_count, np.bool_)
    seen[contacts] = True
    present = np.flatnonzero(seen)
    place = np.zeros(contact_count, np.intp)
    place[present] = np.arange(len(present))
    return present.astype(np.uint32), place[contacts]
