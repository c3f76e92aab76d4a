"""Serving a log as a resumable stream with flow control, and remembering how far each consumer is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

from core.errors import CdpError, conflict, invalid
from core.eventlog.protocol import Entry, EventLog, Partition

_READ_ENTRIES = 64
_READ_BYTES = 4 << 20
_DEFAULT_IN_FLIGHT = 64
_WAIT_S = 5.0


class _Start(Protocol):
    consumer: str
    after_position: int
    max_in_flight: int
    epoch: str


class SubscribeRequest(Protocol):
    """What every service's Subscribe request looks like."""

    acknowledged_position: int

    @property
    def start(self) -> _Start: ...

    def WhichOneof(self, oneof_group: str) -> str | None: ...  # noqa: N802 - protobuf's name


class ConsumerPositions:
    """Acknowledged positions of the named consumers of one partition, kept in memory for trimming.

    They may be behind after a restart (a consumer tells its position again when it connects), never ahead.
    """

    def __init__(self) -> None:
        self._positions: dict[str, int] = {}

    def set(self, consumer: str, position: int) -> None:
        """`consumer` will never ask below `position` again."""
        self._positions[consumer] = position

    def lowest(self, expected: tuple[str, ...]) -> int:
        """The lowest position that all of `expected` have reached; 0 while one of them has not been seen."""
        return min((self._positions.get(consumer, 0) for consumer in expected), default=0)


Q = TypeVar("Q", bound=SubscribeRequest)
R = TypeVar("R")


class _Feed(Generic[Q, R]):
    def __init__(self, requests: AsyncIterator[Q], consumers: ConsumerPositions) -> None:
        self._requests = requests
        self._consumers = consumers
        self.acknowledged = 0
        self.moved = asyncio.Event()
        self.consumer = ""

    async def follow_acknowledgements(self) -> None:
        async for request in self._requests:
            if request.WhichOneof("action") != "acknowledged_position":
                raise invalid("SUBSCRIBE_ORDER", "after `start` only acknowledged positions may follow")
            self.acknowledged = max(self.acknowledged, request.acknowledged_position)
            if self.consumer:
                self._consumers.set(self.consumer, self.acknowledged)
            self.moved.set()


async def serve_feed(
    log: EventLog,
    partition: Partition,
    requests: AsyncIterator[Q],
    respond: Callable[[Entry, str, int], R],
    consumers: ConsumerPositions,
) -> AsyncIterator[R]:
    """Implement Subscribe over `partition`: `respond(entry, epoch, last)` makes each response.

    The first response is a greeting: the position that was asked for, with an empty payload, so that a reader learns
    where the log ends although nothing is new; only new entries follow, never more than `max_in_flight` beyond the
    last acknowledged position. Raises INVALID for a first request that is no start, CONFLICT / EPOCH_CHANGED for a
    cursor of another life of the log, CONFLICT / POSITION_AHEAD for one beyond its end, and NOT_FOUND / LOG_TRIMMED
    for a position that is no longer kept.
    """
    first = await anext(requests, None)
    if first is None or first.WhichOneof("action") != "start":
        raise invalid("SUBSCRIBE_ORDER", "the first request of Subscribe must be `start`")
    start = first.start
    epoch = await log.epoch(partition)
    if start.epoch and start.epoch != epoch:
        raise conflict("EPOCH_CHANGED", "this position belongs to another log: read from the start")
    _, end = await log.bounds(partition)
    if start.after_position > end:
        raise conflict("POSITION_AHEAD", f"position {start.after_position} lies beyond the log's end {end}")
    feed: _Feed[Q, R] = _Feed(requests, consumers)
    feed.acknowledged = start.after_position
    feed.consumer = start.consumer
    if start.consumer:
        consumers.set(start.consumer, start.after_position)
    in_flight = start.max_in_flight or _DEFAULT_IN_FLIGHT
    follower = asyncio.create_task(feed.follow_acknowledgements())
    position = start.after_position
    yield respond(Entry(position, 0, b""), epoch, end)
    try:
        while True:
            if follower.done() and (failure := follower.exception()) is not None:
                raise failure
            room = feed.acknowledged + in_flight - position
            if room <= 0:
                feed.moved.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_WAIT_S):
                        await feed.moved.wait()
                continue
            entries = await log.read(partition, position, min(room, _READ_ENTRIES), _READ_BYTES)
            if not entries:
                await log.wait(partition, position, _WAIT_S)
                continue
            _, last = await log.bounds(partition)
            for entry in entries:
                yield respond(entry, epoch, last)
            position = entries[-1].position
    finally:
        follower.cancel()
        with suppress(asyncio.CancelledError, CdpError):
            await follower
