"""Many calls in one HTTP body: each is taken or refused on its own, and all that were taken are durable at the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from core.errors import Violation, invalid
from services.ingest.accept import MAX_EVENT_BYTES, TOO_LARGE, Outcome, refused
from services.ingest.entrance import admit
from services.ingest.strict_json import size_of
from services.ingest.ways import Way
from services.ingest.writer import BatchWriter

BAD_SHAPE = "BAD_SHAPE"
EMPTY_BATCH = "EMPTY_BATCH"

_TURN_S = 0.002
#: A value's `repr` has no fewer signs than its compact JSON, and a sign no more than four bytes in UTF-8: a quick look.
_BYTES_A_SIGN = 4

#: Takes one call, which stands at the path that is told ("batch[3].").
Take = Callable[[BatchWriter, object, str], Outcome]
#: The calls that an item stands for, one after the other, or why it is left out as a whole.
Parts = Callable[[object], Sequence[object] | str]


def itself(item: object) -> Sequence[object]:
    """One item is one call."""
    return (item,)


async def take_batch(way: Way, items: object, body_bytes: int, take: Take, parts: Parts = itself) -> dict[str, object]:
    """Take every call of `items`, the `batch` of a body of `body_bytes`; returns the answer's document once those
    that were taken are durable. What was refused stands under `rejected`, what was left out under `left_out`. Where
    an item stands for several calls, `take` is given its `parts` one by one.

    Raises INVALID / BAD_SHAPE when `items` is no list, EMPTY_BATCH when it is empty.
    """
    if not isinstance(items, list):
        raise invalid(BAD_SHAPE, "`batch` must be a list of calls", Violation("batch", "must be a list"))
    if not items:
        raise invalid(EMPTY_BATCH, "`batch` is empty", Violation("batch", "needs at least one call"))
    rejected: list[dict[str, object]] = []
    left_out: list[dict[str, object]] = []
    entries: dict[asyncio.Future[int], None] = {}
    turn_until_s = time.perf_counter() + _TURN_S
    for index, item in enumerate(items):
        # Only in a body larger than one item may be can an item be too large.
        # What stands beside the calls in the body is no part of them.
        size_bytes = min(body_bytes // len(items), MAX_EVENT_BYTES)
        if body_bytes > MAX_EVENT_BYTES and _BYTES_A_SIGN * len(repr(item)) > MAX_EVENT_BYTES:
            size_bytes = size_of(item)
        calls = parts(item)
        if isinstance(calls, str):
            left_out += violations(index, (Violation(f"batch[{index}]", f"left out: {calls}"),))
            continue
        for call in calls:
            outcome, entry = await take_one(way, call, f"batch[{index}].", size_bytes, take)
            if entry is not None:
                entries[entry] = None
            if outcome.refusal is not None:
                first = outcome.refusal.violations[0]
                rejected.append(
                    {"index": index, "reason": outcome.refusal.reason, "path": first.path}
                    | {"description": first.description}
                )
            left_out += violations(index, outcome.notes)
        if time.perf_counter() > turn_until_s:
            await asyncio.sleep(0)
            turn_until_s = time.perf_counter() + _TURN_S
    for entry in entries:
        await asyncio.shield(entry)
    return {"success": True, **told("rejected", rejected), **told("left_out", left_out)}


def calls_in(items: object) -> int:
    """How many calls a `batch` of a body holds; what is no list holds none, and `take_batch` refuses it."""
    return len(items) if isinstance(items, list) else 0


async def take_one(
    way: Way, item: object, path: str, size_bytes: int, take: Take
) -> tuple[Outcome, asyncio.Future[int] | None]:
    """Take one call of `size_bytes`; what to wait for until it is durable, None when it was refused."""
    if size_bytes > MAX_EVENT_BYTES:
        return refused(TOO_LARGE, path.rstrip("."), f"a call has at most {MAX_EVENT_BYTES} bytes"), None
    return await admit(way, size_bytes, lambda writer: take(writer, item, path))


def violations(index: int | None, notes: Sequence[Violation]) -> list[dict[str, object]]:
    """Notes as they stand in an answer; with the call's number in its batch, if it came in one."""
    which = {} if index is None else {"index": index}
    return [{**which, "path": note.path, "description": note.description} for note in notes]


def told(name: str, entries: list[dict[str, object]]) -> dict[str, object]:
    """`entries` under `name`, or nothing where there are none."""
    return {name: entries} if entries else {}
