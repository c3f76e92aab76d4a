"""The bytes of a feed's file: unpacked as they are read, counted, and never more than the limit."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from core.errors import invalid

BAD_FILE = "BAD_FEED_FILE"
FILE_TOO_LARGE = "FEED_TOO_LARGE"

_GZIP = b"\x1f\x8b"
_PART_BYTES = 1 << 18
#: Room for the header and trailer of gzip.
_WITH_GZIP_HEADER = 31


class FeedSource:
    """A file opened for reading once, from its beginning; `close` it. gzip is found by its first bytes, one stream or
    several. Raises INVALID / BAD_FEED_FILE for gzip that is cut or broken, FEED_TOO_LARGE beyond `limit_bytes`."""

    def __init__(self, path: Path, limit_bytes: int) -> None:
        self._file: BinaryIO = path.open("rb")
        self._limit_bytes = limit_bytes
        self._given_bytes = 0
        self._rest = b""
        self.total_bytes = path.stat().st_size
        packed = self._file.read(2) == _GZIP
        self._file.seek(0)
        self._unpacker = zlib.decompressobj(_WITH_GZIP_HEADER) if packed else None
        self._next: Callable[[], bytes] = self._unpacked if packed else self._plain

    @property
    def read_bytes(self) -> int:
        """How much of the file, as it lies, was read."""
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; b"" at the end. Readers ask for a positive size."""
        if not self._rest:
            self._rest = self._next()
        part, self._rest = (self._rest, b"") if size < 0 else (self._rest[:size], self._rest[size:])
        self._given_bytes += len(part)
        if self._given_bytes > self._limit_bytes:
            raise invalid(FILE_TOO_LARGE, f"the feed has more than {self._limit_bytes} bytes, unpacked")
        return part

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

    def _plain(self) -> bytes:
        return self._file.read(_PART_BYTES)

    def _unpacked(self) -> bytes:
        assert self._unpacker is not None, "only for packed files"
        while True:
            waiting = self._unpacker.unconsumed_tail
            raw = waiting or self._unpacker.unused_data or self._file.read(_PART_BYTES)
            if self._unpacker.eof:
                if not raw:
                    return b""
                self._unpacker = zlib.decompressobj(_WITH_GZIP_HEADER)
            elif not raw:
                raise invalid(BAD_FILE, "the gzip file is cut off")
            try:
                part = self._unpacker.decompress(raw, _PART_BYTES)
            except zlib.error as error:
                raise invalid(BAD_FILE, f"the file is no sound gzip: {error}") from error
            if part:
                return part
