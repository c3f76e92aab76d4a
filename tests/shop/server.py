"""The demo shop's server: static pages, with the tracker's address and key put in.

`python -m tests.shop.server PORT INGEST_URL KEY` serves it until Ctrl-C.
"""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

PAGES = Path(__file__).parent / "pages"
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".json": "application/json"}


@dataclass(frozen=True, slots=True)
class Shop:
    """A running shop. `url` opens it."""

    port: int
    _server: ThreadingHTTPServer

    @property
    def url(self) -> str:
        """The main page. Browsers take hosts under localhost for this machine, and for a site of its own."""
        return f"http://shop.localhost:{self.port}/"

    def stop(self) -> None:
        """Close the port. Idempotent."""
        self._server.shutdown()
        self._server.server_close()


def serve(
    port: int, ingest_url: str, key: str, *, consent: str = "required", channel_url: str = "", inbox_token: str = ""
) -> Shop:
    """Serve the shop on `port` (0: any free one) in a thread; its pages send to `ingest_url` with the write-only
    `key`. `consent` is the tracker's data-consent: with "required" a banner asks first. Pop-ups come from `channel_url`
    (empty: there are none), and the page inbox.html reads the inbox that `inbox_token` opens."""
    server = _Server(("127.0.0.1", port), _Handler)
    server.daemon_threads = True
    messages = channel_url.rstrip("/")
    popups = f'<script async src="{escape(messages)}/popup.js" data-key="{escape(key)}"></script>' if messages else ""
    server.words = {"INGEST": escape(ingest_url.rstrip("/")), "KEY": escape(key), "CONSENT": escape(consent)}
    server.words |= {"POPUPS": popups, "CHANNEL": escape(messages), "INBOX": escape(inbox_token)}
    threading.Thread(target=server.serve_forever, name="demo-shop", daemon=True).start()
    return Shop(server.server_address[1], server)


class _Server(ThreadingHTTPServer):
    words: dict[str, str]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        path = urlsplit(self.path).path.lstrip("/") or "index.html"
        known = {one.name: one for one in PAGES.iterdir()}
        found = known.get(path)
        body = (found or PAGES / "missing.html").read_bytes()
        kind = _TYPES[(found or PAGES / "missing.html").suffix]
        if kind in ("text/html", "text/javascript"):
            text = body.decode()
            for name, word in self.server.words.items():
                text = text.replace(f"{{{{{name}}}}}", word)
            body = text.encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Quiet: the shop is a stage, not a subject."""


def main() -> None:
    """Serve until Ctrl-C."""
    port, ingest_url, key = sys.argv[1:4]
    shop = serve(int(port), ingest_url, key)
    print(f"the demo shop is at {shop.url}")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        shop.stop()


if __name__ == "__main__":
    main()
