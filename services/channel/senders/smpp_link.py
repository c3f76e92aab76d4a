"""The one connection of a provider, opened when it is needed and again after it was lost.

One bind for each workspace and provider: a provider counts binds, and a window says how much is on its way at once.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from services.channel.senders.smpp_pdu import Deliver, Pdu, Submit
from services.channel.senders.smpp_session import NotSentError, SmppServer, SmppSession, TakeDeliver
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)
#: After a failure nobody tries for so long; it doubles with each in a row.
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0


class SmppLink:
    """Submits over a session that it keeps. `listen` keeps it open for receipts even when nothing is submitted."""

    def __init__(self, name: str, take: TakeDeliver) -> None:
        self._name = name
        self._take = take
        self._session: SmppSession | None = None
        self._opening = asyncio.Lock()
        self._failures = 0
        self._not_before_s = 0.0
        self._failed = ""
        self._listener: asyncio.Task[None] | None = None

    async def submit(self, server: SmppServer, submit: Submit) -> Pdu:
        """The provider's answer. Raises NotSentError or LostError, see SmppSession."""
        session = await self._open(server)
        return await session.submit(submit)

    def listen(self, server: SmppServer) -> None:
        """Keep a session open from now on, whatever becomes of it. Called again, it changes nothing."""
        if self._listener is None:
            self._listener = asyncio.create_task(self._keep_open(server))

    async def close(self) -> None:
        """Unbind and listen no more. Idempotent."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.cancel()
            with suppress(asyncio.CancelledError):
                await listener
        async with self._opening:
            await self._drop()

    async def _open(self, server: SmppServer) -> SmppSession:
        session = self._session
        if session is not None and not session.ended.done():
            return session
        async with self._opening:
            if self._session is not None and not self._session.ended.done():
                return self._session
            await self._drop()
            loop = asyncio.get_running_loop()
            if loop.time() < self._not_before_s:
                raise NotSentError(self._failed)
            try:
                self._session = await SmppSession.open(server, self._taken)
            except NotSentError as error:
                pause_s = min(_FIRST_PAUSE_S * 2**self._failures, _LONGEST_PAUSE_S)
                self._failures = min(self._failures + 1, 10)
                self._not_before_s = loop.time() + pause_s
                self._failed = str(error)
                _LOG.warning("smpp session not opened", provider=self._name, reason=str(error), pause_s=pause_s)
                raise
            self._failures = 0
            _LOG.info("smpp session bound", provider=self._name)
            return self._session

    async def _drop(self) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        if session.ended.done():
            _LOG.info("smpp session over", provider=self._name, reason=session.ended.result())
        await session.close()

    async def _taken(self, deliver: Deliver) -> bool:
        return await self._take(deliver)

    async def _keep_open(self, server: SmppServer) -> None:
        while True:
            try:
                session = await self._open(server)
            except NotSentError:
                await asyncio.sleep(max(_FIRST_PAUSE_S, self._not_before_s - asyncio.get_running_loop().time()))
                continue
            await asyncio.wait((session.ended,))
            await asyncio.sleep(_FIRST_PAUSE_S)
