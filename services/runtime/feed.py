"""Serving a log as a resumable stream with flow control, and remembering how far each consumer is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Generic, Literal, Protocol, TypeVar

from core.errors import conflict, invalid
from core.eventlog.protocol import Entry, EventLog, Partition
from services.runtime.caller import CALLER

_READ_ENTRIES = 64
_READ_BYTES = 4 << 20
_DEFAULT_IN_FLIGHT = 64
_WAIT_S = 5.0
_START_WITHIN_S = 10.0


class _Start(Protocol):
    consumer: str
    after_position: int
    max_in_flight: int
    epoch: str


class SubscribeRequest(Protocol):
    """What every service's Subscribe request looks like."""

    acknowledged_position: int

    @property
    def start(self) -> _Start:
        """Set in the first request alone."""
        ...

    def WhichOneof(  # noqa: N802 - protobuf's name
        self, oneof_group: Literal["action"]
    ) -> Literal["start", "acknowledged_position"] | None:
        """Which of both is set."""
        ...


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


class _Reader(Generic[Q]):
    """What the other side has told: its start, then its acknowledgements."""

    def __init__(self, requests: AsyncIterator[Q], consumers: ConsumerPositions) -> None:
        self._requests = requests
        self._consumers = consumers
        self._consumer = ""
        self.acknowledged = 0
        self.sent = 0
        self.moved = asyncio.Event()

    async def start(self) -> _Start:
        """The first request. Raises INVALID / SUBSCRIBE_ORDER when it is no start or does not come."""
        try:
            async with asyncio.timeout(_START_WITHIN_S):
                first = await anext(self._requests, None)
        except TimeoutError as error:
            raise invalid("SUBSCRIBE_ORDER", f"no `start` within {_START_WITHIN_S:g} s") from error
        if first is None or first.WhichOneof("action") != "start":
            raise invalid("SUBSCRIBE_ORDER", "the first request of Subscribe must be `start`")
        return first.start

    def begin(self, consumer: str, position: int) -> None:
        """Count from `position`; remember acknowledgements for `consumer` (empty: for nobody)."""
        self._consumer = consumer
        self.acknowledged = self.sent = position
        if consumer:
            self._consumers.set(consumer, position)

    async def follow(self) -> None:
        """Take acknowledgements until the other side sends no more. Raises INVALID for anything else."""
        async for request in self._requests:
            if request.WhichOneof("action") != "acknowledged_position":
                raise invalid("SUBSCRIBE_ORDER", "after `start` only acknowledged positions may follow")
            if request.acknowledged_position > self.sent:
                # Believed, it would let entries be trimmed that nobody has folded.
                what = f"position {request.acknowledged_position} is acknowledged, {self.sent} was the last one sent"
                raise invalid("ACKNOWLEDGED_AHEAD", what)
            self.acknowledged = max(self.acknowledged, request.acknowledged_position)
            if self._consumer:
                self._consumers.set(self._consumer, self.acknowledged)
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
    last acknowledged position, and never more in memory than one read of the log. Only services are remembered in
    `consumers` by their names; anybody else may read, and holds back no trimming.

    Raises INVALID / SUBSCRIBE_ORDER for requests in another order, INVALID / ACKNOWLEDGED_AHEAD for an acknowledgement
    of what was not sent, CONFLICT / EPOCH_CHANGED for a cursor of another life of the log, CONFLICT / POSITION_AHEAD
    for one beyond its end, and NOT_FOUND / LOG_TRIMMED for a position that is no longer kept.
    """
    reader: _Reader[Q] = _Reader(requests, consumers)
    start = await reader.start()
    epoch = await log.epoch(partition)
    if start.epoch and start.epoch != epoch:
        raise conflict("EPOCH_CHANGED", "this position belongs to another log: read from the start")
    _, end = await log.bounds(partition)
    position = start.after_position
    if position > end:
        raise conflict("POSITION_AHEAD", f"position {position} lies beyond the log's end {end}")
    caller = CALLER.get(None)
    reader.begin(start.consumer if caller is None or caller.internal else "", position)
    in_flight = start.max_in_flight or _DEFAULT_IN_FLIGHT
    follower = asyncio.create_task(reader.follow(), name=f"acknowledgements-{start.consumer}")
    try:
        yield respond(Entry(position, 0, b""), epoch, end)
        while True:
            if follower.done():
                follower.result()
            room = reader.acknowledged + in_flight - position
            if room <= 0:
                reader.moved.clear()
                await _first_of(reader.moved.wait(), follower)
                continue
            entries = await log.read(partition, position, min(room, _READ_ENTRIES), _READ_BYTES)
            if not entries:
                await _first_of(log.wait(partition, position, _WAIT_S), follower)
                continue
            _, last = await log.bounds(partition)
            for entry in entries:
                reader.sent = position = entry.position
                yield respond(entry, epoch, last)
    finally:
        follower.cancel()
        await asyncio.wait({follower})
        if not follower.cancelled():
            follower.exception()  # raised above already, or of no interest to a reader that is gone


async def _first_of(happening: Coroutine[Any, Any, object], follower: asyncio.Task[None]) -> None:
    """Wait for `happening`, at most _WAIT_S, or until `follower` fails; raises what `happening` raises."""
    waiting = asyncio.create_task(happening)
    both = {waiting} if follower.done() else {waiting, follower}
    try:
        await asyncio.wait(both, timeout=_WAIT_S, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            waiting.result()
    finally:
        waiting.cancel()
