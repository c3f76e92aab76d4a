"""A JSON object on each line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

from core.errors import CdpError, invalid
from core.events.checks import Bad
from services.ingest.bulk.read_csv import begin_text
from services.ingest.bulk.rows import BAD_FILE, BAD_ROW, EMPTY_FILE, MOST_ROW_BYTES, Mark, NamedCells, Row
from services.ingest.strict_json import parse

_SAMPLE_BYTES = 1 << 20
_SAMPLE_ROWS = 1_000


class NdjsonRows:
    """See `services.ingest.bulk.rows.RowSource`. The columns are the names within the first 1,000 lines."""

    def __init__(self, path: Path, start: Mark | None = None) -> None:
        """Raises INVALID: EMPTY_FILE, BAD_ENCODING, BAD_FILE."""
        self.size_bytes = path.stat().st_size
        self._file = path.open("rb")
        self._offset = begin_text(self._file.read(_SAMPLE_BYTES), "utf-8")
        self._file.seek(self._offset)
        begin = Mark(0, self._offset)
        found = [_object(line) for line in islice(self._lines(), _SAMPLE_ROWS)]
        if not found:
            raise invalid(EMPTY_FILE, "the file has no rows")
        self._cells = NamedCells([one for one in found if not isinstance(one, Bad)])
        self.columns = self._cells.columns
        self.late = self._cells.late
        place = start if start is not None and start.offset else begin
        self._row, self._offset = place.row, place.offset
        self._file.seek(place.offset)

    def rows(self) -> Iterator[Row]:
        """See RowSource."""
        for line in self._lines():
            self._row += 1
            found = _object(line)
            after = Mark(self._row, self._offset)
            if isinstance(found, Bad):
                yield Row(self._row, (line.decode("utf-8", "replace").strip(),), found, after)
            else:
                yield Row(self._row, self._cells.cells(found), None, after)

    def bytes_at(self, mark: Mark) -> int:
        """See RowSource."""
        return mark.offset

    def close(self) -> None:
        """See RowSource."""
        self._file.close()

    def _lines(self) -> Iterator[bytes]:
        while line := self._file.readline(MOST_ROW_BYTES + 1):
            if len(line) > MOST_ROW_BYTES:
                raise invalid(BAD_FILE, f"a line behind byte {self._offset} is longer than {MOST_ROW_BYTES} bytes")
            self._offset += len(line)
            if not line.isspace():
                yield line


def _object(line: bytes) -> Mapping[str, object] | Bad:
    try:
        found = parse(line)
    except CdpError as error:
        return Bad(error.reason, error.message)
    return found if isinstance(found, Mapping) else Bad(BAD_ROW, "is no JSON object")
