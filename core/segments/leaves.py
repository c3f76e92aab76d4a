"""Segments as joins of conditions whose truth is kept: which conditions can be kept so, and how they are joined."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.query.ast import (
    AttributeCondition,
    Branch,
    Condition,
    Everyone,
    InList,
    Op,
    Rule,
    Scope,
    SegmentReference,
)
from core.query.names import BoundRule
from core.segments.saved import Saved
from core.segments.tallies import Tally, tally_of

Truth = NDArray[np.bool_]
#: By which leaves of several segments are the same one.
LeafKey = tuple[str, Condition]
#: A place among the leaves, a branch over earlier steps, or an earlier step cut to a scope.
Step = int | Branch | tuple[Scope, int]
#: Rules with longer chains of references, or more conditions through them, are asked as they are.
_MOST_DEPTH, _MOST_STEPS = 50, 1000


@dataclass(frozen=True, slots=True)
class Leaf:
    """One condition, as a segment of its own among all contacts (`saved`). `default`: its truth for somebody of whom
    nothing is known. `tally`: as a number that events change; None: only writes of attributes and lists change it."""

    key: LeafKey
    saved: Saved
    default: bool
    tally: Tally | None

    @property
    def condition(self) -> Condition:
        """The condition."""
        return self.key[1]


@dataclass(frozen=True, slots=True)
class Formula:
    """A rule over the truths of leaves, in post-order: a place of `leaves`, a branch over earlier steps, or a scope
    that an earlier step is cut to (of a segment referred to). `scope` is the rule's own."""

    leaves: tuple[LeafKey, ...]
    steps: tuple[Step, ...]
    scope: Scope

    def truth(self, leaves: Sequence[Truth], in_scope: Callable[[Scope], Truth]) -> Truth:
        """The rule, row by row, within its scope."""
        found: list[Truth] = []
        for step in self.steps:
            match step:
                case int():
                    found.append(leaves[step])
                case Branch():
                    found.append(_joined(step, found))
                case (scope, target):
                    found.append(found[target] & in_scope(scope))
        return found[-1] & in_scope(self.scope)


def _joined(branch: Branch, found: Sequence[Truth]) -> Truth:
    children = [found[child] for child in branch.children]
    match branch.op:
        case Op.NOT:
            return ~children[0]
        case Op.AND:
            return np.asarray(np.logical_and.reduce(children), np.bool_)
        case Op.OR:
            return np.asarray(np.logical_or.reduce(children), np.bool_)
        case Op.AT_LEAST:
            return np.asarray(np.sum(children, axis=0) >= branch.k, np.bool_)
        case Op.EXCEPT:
            included = [*children[: branch.k], *(~child for child in children[branch.k :])]
            return np.asarray(np.logical_and.reduce(included), np.bool_)


def leaf_of(condition: Condition, bound: BoundRule) -> Leaf | None:
    """The condition of a rule as a leaf; None where time, other contacts or the order of events decide about it."""
    rule = BoundRule(Rule((condition,), Scope.ALL), {}, {}, bound.zone, bound.attributes, bound.setting)
    saved = Saved.make("", 1, rule)
    tally = tally_of(condition)
    if tally is None and not (isinstance(condition, AttributeCondition | InList | Everyone) and _is_still(saved)):
        return None
    return Leaf((bound.zone, condition), saved, saved.touches.everything, tally)


def _is_still(saved: Saved) -> bool:
    """Whether nothing but a write, when it becomes valid, changes the condition."""
    edges = saved.edges
    moving = (edges.events, edges.instant_values, edges.histories, edges.existence, edges.local_days)
    offsets = {offset for one in (edges.attribute_writes, edges.lists) for some in one.values() for offset in some}
    return not (any(moving) or edges.products or edges.together or saved.touches.existence) and offsets <= {0}


def formula_of(saved: Saved, known: dict[LeafKey, Leaf | None]) -> Formula | None:
    """A segment as a join of leaves; None where one of its conditions is no leaf. `known` gains what is looked at."""
    leaves: dict[LeafKey, int] = {}
    steps: list[Step] = []
    if not _add(saved.bound, saved.bound.segments, known, leaves, steps, 0):
        return None
    return Formula(tuple(leaves), tuple(steps), saved.bound.rule.scope)


def _add(
    bound: BoundRule,
    segments: Mapping[str, BoundRule],
    known: dict[LeafKey, Leaf | None],
    leaves: dict[LeafKey, int],
    steps: list[Step],
    depth: int,
) -> bool:
    """Append the steps of one rule; targets of its references first, each time they are named."""
    rule = bound.rule
    if rule.base is not None or rule.limit is not None or bound.parameters:
        return False
    if depth > _MOST_DEPTH or len(steps) > _MOST_STEPS:
        return False
    places: list[int] = []
    for node in rule.nodes:
        if isinstance(node, Branch):
            steps.append(Branch(node.op, tuple(places[child] for child in node.children), node.k))
        elif isinstance(node, SegmentReference):
            target = segments.get(node.name)
            if target is None or node.arguments or not _add(target, segments, known, leaves, steps, depth + 1):
                return False
            steps.append((target.rule.scope, len(steps) - 1))
        else:
            key = (bound.zone, node)
            if key not in known:
                known[key] = leaf_of(node, bound)
            if known[key] is None:
                return False
            steps.append(leaves.setdefault(key, len(leaves)))
        places.append(len(steps) - 1)
    return True
