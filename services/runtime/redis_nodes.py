"""Which server holds a bucket: always the same one, or the master of its slot in a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    NoScriptError,
    RedisError,
    TryAgainError,
)
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)

from services.runtime.redis_keys import bucket_tag
from services.runtime.redis_lane import NO_CONFIRMATION, Command, Confirmation, Lane
from services.runtime.redis_scripts import Script

_CONNECTIONS_PER_LANE = 2
_REDIRECTS = 6
_FIRST_PAUSE_S = 0.05


@dataclass(frozen=True, slots=True)
class _Node:
    """One server. Reads have their own lane: they never stand behind a write that waits for the disk."""

    client: Redis
    reads: Lane
    writes: Lane

    async def close(self) -> None:
        await self.reads.close()
        await self.writes.close()
        await self.client.aclose()
        await self.client.connection_pool.aclose()


class Nodes:
    """Commands by bucket. Follows a cluster's redirections; every other error is the caller's."""

    def __init__(self, url: str, confirmation: Confirmation, timeout_s: float) -> None:
        """`timeout_s` bounds connecting and each reply; it must exceed the confirmation's."""
        self._pool = ConnectionPool.from_url(
            url,
            # No retry inside: a write whose reply was lost may have happened, only the caller knows what to do.
            retry=Retry(NoBackoff(), 0),
            socket_timeout=timeout_s + confirmation.timeout_s,
            socket_connect_timeout=timeout_s,
            protocol=2,
        )
        self._confirmation = confirmation
        self._seed = self._node_on(self._pool)
        self._by_address: dict[tuple[str, int], _Node] = {}
        self._slots: list[tuple[int, int, tuple[str, int]]] = []
        self._clustered = False
        self._closed = False
        self._refreshing: asyncio.Task[None] | None = None

    async def connect(self) -> dict[str, Any]:
        """Find out whether this is a cluster; the server's INFO (of the node that the URL names)."""
        [info] = await self._seed.reads.call(("INFO",))
        self._clustered = bool(info.get("cluster_enabled"))
        if self._clustered:
            await self._refresh()
        return dict(info)

    async def call(self, bucket: int, *commands: Command, write: bool = False) -> list[Any]:
        """Replies to `commands`, all on keys of `bucket`, sent together; the first error reply is raised."""
        pause_s = _FIRST_PAUSE_S
        for _ in range(_REDIRECTS):
            node = self._node(bucket)
            try:
                return await (node.writes if write else node.reads).call(*commands)
            except MovedError:
                await self._refresh()
            except AskError as error:
                # The slot is on its way: this once, the other node answers for keys that it has already.
                other = self._node_at((error.host, error.port))
                asked: list[Command] = [word for command in commands for word in (("ASKING",), command)]
                replies = await (other.writes if write else other.reads).call(*asked)
                return replies[1::2]
            except (ClusterDownError, TryAgainError):
                await asyncio.sleep(pause_s)
                pause_s *= 2
                await self._refresh()
            except (RedisConnectionError, RedisTimeoutError):
                self._refresh_later()
                raise
        raise ClusterDownError(f"the cluster's slots did not come to rest in {_REDIRECTS} tries")

    async def script(
        self, bucket: int, script: Script, keys: Sequence[bytes], args: Sequence[bytes | str | int], write: bool
    ) -> Any:
        """The script's reply; a server that does not know it yet is sent the text."""
        try:
            [reply] = await self.call(bucket, ("EVALSHA", script.sha, len(keys), *keys, *args), write=write)
        except NoScriptError:
            [reply] = await self.call(bucket, ("EVAL", script.text, len(keys), *keys, *args), write=write)
        return reply

    async def close(self) -> None:
        """Let all connections go; later calls raise a connection error. Idempotent."""
        self._closed = True
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.wait((self._refreshing,))
        for node in (self._seed, *self._by_address.values()):
            await node.close()

    def _address(self, bucket: int) -> tuple[str, int] | None:
        if not self._clustered:
            return None
        slot = key_slot(bucket_tag(bucket))
        for first, last, address in self._slots:
            if first <= slot <= last:
                return address
        raise ClusterDownError(f"no server of the cluster holds slot {slot} (bucket {bucket})")

    def _node(self, bucket: int) -> _Node:
        address = self._address(bucket)
        return self._seed if address is None else self._node_at(address)

    def _node_at(self, address: tuple[str, int]) -> _Node:
        if self._closed:
            raise RedisConnectionError("the log is closed")
        node = self._by_address.get(address)
        if node is None:
            options = {**self._pool.connection_kwargs, "host": address[0], "port": address[1]}
            pool: ConnectionPool = ConnectionPool(self._pool.connection_class, **options)
            node = self._by_address[address] = self._node_on(pool)
        return node

    def _node_on(self, pool: ConnectionPool) -> _Node:
        client = Redis(connection_pool=pool)
        return _Node(
            client,
            Lane(client, NO_CONFIRMATION, _CONNECTIONS_PER_LANE),
            Lane(client, self._confirmation, _CONNECTIONS_PER_LANE),
        )

    async def _refresh(self) -> None:
        """Ask any reachable node who holds which slots; the last error if none answers."""
        last_error: RedisError | OSError | None = None
        for address, node in [(None, self._seed), *self._by_address.items()]:
            try:
                [ranges] = await node.reads.call(("CLUSTER", "SLOTS"))
            except (RedisError, OSError) as error:
                last_error = error
                continue
            options = self._pool.connection_kwargs
            asked = options.get("host", "localhost") if address is None else address[0]
            # Each: first slot, last slot, [host, port, ...] of the master, then its replicas. A node that does not
            # know its own address leaves the host empty: it is the one that was asked.
            self._slots = [
                (first, last, (str(master[0] or b"", "utf-8") or asked, int(master[1])))
                for first, last, master, *_ in ranges
            ]
            return
        if last_error is not None:
            raise last_error

    def _refresh_later(self) -> None:
        """After a lost connection a replica may have been promoted: look, for the next call."""
        if not self._clustered or (self._refreshing is not None and not self._refreshing.done()):
            return

        async def refresh() -> None:
            try:
                await self._refresh()
            except (RedisError, OSError):
                return  # Nobody answers: the next call meets the same error and tells it.

        self._refreshing = asyncio.get_running_loop().create_task(refresh())
