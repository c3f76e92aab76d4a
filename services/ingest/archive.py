"""Raw accepted facts as Parquet, one folder per workspace and day.

`<folder>/<workspace>/<yyyy-mm-dd>/<first>-<last>.parquet` holds the events of the log entries `first` to `last`, and
`.facts.parquet` beside it what those entries tell of people and products (if anything), and `.unreadable.parquet` the
bytes of those that are no batch of facts (position, recorded_at, cause, payload; hardly ever). The day is the UTC day
on which the log took the entry, not that on which an event happened: so a file is a range of the log, is written once,
and loading a year of history writes a few files instead of 365 a flush. `occurred_at` is a column with statistics.

Events: position, recorded_at, id, type, occurred_at, received_at, imported, machine, identifiers (list of kind,
value), params (map of name to kind, number, text) and items (list of such maps). `kind` is core.schema.Kind; `text`
is set for texts, `number` for all others, as in core.events.columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from core.clock import DAY_US
from core.eventlog.protocol import Entry
from core.limits import day_of
from services.ingest.archive_table import facts_table, read_batches
from services.ingest.usage import Uses, added_up
from services.runtime.durable import sync, sync_folder

_DRAFT = ".draft"
#: Entries are unpacked a slice of so many bytes at a time: a range of small facts takes 20 times its size in memory.
SLICE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ArchivedRange:
    """Entries `first` to `last`, archived on `day` under `folder`."""

    day: str
    first: int
    last: int
    events: int
    facts: int
    uses: Uses = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The file's path below the workspace's folder, without what it ends in."""
        return f"{self.day}/{self.first:020d}-{self.last:020d}"


def write_ranges(folder: Path, entries: Sequence[Entry]) -> list[ArchivedRange]:
    """Write consecutive `entries` of a workspace under its `folder`, a range a day, durably; blocks. Writing the same
    entries again gives the same files. Raises OSError when they cannot be written; a failed fsync ends the process,
    because nobody knows then what is on the disk."""
    written, start = [], 0
    for end in range(1, len(entries) + 1):
        if end == len(entries) or _day(entries[end]) != _day(entries[start]):
            written.append(_write_range(folder, entries[start:end]))
            start = end
    return written


def remove_leftovers(folder: Path, position: int) -> int:
    """Remove drafts and ranges that begin beyond the committed `position`: a worker died before it could commit
    them. Returns how many files."""
    removed = 0
    for path in sorted(folder.glob("*/*")):
        first = path.name.partition("-")[0]
        if path.suffix == _DRAFT or (first.isdigit() and int(first) > position):
            path.unlink()
            removed += 1
    return removed


def _write_range(folder: Path, entries: Sequence[Entry]) -> ArchivedRange:
    written = ArchivedRange(_day(entries[0]), entries[0].position, entries[-1].position, 0, 0)
    (folder / written.day).mkdir(parents=True, exist_ok=True)
    uses: list[tuple[str, str, int]] = []
    n_events = n_facts = 0
    with ExitStack() as stack:
        events_file = stack.enter_context(_DurableTable(folder / f"{written.name}.parquet"))
        facts_file = stack.enter_context(_DurableTable(folder / f"{written.name}.facts.parquet"))
        unreadable_file = stack.enter_context(_DurableTable(folder / f"{written.name}.unreadable.parquet"))
        for some in _slices(entries):
            batches, events, unreadable = read_batches(some)
            if unreadable is not None:
                unreadable_file.add(unreadable)
            facts = facts_table(batches)
            n_events, n_facts = n_events + events.num_rows, n_facts + facts.num_rows
            events_file.add(events)
            if facts.num_rows:
                facts_file.add(facts)
            uses += [
                (day_of(entry.recorded_at_us), use.key_id, use.items) for entry, batch in batches for use in batch.uses
            ]
    sync_folder(folder / written.day)
    sync_folder(folder)
    return replace(written, events=n_events, facts=n_facts, uses=added_up(uses))


def _slices(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Neighbouring entries of about SLICE_BYTES together: what of a range is unpacked at one time."""
    some: list[Entry] = []
    size = 0
    for entry in entries:
        some.append(entry)
        size += len(entry.payload)
        if size >= SLICE_BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some


def _day(entry: Entry) -> str:
    return datetime.fromtimestamp(entry.recorded_at_us // DAY_US * 86_400, UTC).strftime("%Y-%m-%d")


class _DurableTable:
    """A Parquet file in the making, a group of rows for each table added; it gets its name once it is on the disk.
    Nothing added, no file. An exception leaves a draft, which the next owner removes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._draft = path.with_name(path.name + _DRAFT)
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> _DurableTable:
        return self

    def add(self, table: pa.Table) -> None:
        """Write a group of rows."""
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._draft, table.schema, compression="zstd", write_statistics=True)
        self._writer.write_table(table)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._writer is None:
            return
        self._writer.close()
        if kind is None:
            with self._draft.open("rb") as file:
                sync(file.fileno(), self._draft)
            self._draft.replace(self._path)
