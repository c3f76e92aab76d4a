"""Stopping writes before the disk is full: the server would end at a failed write, and with it all reads."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

_LOG = structlog.get_logger(__name__)


class DiskReserve:
    """Room on the log's disk that is given up when others have filled the rest: the server ends at a write that fails,
    and leases are written even while nothing else is. `keep_free_bytes` is that of the brake; 1/16 of it is held."""

    def __init__(self, folder: Path, keep_free_bytes: int) -> None:
        self._path = folder / "server.reserve"
        self._bytes = keep_free_bytes // 16
        self._keep_free_bytes = keep_free_bytes

    def check(self, free_bytes: int) -> None:
        """Hold or give up by the disk's free bytes now. Failing to hold it is no error: there is no room, or no way."""
        if free_bytes < self._bytes:
            if self._path.exists():
                self._path.unlink(missing_ok=True)
                _LOG.warning("disk reserve given up", bytes=self._bytes)
        elif free_bytes > 2 * self._keep_free_bytes and not self._path.exists():
            with suppress(OSError), self._path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._bytes)


class DiskBrake:
    """Sets the server's memory limit to one byte while the disk is short, for all processes that use it.

    The server then refuses what would grow (EXHAUSTED/LOG_FULL) and goes on with reads, trims and leases.
    """

    def __init__(self, url: str, keep_free_bytes: int) -> None:
        self._client = Redis.from_url(url, protocol=2, socket_timeout=5.0)
        self._keep_free_bytes = keep_free_bytes
        self._on = False

    async def check(self, free_bytes: int) -> None:
        """Brake or let go by the disk's free bytes now. A server that is away is told at the next check."""
        short = free_bytes < self._keep_free_bytes
        # Told again while it is on: a server that was started anew has forgotten it.
        if not short and not self._on:
            return
        try:
            await self._client.config_set("maxmemory", 1 if short else 0)
        except (RedisError, OSError) as error:
            _LOG.warning("disk brake not set", short=short, error=type(error).__name__)
            return
        if short != self._on:
            _LOG.warning("disk brake", on=short, free_bytes=free_bytes, keep_free_bytes=self._keep_free_bytes)
            self._on = short

    async def close(self) -> None:
        """Let the connection go."""
        await self._client.aclose()
