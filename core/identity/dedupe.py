"""Which message ids were accepted within the horizon: 8-byte hashes by the hour in which they were received."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from core.clock import DAY_US, HOUR_US

#: How long a repeated message id is the same event, in whole hours.
HORIZON_HOURS = 7 * DAY_US // HOUR_US
#: Ids kept at most by default; 12 bytes each in memory.
DEFAULT_BUDGET_IDS = 20_000_000

_SEAL_AT = 65_536

Hashes = NDArray[np.uint64]


def hash_ids(ids: Iterable[str]) -> Hashes:
    """The 8-byte hashes of message ids, in order."""
    digests = b"".join([blake2b(one.encode(), digest_size=8).digest() for one in ids])
    return np.frombuffer(digests, ">u8").astype(np.uint64)


def hour_of(at_us: int) -> int:
    """The whole hours from 1970 to `at_us`."""
    return at_us // HOUR_US


class SeenIds:
    """A set of (hash, hour). Hours passed to `add` never run back by more than is forgotten anyway.

    A small dict takes new ones, sorted arrays hold the rest: an array joins its neighbour when that is not much
    larger, so there are few of them. When more than `budget_ids` are held, the oldest hours go: the horizon shrinks,
    and `horizon_hours` says to what.
    """

    def __init__(self, budget_ids: int = DEFAULT_BUDGET_IDS) -> None:
        self._budget_ids = budget_ids
        self._open: dict[int, int] = {}
        self._sealed: list[tuple[Hashes, NDArray[np.uint32]]] = []
        self._count_by_hour: dict[int, int] = {}
        self._dropped_hour: int | None = None

    def __len__(self) -> int:
        return sum(self._count_by_hour.values())

    def horizon_hours(self, hour: int) -> int:
        """How many hours before `hour` are remembered: HORIZON_HOURS, or less once the budget was passed."""
        if self._dropped_hour is None:
            return HORIZON_HOURS
        return min(HORIZON_HOURS, max(0, hour - self._dropped_hour - 1))

    def contains(self, hashes: Hashes, hour: int) -> NDArray[np.bool_]:
        """For each hash whether it was added within the horizon that ends in `hour`."""
        least = max(0, hour - HORIZON_HOURS)
        opened = self._open
        found = np.fromiter((opened.get(one, -1) >= least for one in hashes.tolist()), np.bool_, len(hashes))
        for known, hours in self._sealed:
            place = np.searchsorted(known, hashes)
            place[place == len(known)] = 0
            found |= (known[place] == hashes) & (hours[place] >= least)
        return found

    def add(self, hashes: Hashes, hour: int) -> None:
        """Remember `hashes` as received in `hour`."""
        self._open.update(dict.fromkeys(hashes.tolist(), hour))
        self._count_by_hour[hour] = self._count_by_hour.get(hour, 0) + len(hashes)
        if len(self._open) >= _SEAL_AT:
            self._seal()

    def expire(self, hour: int) -> Sequence[int]:
        """Forget the hours beyond the horizon that ends in `hour`, and more if the budget is passed. Returns the
        forgotten hours, ascending."""
        gone = sorted(one for one in self._count_by_hour if one < hour - HORIZON_HOURS)
        held = len(self) - sum(self._count_by_hour[one] for one in gone)
        for one in sorted(self._count_by_hour.keys() - set(gone)):
            if held <= self._budget_ids or one == hour:
                break
            held -= self._count_by_hour[one]
            gone.append(one)
            self._dropped_hour = one
        for one in gone:
            del self._count_by_hour[one]
        if gone:
            kept_from = min(self._count_by_hour, default=hour)
            self._open = {known: at for known, at in self._open.items() if at >= kept_from}
            self._sealed = [_from_hour(*one, kept_from) for one in self._sealed]
            self._sealed = [one for one in self._sealed if len(one[0])]
        return gone

    def _seal(self) -> None:
        n = len(self._open)
        hashes = np.fromiter(self._open.keys(), np.uint64, n)
        hours = np.fromiter(self._open.values(), np.uint32, n)
        self._open = {}
        while self._sealed and len(self._sealed[-1][0]) <= 2 * len(hashes):
            older, older_hours = self._sealed.pop()
            hashes, hours = np.concatenate((hashes, older)), np.concatenate((hours, older_hours))
        # Of one hash the latest hour comes first, and `unique` keeps the first.
        order = np.lexsort((-hours.astype(np.int64), hashes))
        hashes, first = np.unique(hashes[order], return_index=True)
        self._sealed.append((hashes, hours[order][first]))


def _from_hour(hashes: Hashes, hours: NDArray[np.uint32], least: int) -> tuple[Hashes, NDArray[np.uint32]]:
    kept = hours >= least
    return hashes[kept], hours[kept]
