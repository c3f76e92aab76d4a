"""The rows of an import that were refused, as a CSV file that grows with it: row, reason, path, description, and the
fields as they were, so that they can be mended and imported again."""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections.abc import Generator, Sequence
from contextlib import suppress
from pathlib import Path

from services.ingest.bulk.reader import REPORT_COLUMNS
from services.runtime.durable import sync

_PART_BYTES = 256 << 10


class Report:
    """Of one import. All of it blocks: call it in a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "rejected.csv"

    def begin(self, columns: Sequence[str], size_bytes: int) -> None:
        """Keep the first `size_bytes` behind the header, which a killed process may have written beyond."""
        self._folder.mkdir(parents=True, exist_ok=True)
        head = _header(columns)
        with self._path.open("r+b" if self._path.exists() else "w+b") as file:
            # A file that was lost begins anew: what it held is not told twice.
            file.truncate(min(len(head) + size_bytes, file.seek(0, os.SEEK_END)))
            file.seek(0)
            file.write(head)

    def add(self, lines: bytes) -> None:
        """Write lines at the end."""
        with self._path.open("ab") as file:
            file.write(lines)

    def sync(self) -> None:
        """Make what was written durable."""
        with self._path.open("rb") as file:
            sync(file.fileno(), self._path)

    def parts(self, columns: Sequence[str]) -> Generator[bytes, None, None]:
        """The whole file; the header alone while there is none."""
        if not self._path.exists():
            yield _header(columns)
            return
        with self._path.open("rb") as file:
            while part := file.read(_PART_BYTES):
                yield part

    def exists(self) -> bool:
        """Whether it was begun, and is still there."""
        return self._path.exists()

    def forget(self) -> None:
        """Remove it."""
        with suppress(FileNotFoundError):
            shutil.rmtree(self._folder)


def _header(columns: Sequence[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerow((*REPORT_COLUMNS, *columns))
    return out.getvalue().encode("utf-8", "surrogateescape")
