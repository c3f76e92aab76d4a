"""Who is next: the processor's time of one process, shared fairly between the workspaces that want it.

Checking and writing items is what ingest's one thread is busy with. Calls take turns for it: each pass of the event
loop lets a fixed number of items through, and among the workspaces that wait the one that had least comes first
(start-time fair queueing, counted in items). A workspace with a thousand calls in line delays another's first call by
one pass, not by a thousand calls. Where nobody waits a turn costs nothing.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque

#: Items that one pass of the loop lets through: a millisecond or two. A call needs several passes, from its first byte
#: to its answer, and each of them waits for this.
ITEMS_A_PASS = 16


class Turns:
    """The line before the work. Made within a running loop."""

    def __init__(self, items_a_pass: int = ITEMS_A_PASS) -> None:
        self._items_a_pass = items_a_pass
        self._loop = asyncio.get_running_loop()
        #: What this pass lets through yet; below 0 what later passes have to make up for.
        self._left = items_a_pass
        self._scheduled = False
        self._lines: dict[str, deque[tuple[asyncio.Future[None], int]]] = {}
        #: (where its next call begins, workspace) of those that wait.
        self._next: list[tuple[int, str]] = []
        #: How many items the one who is served now has had, and where those stand who are ahead of that.
        self._now = 0
        self._ahead: dict[str, int] = {}

    @property
    def waiting(self) -> int:
        """Calls in line."""
        return sum(len(line) for line in self._lines.values())

    async def take(self, workspace: str, items: int) -> None:
        """Return when it is the turn of `workspace` with so many items. Calls of one workspace keep their order."""
        items = max(1, items)
        if not self._next and self._left > 0:
            self._serve(workspace, items)
            return
        turn = self._loop.create_future()
        line = self._lines.get(workspace)
        if line is None:
            line = self._lines[workspace] = deque()
            heapq.heappush(self._next, (self._start(workspace), workspace))
        line.append((turn, items))
        self._schedule()
        await turn  # cancelled with its caller; `_pass` leaves it out then

    def _start(self, workspace: str) -> int:
        return max(self._now, self._ahead.get(workspace, 0))

    def _serve(self, workspace: str, items: int) -> None:
        self._now = self._start(workspace)
        self._ahead[workspace] = self._now + items
        self._left -= items
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._pass)

    def _pass(self) -> None:
        self._scheduled = False
        self._left = min(self._left + self._items_a_pass, self._items_a_pass)
        while self._next and self._left > 0:
            _, workspace = heapq.heappop(self._next)
            line = self._lines[workspace]
            turn, items = line.popleft()
            if not turn.done():
                self._serve(workspace, items)
                turn.set_result(None)
            if line:
                heapq.heappush(self._next, (self._start(workspace), workspace))
            else:
                del self._lines[workspace]
        if self._next or self._left < self._items_a_pass:
            self._schedule()
        else:
            self._ahead.clear()  # everybody had what they wanted: they begin anew, level
            self._now = 0
