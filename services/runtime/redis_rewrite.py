"""Rewriting a server's append-only file, so that deleted bytes are nowhere in it."""

from __future__ import annotations

import asyncio

from redis.exceptions import NoPermissionError, ResponseError

from core.errors import unavailable
from services.runtime.redis_nodes import Nodes

_PAUSE_S = 0.05
_LONGEST_S = 3_600.0


async def rewrite_file(nodes: Nodes, bucket: int) -> bool:
    """Rewrite the file of the server that holds `bucket`, and return when it is done. A rewriting that had begun before
    is waited for first, as it may hold what was deleted since. False: the server does not let us, as hosted ones do.

    Raises UNAVAILABLE / FILE_NOT_REWRITTEN when the server says that it failed, or has not ended within an hour.
    """
    deadline_s = asyncio.get_running_loop().time() + _LONGEST_S
    while True:
        while await _is_rewriting(nodes, bucket):
            await _pause(deadline_s)
        try:
            await nodes.call(bucket, ("BGREWRITEAOF",))
        except NoPermissionError:
            return False
        except ResponseError as error:
            if "already in progress" in str(error).lower():
                continue  # somebody else, or the server by itself, was quicker: theirs may have begun too early
            if "unknown command" in str(error).lower():
                return False
            raise
        break
    await asyncio.sleep(0)
    while await _is_rewriting(nodes, bucket):
        await _pause(deadline_s)
    [info] = await nodes.call(bucket, ("INFO", "persistence"))
    if info.get("aof_last_bgrewrite_status", "ok") != "ok":
        raise unavailable("FILE_NOT_REWRITTEN", "the server could not rewrite its append-only file", 60.0)
    return True


async def _is_rewriting(nodes: Nodes, bucket: int) -> bool:
    [info] = await nodes.call(bucket, ("INFO", "persistence"))
    return bool(info.get("aof_rewrite_in_progress") or info.get("aof_rewrite_scheduled"))


async def _pause(deadline_s: float) -> None:
    if asyncio.get_running_loop().time() > deadline_s:
        raise unavailable("FILE_NOT_REWRITTEN", "the server has not rewritten its append-only file in an hour", 60.0)
    await asyncio.sleep(_PAUSE_S)
