"""Which workspaces this process owns for a role, and the supervised worker of each."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

from core.errors import CdpError, Code, unavailable
from core.eventlog.protocol import Fence, Partition
from services.runtime.caller import Workspace
from services.runtime.context import Runtime
from services.runtime.partitions import lease_of, partition
from services.runtime.roles import Role
from services.runtime.telemetry import WORKER_RESTARTS, get_logger

_LOG = get_logger(__name__)
_PAUSE_S = 0.5


class Shard(Protocol):
    """One role's work for one workspace, from the moment its lease is held until it is lost."""

    async def run(self) -> None:
        """Work until cancelled. An exception means: close me and open me again."""
        ...

    async def close(self) -> None:
        """Let go of everything. Called once, after `run` has ended."""
        ...

    def ready(self) -> bool:
        """Caught up at least once since it was opened."""
        ...


S = TypeVar("S", bound=Shard)


class Ownership(Generic[S]):
    """Opens a shard per workspace under the lease of its bucket, restarts what fails, closes what is lost."""

    def __init__(
        self,
        runtime: Runtime,
        role: Role,
        open_shard: Callable[[Workspace, Partition, Fence], Awaitable[S]],
    ) -> None:
        self._runtime = runtime
        self._role = role
        self._open_shard = open_shard
        self._shards: dict[str, S] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._holders: Counter[str] = Counter()
        self._follower: asyncio.Task[None] | None = None
        self._seen_list = False

    def start(self) -> None:
        """Begin to follow the workspaces."""
        self._follower = asyncio.create_task(self._follow(), name=f"{self._role}-ownership")

    async def stop(self) -> None:
        """Close all shards and release the leases. Idempotent."""
        tasks = [self._follower] if self._follower is not None else []
        tasks += self._tasks.values()
        self._follower = None
        self._tasks = {}
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task

    def shard(self, workspace_id: str) -> S:
        """The open shard of a workspace. Raises UNAVAILABLE / NOT_READY when it is not open here (yet)."""
        shard = self._shards.get(workspace_id)
        if shard is None:
            raise unavailable("NOT_READY", f"{self._role} does not own this workspace here yet, try again", 0.5)
        return shard

    def ready(self) -> bool:
        """True when every workspace known has an open, caught-up shard."""
        return self._seen_list and all(
            (shard := self._shards.get(workspace.id)) is not None and shard.ready()
            for workspace in self._runtime.workspaces.all()
        )

    async def _follow(self) -> None:
        directory = self._runtime.workspaces
        while True:
            etag = directory.etag
            for workspace in directory.all():
                if workspace.id not in self._tasks:
                    self._tasks[workspace.id] = asyncio.create_task(
                        self._supervise(workspace), name=f"{self._role}-{workspace.id}"
                    )
            self._seen_list = self._seen_list or etag != ""
            await directory.wait_changed(etag)

    async def _supervise(self, workspace: Workspace) -> None:
        lease = lease_of(self._role, workspace.bucket)
        self._holders[lease] += 1
        try:
            while True:
                try:
                    fence = await self._runtime.leases.acquire(lease, timeout_s=3600.0)
                    await self._work(workspace, lease, fence)
                except CdpError as error:
                    _LOG.warning("worker stopped, starting again", role=self._role, workspace=workspace.id,
                                 reason=error.reason, error=error.message)  # fmt: skip
                    if error.code is Code.CONFLICT and error.reason == "FENCED":
                        await self._runtime.leases.release(lease)
                except Exception:  # noqa: BLE001 - a supervisor restarts whatever failed, and says so
                    _LOG.exception("worker failed, starting again", role=self._role, workspace=workspace.id)
                WORKER_RESTARTS.labels(self._role).inc()
                await asyncio.sleep(_PAUSE_S)
        finally:
            self._holders[lease] -= 1
            if self._holders[lease] == 0:
                with suppress(CdpError):  # a log that is away keeps nobody: the lease runs out
                    await self._runtime.leases.release(lease)

    async def _work(self, workspace: Workspace, lease: str, fence: Fence) -> None:
        lost = self._runtime.leases.lost(lease)
        shard = await self._open_shard(workspace, partition(self._role, workspace), fence)
        self._shards[workspace.id] = shard
        work = asyncio.create_task(shard.run(), name=f"{self._role}-{workspace.id}-run")
        watch = asyncio.create_task(lost.wait())
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                await work  # raises what it raised
        finally:
            self._shards.pop(workspace.id, None)
            for task in (work, watch):
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task
            await shard.close()
