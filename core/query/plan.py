"""Who is in a segment, and nothing else: conjuncts in the order of their cost, each asking only whom it has to.

`evaluate` gives the set of every node, as counts beside each condition need it. `members` needs the last one only: it
takes the conditions that all have to hold (those joined by `and`, and what is included and excluded), reads the
cheapest first, and asks the next one only about those who are left where that reads less than asking about everyone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from core.index.contact_set import ContactSet
from core.index.root import Root
from core.kernels.ranges import sorted_unique
from core.query.ast import Branch, Condition, Node, Op, Population, Rule, SegmentReference
from core.query.estimate import Estimate, estimate
from core.query.execute import LeafCache, find, leaf
from core.query.execute_context import Context
from core.query.execute_parameters import Arguments, fill, given
from core.query.knowledge import NOTHING_KNOWN, Knowledge
from core.query.leaves.leaf_result import LeafResult
from core.query.leaves.population import members_of
from core.query.names import BoundRule
from core.query.text.format import format_rule
from core.schema import Scalar

#: How much dearer asking about one contact is taken to be than estimated; and what asking about few costs at least.
_CONTACT_WORK = 1
_LEAST_WORK = 50_000
#: What is no leaf.
_JOINED = (Branch, SegmentReference)


@dataclass(frozen=True, slots=True)
class Conjunct:
    """The subtree of nodes `first` to `node`, which has to hold, or (`negated`) must not."""

    first: int
    node: int
    negated: bool


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One conjunct as it was run: what was expected of it and what it found, among `asked` contacts (None: all)."""

    node: int
    text: str
    negated: bool
    expected: Estimate
    asked: int | None
    actual: int
    ms: float


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps in the order in which they ran. `str` is for reading."""

    steps: tuple[PlanStep, ...]
    ms: float

    def __str__(self) -> str:
        lines = [f"{'node':>4}  {'expected':>11}  {'actual':>11}  {'ms':>9}  asked about"]
        for step in self.steps:
            who = "everyone" if step.asked is None else f"the {step.asked:,} left"
            text = f"not ({step.text})" if step.negated else step.text
            lines.append(
                f"{step.node:>4}  {step.expected.expected:>11,}  {step.actual:>11,}  {step.ms:>9.3f}  {who}: {text}"
            )
        lines.append(f"{'':>4}  {'':>11}  {'':>11}  {self.ms:>9.3f}  together")
        return "\n".join(lines)


def _no_time() -> float:
    return 0.0


def _no_text(rule: Rule) -> str:
    return ""


def members(
    bound: BoundRule,
    root: Root,
    as_of_us: int,
    parameters: Mapping[str, Scalar],
    candidates: NDArray[np.uint32] | None = None,
    cache: LeafCache | None = None,
    knowledge: Knowledge = NOTHING_KNOWN,
) -> ContactSet:
    """The members of a rule as of an instant: `evaluate(...).members`, in less time. Arguments and errors as there;
    `cache` serves what is asked about all of `candidates`."""
    rule = bound.rule
    last = rule.nodes[-1]
    if rule.limit is not None or isinstance(last, SegmentReference):
        return find(bound, root, as_of_us, parameters, candidates, cache, knowledge)
    context = _context(bound, root, as_of_us, candidates, knowledge)
    if isinstance(last, Branch):
        return _joined(bound, context, parameters, cache, None)
    only = fill(last, given(bound, parameters))
    return _leaf(only, context, cache).within(members_of(Population(rule.scope, rule.base), context))


def planned(
    bound: BoundRule,
    root: Root,
    as_of_us: int,
    parameters: Mapping[str, Scalar],
    candidates: NDArray[np.uint32] | None = None,
    cache: LeafCache | None = None,
    knowledge: Knowledge = NOTHING_KNOWN,
    *,
    texts: bool = False,
    stopwatch: Callable[[], float] = _no_time,
) -> tuple[ContactSet, Plan]:
    """The members, and what was done to find them; `texts`: with the text of each step; `stopwatch` (seconds, such as
    time.perf_counter): with its milliseconds, else 0."""
    started = stopwatch()
    rule = bound.rule
    context = _context(bound, root, as_of_us, candidates, knowledge)
    notes = _Notes(format_rule if texts else _no_text, stopwatch)
    if rule.limit is None and len(conjuncts(rule.nodes)) > 1:
        found = _joined(bound, context, parameters, cache, notes)
        return found, Plan(tuple(notes.steps), (stopwatch() - started) * 1e3)
    found = find(bound, root, as_of_us, parameters, candidates, cache, knowledge)
    ms = (stopwatch() - started) * 1e3
    arguments = given(bound, parameters)
    whole = estimate(tuple(fill(node, arguments) for node in rule.nodes), bound, context)[-1]
    text = notes.text_of(rule)
    return found, Plan(
        (PlanStep(len(rule.nodes) - 1, text, False, whole, _size(context.candidates), len(found), ms),), ms
    )


@dataclass(slots=True)
class _Notes:
    """What is to be told of the steps, while they are run."""

    text_of: Callable[[Rule], str]
    stopwatch: Callable[[], float]
    steps: list[PlanStep] = field(default_factory=list)


def _context(
    bound: BoundRule, root: Root, as_of_us: int, candidates: NDArray[np.uint32] | None, knowledge: Knowledge
) -> Context:
    if candidates is not None:
        candidates = sorted_unique(candidates[candidates < root.contact_count]).astype(np.uint32, copy=False)
    return Context(root, as_of_us, bound.zone, candidates, bound.setting, knowledge)


def _joined(
    bound: BoundRule,
    context: Context,
    parameters: Mapping[str, Scalar],
    cache: LeafCache | None,
    notes: _Notes | None,
) -> ContactSet:
    """The members of a rule without a limit, conjunct by conjunct; the steps are noted where `notes` are given."""
    rule, candidates = bound.rule, context.candidates
    arguments = given(bound, parameters)
    parts = conjuncts(rule.nodes)
    filled = [_filled(part_nodes(rule.nodes, part), arguments) for part in parts]
    estimates = [estimate(nodes, bound, context)[-1] for nodes in filled]
    order = sorted(range(len(parts)), key=lambda at: (estimates[at].work, parts[at].node))
    scope = left = members_of(Population(rule.scope, rule.base), context)
    for number, at in enumerate(order):
        began = 0.0 if notes is None else notes.stopwatch()
        part, expected = parts[at], estimates[at]
        asked = candidates
        # Counting those who are left takes as long as a cheap step.
        if number and (expected.work > _LEAST_WORK or notes is not None):
            if len(left) == 0:
                break
            if len(left) * expected.each * _CONTACT_WORK + _LEAST_WORK < expected.work:
                asked = left.numbers()
        if asked is not candidates:
            few = Context(context.root, context.as_of_us, bound.zone, asked, bound.setting, context.knowledge)
            answer = _answer(bound, part, filled[at], few, None, parameters)
        elif number and cache is None and notes is None and expected.work > _LEAST_WORK:
            answer = _answer(bound, part, filled[at], context.about(left), None, parameters)
        else:
            answer = _answer(bound, part, filled[at], context, cache, parameters)
        before, left = left, left - answer.found if answer.complement != part.negated else left & answer.found
        if notes is not None:
            ms = (notes.stopwatch() - began) * 1e3
            actual = len(answer.within(scope if asked is candidates else before))
            text = notes.text_of(_rule_of(bound, part))
            notes.steps.append(PlanStep(part.node, text, part.negated, expected, _size(asked), actual, ms))
    return left


def _filled(nodes: tuple[Node, ...], arguments: Arguments) -> tuple[Node, ...]:
    return tuple([fill(node, arguments) for node in nodes]) if arguments else nodes


def _answer(
    bound: BoundRule,
    part: Conjunct,
    filled: Sequence[Node],
    context: Context,
    cache: LeafCache | None,
    parameters: Mapping[str, Scalar],
) -> LeafResult:
    """What a conjunct says of every contact that takes part, the scope aside if it is a single condition."""
    only = filled[0]
    if len(filled) > 1 or isinstance(only, _JOINED):
        sub = replace(bound, rule=_rule_of(bound, part))
        root, as_of_us = context.root, context.as_of_us
        found = find(sub, root, as_of_us, parameters, context.candidates, cache, context.knowledge)
        return LeafResult(found)
    return _leaf(only, context, cache)


def _leaf(only: Condition, context: Context, cache: LeafCache | None) -> LeafResult:
    """What a single condition says, its parameters filled in; known from `cache`, if it is."""
    if cache is None:
        return leaf(only, context)
    key = (context.zone_name, only)
    known = cache.get(key)
    if known is None:
        known = cache[key] = leaf(only, context)
    return known


def _rule_of(bound: BoundRule, part: Conjunct) -> Rule:
    """A conjunct as a rule of its own."""
    rule = bound.rule
    return Rule(part_nodes(rule.nodes, part), rule.scope, rule.base)


def _size(candidates: NDArray[np.uint32] | None) -> int | None:
    return None if candidates is None else len(candidates)


def conjuncts(nodes: Sequence[Node]) -> tuple[Conjunct, ...]:
    """What all has to hold for the last node to hold, in the order written; one where the rule is no conjunction."""
    last = nodes[-1]
    if isinstance(last, Branch) and last.op is Op.AND and len(last.children) == len(nodes) - 1:
        # Every other node is its child, so each is a single condition.
        return tuple([Conjunct(at, at, False) for at in range(len(nodes) - 1)])
    firsts = first_nodes(nodes)
    found: list[Conjunct] = []
    stack = [Conjunct(0, len(nodes) - 1, False)]
    while stack:
        part = stack.pop()
        node = nodes[part.node]
        if isinstance(node, Branch) and not part.negated and node.op in (Op.AND, Op.EXCEPT):
            included = len(node.children) if node.op is Op.AND else node.k
            children = [Conjunct(firsts[child], child, place >= included) for place, child in enumerate(node.children)]
            stack.extend(reversed(children))
        elif isinstance(node, Branch) and node.op is Op.NOT:
            stack.append(Conjunct(firsts[node.children[0]], node.children[0], not part.negated))
        elif isinstance(node, Branch) and part.negated and node.op is Op.OR:
            stack.extend(reversed([Conjunct(firsts[child], child, True) for child in node.children]))
        else:
            found.append(part)
    return tuple(found)


def first_nodes(nodes: Sequence[Node]) -> list[int]:
    """For each node the first one of its subtree: in post-order a subtree is contiguous."""
    firsts: list[int] = []
    for index, node in enumerate(nodes):
        firsts.append(firsts[node.children[0]] if isinstance(node, Branch) else index)
    return firsts


def part_nodes(nodes: Sequence[Node], part: Conjunct) -> tuple[Node, ...]:
    """The nodes of a conjunct, renumbered from 0."""
    if part.first == part.node:
        return (nodes[part.node],)
    if part.first == 0:
        return tuple(nodes[: part.node + 1])
    return tuple(
        replace(node, children=tuple(child - part.first for child in node.children))
        if isinstance(node, Branch)
        else node
        for node in nodes[part.first : part.node + 1]
    )
