"""A bad road between an SDK and ingest: answers get lost on it after the call has arrived, or calls are put off.

Whatever it does, the SDK is real and so is ingest; what the SDK sent, and when, is written down.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

#: Headers that belong to one hop.
_OF_THE_HOP = frozenset({"connection", "transfer-encoding", "content-length", "host", "keep-alive"})
#: Where SDKs ask for settings; only facts go wrong.
_ASKING = ("/flags", "/decide")


@dataclass(frozen=True, slots=True)
class Fault:
    """What becomes of a call: whether ingest gets it, and what the SDK hears instead of its answer."""

    arrives: bool
    status: int
    retry_after_s: int = 0


@dataclass(frozen=True, slots=True)
class Passing:
    """A call with facts that an SDK sent, and what it was answered."""

    at_s: float
    path: str
    status: int


@dataclass(slots=True)
class Road:
    """A running road. `url` is what the SDK takes for ingest."""

    url: str
    passings: list[Passing] = field(default_factory=list)


@contextmanager
def road(port: int, faults: Sequence[Fault]) -> Iterator[Road]:
    """A road to ingest on `port` of this machine; the first calls with facts meet `faults`, one each."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.ingest_port = port
    server.faults = list(faults)
    server.guard = threading.Lock()
    server.road = Road(f"http://127.0.0.1:{server.server_address[1]}")
    threading.Thread(target=server.serve_forever, name="bad-road", daemon=True).start()
    try:
        yield server.road
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    ingest_port: int
    faults: list[Fault]
    guard: threading.Lock
    road: Road


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _pass(self) -> None:
        body = self._body()
        fault = self._fault()
        if fault is None or fault.arrives:
            status, headers, answer = self._forward(body)
        else:
            status, headers, answer = 0, {}, b""
        if fault is not None:
            status, answer = fault.status, b'{"success": false}'
            headers = {name: value for name, value in headers.items() if name.startswith("access-control-")}
            # Where nothing arrived, the page must still be able to read the answer, as ours can be read.
            origin = self.headers.get("origin")
            headers |= {"access-control-allow-origin": origin} if origin else {}
            headers |= {"access-control-expose-headers": "Retry-After"}
            headers |= {"retry-after": str(fault.retry_after_s)} if fault.retry_after_s else {}
        if self._has_facts():
            self.server.road.passings.append(Passing(time.monotonic(), self.path, status))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def do_GET(self) -> None:
        self._pass()

    def do_POST(self) -> None:
        self._pass()

    def do_OPTIONS(self) -> None:
        self._pass()

    def _has_facts(self) -> bool:
        return self.command == "POST" and not self.path.startswith(_ASKING)

    def _fault(self) -> Fault | None:
        with self.server.guard:
            return self.server.faults.pop(0) if self._has_facts() and self.server.faults else None

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("transfer-encoding", ""):
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.ingest_port, timeout=30)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _OF_THE_HOP}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            kept = {name.lower(): value for name, value in answer.getheaders() if name.lower() not in _OF_THE_HOP}
            return answer.status, kept, answer.read()
        finally:
            connection.close()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Quiet: the road is a stage, not a subject."""
