"""The remembered message ids on disk: one row a batch while an hour lasts, a few rows an hour afterwards."""

from __future__ import annotations

import struct

import numpy as np

from core.eventlog.protocol import EventLog, Partition, TableWrite
from core.identity.dedupe import Hashes, SeenIds

#: Hour (uint32), then the batch's position (uint64) or, once the hour is over, _CLOSED and a number -> hashes.
SEEN = "seen"

_KEY = struct.Struct(">IQ")
_CLOSED = 1 << 63
_ROW_HASHES = 65_536


class SeenStore:
    """`SeenIds` with the rows that keep it. `remember` only after the batch is sure to be committed with `writes`."""

    def __init__(self, seen: SeenIds) -> None:
        self.seen = seen
        self._keys: dict[int, list[bytes]] = {}
        self._open_hour = 0
        self._open: list[Hashes] = []
        self._put: dict[bytes, bytes] = {}
        self._delete: list[bytes] = []

    @classmethod
    async def load(cls, log: EventLog, partition: Partition, seen: SeenIds) -> SeenStore:
        """Read all rows of the partition into `seen`, the oldest hour first."""
        store = cls(seen)
        rows = [(*_KEY.unpack(key), key, value) async for key, value in log.scan(partition, SEEN)]
        for hour, _, key, value in sorted(rows):
            seen.add(np.frombuffer(value, ">u8").astype(np.uint64), hour)
            store._keys.setdefault(hour, []).append(key)
        store._open_hour = max(store._keys, default=0)
        return store

    def remember(self, hashes: Hashes, hour: int, position: int) -> None:
        """The hashes of the entry at `position`, received in `hour`."""
        if not len(hashes):
            return
        hour = max(hour, self._open_hour)
        if hour > self._open_hour:
            self._close_hour()
            self._open_hour = hour
            for gone in self.seen.expire(hour):
                self._delete += self._keys.pop(gone, [])
        self.seen.add(hashes, hour)
        self._open.append(hashes)
        self._add_row(hour, position, hashes)

    def writes(self) -> list[TableWrite]:
        """What changed since the last call."""
        put, self._put = self._put, {}
        delete, self._delete = [key for key in self._delete if key not in put], []
        return [TableWrite(SEEN, put, delete)] if put or delete else []

    def _add_row(self, hour: int, number: int, hashes: Hashes) -> None:
        key = _KEY.pack(hour, number)
        self._keys.setdefault(hour, []).append(key)
        self._put[key] = hashes.astype(">u8").tobytes()

    def _close_hour(self) -> None:
        """Replace the hour's many rows by a few. Rows from before a restart stay as they are."""
        if len(self._open) > 1:
            hour, everything = self._open_hour, np.concatenate(self._open)
            mine = len(self._open)
            replaced = self._keys[hour][-mine:]
            self._keys[hour] = self._keys[hour][:-mine]
            for key in replaced:
                if self._put.pop(key, None) is None:
                    self._delete.append(key)
            earlier = len(self._keys[hour])
            for number, start in enumerate(range(0, len(everything), _ROW_HASHES), start=earlier):
                self._add_row(hour, _CLOSED | number, everything[start : start + _ROW_HASHES])
        self._open = []
