"""Where a workspace's feeds keep their files: under the data folder, beside the archive."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from core.errors import invalid, not_found
from services.ingest.feeds.source import FILE_TOO_LARGE
from services.runtime.durable import require_room, sync

EMPTY_UPLOAD = "EMPTY_UPLOAD"
_UPLOAD = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class FeedFiles:
    """The files of one feed; `folder` is its own."""

    folder: Path

    @property
    def store(self) -> Path:
        """Its items, as SQLite."""
        return self.folder / "items.sqlite"

    @property
    def fetched(self) -> Path:
        """What its URL gave last."""
        return self.folder / "fetched.feed"

    def upload(self, name: str) -> Path:
        """An uploaded file. Raises NOT_FOUND / NO_SUCH_UPLOAD for one that is not there (any more)."""
        path = self.folder / f"{name}.upload"
        if not _UPLOAD.fullmatch(name) or not path.is_file():
            raise not_found("NO_SUCH_UPLOAD", "there is no such upload of this feed; a later one replaces it")
        return path

    async def receive(self, parts: AsyncIterator[bytes], limit_bytes: int) -> tuple[str, int]:
        """Keep an upload: its name and bytes. Raises INVALID: FEED_TOO_LARGE, EMPTY_UPLOAD; EXHAUSTED: DISK_FULL; then
        nothing is kept."""
        name, size = secrets.token_hex(16), 0
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = self.folder / f"{name}.draft"
        try:
            with draft.open("wb") as file:
                async for part in parts:
                    size += len(part)
                    if size > limit_bytes:
                        raise invalid(FILE_TOO_LARGE, f"a feed has at most {limit_bytes} bytes")
                    require_room(self.folder, len(part))
                    await asyncio.to_thread(file.write, part)
                file.flush()
                await asyncio.to_thread(sync, file.fileno(), draft)
            if not size:
                raise invalid(EMPTY_UPLOAD, "the upload has no bytes")
            draft.replace(self.folder / f"{name}.upload")
        finally:
            draft.unlink(missing_ok=True)
        return name, size

    def forget_uploads(self, kept: frozenset[str]) -> None:
        """Remove the uploads that are not among `kept`."""
        for path in self.folder.glob("*.upload"):
            if path.stem not in kept:
                path.unlink(missing_ok=True)

    def forget_drafts(self) -> None:
        """Remove what was left half written; only when nobody writes."""
        for pattern in ("*.draft", "*.part"):
            for path in self.folder.glob(pattern):
                path.unlink(missing_ok=True)
