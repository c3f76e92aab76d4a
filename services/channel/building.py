"""Work that takes milliseconds of the processor, in few threads, many pieces at a time: handing a piece over and waking
the loop for its result costs as much as rendering a short message."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

#: Few: they take turns with the event loop for the interpreter.
_THREADS = 2
#: A thread comes back after this long with what it has, so that no piece waits for all the others.
_SHARE_S = 0.01
_MOST_PIECES = 64

_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class _Piece:
    make: Callable[[], Any]
    done: asyncio.Future[Any]


class Building:
    """Pieces are begun in their order."""

    def __init__(self) -> None:
        self._waiting: deque[_Piece] = deque()
        self._running: set[asyncio.Task[None]] = set()

    async def make(self, make: Callable[[], _Made]) -> _Made:
        """What `make` returns or raises, in a thread. Whoever leaves stops waiting only."""
        piece = _Piece(make, asyncio.get_running_loop().create_future())
        self._waiting.append(piece)
        if len(self._running) < _THREADS:
            task = asyncio.create_task(self._run())
            self._running.add(task)
            task.add_done_callback(self._running.discard)  # one that was cancelled before it began
        return cast(_Made, await piece.done)

    async def _run(self) -> None:
        try:
            await self._work()
        finally:
            # At once: a piece that comes before the loop is told that this task is done would wait for nobody.
            self._running.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _work(self) -> None:
        while self._waiting:
            share = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST_PIECES))]
            made = await asyncio.to_thread(_made, share)
            for piece, (value, error) in zip(share, made, strict=False):
                if piece.done.done():
                    continue  # nobody waits any more
                if error is None:
                    piece.done.set_result(value)
                else:
                    piece.done.set_exception(error)
            self._waiting.extendleft(reversed(share[len(made) :]))


def _made(pieces: Sequence[_Piece]) -> list[tuple[Any, Exception | None]]:
    """Of the first pieces, at least one, what they made or raised."""
    found: list[tuple[Any, Exception | None]] = []
    end_s = time.perf_counter() + _SHARE_S
    for piece in pieces:
        try:
            found.append((piece.make(), None))
        except Exception as error:  # noqa: BLE001 - it is for the one who asked
            found.append((None, error))
        if time.perf_counter() >= end_s:
            break
    return found
