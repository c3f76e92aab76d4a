"""A column over all contacts that readers pin: chunks of 65,536 rows, copied when written after being pinned."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from core.kernels.ranges import sorted_unique

CHUNK = 65_536


class FrozenColumn:
    """`n` rows that never change."""

    __slots__ = ("_all", "_chunks", "n")

    def __init__(self, chunks: tuple[NDArray[Any], ...], n: int) -> None:
        self.n = n
        self._chunks = chunks
        self._all: NDArray[Any] | None = chunks[0][:n] if len(chunks) == 1 else None

    def all(self) -> NDArray[Any]:
        """Every row, made once per pinned version; do not write."""
        if self._all is None:
            self._all = np.concatenate(self._chunks)[: self.n] if self._chunks else np.zeros(0, np.int64)
        return self._all

    def take(self, rows: NDArray[np.integer]) -> NDArray[Any]:
        """The values at `rows` (each below n), in their order; touches only their chunks."""
        if self._all is not None or len(rows) * 64 > self.n:
            taken: NDArray[Any] = self.all()[rows]
            return taken
        return _gather(self._chunks, rows)


class ChunkedColumn:
    """The writer's side. `fill` stands in rows that were never set."""

    def __init__(self, dtype: DTypeLike, fill: int) -> None:
        self._dtype = np.dtype(dtype)
        self._fill = fill
        self._chunks: list[NDArray[Any]] = []
        self._pinned: list[bool] = []
        self._frozen: FrozenColumn | None = None
        self.n = 0

    def grow(self, n: int) -> None:
        """Make rows `0..n` exist; never shrinks."""
        while len(self._chunks) * CHUNK < n:
            self._chunks.append(np.full(CHUNK, self._fill, self._dtype))
            self._pinned.append(False)
        if n > self.n:
            self.n = n
            self._frozen = None

    def get(self, rows: NDArray[np.integer]) -> NDArray[Any]:
        """The values at `rows`, each below n."""
        return _gather(tuple(self._chunks), rows) if len(self._chunks) != 1 else self._chunks[0][rows]

    def set(self, rows: NDArray[np.integer], values: NDArray[Any] | int) -> None:
        """Write unique `rows`, each below n; pinned chunks are copied first."""
        if len(rows) == 0:
            return
        self._frozen = None
        chunk_of = rows // CHUNK
        for number in sorted_unique(chunk_of).tolist():
            if self._pinned[number]:
                self._chunks[number] = self._chunks[number].copy()
                self._pinned[number] = False
            inside = chunk_of == number
            self._chunks[number][rows[inside] % CHUNK] = values if isinstance(values, int) else values[inside]

    def freeze(self) -> FrozenColumn:
        """Pin the present rows for readers; the same object until something is written."""
        if self._frozen is None:
            self._pinned = [True] * len(self._chunks)
            self._frozen = FrozenColumn(tuple(self._chunks), self.n)
        return self._frozen


def _gather(chunks: tuple[NDArray[Any], ...], rows: NDArray[np.integer]) -> NDArray[Any]:
    if len(rows) == 0:
        return (chunks[0] if chunks else np.zeros(0, np.int64))[:0]
    result = np.empty(len(rows), chunks[0].dtype)
    chunk_of = rows // CHUNK
    for number in sorted_unique(chunk_of).tolist():
        inside = chunk_of == number
        result[inside] = chunks[number][rows[inside] % CHUNK]
    return result
