"""The way through the blocks of a scenario as a graph. The empty id is the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from core.scenario.definition import Block, Condition, Exit, Wait

END = ""

#: Block id -> the ids that may come next, in the order written.
Ways = Mapping[str, tuple[str, ...]]


def ways(blocks: Sequence[Block]) -> Ways:
    """Where each block leads, with empty successors replaced by the block that follows. Ids must be unique."""
    following = {block.id: after.id for block, after in pairwise(blocks)}
    return {block.id: tuple(way or following.get(block.id, END) for way in written_ways(block)) for block in blocks}


def written_ways(block: Block) -> tuple[str, ...]:
    """The successors as written: two for a condition (true, false), none for an exit, else one."""
    match block.action:
        case Condition(_, when_true, when_false):
            return (when_true, when_false)
        case Exit():
            return ()
        case action:
            return (action.next,)


def unreachable(blocks: Sequence[Block], leading: Ways) -> tuple[str, ...]:
    """Ids that no way from the first block leads to, in the order written."""
    seen: set[str] = set()
    todo = [blocks[0].id]
    while todo:
        here = todo.pop()
        if here not in seen and here in leading:
            seen.add(here)
            todo.extend(leading[here])
    return tuple(block.id for block in blocks if block.id not in seen)


def restless(blocks: Sequence[Block], leading: Ways) -> tuple[str, ...]:
    """Ids of blocks on a loop that has no wait, or that lead into one without a wait before; empty if there is none.

    Blocks that lead only to waits, exits and the end are taken away again and again; what is left never rests.
    """
    left = {block.id for block in blocks if not isinstance(block.action, Wait)}
    while True:
        resting = {one for one in left if not any(way in left for way in leading[one])}
        if not resting:
            return tuple(block.id for block in blocks if block.id in left)
        left -= resting
