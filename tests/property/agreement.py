"""Does the engine answer as the oracle does? If not: the smallest world that shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from random import Random

import numpy as np

from core.index.index import Index
from core.index.root import Root
from core.index.snapshot import decode, encode
from core.query.ast import Branch, Node, PopulationCondition, RfmInCell, RfmMoved, Rule
from core.query.binding.bind import bind
from core.query.execute import evaluate
from core.query.knowledge import NOTHING_KNOWN, Knowledge
from core.query.names import BoundRule, Names
from core.schema import Scalar
from tests.generators.plain import plain_facts, plain_histories, plain_rule, plain_setting, plain_value
from tests.generators.plain_conditions import plain_measure
from tests.generators.scene import Question, Scene
from tests.generators.world import Logged, batches
from tests.oracle import Oracle
from tests.property.brief import brief


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Node `node` of `rule` (None: the whole, its limit included): who the oracle finds, and who the engine finds."""

    rule: Rule
    node: int | None
    expected: frozenset[int]
    got: frozenset[int]


def root_of(random: Random, log: tuple[Logged, ...]) -> Root:
    """The index of a log, given in random batches; now and then a root is published, or a snapshot is the restart."""
    index = Index()
    for batch in batches(random, log):
        index.apply(batch.events, batch.facts, batch.position)
        match random.randrange(20):
            case 0:
                index = decode(encode(index.root()))
            case 1 | 2 | 3 | 4 | 5:
                index.root()
    return index.root()


def oracle_of(log: Iterable[Logged], names: Names, knowledge: Knowledge = NOTHING_KNOWN) -> Oracle:
    """The oracle over the same log, saved segments, setting and recorded memberships."""
    segments = {name: plain_rule(rule) for name, rule in names.segments.items()}
    histories = plain_histories(knowledge.histories)
    computed = {name: plain_measure(measure) for name, measure in names.computed.items()}
    return Oracle(plain_facts(log), names.zone, segments, plain_setting(names.setting), histories, computed)


@dataclass(frozen=True, slots=True)
class Expected:
    """What the oracle says: who is in each node, and who in the whole, after its limit. `scope`: who could be."""

    nodes: Mapping[int, set[int]]
    members: set[int]
    scope: int


def expect(oracle: Oracle, question: Question, parameters: Mapping[str, Scalar]) -> Expected:
    """The oracle's answers."""
    plain, values = plain_rule(question.rule), plain_value(parameters)
    nodes = oracle.node_members(plain, question.as_of_us, values)
    members = oracle.within_limit(plain, nodes[len(nodes) - 1], question.as_of_us, values)
    return Expected(nodes, members, len(oracle.rows(plain, question.as_of_us, values)))


def compare(
    root: Root,
    oracle: Oracle,
    bound: BoundRule,
    question: Question,
    parameters: Mapping[str, Scalar],
    *,
    candidates: frozenset[int] | None = None,
    knowledge: Knowledge = NOTHING_KNOWN,
    expected: Expected | None = None,
) -> Disagreement | None:
    """The first node on which the two differ, so that its children agree; None if they agree on all."""
    rule, as_of_us = question.rule, question.as_of_us
    wanted = expected or expect(oracle, question, parameters)
    given = None if candidates is None else np.array(sorted(candidates), np.uint32)
    evaluation = evaluate(bound, root, as_of_us, parameters, given, knowledge=knowledge)
    assert len(evaluation.nodes) == len(rule.nodes)
    for node, members in enumerate(evaluation.nodes):
        right = frozenset(wanted.nodes[node] if candidates is None else wanted.nodes[node] & candidates)
        got = frozenset(members.numbers().tolist())
        if got != right:
            return Disagreement(rule, node, right, got)
    right = frozenset(wanted.members if candidates is None else wanted.members & candidates)
    got = frozenset(evaluation.members.numbers().tolist())
    if got != right:
        return Disagreement(rule, None, right, got)
    counts = evaluation.counts(root)
    assert (counts.total, counts.known, counts.reachable) == oracle.counts(evaluation.members.numbers().tolist())
    return None


def alone(bound: BoundRule) -> bool:
    """Whether nobody decides about others: no statistics, no RFM, no limits."""
    rules = [one.rule for one in (bound, *bound.segments.values())]
    together = PopulationCondition | RfmInCell | RfmMoved
    return not any(rule.limit is not None or isinstance(node, together) for rule in rules for node in rule.nodes)


def explain(scene: Scene, found: Disagreement, question: Question, parameters: Mapping[str, Scalar]) -> str:
    """The disagreement in words, on the smallest log and rule that still show it."""
    rule = found.rule if found.node is None else subtree(found.rule, found.node)
    small = Question(rule, question.as_of_us)
    bound = bind(rule, scene.names)

    def differs(log: tuple[Logged, ...]) -> Disagreement | None:
        oracle = oracle_of(log, scene.names, scene.knowledge)
        return compare(root_of(Random(0), log), oracle, bound, small, parameters, knowledge=scene.knowledge)

    log = scene.world.log
    again = differs(log)
    if again is not None:
        log = shrink(log, lambda lines: differs(lines) is not None)
        again = differs(log)
    shown = again or found
    return "\n".join(
        (
            f"seed {scene.seed}: engine and oracle differ at as_of {question.as_of_us} ({scene.world.zone})",
            f"rule: {brief(question.rule)}",
            f"node {found.node}: {brief(rule)}",
            f"parameters: {dict(parameters)}",
            *(f"segment {name}: {brief(scene.names.segments[name])}" for name in bound.segments),
            f"missing: {sorted(shown.expected - shown.got)}, too many: {sorted(shown.got - shown.expected)}",
            *(("facts that are enough:", *map(str, log)) if again else ("not seen again on the node alone",)),
        )
    )


def subtree(rule: Rule, node: int) -> Rule:
    """The rule that is only the node and what stands below it, without a limit."""
    wanted = [node]
    for number in range(node, -1, -1):
        here = rule.nodes[number]
        if number in wanted and isinstance(here, Branch):
            wanted += here.children
    order = {number: place for place, number in enumerate(sorted(wanted))}

    def moved(here: Node) -> Node:
        if isinstance(here, Branch):
            return replace(here, children=tuple(order[child] for child in here.children))
        return here

    return replace(rule, nodes=tuple(moved(rule.nodes[number]) for number in sorted(wanted)), limit=None)


def shrink(log: tuple[Logged, ...], fails: Callable[[tuple[Logged, ...]], bool]) -> tuple[Logged, ...]:
    """A part of the log that still fails and from which no single line can go."""
    size = max(1, len(log) // 2)
    while True:
        start = 0
        while start < len(log):
            less = log[:start] + log[start + size :]
            if less and fails(less):
                log = less
            else:
                start += size
        if size == 1:
            return log
        size = max(1, size // 2)
