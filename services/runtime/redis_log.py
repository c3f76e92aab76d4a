"""The durable log on Redis 7.2+ or Valkey: a stream and hashes per partition, changed by scripts only."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from redis.exceptions import RedisError

from core.clock import SECOND_US
from core.eventlog.protocol import Commit, Committed, Entry, Fence, Partition
from core.eventlog.rules import check_fence, fenced, source_of, split_lease, trimmed
from services.runtime.redis_errors import log_error
from services.runtime.redis_keys import lease_key, meta_key, stream_key, table_key
from services.runtime.redis_lane import NO_CONFIRMATION, Confirmation
from services.runtime.redis_nodes import Nodes
from services.runtime.redis_ready import connect_when_ready
from services.runtime.redis_rewrite import rewrite_file
from services.runtime.redis_scripts import ACQUIRE, APPEND, COMMIT, OWNER, RELEASE, REPACK, TRIM, Script, pack
from services.runtime.redis_wait import Arrivals

_SCAN_STEP = 1_000
_GET_STEP = 5_000
_FIRST_MEAN_BYTES = 64 << 10


class RedisLog:
    """`EventLog` on one server or a cluster; made by `connect`, used on the event loop that made it.

    A write is acknowledged when the server replied, which is after its append-only file was written as its
    `appendfsync` says (`always`: on disk), and after `confirmation`. A write whose reply was lost
    (UNAVAILABLE) may have happened: `commit` may be repeated as it is, `append` may add its entries again.
    """

    def __init__(self, nodes: Nodes, poll_s: float) -> None:
        self._nodes = nodes
        self._arrivals = Arrivals(nodes, poll_s)
        self._mean_bytes: dict[Partition, float] = {}

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        confirmation: Confirmation = NO_CONFIRMATION,
        allow_volatile: bool = False,
        timeout_s: float = 10.0,
        ready_within_s: float = 30.0,
        poll_s: float = 0.02,
    ) -> RedisLog:
        """Connect to `redis://[user:password@]host:port[/db]` (rediss:// for TLS); a cluster is recognised.

        Waits up to `ready_within_s` for a server that is still starting. `timeout_s` bounds each reply,
        `poll_s` is how soon entries of other processes wake a `wait`. Raises UNAVAILABLE/LOG_UNAVAILABLE, and
        INVALID/LOG_UNFIT for a server that is too old, may evict keys, or (unless `allow_volatile`) keeps no
        append-only file.
        """
        nodes = Nodes(url, confirmation, timeout_s)
        try:
            with _log_errors():
                await connect_when_ready(nodes, ready_within_s, allow_volatile)
        except BaseException:
            await nodes.close()
            raise
        return cls(nodes, poll_s)

    async def append(self, partition: Partition, payloads: Sequence[bytes], now_us: int) -> Committed:
        """See `EventLog.append`."""
        if not payloads:
            [[last, at_us]] = await self._call(partition, "HMGET", meta_key(partition), "last", "at")
            return Committed(False, int(last or 0), int(at_us or 0))
        keys = (stream_key(partition), meta_key(partition))
        with _log_errors():
            last, at_us = await self._nodes.script(
                partition.bucket, APPEND, keys, (now_us, _fresh_epoch(), *payloads), write=True
            )
        self._arrivals.arrived(partition, last)
        return Committed(True, last, at_us)

    async def commit(self, partition: Partition, fence: Fence, commit: Commit) -> Committed:
        """See `EventLog.commit`."""
        check_fence(partition, fence)
        source, source_position = source_of(commit) or ("", 0)
        keys = [stream_key(partition), meta_key(partition), lease_key(fence.lease)]
        args: list[bytes | str | int] = [commit.now_us, _fresh_epoch(), fence.epoch, source, source_position]
        args += [len(commit.outputs), *commit.outputs]
        for write in commit.writes:
            keys.append(table_key(partition, write.table))
            pairs = [part for pair in write.put.items() for part in pair]
            args += ["1" if write.drop else "0", pack(write.delete), pack(pairs)]
        with _log_errors():
            status, last, at_us = await self._nodes.script(partition.bucket, COMMIT, keys, args, write=True)
        if status < 0:
            raise fenced(fence, last)
        self._arrivals.arrived(partition, last)
        return Committed(status == 1, last, at_us)

    async def read(self, partition: Partition, after: int, limit_entries: int, limit_bytes: int) -> list[Entry]:
        """See `EventLog.read`. Asks in steps sized by the partition's mean payload, so little comes in vain."""
        found: list[Entry] = []
        size_bytes = 0
        while len(found) < limit_entries and (size_bytes < limit_bytes or not found):
            mean_bytes = max(1.0, self._mean_bytes.get(partition, _FIRST_MEAN_BYTES))
            step = max(1, min(limit_entries - len(found), int((limit_bytes - size_bytes) / mean_bytes) + 1))
            entries = await self._range(partition, after + len(found), step)
            for entry in entries:
                size_bytes += len(entry.payload)
                if found and size_bytes > limit_bytes:
                    return found
                found.append(entry)
            if entries:
                self._mean_bytes[partition] = size_bytes / len(found)
            if len(entries) < step:
                break
        return found

    async def wait(self, partition: Partition, after: int, timeout_s: float) -> bool:
        """See `EventLog.wait`. Writes through this object wake at once, others within the poll's pause."""
        with _log_errors():
            return await self._arrivals.wait(partition, after, timeout_s)

    async def bounds(self, partition: Partition) -> tuple[int, int]:
        """See `EventLog.bounds`."""
        [[first, last]] = await self._call(partition, "HMGET", meta_key(partition), "first", "last")
        return int(first or 1), int(last or 0)

    async def epoch(self, partition: Partition) -> str:
        """See `EventLog.epoch`. Creates it if the stream has no entry yet."""
        [known] = await self._call(partition, "HGET", meta_key(partition), "epoch")
        if known is None:
            key = meta_key(partition)
            with _log_errors():
                _, known = await self._nodes.call(
                    partition.bucket, ("HSETNX", key, "epoch", _fresh_epoch()), ("HGET", key, "epoch"), write=True
                )
        return str(known, "ascii")

    async def trim(self, partition: Partition, below: int) -> int:
        """See `EventLog.trim`."""
        keys = (stream_key(partition), meta_key(partition))
        with _log_errors():
            return int(await self._nodes.script(partition.bucket, TRIM, keys, (below,), write=True))

    async def compact(self, partition: Partition) -> bool:
        """See `EventLog.compact`. The stream's nodes are made anew, because a node of entries that are trimmed in part
        keeps their bytes; then the append-only file is rewritten."""
        with _log_errors():
            await self._nodes.script(partition.bucket, REPACK, (stream_key(partition),), (), write=True)
            return await rewrite_file(self._nodes, partition.bucket)

    async def source_position(self, partition: Partition, source: str) -> int:
        """See `EventLog.source_position`."""
        [known] = await self._call(partition, "HGET", meta_key(partition), f"p:{source}")
        return int(known or 0)

    async def get(self, partition: Partition, table: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `EventLog.get`. More than 5,000 keys are read in several steps, which a commit may fall between."""
        name = table_key(partition, table)
        steps = [keys[start : start + _GET_STEP] for start in range(0, len(keys), _GET_STEP)]
        replies = await asyncio.gather(*(self._call(partition, "HMGET", name, *step) for step in steps))
        return [value for [values] in replies for value in values]

    async def scan(self, partition: Partition, table: str) -> AsyncIterator[tuple[bytes, bytes]]:
        """See `EventLog.scan`. Rows that are put or deleted meanwhile may or may not be seen."""
        name = table_key(partition, table)
        seen: set[bytes] = set()  # The server may return a row twice while its table grows.
        cursor = 0
        while True:
            [[cursor, rows]] = await self._call(partition, "HSCAN", name, cursor, "COUNT", _SCAN_STEP)
            for key, value in rows.items():
                if key not in seen:
                    seen.add(key)
                    yield key, value
            if cursor == 0:
                return

    async def acquire(self, lease: str, owner: str, ttl_s: float) -> Fence | None:
        """See `EventLog.acquire`."""
        epoch = await self._on_lease(lease, ACQUIRE, (owner, int(ttl_s * SECOND_US)), write=True)
        return Fence(lease, int(epoch)) if epoch else None

    async def release(self, lease: str, owner: str) -> None:
        """See `EventLog.release`."""
        await self._on_lease(lease, RELEASE, (owner,), write=True)

    async def owner(self, lease: str) -> str | None:
        """See `EventLog.owner`."""
        holder = await self._on_lease(lease, OWNER, (), write=False)
        return None if holder is None else str(holder, "utf-8")

    async def close(self) -> None:
        """See `EventLog.close`. Writes in flight end first; later calls meet UNAVAILABLE/LOG_UNAVAILABLE."""
        await self._arrivals.close()
        await self._nodes.close()

    async def _call(self, partition: Partition, *command: bytes | str | int) -> list[Any]:
        with _log_errors():
            return await self._nodes.call(partition.bucket, command)

    async def _on_lease(self, lease: str, script: Script, args: Sequence[bytes | str | int], write: bool) -> Any:
        _, bucket = split_lease(lease)
        with _log_errors():
            return await self._nodes.script(bucket, script, (lease_key(lease),), args, write)

    async def _range(self, partition: Partition, after: int, limit_entries: int) -> list[Entry]:
        """Up to `limit_entries` entries from `after` + 1 on, dense; NOT_FOUND/LOG_TRIMMED if that one is gone."""
        with _log_errors():
            first, rows = await self._nodes.call(
                partition.bucket,
                ("HGET", meta_key(partition), "first"),
                ("XRANGE", stream_key(partition), f"{after + 1}-0", "+", "COUNT", limit_entries),
            )
        entries = [_entry(identifier, fields) for identifier, fields in rows]
        # A trim between the two commands shows in the first position.
        start = entries[0].position if entries else after + 1
        first_kept = max(int(first or 1), start)
        if after + 1 < first_kept:
            raise trimmed(partition, after + 1, first_kept)
        return entries


def _entry(identifier: bytes, fields: dict[bytes, bytes]) -> Entry:
    return Entry(int(identifier.partition(b"-")[0]), int(fields[b"t"]), fields[b"p"])


def _fresh_epoch() -> str:
    return secrets.token_hex(8)


@contextmanager
def _log_errors() -> Iterator[None]:
    """Errors of Redis and of the connection leave as the contract's."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise log_error(error) from error
