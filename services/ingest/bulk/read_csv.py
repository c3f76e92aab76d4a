"""Text with a line of column names. Lines are counted in bytes, so that reading goes on at any row without the rest."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from core.errors import invalid
from core.events.checks import Bad
from services.ingest.bulk.rows import BAD_ENCODING, BAD_FILE, BAD_ROW, EMPTY_FILE, MOST_ROW_BYTES, Mark, Row
from services.ingest.bulk.spec import DELIMITERS

_SAMPLE_BYTES = 1 << 20
_MOST_COLUMNS = 2_000
_GZIP = b"\x1f\x8b"
_MARKS_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class CsvRows:
    """See `services.ingest.bulk.rows.RowSource`."""

    def __init__(self, path: Path, encoding: str, delimiter: str, start: Mark | None = None) -> None:
        """`delimiter` empty: found out from the first line. Raises INVALID: EMPTY_FILE, BAD_ENCODING, BAD_FILE."""
        csv.field_size_limit(MOST_ROW_BYTES)
        self.size_bytes = path.stat().st_size
        self.late: set[str] = set()
        self._encoding = encoding
        self._file = path.open("rb")
        self._offset = begin_text(self._file.read(_SAMPLE_BYTES), encoding)
        self._file.seek(self._offset)
        self.delimiter = delimiter or self._found_delimiter()
        reader = csv.reader(self._lines(), delimiter=self.delimiter, strict=True)
        try:
            header = next((row for row in reader if row), None)
        except csv.Error as error:
            raise invalid(BAD_FILE, f"the line of column names cannot be read: {error}") from error
        if header is None:
            raise invalid(EMPTY_FILE, "the file has no line of column names")
        self.columns: Sequence[str] = _column_names(header)
        self._row = 0
        if start is not None and start.offset:
            self._row, self._offset = start.row, start.offset
            self._file.seek(start.offset)

    def rows(self) -> Iterator[Row]:
        """See RowSource. A row that cannot be taken apart is told and the next one is read."""
        width = len(self.columns)
        reader = csv.reader(self._lines(), delimiter=self.delimiter, strict=True)
        while True:
            cells: list[str] = []
            wrong = None
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                wrong = Bad(BAD_ROW, f"is no row of this format: {error}")
            if not cells and wrong is None:
                continue
            self._row += 1
            if wrong is None and len(cells) != width:
                wrong = Bad(BAD_ROW, f"has {len(cells)} fields, there are {width} columns")
            yield Row(self._row, cells, wrong, Mark(self._row, self._offset))

    def bytes_at(self, mark: Mark) -> int:
        """See RowSource."""
        return mark.offset

    def close(self) -> None:
        """See RowSource."""
        self._file.close()

    def _lines(self) -> Iterator[str]:
        # Broken bytes become lone surrogates, which the door refuses in the item that holds them.
        while line := self._file.readline(MOST_ROW_BYTES + 1):
            if len(line) > MOST_ROW_BYTES:
                raise invalid(BAD_FILE, f"a line behind byte {self._offset} is longer than {MOST_ROW_BYTES} bytes")
            self._offset += len(line)
            yield line.decode(self._encoding, "surrogateescape")

    def _found_delimiter(self) -> str:
        line = self._file.readline(_SAMPLE_BYTES).decode(self._encoding, "surrogateescape")
        self._file.seek(self._offset)
        outside = "".join(line.split('"')[::2])
        return max(DELIMITERS, key=outside.count)


def begin_text(head: bytes, encoding: str) -> int:
    """Where the text of a file begins, behind its byte order mark. Raises INVALID: BAD_FILE for what is packed,
    BAD_ENCODING for what is plainly not of `encoding`."""
    if head.startswith(_GZIP):
        raise invalid(BAD_FILE, "the file is packed with gzip: unpack it first")
    if head.startswith(_MARKS_16):
        raise invalid(BAD_ENCODING, "the file is UTF-16: save it as UTF-8")
    utf8 = codecs.lookup(encoding).name == "utf-8"
    if head.startswith(codecs.BOM_UTF8):
        if not utf8:
            raise invalid(BAD_ENCODING, f"the file says that it is UTF-8, not {encoding}")
        return len(codecs.BOM_UTF8)
    if utf8 and _is_of_another_encoding(head):
        raise invalid(BAD_ENCODING, "the file is no UTF-8: name its encoding, such as windows-1251")
    return 0


def _is_of_another_encoding(head: bytes) -> bool:
    """Whether most lines that are more than ASCII are no UTF-8; a few broken ones are the rows' own matter."""
    lines = head.split(b"\n")
    told = [line for line in (lines[:-1] or lines) if not line.isascii()]
    broken = 0
    for line in told:
        try:
            line.decode()
        except UnicodeDecodeError:
            broken += 1
    return 2 * broken > len(told)


def _column_names(header: Sequence[str]) -> list[str]:
    if len(header) > _MOST_COLUMNS:
        raise invalid(BAD_FILE, f"a file has at most {_MOST_COLUMNS} columns")
    names = [name.strip() or f"column {number}" for number, name in enumerate(header, 1)]
    twice = next((name for number, name in enumerate(names) if name in names[:number]), None)
    if twice is not None:
        raise invalid(BAD_FILE, f"two columns are called {twice[:100]!r}")
    return names
