"""The files of one workspace: sent in parts that may break off, and read by imports.

`<folder>/files/<name>` is a complete file, `<name>.part` beside it one that is still arriving. Somebody with access to
the folder may put files there as well. A new upload of a name replaces the file when it is complete, never before.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from core.errors import conflict, invalid, not_found
from services.runtime.durable import require_room, sync

BAD_FILE_NAME = "BAD_FILE_NAME"
NO_SUCH_FILE = "NO_SUCH_FILE"
UPLOAD_OFFSET = "UPLOAD_OFFSET"
FILE_TOO_LARGE = "FILE_TOO_LARGE"
FILE_INCOMPLETE = "FILE_INCOMPLETE"
UPLOAD_LONGER = "UPLOAD_LONGER_THAN_TOLD"
UPLOAD_UNDER_WAY = "UPLOAD_UNDER_WAY"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_PART = ".part"


@dataclass(frozen=True, slots=True)
class FileState:
    """How much of a file is there, and when it changed last."""

    name: str
    size_bytes: int
    complete: bool
    changed_at_us: int = 0


def is_file_name(name: str) -> bool:
    """Whether a file may be called so."""
    return bool(_NAME.fullmatch(name)) and not name.endswith(_PART)


class BulkFiles:
    """Of one workspace, on the process that owns it. An upload is one stream at a time for each name."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._arriving: set[str] = set()

    def path(self, name: str) -> Path:
        """A complete file. Raises NOT_FOUND / NO_SUCH_FILE, CONFLICT / FILE_INCOMPLETE."""
        _checked(name)
        path = self._folder / name
        if path.is_symlink() or not path.is_file():
            if (self._folder / (name + _PART)).is_file():
                raise conflict(FILE_INCOMPLETE, f"file {name!r} has not arrived whole: go on with its upload")
            raise not_found(NO_SUCH_FILE, f"there is no file {name!r}")
        return path

    def state(self, name: str) -> FileState:
        """How much of it there is; an upload that is under way comes before the file that it will replace. Raises
        NOT_FOUND / NO_SUCH_FILE."""
        _checked(name)
        part = self._folder / (name + _PART)
        if part.is_file():
            return _state(name, part, complete=False)
        return _state(name, self.path(name), complete=True)

    def all(self) -> list[FileState]:
        """Every file, by name."""
        found = {path.name.removesuffix(_PART) for path in self._folder.glob("*") if path.is_file()}
        return [self.state(name) for name in sorted(found) if is_file_name(name)]

    def is_arriving(self, name: str) -> bool:
        """Whether an upload of it is under way."""
        return name in self._arriving

    def delete(self, name: str) -> None:
        """Remove a file and what arrived of its next upload. Raises NOT_FOUND, CONFLICT / UPLOAD_UNDER_WAY."""
        self.state(name)
        if name in self._arriving:
            raise conflict(UPLOAD_UNDER_WAY, f"file {name!r} is arriving")
        (self._folder / (name + _PART)).unlink(missing_ok=True)
        (self._folder / name).unlink(missing_ok=True)

    def stamp(self, name: str, now_us: int) -> None:
        """A complete file arrived at this instant."""
        os.utime(self.path(name), ns=(now_us * 1_000, now_us * 1_000))

    async def receive(self, name: str, offset: int, size_bytes: int, parts: AsyncIterator[bytes]) -> FileState:
        """Take `parts` from `offset` on. `size_bytes` is that of the whole file (0: it ends with the parts). What
        arrived stays when the parts break off.

        Raises INVALID: BAD_FILE_NAME, FILE_TOO_LARGE, UPLOAD_LONGER_THAN_TOLD (what arrived up to there stays);
        CONFLICT: UPLOAD_OFFSET beyond what arrived, UPLOAD_UNDER_WAY; EXHAUSTED: DISK_FULL.
        """
        _checked(name)
        if size_bytes > self._limit_bytes:
            raise self._too_large()
        if name in self._arriving:
            raise conflict(UPLOAD_UNDER_WAY, f"file {name!r} is arriving already, by another stream")
        self._arriving.add(name)
        try:
            return await self._receive(name, offset, size_bytes, parts)
        finally:
            self._arriving.discard(name)

    async def _receive(self, name: str, offset: int, size_bytes: int, parts: AsyncIterator[bytes]) -> FileState:
        part_path = self._folder / (name + _PART)
        self._folder.mkdir(parents=True, exist_ok=True)
        arrived = part_path.stat().st_size if part_path.is_file() else 0
        if offset > arrived:
            raise conflict(UPLOAD_OFFSET, f"{arrived} bytes of file {name!r} arrived: go on at {arrived}")
        limit = size_bytes or self._limit_bytes
        with part_path.open("r+b" if arrived else "wb") as file:
            file.truncate(offset)
            file.seek(offset)
            at = offset
            async for part in parts:
                kept = part[: limit - at]
                require_room(self._folder, len(kept))
                await asyncio.to_thread(file.write, kept)
                at += len(kept)
                if len(kept) < len(part):
                    if size_bytes:
                        raise invalid(UPLOAD_LONGER, f"{size_bytes} bytes were announced, and more came")
                    raise self._too_large()
            if size_bytes and at < size_bytes:
                return FileState(name, at, complete=False)
            file.flush()
            await asyncio.to_thread(sync, file.fileno(), part_path)
        part_path.replace(self._folder / name)
        return FileState(name, at, complete=True)

    def _too_large(self) -> Exception:
        return invalid(FILE_TOO_LARGE, f"a file has at most {self._limit_bytes} bytes")


def _state(name: str, path: Path, *, complete: bool) -> FileState:
    found = path.stat()
    return FileState(name, found.st_size, complete, found.st_mtime_ns // 1_000)


def _checked(name: str) -> None:
    if not is_file_name(name):
        what = (
            "1 to 100 letters, digits, dots, dashes and underlines, a letter or a digit first, and no .part at its end"
        )
        raise invalid(BAD_FILE_NAME, f"a file's name has {what}")
