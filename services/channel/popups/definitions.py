"""The pop-ups of one workspace, saved with versions like every definition."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from cdp.channel.v1 import popup_pb2
from core.clock import Clock
from core.eventlog.protocol import Commit, EventLog, Fence, Partition
from services.runtime.definitions import DefinitionChange, Definitions, Stored

KIND = "popup"


class PopupDefinitions:
    """What one owner knows of them. Made by `load`."""

    def __init__(
        self, log: EventLog, partition: Partition, fence: Fence, clock: Clock, definitions: Definitions
    ) -> None:
        self._log = log
        self._partition = partition
        self._fence = fence
        self._clock = clock
        self._definitions = definitions
        self._changing = asyncio.Lock()
        self._shown: list[popup_pb2.Popup] | None = None

    @staticmethod
    async def load(log: EventLog, partition: Partition, fence: Fence, clock: Clock) -> PopupDefinitions:
        """Read what is stored."""
        return PopupDefinitions(log, partition, fence, clock, await Definitions.load(log, partition, KIND))

    def get(self, name: str, version: int = 0) -> popup_pb2.Popup:
        """The newest version (0) or a given one. Raises NOT_FOUND / NO_SUCH_POPUP."""
        return to_proto(self._definitions.get(name, version))

    def page(self, page_size: int, page_token: str) -> tuple[list[popup_pb2.Popup], str]:
        """A page by name, and the next token."""
        found, token = self._definitions.page(page_size, page_token)
        return [to_proto(one) for one in found], token

    def shown(self) -> Sequence[popup_pb2.Popup]:
        """Those that may be shown at all, by priority and name."""
        if self._shown is None:
            all_of_them = [to_proto(one) for one in self._definitions.newest()]
            self._shown = sorted(
                (one for one in all_of_them if not one.disabled), key=lambda one: (one.priority, one.revision.name)
            )
        return self._shown

    async def save(self, name: str, popup: popup_pb2.Popup, etag: str, actor: str) -> popup_pb2.Popup:
        """The next version. Raises CONFLICT / ETAG_MISMATCH."""
        payload = popup_pb2.Popup()
        payload.CopyFrom(popup)
        payload.ClearField("revision")
        async with self._changing:
            now_us = self._clock.now_us()
            await self._keep(self._definitions.save(name, payload.SerializeToString(), etag, actor, now_us))
        return self.get(name)

    async def delete(self, name: str, etag: str, actor: str) -> Stored:
        """A last version that says deleted. Raises NOT_FOUND / NO_SUCH_POPUP, CONFLICT / ETAG_MISMATCH."""
        async with self._changing:
            await self._keep(self._definitions.delete(name, etag, actor, self._clock.now_us()))
        return self._definitions.versions(name)[0]

    async def _keep(self, change: DefinitionChange) -> None:
        """Commit, to the end: a caller who is cancelled does not part memory from the log."""
        task = asyncio.create_task(self._kept(change))
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait({task})
            raise

    async def _kept(self, change: DefinitionChange) -> None:
        commit = Commit(None, None, (), change.writes, self._clock.now_us())
        await self._log.commit(self._partition, self._fence, commit)
        self._definitions.applied(change)
        self._shown = None


def to_proto(stored: Stored) -> popup_pb2.Popup:
    """A stored pop-up with its revision."""
    popup = popup_pb2.Popup.FromString(stored.payload)
    popup.revision.CopyFrom(stored.revision.to_proto())
    return popup
