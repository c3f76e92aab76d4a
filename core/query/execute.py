"""Evaluating a bound rule at one instant on one root."""

from __future__ import annotations

from collections import abc
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import CdpError, Code
from core.index.contact_set import ContactSet
from core.index.root import Root
from core.kernels.ranges import sorted_unique
from core.query.ast import (
    AttributeCondition,
    Branch,
    Changed,
    Condition,
    EventAggregate,
    EventCount,
    Everyone,
    FirstTime,
    HasBeen,
    HasBeenIn,
    InCohort,
    InList,
    MeasureCondition,
    MessageCount,
    Node,
    Operand,
    PickedEvent,
    Population,
    PopulationCondition,
    RandomBucket,
    Reachable,
    Regularly,
    Restarted,
    RfmInCell,
    RfmMoved,
    SegmentReference,
    Sequence,
    Stopped,
    Trend,
    WasIn,
)
from core.query.branches import Joining, parents
from core.query.execute_context import Context
from core.query.execute_parameters import Arguments, arguments_of, fill, given
from core.query.knowledge import NOTHING_KNOWN, Knowledge
from core.query.leaves.leaf_aggregates import aggregate_leaf
from core.query.leaves.leaf_attributes import attribute_leaf
from core.query.leaves.leaf_cohort import cohort_leaf
from core.query.leaves.leaf_events import event_count_leaf
from core.query.leaves.leaf_groups import has_been_in_leaf, random_bucket_leaf, reachable_leaf, was_in_leaf
from core.query.leaves.leaf_messages import message_leaf
from core.query.leaves.leaf_picked import first_time_leaf, picked_event_leaf
from core.query.leaves.leaf_population import population_leaf
from core.query.leaves.leaf_result import LeafResult
from core.query.leaves.leaf_rfm import rfm_in_cell_leaf, rfm_moved_leaf
from core.query.leaves.leaf_rhythm import regularly_leaf, restarted_leaf, stopped_leaf, trend_leaf
from core.query.leaves.leaf_sequence import sequence_leaf
from core.query.leaves.leaf_states import changed_leaf, has_been_leaf
from core.query.leaves.limit import cut
from core.query.leaves.measured_values import measure_condition_leaf
from core.query.leaves.population import members_of
from core.query.leaves.windowed import windows_defined
from core.query.names import BoundRule
from core.query.walk import anchors
from core.schema import Scalar

#: What a leaf answered, by (zone, leaf with its parameters filled in). It is valid for one root, instant and
#: candidates only; a caller that evaluates many rules on the same three may pass one cache to all of them.
LeafCache = MutableMapping[tuple[str, Node], LeafResult]
_LEAVES_KEPT = 256
_Seen = Callable[[ContactSet], None]


@dataclass(frozen=True, slots=True)
class Counts:
    """Members: all, those with a way to name them, and those reachable by any channel."""

    total: int
    known: int
    reachable: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`nodes`: one set per node of the rule, each within the rule's scope and base; `members` is the last one, cut to
    the rule's limit."""

    members: ContactSet
    nodes: tuple[ContactSet, ...]

    def counts(self, root: Root) -> Counts:
        """Counts of the members; `root` is that of the evaluation."""
        return count_of(self.members, root)

    def node_counts(self, root: Root) -> tuple[Counts, ...]:
        """Counts of every node."""
        known, reachable = root.known(), root.reachable()
        return tuple(Counts(*node.counts_with(known, reachable)) for node in self.nodes)


def count_of(members: ContactSet, root: Root) -> Counts:
    """Counts of any set of contacts of `root`."""
    return Counts(*members.counts_with(root.known(), root.reachable()))


def evaluate(
    bound: BoundRule,
    root: Root,
    as_of_us: int,
    parameters: Mapping[str, Scalar],
    candidates: NDArray[np.uint32] | None = None,
    cache: LeafCache | None = None,
    knowledge: Knowledge = NOTHING_KNOWN,
) -> Evaluation:
    """The members of a rule as of an instant, and the set of every node.

    `candidates` (uint32 contact numbers, any order) restrict the answer and the work to them. `parameters` bind the
    rule's parameters; others are ignored. `knowledge`: published statistics and recorded histories.
    Raises CdpError for a parameter that is missing or of another kind.
    """
    nodes: list[ContactSet] = []
    members = find(bound, root, as_of_us, parameters, candidates, cache, knowledge, nodes.append)
    return Evaluation(members, tuple(nodes))


