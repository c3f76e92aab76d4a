"""Many tasks' commands in few round trips: what arrives while the server is busy goes out as one pipeline."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from core.errors import CdpError, unavailable
from services.runtime.redis_errors import not_replicated

#: Words of one command as they go over the wire.
Command: TypeAlias = tuple[bytes | str | int | float, ...]

_BATCH_COMMANDS = 512
_BATCH_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What must be confirmed on a writing connection, after the server's reply, before a write is acknowledged.

    `replicas`: that many have it in memory (WAIT). `fsync`: the server has it on disk (WAITAOF).
    """

    replicas: int = 0
    fsync: bool = False
    timeout_s: float = 2.0

    def commands(self) -> list[Command]:
        """To be sent behind the writes on the same connection: both speak of that connection's last write."""
        timeout_ms = int(self.timeout_s * 1000)
        found: list[Command] = []
        if self.fsync:
            found.append(("WAITAOF", 1, 0, timeout_ms))
        if self.replicas > 0:
            found.append(("WAIT", self.replicas, timeout_ms))
        return found

    def failure(self, replies: Sequence[Any]) -> CdpError | ResponseError | None:
        """Why the writes may not be acknowledged, None if they may; `replies` are those to `commands()`."""
        refused = next((reply for reply in replies if isinstance(reply, ResponseError)), None)
        if refused is not None:
            return refused
        if self.fsync and replies[0][0] < 1:
            return unavailable("LOG_NOT_DURABLE", f"the log was not on disk within {self.timeout_s} s")
        if self.replicas > 0 and replies[-1] < self.replicas:
            return not_replicated(f"{replies[-1]} of {self.replicas} replicas confirmed in {self.timeout_s} s")
        return None


NO_CONFIRMATION = Confirmation()


@dataclass(frozen=True, slots=True)
class _Call:
    commands: Sequence[Command]
    size_bytes: int
    reply: asyncio.Future[list[Any]]


class Lane:
    """Commands to one server, at most `in_flight` pipelines at a time, each on its own connection.

    A caller that is cancelled leaves its command running and the connection in order.
    """

    def __init__(self, client: Redis, confirmation: Confirmation, in_flight: int) -> None:
        self._client = client
        self._confirmation = confirmation
        self._in_flight = in_flight
        self._queue: deque[_Call] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._scheduled = False
        self._closed = False

    async def call(self, *commands: Command) -> list[Any]:
        """Replies to `commands`, sent one behind the other on one connection (not as a transaction).

        Raises the first error reply among them, the connection's error, or why the write was not confirmed.
        """
        if self._closed:
            raise RedisConnectionError("the log is closed")
        loop = asyncio.get_running_loop()
        size_bytes = sum(len(word) for command in commands for word in command if isinstance(word, bytes))
        call = _Call(commands, size_bytes, loop.create_future())
        self._queue.append(call)
        if not self._scheduled:
            # At the end of this turn of the loop, so that what other tasks add in it goes along.
            self._scheduled = True
            loop.call_soon(self._start)
        return await call.reply

    async def close(self) -> None:
        """Refuse new commands, let those in flight end. Idempotent."""
        self._closed = True
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def _start(self) -> None:
        self._scheduled = False
        while self._queue and len(self._tasks) < self._in_flight:
            task = asyncio.get_running_loop().create_task(self._run(self._take()))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._start()

    def _take(self) -> list[_Call]:
        batch: list[_Call] = []
        size_bytes = 0
        while self._queue and len(batch) < _BATCH_COMMANDS:
            size_bytes += self._queue[0].size_bytes
            if batch and size_bytes > _BATCH_BYTES:
                break
            batch.append(self._queue.popleft())
        return batch

    async def _run(self, batch: list[_Call]) -> None:
        try:
            pipeline = self._client.pipeline(transaction=False)
            for call in batch:
                for command in call.commands:
                    pipeline.execute_command(*command)
            confirming = self._confirmation.commands()
            for command in confirming:
                pipeline.execute_command(*command)
            replies = await pipeline.execute(raise_on_error=False)
        except (RedisError, OSError) as error:
            _fail(batch, error)
        except BaseException:
            _fail(batch, RedisConnectionError("the log was given up in the middle of a command"))
            raise
        else:
            failure = self._confirmation.failure(replies[len(replies) - len(confirming) :])
            _deliver(batch, replies, failure)


def _deliver(batch: list[_Call], replies: list[Any], failure: CdpError | ResponseError | None) -> None:
    """Hand each call its replies; `failure` (of the confirmation) takes the place of a success, not of an error."""
    at = 0
    for call in batch:
        own = replies[at : at + len(call.commands)]
        at += len(call.commands)
        if call.reply.done():
            continue
        error = next((reply for reply in own if isinstance(reply, ResponseError)), failure)
        if error is None:
            call.reply.set_result(own)
        else:
            call.reply.set_exception(error)


def _fail(batch: list[_Call], error: RedisError | OSError) -> None:
    for call in batch:
        if not call.reply.done():
            call.reply.set_exception(error)
