"""Evaluating a bound rule at one instant on one root."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_

import numpy as np
from numpy.typing import NDArray

from core.errors import CdpError, Code
from core.index.contact_set import ContactSet
from core.index.root import Root
from core.kernels.ranges import sorted_unique
from core.query.ast import (
    AttributeCondition,
    Branch,
    EventAggregate,
    EventCount,
    Everyone,
    InList,
    MessageCount,
    Node,
    Op,
    Operand,
    Scope,
    SegmentReference,
)
from core.query.execute_context import Context
from core.query.execute_parameters import Arguments, arguments_of, fill, given
from core.query.leaf_aggregates import aggregate_leaf
from core.query.leaf_attributes import attribute_leaf
from core.query.leaf_events import event_count_leaf
from core.query.leaf_messages import message_leaf
from core.query.leaf_result import LeafResult
from core.query.names import BoundRule
from core.schema import Scalar

Leaf = Everyone | AttributeCondition | InList | EventCount | MessageCount | EventAggregate
#: What a leaf answered, by (zone, leaf with its parameters filled in). It is valid for one root, instant and
#: candidates only; a caller that evaluates many rules on the same three may pass one cache to all of them.
LeafCache = MutableMapping[tuple[str, Node], LeafResult]


@dataclass(frozen=True, slots=True)
class Counts:
    """Members: all, those with a way to name them, and those reachable by any channel."""

    total: int
    known: int
    reachable: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`nodes`: one set per node of the rule, each within the rule's scope; `members` is the last one."""

    members: ContactSet
    nodes: tuple[ContactSet, ...]

    def counts(self, root: Root) -> Counts:
        """Counts of the members; `root` is that of the evaluation."""
        return count_of(self.members, root)

    def node_counts(self, root: Root) -> tuple[Counts, ...]:
        """Counts of every node."""
        known, reachable = root.known(), root.reachable()
        return tuple(Counts(len(node), len(node & known), len(node & reachable)) for node in self.nodes)


def count_of(members: ContactSet, root: Root) -> Counts:
    """Counts of any set of contacts of `root`."""
    return Counts(len(members), len(members & root.known()), len(members & root.reachable()))


def evaluate(
    bound: BoundRule,
    root: Root,
    as_of_us: int,
    parameters: Mapping[str, Scalar],
    candidates: NDArray[np.uint32] | None = None,
    cache: LeafCache | None = None,
) -> Evaluation:
    """The members of a rule as of an instant, and the set of every node.

    `candidates` (uint32 contact numbers, any order) restrict the answer and the work to them. `parameters` bind the
    rule's parameters; others are ignored. Raises CdpError for a parameter that is missing or of another kind.
    """
    if candidates is not None:
        candidates = sorted_unique(candidates[candidates < root.contact_count]).astype(np.uint32, copy=False)
    run = _Run(bound, Context(root, as_of_us, bound.zone, candidates), {} if cache is None else cache)
    return run.evaluate(given(bound, parameters))


@dataclass(frozen=True, slots=True)
class _Task:
    """A segment referred to, with what its parameters stand for. `name` None is the rule asked for."""

    name: str | None
    arguments: tuple[tuple[str, Operand], ...] = ()


