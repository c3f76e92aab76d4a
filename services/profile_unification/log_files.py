"""Unification's log as Parquet: ranges of entries, written once, and rewritten only where people are forgotten.

`<folder>/<first>-<last>.<generation>.parquet` holds the entries `first` to `last`, one a row: position (uint64),
recorded_at (instant), payload (the serialised cdp.facts.v1.FactBatch). No position is left out. A file that was
rewritten has the next generation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from core.eventlog.protocol import Entry
from services.runtime.durable import sync, sync_folder

_DRAFT = ".draft"
#: Entries that are read together: a page of a timeline reads as many for each entry that it wants.
_GROUP_ENTRIES = 64
_INSTANT = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, slots=True)
class LogRange:
    """Entries `first` to `last`, in the file of this generation, which has `size_bytes`."""

    first: int
    last: int
    generation: int = 0
    size_bytes: int = 0

    @property
    def name(self) -> str:
        """The file's name."""
        return f"{self.first:020d}-{self.last:020d}.{self.generation}.parquet"


def write_range(folder: Path, entries: Sequence[Entry], generation: int = 0) -> LogRange:
    """Write consecutive `entries` (one at least), durably; blocks. Raises OSError when they cannot be written; a failed
    fsync ends the process, because nobody knows then what is on the disk."""
    folder.mkdir(parents=True, exist_ok=True)
    written = LogRange(entries[0].position, entries[-1].position, generation)
    table = pa.table(
        {
            "position": _array([one.position for one in entries], pa.uint64()),
            "recorded_at": _array([one.recorded_at_us for one in entries], pa.int64()).cast(_INSTANT),
            "payload": _array([one.payload for one in entries], pa.large_binary()),
        }
    )
    path = folder / written.name
    draft = path.with_name(path.name + _DRAFT)
    pq.write_table(table, draft, compression="zstd", row_group_size=_GROUP_ENTRIES, use_dictionary=False)
    with draft.open("rb") as file:
        sync(file.fileno(), draft)
    draft.replace(path)
    sync_folder(folder)
    return LogRange(written.first, written.last, generation, path.stat().st_size)


def read_range(folder: Path, one: LogRange, after: int, limit_entries: int, limit_bytes: int) -> list[Entry]:
    """Entries of the range with position > `after`, as `EventLog.read` gives them; blocks. Raises FileNotFoundError
    for a file that was rewritten meanwhile."""
    found: list[Entry] = []
    size_bytes = 0
    with pq.ParquetFile(folder / one.name) as file:
        group = max(0, after + 1 - one.first) // _GROUP_ENTRIES
        while group < file.num_row_groups and len(found) < limit_entries:
            for entry in _entries(file.read_row_group(group)):
                if entry.position <= after:
                    continue
                size_bytes += len(entry.payload)
                if len(found) == limit_entries or (found and size_bytes > limit_bytes):
                    return found
                found.append(entry)
            group += 1
    return found


def remove_range(folder: Path, one: LogRange) -> None:
    """The file is no longer wanted; its folder entry is gone for good when this returns."""
    (folder / one.name).unlink(missing_ok=True)
    sync_folder(folder)


def remove_strays(folder: Path, ranges: Sequence[LogRange]) -> int:
    """Remove drafts and files that no range stands for: a worker died before it could commit them, or before it could
    remove what it had replaced. Returns how many."""
    wanted = {one.name for one in ranges}
    strays = [path for path in sorted(folder.glob("*")) if path.name not in wanted]
    for path in strays:
        path.unlink()
    return len(strays)


def _entries(table: Any) -> list[Entry]:
    columns = (table.column("position"), table.column("recorded_at").cast(pa.int64()), table.column("payload"))
    rows = zip(*(column.to_pylist() for column in columns), strict=True)
    return [Entry(position, recorded_at_us, payload) for position, recorded_at_us, payload in rows]


def _array(values: Sequence[object], kind: object) -> Any:
    # The stubs of pyarrow take the shape of the first overload; Arrow checks types itself.
    make: Any = pa.array
    return make(values, kind)
