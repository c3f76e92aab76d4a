"""Raw accepted facts as Parquet, one folder per workspace and day.

`<folder>/<workspace>/<yyyy-mm-dd>/<first>-<last>.parquet` holds the events of the log entries `first` to `last`, and
`.facts.parquet` beside it what those entries tell of people and products (if anything). The day is the UTC day on
which the log took the entry, not that on which an event happened: so a file is a range of the log, is written once,
and loading a year of history writes a few files instead of 365 a flush. `occurred_at` is a column with statistics.

Events: position, recorded_at, id, type, occurred_at, received_at, imported, machine, identifiers (list of kind,
value), params (map of name to kind, number, text) and items (list of such maps). `kind` is core.schema.Kind; `text`
is set for texts, `number` for all others, as in core.events.columns.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cdp.facts.v1 import facts_pb2
from core.clock import DAY_US
from core.eventlog.protocol import Entry
from core.limits import day_of
from services.ingest.archive_table import events_table, facts_table
from services.ingest.usage import Uses, added_up
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)
_DRAFT = ".draft"
_EX_IOERR = 74


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
    batches = [(one, facts_pb2.AcceptedBatch.FromString(one.payload)) for one in entries]
    events, facts = events_table(batches), facts_table(batches)
    written = ArchivedRange(
        _day(entries[0]), entries[0].position, entries[-1].position, events.num_rows, facts.num_rows
    )
    (folder / written.day).mkdir(parents=True, exist_ok=True)
    _write_durably(events, folder / f"{written.name}.parquet")
    if facts.num_rows:
        _write_durably(facts, folder / f"{written.name}.facts.parquet")
    _sync_folder(folder / written.day)
    _sync_folder(folder)
    uses = added_up(
        (day_of(entry.recorded_at_us), use.key_id, use.items) for entry, batch in batches for use in batch.uses
    )
    return replace(written, uses=uses)


def _day(entry: Entry) -> str:
    return datetime.fromtimestamp(entry.recorded_at_us // DAY_US * 86_400, UTC).strftime("%Y-%m-%d")


def _write_durably(table: pa.Table, path: Path) -> None:
    draft = path.with_name(path.name + _DRAFT)
    pq.write_table(table, draft, compression="zstd", write_statistics=True)
    with draft.open("rb") as file:
        _sync(file.fileno(), draft)
    draft.replace(path)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _sync(descriptor, folder)
    finally:
        os.close(descriptor)


def _sync(descriptor: int, path: Path) -> None:
    try:
        os.fsync(descriptor)
    except OSError:
        _LOG.exception("fsync failed, ending the process", path=str(path))
        os._exit(_EX_IOERR)
