"""Ids of events: 16 bytes each where all are lower-case UUIDs, else their UTF-8 bytes one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.index.packing import offsets_of
from core.kernels.ranges import expand_ranges
from core.kernels.uuid_text import UUID_LENGTH, read_uuids, write_uuid, write_uuids


@dataclass(frozen=True, slots=True)
class EventIds:
    """Either `pairs` (uint64, two an id, see core.kernels.uuid_text) or `offsets` (uint32, int64 beyond 4 GiB; one more
    than there are ids) and `data` (uint8): id i is `data[offsets[i]:offsets[i + 1]]`."""

    pairs: NDArray[np.uint64] | None
    offsets: NDArray[Any] | None
    data: NDArray[np.uint8] | None

    @classmethod
    def of_pairs(cls, pairs: NDArray[np.uint64]) -> EventIds:
        """Ids that are UUIDs."""
        return cls(pairs, None, None)

    @classmethod
    def of_bytes(cls, offsets: NDArray[Any], data: NDArray[np.uint8]) -> EventIds:
        """Ids of any form, as they are; `packed` finds the smaller one."""
        return cls(None, offsets, data)

    @classmethod
    def of_texts(cls, ids: tuple[str, ...]) -> EventIds:
        """The ids of a batch."""
        joined = "".join(ids)
        data = bytearray(joined.encode())  # so that the array of it is an ordinary one, for which kernels are compiled
        lengths: Iterable[int] = map(len, ids) if len(data) == len(joined) else (len(text.encode()) for text in ids)
        offsets = offsets_of(np.fromiter(lengths, np.int64, len(ids)))
        return cls.of_bytes(offsets, np.frombuffer(data, np.uint8)).packed()

    def __len__(self) -> int:
        if self.pairs is not None:
            return len(self.pairs) // 2
        return len(self._offsets()) - 1

    def __iter__(self) -> Iterator[bytes]:
        """All ids as UTF-8."""
        if self.pairs is not None:
            numbers = self.pairs.tolist()
            return map(write_uuid, numbers[0::2], numbers[1::2])
        data = self._data().tobytes()
        return (data[first:last] for first, last in pairwise(self._offsets().tolist()))

    @property
    def nbytes(self) -> int:
        """What the ids occupy."""
        return sum(part.nbytes for part in (self.pairs, self.offsets, self.data) if part is not None)

    def at(self, row: int) -> bytes:
        """One id as UTF-8."""
        if self.pairs is not None:
            return write_uuid(int(self.pairs[2 * row]), int(self.pairs[2 * row + 1]))
        offsets = self._offsets()
        return self._data()[int(offsets[row]) : int(offsets[row + 1])].tobytes()

    def take(self, rows: NDArray[np.integer]) -> EventIds:
        """The ids at `rows`, in their order."""
        if self.pairs is not None:
            return EventIds.of_pairs(self.pairs.reshape(-1, 2)[rows].reshape(-1))
        starts, stops = self._offsets()[rows].astype(np.int64), self._offsets()[rows + 1].astype(np.int64)
        places, _ = expand_ranges(starts, stops)
        return EventIds.of_bytes(offsets_of(stops - starts), self._data()[places])

    def between(self, first: int, after: int) -> EventIds:
        """The ids of the rows `first` to `after`, which share memory with these."""
        if self.pairs is not None:
            return EventIds.of_pairs(self.pairs[2 * first : 2 * after])
        offsets = self._offsets()
        data = self._data()[int(offsets[first]) : int(offsets[after])]
        return EventIds.of_bytes(offsets[first : after + 1] - offsets[first], data)

    def packed(self) -> EventIds:
        """The same ids, 16 bytes each where all are UUIDs."""
        if self.pairs is not None:
            return self
        count, data = len(self), self._data()
        if count and len(data) == count * UUID_LENGTH and bool((np.diff(self._offsets()) == UUID_LENGTH).all()):
            pairs = np.empty(2 * count, np.uint64)
            if read_uuids(data, pairs):
                return EventIds.of_pairs(pairs)
        return self

    def order_keys(self, rows: NDArray[np.int64]) -> tuple[NDArray[Any], ...]:
        """Keys for np.lexsort (the last one sorts first) that put the ids of `rows` in the order of their bytes."""
        if self.pairs is not None:
            return self.pairs[2 * rows + 1], self.pairs[2 * rows]
        texts = [self.at(row) for row in rows.tolist()]
        # Fixed-width bytes ignore trailing NULs; the length tells such ids apart, in the order of bytes.
        return np.array([len(text) for text in texts]), np.array(texts, "S")

    def arrays(self) -> dict[str, NDArray[Any]]:
        """For a section of a snapshot."""
        if self.pairs is not None:
            return {"id_pairs": self.pairs}
        return {"id_offsets": self._offsets(), "id_bytes": self._data()}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> EventIds:
        """The inverse of `arrays`."""
        if "id_pairs" in arrays:
            return cls.of_pairs(arrays["id_pairs"])
        return cls.of_bytes(arrays["id_offsets"], arrays["id_bytes"])

    def as_bytes(self) -> EventIds:
        """The same ids as their bytes."""
        if self.pairs is None:
            return self
        return EventIds.of_bytes(offsets_of(np.full(len(self), UUID_LENGTH)), write_uuids(self.pairs))

    def _offsets(self) -> NDArray[Any]:
        assert self.offsets is not None
        return self.offsets

    def _data(self) -> NDArray[np.uint8]:
        assert self.data is not None
        return self.data


def join_ids(parts: Sequence[EventIds]) -> EventIds:
    """All ids, part after part."""
    pairs = [part.pairs for part in parts if part.pairs is not None]
    if len(pairs) == len(parts):
        return EventIds.of_pairs(np.concatenate(pairs))
    texts = [part.as_bytes() for part in parts]
    lengths = np.concatenate([np.diff(text._offsets()).astype(np.int64) for text in texts])
    return EventIds.of_bytes(offsets_of(lengths), np.concatenate([text._data() for text in texts]))
