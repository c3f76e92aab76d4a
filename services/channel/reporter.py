"""Tells ingest what happened to messages, until it has acknowledged every single item."""

from __future__ import annotations

import asyncio
from itertools import islice

import grpc

from cdp.ingest.v1 import ingest_pb2
from core.errors import CdpError, Code
from services.channel.reports import answer_refused
from services.channel.state import ChannelState
from services.runtime.errors import from_rpc
from services.runtime.stubs import Stubs
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)
_BATCH = 500
_TIMEOUT_S = 15.0
_PAUSE_S = 0.5


class Reporter:
    """Drains the reports of one workspace. `wake` after something was put into them."""

    def __init__(self, workspace_id: str, state: ChannelState, stubs: Stubs) -> None:
        self._workspace_id = workspace_id
        self._state = state
        self._stubs = stubs
        self._woken = asyncio.Event()
        self._limit = _BATCH

    def wake(self) -> None:
        """There is something to tell."""
        self._woken.set()

    async def run(self) -> None:
        """Tell for ever. Errors of the log other than UNAVAILABLE and EXHAUSTED end it."""
        while True:
            if not self._state.reports:
                self._woken.clear()
                await self._woken.wait()
            try:
                await self._tell(list(islice(self._state.reports.items(), self._limit)))
            except CdpError as error:
                if error.code not in (Code.UNAVAILABLE, Code.EXHAUSTED):
                    raise
                _LOG.info("reports not told, trying again", workspace=self._workspace_id, reason=error.reason)
                await asyncio.sleep(_PAUSE_S)

    async def _tell(self, rows: list[tuple[str, bytes]]) -> None:
        items = [ingest_pb2.BatchItem.FromString(raw) for _, raw in rows]
        try:
            answer = await self._stubs.ingest().IngestBatch(
                ingest_pb2.IngestBatchRequest(items=items),
                metadata=self._stubs.internal_metadata(self._workspace_id),
                timeout=_TIMEOUT_S,
            )
        except grpc.aio.AioRpcError as error:
            await self._not_told(rows, from_rpc(error))
            return
        self._limit = _BATCH
        results = list(zip(rows, answer.results, strict=True))
        dead = [(key, result.reason) for (key, _), result in results if result.reason]
        if dead:
            _LOG.error("reports refused and set aside", workspace=self._workspace_id, count=len(dead), first=dead[0][1])
        refused = [
            answer_refused(item, result.reason)
            for item, (_, result) in zip(items, results, strict=True)
            if result.reason
        ]
        await self._state.put([], reports=[item for item in refused if item is not None])
        await self._state.reported([key for (key, _), result in results if not result.reason], dead)

    async def _not_told(self, rows: list[tuple[str, bytes]], error: CdpError) -> None:
        """A batch that is refused as a whole is told one by one, so that one bad report holds back no other."""
        if error.code is not Code.INVALID:
            raise CdpError(Code.UNAVAILABLE, error.reason, error.message, retry_after_s=_PAUSE_S) from error
        if len(rows) > 1:
            self._limit = 1
            return
        _LOG.error("report refused and set aside", workspace=self._workspace_id, reason=error.reason)
        await self._state.reported([], [(rows[0][0], error.reason)])
