"""Waiting for a log server that is starting, and refusing one that could lose what it acknowledged."""

from __future__ import annotations

import asyncio
from typing import Any

from redis.exceptions import (
    AuthenticationError,
)
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)

from core.errors import CdpError, invalid
from services.runtime.redis_nodes import Nodes

_PAUSE_S = 0.05
_OLDEST = (7, 2)


async def connect_when_ready(nodes: Nodes, ready_within_s: float, allow_volatile: bool) -> None:
    """Return once the server has loaded its data and is fit; the last connection error after `ready_within_s`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + ready_within_s
    while True:
        try:
            info = await nodes.connect()
        except AuthenticationError:
            raise
        except (RedisConnectionError, RedisTimeoutError):
            if loop.time() >= deadline:
                raise
        else:
            if not info.get("loading"):
                break
            if loop.time() >= deadline:
                raise RedisConnectionError(f"the server was still loading its data after {ready_within_s} s")
        await asyncio.sleep(_PAUSE_S)
    unfit = _unfit(info, allow_volatile)
    if unfit is not None:
        raise unfit


def _unfit(info: dict[str, Any], allow_volatile: bool) -> CdpError | None:
    version = tuple(int(part) for part in str(info["redis_version"]).split(".")[:2])
    if version < _OLDEST:
        return invalid("LOG_UNFIT", f"the log needs Redis 7.2 or Valkey, this server is {info['redis_version']}")
    policy = info.get("maxmemory_policy", "noeviction")
    if info.get("maxmemory", 0) and policy != "noeviction":
        return invalid(
            "LOG_UNFIT", f"the server may evict the log's keys: set maxmemory-policy to noeviction, it is {policy}"
        )
    if not info.get("aof_enabled") and not allow_volatile:
        return invalid(
            "LOG_UNFIT",
            "the server keeps no append-only file, so a restart would lose acknowledged events: set 'appendonly yes'",
        )
    return None
