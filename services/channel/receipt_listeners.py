"""Keeps the sessions of SMS providers open in the process that owns a workspace, so that receipts of messages sent
before a restart, or by another process, find their way back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress

from core.clock import Clock
from core.errors import CdpError
from services.channel.receipts import Receipt, take_receipt
from services.channel.senders import smpp_settings
from services.channel.senders.sms import SmsSender
from services.channel.shard import ChannelShard
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)
#: How soon a new provider, or a workspace that moved, is listened for.
_EVERY_S = 5.0


class ReceiptListeners:
    """Runs beside the shards. `workspaces` names all there are, `shards` finds an open one or raises UNAVAILABLE."""

    def __init__(
        self,
        sms: SmsSender,
        workspaces: Callable[[], Iterable[str]],
        shards: Callable[[str], ChannelShard],
        clock: Clock,
    ) -> None:
        self._sms = sms
        self._workspaces = workspaces
        self._shards = shards
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        sms.on_receipt(self._take)

    def start(self) -> None:
        """Begin to listen."""
        self._task = asyncio.create_task(self._run(), name="sms-receipts")

    async def stop(self) -> None:
        """Listen no more; sessions are the sender's to close. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def look(self) -> None:
        """Open what is owned here and let go of what is not."""
        for workspace in self._workspaces():
            try:
                settings = self._shards(workspace).state.settings
            except CdpError:
                await self._sms.leave(workspace)
                continue
            ours = [one for one in settings.providers.get("sms", ()) if one.kind == smpp_settings.KIND]
            await self._sms.leave(workspace, frozenset(one.name for one in ours))
            for provider in ours:
                await self._sms.listen(workspace, provider, settings)

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
            except Exception:  # noqa: BLE001 - one workspace's trouble must not end listening for all; it is logged
                _LOG.exception("sms receipts not listened for")
            await asyncio.sleep(_EVERY_S)

    async def _take(self, workspace: str, receipt: Receipt) -> bool:
        return await take_receipt(self._shards(workspace), receipt, self._clock)
