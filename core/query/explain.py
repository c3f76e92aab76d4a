"""Which events are behind an answer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from core.index.root import Root
from core.query.ast import EventAggregate, EventCount, EventSelection, MessageCount, Node, SegmentReference
from core.query.execute_context import Context
from core.query.execute_parameters import Arguments, arguments_of, fill, given
from core.query.leaves.leaf_messages import EVENTS_OF
from core.query.names import BoundRule
from core.query.rows.selecting import pick
from core.schema import Scalar

#: An event as it is ordered: occurred_at, id as UTF-8 bytes; then its type and run and row, to tell events apart.
_Placed = tuple[int, bytes, str, int, int]


def witnesses(
    bound: BoundRule, root: Root, contact: int, as_of_us: int, parameters: Mapping[str, Scalar], limit: int
) -> tuple[str, ...]:
    """Ids of the latest `limit` events of `contact` that some condition of the rule, or of a segment it refers to,
    counts; latest first, each once. Empty where no such event exists."""
    context = Context(root, as_of_us, bound.zone, np.array([contact], np.uint32))
    found: set[_Placed] = set()
    for selection in _selections(bound, given(bound, parameters)):
        found.update(_latest(selection, context, limit))
    return tuple(event_id.decode() for _, event_id, *_ in sorted(found, reverse=True)[:limit])


def matching_events(
    selection: EventSelection, root: Root, contact: int, as_of_us: int, zone_name: str, limit: int
) -> tuple[str, ...]:
    """The same for one selection without parameters."""
    context = Context(root, as_of_us, zone_name, np.array([contact], np.uint32))
    return tuple(event_id.decode() for _, event_id, *_ in _latest(selection, context, limit))


def _latest(selection: EventSelection, context: Context, limit: int) -> list[_Placed]:
    placed: list[_Placed] = []
    for picked in pick(selection, context):
        run = picked.run
        placed += [
            (int(run.occurred_at_us[row]), run.ids.at(row), picked.type_name, run.serial, row)
            for row in picked.row_numbers()[-limit:].tolist()
        ]
    return sorted(placed, reverse=True)[:limit]


def _selections(bound: BoundRule, arguments: Arguments) -> list[EventSelection]:
    """The selections of all event conditions, referenced segments included."""
    found: list[EventSelection] = []
    stack: list[tuple[BoundRule, Arguments]] = [(bound, arguments)]
    seen: set[tuple[str, object]] = set()
    while stack:
        rule, given_here = stack.pop()
        for raw in rule.rule.nodes:
            node: Node = fill(raw, given_here)
            if isinstance(node, EventCount | EventAggregate):
                found.append(node.events)
            elif isinstance(node, MessageCount):
                found.append(EventSelection(EVENTS_OF[node.verb], node.filter, node.window))
            elif isinstance(node, SegmentReference):
                target = bound.segments[node.name]
                passed = arguments_of(node, target, given_here)
                if (node.name, passed) not in seen:
                    seen.add((node.name, passed))
                    stack.append((target, dict(passed)))
    return found
