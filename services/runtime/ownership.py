"""Which workspaces this process owns for a role, and the supervised worker of each."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

from core.errors import CdpError, Code, unavailable
from core.eventlog.protocol import Fence, Partition
from services.runtime.caller import Workspace
from services.runtime.context import Runtime
from services.runtime.errors import leading_error
from services.runtime.owners import OWNER_CACHE_S, Owners
from services.runtime.partitions import lease_of, partition
from services.runtime.roles import Role
from services.runtime.telemetry import WORKER_RESTARTS, get_logger

_LOG = get_logger(__name__)
#: A shard that fails is opened again after this pause, which doubles with each failure in a row.
_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 8.0
#: A shard that worked for this long has not failed in a row.
_HEALTHY_S = 30.0
#: A standby waits for its lease in turns of this length.
_STANDBY_S = 3600.0
_PEER_ANSWERS_S = 0.5


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
        self._owners = Owners(runtime.log, runtime.leases)
        self._shards: dict[str, S] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._opened: dict[str, Workspace] = {}
        self._holders: Counter[str] = Counter()
        self._acquiring: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._followers: tuple[asyncio.Task[None], ...] = ()
        self._seen_list = False
        self._elsewhere: frozenset[str] = frozenset()

    def start(self) -> None:
        """Begin to follow the workspaces."""
        self._followers = (
            asyncio.create_task(self._follow(), name=f"{self._role}-ownership"),
            asyncio.create_task(self._follow_owners(), name=f"{self._role}-owners"),
        )

    async def stop(self) -> None:
        """Close all shards and release the leases. Idempotent."""
        tasks = [*self._followers, *self._tasks.values()]
        self._followers = ()
        self._tasks = {}
        self._opened = {}
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task

    def shard(self, workspace_id: str) -> S:
        """The open shard of a workspace. Raises UNAVAILABLE / NOT_READY when it is not open here (yet); for an RPC the
        gate then asks the process that owns it."""
        shard = self._shards.get(workspace_id)
        if shard is None:
            raise unavailable("NOT_READY", f"{self._role} does not own this workspace here yet, try again", 0.5)
        return shard

    def ready(self) -> bool:
        """True when every workspace known has an open, caught-up shard here, or a live owner elsewhere (as seen
        within the last second), to which calls are passed on."""
        return self._seen_list and all(self._ready(workspace) for workspace in self._runtime.workspaces.all())

    def _ready(self, workspace: Workspace) -> bool:
        shard = self._shards.get(workspace.id)
        if shard is not None:
            return shard.ready()
        return lease_of(self._role, workspace.bucket) in self._elsewhere

    async def _follow(self) -> None:
        directory = self._runtime.workspaces
        while True:
            etag = directory.etag
            for workspace in directory.all():
                opened = self._opened.get(workspace.id)
                if opened is None or (opened.zone, opened.currency) != (workspace.zone, workspace.currency):
                    await self._open_again(workspace)
            self._seen_list = self._seen_list or etag != ""
            await directory.wait_changed(etag)

    async def _open_again(self, workspace: Workspace) -> None:
        """Supervise a workspace that is new, or whose zone or currency changed: its shard begins anew with them."""
        before = self._tasks.pop(workspace.id, None)
        if before is not None:
            before.cancel()
            with suppress(asyncio.CancelledError):
                await before
        self._opened[workspace.id] = workspace
        task = asyncio.create_task(self._supervise(workspace), name=f"{self._role}-{workspace.id}")
        self._tasks[workspace.id] = task

    async def _follow_owners(self) -> None:
        """Once a second, and only for what is not open here: which leases are in the hands of a live peer?"""
        while True:
            closed = {
                lease_of(self._role, workspace.bucket)
                for workspace in self._runtime.workspaces.all()
                if workspace.id not in self._shards
            }
            try:
                self._elsewhere = await self._owned_elsewhere(closed)
            except CdpError as error:
                _LOG.info("owners not known, asking again", role=self._role, reason=error.reason)
            await asyncio.sleep(OWNER_CACHE_S)

    async def _owned_elsewhere(self, leases: Iterable[str]) -> frozenset[str]:
        addresses = {lease: address for lease in leases if (address := await self._owners.elsewhere(lease)) is not None}
        live = {address for address in set(addresses.values()) if await self._answers(address)}
        return frozenset(lease for lease, address in addresses.items() if address in live)

    async def _answers(self, address: str) -> bool:
        """Whether somebody listens there: a lease outlives a process that was killed."""
        try:
            async with asyncio.timeout(_PEER_ANSWERS_S):
                await self._runtime.stubs.channel_to(address).channel_ready()
        except TimeoutError:
            return False
        return True

    async def _supervise(self, workspace: Workspace) -> None:
        lease = lease_of(self._role, workspace.bucket)
        self._holders[lease] += 1
        pause_s = _PAUSE_S
        try:
            while True:
                began_s = asyncio.get_running_loop().time()
                if await self._own(workspace, lease):
                    pause_s = _PAUSE_S
                    continue
                WORKER_RESTARTS.labels(self._role).inc()
                if asyncio.get_running_loop().time() - began_s > _HEALTHY_S:
                    pause_s = _PAUSE_S
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        finally:
            self._holders[lease] -= 1
            if self._holders[lease] == 0:
                with suppress(CdpError):  # a log that is away keeps nobody: the lease runs out
                    await self._runtime.leases.release(lease)

    async def _own(self, workspace: Workspace, lease: str) -> bool:
        """Wait for the lease and work under it. True: the lease went to somebody else; False: something failed."""
        fence: Fence | None = None
        try:
            async with self._acquiring[lease]:  # workspaces of one bucket take their common lease one after another
                fence = await self._runtime.leases.acquire(lease, _STANDBY_S)
                lost = self._runtime.leases.lost(lease)
            await self._work(workspace, fence, lost)
        except Exception as failure:  # noqa: BLE001 - a supervisor restarts whatever failed, and says so
            error = leading_error(failure)
            if error is None:
                _LOG.exception("worker failed, starting again", role=self._role, workspace=workspace.id)
                return False
            if error.reason == "LEASE_HELD":
                return True  # a standby's turn is over; the next one begins
            _LOG.warning("worker stopped, starting again", role=self._role, workspace=workspace.id,
                         reason=error.reason, error=error.message)  # fmt: skip
            if error.code is Code.CONFLICT and error.reason == "FENCED":
                await self._let_go(lease, fence)
            return False
        _LOG.info("worker ended with its lease", role=self._role, workspace=workspace.id)
        return True

    async def _let_go(self, lease: str, fence: Fence | None) -> None:
        """Give up a lease that the log says is another's, unless a neighbour in the bucket took it anew already."""
        if fence is not None and self._runtime.leases.fence(lease) == fence:
            with suppress(CdpError):  # a log that is away keeps nobody
                await self._runtime.leases.release(lease)

    async def _work(self, workspace: Workspace, fence: Fence, lost: asyncio.Event) -> None:
        """Run the shard until it fails (raises what it raised), ends, or the lease is lost."""
        shard = await self._open_shard(workspace, partition(self._role, workspace), fence)
        self._shards[workspace.id] = shard
        work = asyncio.create_task(shard.run(), name=f"{self._role}-{workspace.id}-run")
        watch = asyncio.create_task(lost.wait(), name=f"{self._role}-{workspace.id}-lease")
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            failure = await self._close(workspace, shard, work, watch)
            if failure is not None:
                _LOG.error("worker failed at its end", role=self._role, workspace=workspace.id, exc_info=failure)
            raise
        failure = await self._close(workspace, shard, work, watch)
        if failure is not None:
            raise failure
        if not lost.is_set():
            raise CdpError(Code.INTERNAL, "WORKER_ENDED", "a worker returned, which it never should")

    async def _close(
        self, workspace: Workspace, shard: S, work: asyncio.Task[None], watch: asyncio.Task[bool]
    ) -> BaseException | None:
        """End the tasks, then the shard; what `work` raised."""
        del self._shards[workspace.id]
        work.cancel()
        watch.cancel()
        await asyncio.wait({work, watch})
        await shard.close()
        return None if work.cancelled() else work.exception()
