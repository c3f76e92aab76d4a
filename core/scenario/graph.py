"""The way through the blocks of a scenario as a graph. The empty id is the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from core.scenario.definition import (
    Action,
    Block,
    CallWebhook,
    Condition,
    Control,
    DateAttribute,
    Exit,
    IssueCoupon,
    Split,
    Wait,
    WaitFor,
)

END = ""

#: Block id -> the ids that may come next, in the order written.
Ways = Mapping[str, tuple[str, ...]]


def ways(blocks: Sequence[Block]) -> Ways:
    """Where each block leads, with empty successors replaced by the block that follows. Ids must be unique."""
    following = {block.id: after.id for block, after in pairwise(blocks)}
    return {block.id: tuple(way or following.get(block.id, END) for way in written_ways(block)) for block in blocks}


def written_ways(block: Block) -> tuple[str, ...]:
    """The successors as written; the machine takes them by their index.

    A condition: true, false. A wait for something: met, timed out. A split: its branches. A control group: those
    outside, and those inside where these go on. A wait for a date: then, without a date. A coupon: issued, none left. A
    webhook: answered, failed. None for an exit, else one.
    """
    match block.action:
        case Wait(_, after, DateAttribute(when_missing=when_missing)):
            return (after, when_missing or after)
        case WaitFor() as wait:
            return (wait.when_met, wait.when_timeout)
        case Condition(_, when_true, when_false):
            return (when_true, when_false)
        case Split(branches):
            return tuple(branch.next for branch in branches)
        case Control() as control:
            return (control.next, control.when_in) if control.when_in else (control.next,)
        case IssueCoupon() as issue:
            return (issue.next, issue.when_empty or issue.next)
        case CallWebhook() as call:
            return (call.next, call.when_failed or call.next)
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

    Blocks that lead at once only to the end, or to blocks that do, are taken away again and again; what is left never
    rests.
    """
    left = {block.id for block in blocks}
    while True:
        resting = {
            block.id
            for block in blocks
            if block.id in left and not any(way in left for way in _at_once(block.action, leading[block.id]))
        }
        if not resting:
            return tuple(block.id for block in blocks if block.id in left)
        left -= resting


def _at_once(action: Action, leading: Sequence[str]) -> Sequence[str]:
    """Those ways out of a block that a run may take in the same instant in which it comes."""
    match action:
        case Wait(until=DateAttribute()):
            return leading  # a date may have passed
        case Wait():
            return ()
        case WaitFor(condition=condition):
            return leading[:1] if condition.strip() else ()
        case _:
            return leading