def find(
    bound: BoundRule,
    root: Root,
    as_of_us: int,
    parameters: Mapping[str, Scalar],
    candidates: NDArray[np.uint32] | None = None,
    cache: LeafCache | None = None,
    knowledge: Knowledge = NOTHING_KNOWN,
    seen: Callable[[ContactSet], None] | None = None,
) -> ContactSet:
    """The members alone; `seen` hears the set of every node of the rule, in the order of the nodes. A set is held only
    until its branch has taken it in, so a rule of 10,000 nodes needs no more memory than it is deep."""
    if candidates is not None:
        candidates = sorted_unique(candidates[candidates < root.contact_count]).astype(np.uint32, copy=False)
    context = Context(root, as_of_us, bound.zone, candidates, bound.setting, knowledge)
    run = _Run(bound, context, _FewLeaves() if cache is None else cache)
    return run.members(given(bound, parameters), seen)


def count_nodes(
    bound: BoundRule,
    root: Root,
    as_of_us: int,
    parameters: Mapping[str, Scalar],
    candidates: NDArray[np.uint32] | None = None,
    cache: LeafCache | None = None,
    knowledge: Knowledge = NOTHING_KNOWN,
) -> tuple[ContactSet, tuple[Counts, ...]]:
    """The members, and the counts of every node of the rule: `evaluate` without holding a set for each."""
    counts: list[Counts] = []
    members = find(
        *(bound, root, as_of_us, parameters, candidates, cache, knowledge),
        seen=lambda found: counts.append(count_of(found, root)),
    )
    return members, tuple(counts)


class _FewLeaves(dict[tuple[str, Node], LeafResult]):
    """The cache of one evaluation: leaves of common rules are shared, those of huge ones are not kept."""

    def __setitem__(self, key: tuple[str, Node], result: LeafResult) -> None:
        if len(self) < _LEAVES_KEPT:
            super().__setitem__(key, result)


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
        self._done: dict[_Task, ContactSet] = {}
        self._everyone: _Run | None = None

    def members(self, arguments: Arguments, seen: _Seen | None = None) -> ContactSet:
        """Referenced segments first, without recursion: chains of references may be long."""
        return self._members(_Task(None, tuple(sorted(arguments.items()))), seen)

    def _members(self, asked: _Task, seen: _Seen | None) -> ContactSet:
        stack = [asked]
        opened: set[_Task] = set()
        while stack:
            task = stack[-1]
            known = self._known_members(task)
            if known is not None:
                self._done[task] = known
            if task in self._done:
                stack.pop()
                continue
            nodes = self._nodes(task)
            waiting = [target for target in self._targets(nodes, task) if target not in self._done]
            if not waiting:
                self._done[task] = self._tree(nodes, task, seen if task == asked else None)
                opened.discard(task)
                stack.pop()
                continue
            opened.add(task)
            if any(target in opened for target in waiting):
                raise CdpError(Code.INTERNAL, "SEGMENT_CYCLE", "a segment refers to itself; saving must refuse that")
            stack.extend(waiting)
        return self._done[asked]

    def _known_members(self, task: _Task) -> ContactSet | None:
        """Of a segment that is kept current: nothing is evaluated."""
        if task.name is None or task.arguments:
            return None
        members = self._context.knowledge.members.get(task.name)
        if members is None:
            return None
        if self._context.candidates is not None:
            members = members & ContactSet.from_numbers(self._context.candidates)
        return members

    def _rule(self, task: _Task) -> BoundRule:
        return self._bound if task.name is None else self._bound.segments[task.name]

    def _nodes(self, task: _Task) -> tuple[Node, ...]:
        arguments = dict(task.arguments)
        return tuple(fill(node, arguments) for node in self._rule(task).rule.nodes)

    def _targets(self, nodes: abc.Sequence[Node], task: _Task) -> list[_Task]:
        return [self._target(node, task) for node in nodes if isinstance(node, SegmentReference)]

    def _target(self, reference: SegmentReference, task: _Task) -> _Task:
        target = self._bound.segments[reference.name]
        return _Task(reference.name, arguments_of(reference, target, dict(task.arguments)))

    def _tree(self, nodes: abc.Sequence[Node], task: _Task, seen: _Seen | None) -> ContactSet:
        rule = self._rule(task).rule
        if rule.limit is not None and self._context.candidates is not None:
            return self._among_everyone(task, self._context.candidates, seen)
        scope = members_of(Population(rule.scope, rule.base), self._context)
        parent_of = parents(nodes)
        open_branches: dict[int, Joining] = {}
        found = scope
        for index, node in enumerate(nodes):
            if isinstance(node, Branch):
                found = open_branches.pop(index).joined()
            elif isinstance(node, SegmentReference):
                found = self._done[self._target(node, task)] & scope
            else:
                found = self._leaf(node).within(scope)
            if seen is not None:
                seen(found)
            parent, place = parent_of[index]
            if parent < 0:
                continue
            joining = open_branches.get(parent)
            if joining is None:
                above = nodes[parent]
                assert isinstance(above, Branch)
                joining = open_branches[parent] = Joining(above, scope, self._context.root.contact_count)
            joining.add(found, place)
        limit = fill(rule.limit, dict(task.arguments))
        return found if limit is None else cut(found, limit, self._context)

    def _among_everyone(self, task: _Task, candidates: NDArray[np.uint32], seen: _Seen | None) -> ContactSet:
        """The candidates' part of an evaluation for all contacts: a limit chooses among all of them."""
        if self._everyone is None:
            self._everyone = _Run(self._bound, self._context.whole(), _FewLeaves())
        mine = ContactSet.from_numbers(candidates)
        narrowed = None if seen is None else (lambda found: seen(found & mine))
        return self._everyone._members(task, narrowed) & mine

    def _leaf(self, node: Condition) -> LeafResult:
        key = (self._context.zone_name, node)
        found = self._cache.get(key)
        if found is None:
            found = self._cache[key] = leaf(node, self._context)
        return found


