"""A script for browsers, as it stands in a file: packed when the process starts, fetched again only when it changed."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

_MEDIA_TYPE = "text/javascript; charset=utf-8"


class Script:
    """One file. Pages of any origin may load it; browsers keep it for `max_age_s`."""

    def __init__(self, path: Path, max_age_s: int = 3_600, more: Mapping[str, str] | None = None) -> None:
        self._source = path.read_bytes()
        self._packed = gzip.compress(self._source, 9, mtime=0)
        self._headers = {
            "ETag": f'"{sha256(self._source).hexdigest()[:16]}"',
            "Cache-Control": f"public, max-age={max_age_s}",
            "Vary": "Accept-Encoding",
            "X-Content-Type-Options": "nosniff",
            **(more or {}),
        }

    async def answer(self, request: Request) -> Response:
        """The script, or 304 for who has it."""
        if request.headers.get("if-none-match") == self._headers["ETag"]:
            return Response(status_code=304, headers=self._headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(self._packed, headers={**self._headers, "Content-Encoding": "gzip"}, media_type=_MEDIA_TYPE)
        return Response(self._source, headers=self._headers, media_type=_MEDIA_TYPE)
