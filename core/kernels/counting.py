"""Counts of many contacts over rows in any order, in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.kernels.compiled import compiled


@compiled
def count_up(contacts: NDArray[np.uint32], counts: NDArray[Any], limit: Any) -> None:
    """Add 1 to the entry of each of `contacts`; `counts` (unsigned, one per contact) stay at `limit`, which is of
    their dtype."""
    for i in range(len(contacts)):
        contact = contacts[i]
        counts[contact] += np.uint8(counts[contact] < limit)


@compiled
def count_up_where(mask: NDArray[np.bool_], contacts: NDArray[np.uint32], counts: NDArray[Any], limit: Any) -> None:
    """The same for the rows where `mask` is true."""
    chosen = np.empty(1024, np.uint32)
    n = len(contacts)
    for start in range(0, n, 1024):
        count = np.uint64(0)
        for i in range(start, min(n, start + 1024)):
            chosen[count] = contacts[i]
            count += np.uint64(mask[i])
        for j in range(count):
            contact = chosen[j]
            counts[contact] += np.uint8(counts[contact] < limit)


def plain_count_up(contacts: NDArray[np.uint32], counts: NDArray[Any], limit: Any) -> None:
    """count_up in NumPy."""
    added = np.bincount(contacts, minlength=len(counts))
    counts[:] = np.minimum(counts.astype(np.int64) + added, int(limit))


def plain_count_up_where(
    mask: NDArray[np.bool_], contacts: NDArray[np.uint32], counts: NDArray[Any], limit: Any
) -> None:
    """count_up_where in NumPy."""
    plain_count_up(contacts[mask], counts, limit)
