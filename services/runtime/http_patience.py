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
    request is there. Between requests the keep-alive timeout holds, as before.
    """

    request_s: ClassVar[float] = 20.0

    _closing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio.Protocol."""
        super().connection_made(transport)
        self._closing = self.loop.call_later(self.request_s, transport.close)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        super().data_received(data)
        if self.conn.their_state not in _ARRIVING:
            self._let_be()
        elif self._closing is None and not self.transport.is_closing():
            self._closing = self.loop.call_later(self.request_s, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._let_be()
        super().connection_lost(exc)

    def _let_be(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
