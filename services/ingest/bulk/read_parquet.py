"""Parquet: read group by group, a few thousand rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from core.errors import invalid
from core.events.checks import BAD_NUMBER, BAD_TEXT, Bad
from services.ingest.bulk.rows import BAD_FILE, EMPTY_FILE, Mark, NamedCells, Row

_SAMPLE_ROWS = 1_000
_BATCH_ROWS = 2_000


class ParquetRows:
    """See `services.ingest.bulk.rows.RowSource`; the offset of a mark is its row. A binary float is read as the
    shortest decimal text that means it, which is what was written where its source had decimals."""

    def __init__(self, path: Path, start: Mark | None = None) -> None:
        """Raises INVALID: EMPTY_FILE, BAD_FILE."""
        self.size_bytes = path.stat().st_size
        try:
            self._file: Any = pq.ParquetFile(path, memory_map=False, pre_buffer=False)
        except (pa.ArrowException, OSError) as error:
            raise invalid(BAD_FILE, f"the file is no sound Parquet: {str(error)[:200]}") from error
        self._total = self._file.metadata.num_rows
        if not self._total:
            raise invalid(EMPTY_FILE, "the file has no rows")
        self._cells = NamedCells(list(islice(self._named(0), _SAMPLE_ROWS)))
        self.columns = self._cells.columns
        self.late = self._cells.late
        self._row = start.row if start is not None else 0

    def rows(self) -> Iterator[Row]:
        """See RowSource."""
        for found in self._named(self._row):
            self._row += 1
            yield Row(self._row, self._cells.cells(found), None, Mark(self._row, self._row))

    def bytes_at(self, mark: Mark) -> int:
        """See RowSource."""
        return self.size_bytes * mark.row // self._total

    def close(self) -> None:
        """See RowSource."""
        self._file.close()

    def _named(self, after: int) -> Iterator[Mapping[str, object]]:
        first = 0
        for group in range(self._file.metadata.num_row_groups):
            rows = self._file.metadata.row_group(group).num_rows
            if first + rows > after:
                yield from self._group(group, max(0, after - first))
            first += rows

    def _group(self, group: int, skipped: int) -> Iterator[Mapping[str, object]]:
        try:
            for batch in self._file.iter_batches(_BATCH_ROWS, row_groups=[group]):
                if skipped >= batch.num_rows:
                    skipped -= batch.num_rows
                    continue
                part, skipped = batch.slice(skipped), 0
                columns = [_plain_column(part.column(number)) for number in range(part.num_columns)]
                names = part.schema.names
                for cells in zip(*columns, strict=True):
                    yield dict(zip(names, cells, strict=True))
        except (pa.ArrowException, OSError) as error:
            raise invalid(BAD_FILE, f"the file cannot be read: {str(error)[:200]}") from error


def _plain_column(column: Any) -> list[object]:
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        column = column.cast(pa.timestamp("us", kind.tz), safe=False)
    values: list[object] = column.to_pylist()
    if pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_boolean(kind):
        return values
    return [_plain(value) for value in values]


def _plain(value: object) -> object:
    if isinstance(value, float):
        shown = Decimal(repr(value))
        return shown if shown.is_finite() else Bad(BAD_NUMBER, f"{value!r} is no number")
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return Bad(BAD_TEXT, "is no UTF-8")
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    return value
