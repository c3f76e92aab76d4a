"""HTTP/1.1 that does not wait for ever: a request has a time in which it must have arrived, head and body."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

_ARRIVING = (h11.IDLE, h11.SEND_BODY)


class PatientProtocol(H11Protocol):
    """uvicorn's protocol, which by itself waits without end for a head or a body that trickles in.

    A connection is closed `request_s` after it was made, or after the first byte of a later request, unless the whole
    request is there. A large body, as of a file, has so long again as often as `least_bytes` of it came in that time,
    or as we did not read it. Between requests the keep-alive timeout holds, as before.
    """

    request_s: ClassVar[float] = 20.0
    least_bytes: ClassVar[int] = 256 << 10

    _closing: asyncio.TimerHandle | None = None
    _came: int = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio.Protocol."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._came += len(data)
        super().data_received(data)
        if self.conn.their_state not in _ARRIVING:
            self._let_be()
        elif self._closing is None and not self.transport.is_closing():
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._let_be()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._came = 0
        self._closing = self.loop.call_later(self.request_s, self._look)

    def _look(self) -> None:
        if self._came >= self.least_bytes or self.flow.read_paused:
            self._wait()
        else:
            self._closing = None
            self.transport.close()

    def _let_be(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