def leaf(node: Condition, context: Context) -> LeafResult:
    """What one condition, its parameters filled in, says of every contact that takes part; of those for whom its window
    is undefined, that it is false."""
    found = _dispatch(node, context)
    if _has_plain_window(node):
        return found
    defined = windows_defined(node, context)
    return found if defined is None else LeafResult(found.within(defined))


def _has_plain_window(node: Condition) -> bool:
    """Whether no other events bound a window in this condition, of the commonest ones: they are not searched for it."""
    if isinstance(node, EventCount | EventAggregate):
        return anchors(node.events.window) is None
    return isinstance(node, AttributeCondition | InList | Everyone)


def _dispatch(node: Condition, context: Context) -> LeafResult:
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
        case FirstTime():
            return first_time_leaf(node, context)
        case PickedEvent():
            return picked_event_leaf(node, context)
        case Stopped():
            return stopped_leaf(node, context)
        case Restarted():
            return restarted_leaf(node, context)
        case Regularly():
            return regularly_leaf(node, context)
        case Trend():
            return trend_leaf(node, context)
        case Sequence():
            return sequence_leaf(node, context)
        case MeasureCondition():
            return measure_condition_leaf(node, context)
        case PopulationCondition():
            return population_leaf(node, context)
        case RfmInCell():
            return rfm_in_cell_leaf(node, context)
        case RfmMoved():
            return rfm_moved_leaf(node, context)
        case InCohort():
            return cohort_leaf(node, context)
        case HasBeen():
            return has_been_leaf(node, context)
        case Changed():
            return changed_leaf(node, context)
        case WasIn():
            return was_in_leaf(node, context)
        case HasBeenIn():
            return has_been_in_leaf(node, context)
        case Reachable():
            return reachable_leaf(node, context)
        case RandomBucket():
            return random_bucket_leaf(node, context)
        case SegmentReference():
            raise CdpError(Code.INTERNAL, "REFERENCE_UNRESOLVED", "a reference is evaluated by its own rule")
