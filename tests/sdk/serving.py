"""A site for the browser SDKs: the pages of this folder, and the packages that npm installed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

_PAGES = Path(__file__).parent / "pages"
_PACKAGES = "/node_modules/"


class _Site(SimpleHTTPRequestHandler):
    extensions_map: dict[str, str] = {**SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript"}  # noqa: RUF012

    def __init__(self, *given: Any, packages: Path) -> None:
        self._packages = packages
        super().__init__(*given)

    def translate_path(self, path: str) -> str:
        """The file that a path stands for: a page, or one of a package."""
        clean = unquote(urlsplit(path).path)
        if clean.startswith(_PACKAGES):
            return str(self._packages / clean.removeprefix(_PACKAGES))
        return str(_PAGES / clean.lstrip("/"))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Quiet: the site is a stage, not a subject."""


@contextmanager
def site(packages: Path) -> Iterator[str]:
    """The address of the site, another one than ingest's."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Site, packages=packages))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="sdk-pages", daemon=True).start()
    try:
        yield f"http://shop.localhost:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