class _Run:
    """One evaluation; segments that are referred to are evaluated once per binding of their parameters."""

    def __init__(self, bound: BoundRule, context: Context, cache: LeafCache) -> None:
        self._bound = bound
        self._context = context
        self._cache = cache
        self._done: dict[_Task, Evaluation] = {}
        self._scopes: dict[Scope, ContactSet] = {}

    def evaluate(self, arguments: Arguments) -> Evaluation:
        """Referenced segments first, without recursion: chains of references may be long."""
        asked = _Task(None, tuple(sorted(arguments.items())))
        stack = [asked]
        opened: set[_Task] = set()
        while stack:
            task = stack[-1]
            if task in self._done:
                stack.pop()
                continue
            nodes = self._nodes(task)
            waiting = [target for target in self._targets(nodes, task) if target not in self._done]
            if not waiting:
                self._done[task] = self._tree(nodes, task)
                opened.discard(task)
                stack.pop()
                continue
            opened.add(task)
            if any(target in opened for target in waiting):
                raise CdpError(Code.INTERNAL, "SEGMENT_CYCLE", "a segment refers to itself; saving must refuse that")
            stack.extend(waiting)
        return self._done[asked]

    def _rule(self, task: _Task) -> BoundRule:
        return self._bound if task.name is None else self._bound.segments[task.name]

    def _nodes(self, task: _Task) -> tuple[Node, ...]:
        arguments = dict(task.arguments)
        return tuple(fill(node, arguments) for node in self._rule(task).rule.nodes)

    def _targets(self, nodes: Sequence[Node], task: _Task) -> list[_Task]:
        return [self._target(node, task) for node in nodes if isinstance(node, SegmentReference)]

    def _target(self, reference: SegmentReference, task: _Task) -> _Task:
        target = self._bound.segments[reference.name]
        return _Task(reference.name, arguments_of(reference, target, dict(task.arguments)))

    def _tree(self, nodes: Sequence[Node], task: _Task) -> Evaluation:
        scope = self._scope(self._rule(task).rule.scope)
        sets: list[ContactSet] = []
        for node in nodes:
            if isinstance(node, Branch):
                sets.append(branch(node, sets, scope))
            elif isinstance(node, SegmentReference):
                sets.append(self._done[self._target(node, task)].members & scope)
            else:
                sets.append(self._leaf(node).within(scope))
        return Evaluation(sets[-1], tuple(sets))

    def _scope(self, scope: Scope) -> ContactSet:
        found = self._scopes.get(scope)
        if found is None:
            root, candidates = self._context.root, self._context.candidates
            found = root.exists(self._context.as_of_us, candidates)
            if scope is Scope.KNOWN:
                found = found & root.known(candidates)
            elif scope is Scope.ANONYMOUS:
                found = found - root.known(candidates)
            self._scopes[scope] = found
        return found

    def _leaf(self, node: Leaf) -> LeafResult:
        key = (self._context.zone_name, node)
        found = self._cache.get(key)
        if found is None:
            found = self._cache[key] = leaf(node, self._context)
        return found


def leaf(node: Leaf, context: Context) -> LeafResult:
    """What one condition, its parameters filled in, says of every contact that takes part."""
    match node:
        case Everyone():
            return LeafResult(ContactSet.empty(), complement=True)
        case AttributeCondition():
            return attribute_leaf(node, context)
        case InList():
            return LeafResult(context.root.on_list(node.name, context.as_of_us, context.candidates))
        case EventCount():
            return event_count_leaf(node, context)
        case MessageCount():
            return message_leaf(node, context)
        case EventAggregate():
            return aggregate_leaf(node, context)


def branch(node: Branch, sets: Sequence[ContactSet], scope: ContactSet) -> ContactSet:
    """Join the sets of a branch's children, all of them within `scope`."""
    children = [sets[child] for child in node.children]
    match node.op:
        case Op.AND:
            return reduce(and_, children)
        case Op.OR:
            return reduce(or_, children)
        case Op.NOT:
            return scope - children[0]
        case Op.EXCEPT:
            return reduce(lambda left, right: left - right, children[node.k :], reduce(and_, children[: node.k], scope))
        case Op.AT_LEAST:
            return _at_least(children, node.k, scope)


def _at_least(children: Sequence[ContactSet], k: int, scope: ContactSet) -> ContactSet:
    """`reached[j]`: in at least j + 1 of the children seen so far."""
    if k <= 0:
        return scope
    reached = [ContactSet.empty()] * k
    for child in children:
        for j in range(k - 1, 0, -1):
            reached[j] = reached[j] | (reached[j - 1] & child)
        reached[0] = reached[0] | child
    return reached[-1]
