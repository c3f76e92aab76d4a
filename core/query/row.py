"""The row path: one contact, one rule, one instant, in microseconds.

A rule without parameters is made into functions once. A condition that has no function here (sequences, populations,
whatever is rare) is evaluated by its set form on this one contact, so that the row path says of every rule what the
set path says: tests/property/test_row_path.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from core.index.root import Root
from core.index.step_run import MISSING
from core.query.ast import (
    AttributeCondition,
    BetweenAgo,
    Branch,
    Compare,
    Comparison,
    Condition,
    EventAggregate,
    EventCount,
    EventSelection,
    Everyone,
    FilterTree,
    Function,
    InLast,
    InList,
    MoreThanAgo,
    Node,
    Op,
    Population,
    Rule,
    Scope,
    SegmentReference,
)
from core.query.execute import evaluate, leaf
from core.query.execute_context import Context
from core.query.knowledge import NOTHING_KNOWN, Knowledge
from core.query.leaves.population import members_of
from core.query.names import BoundRule
from core.query.row_facts import RowFacts, RunRows, value_at
from core.query.row_tests import Test, number_test, scalar_test
from core.query.windows import ALWAYS
from core.schema import DECIMAL_SCALE, Kind

#: Whether a condition holds of the contact, whatever the scope.
Row = Callable[[RowFacts, Knowledge], bool]
_LISTS = frozenset((Kind.TEXT_LIST, Kind.OBJECT_LIST, Kind.LOCATION))
_PLAIN_WINDOWS = InLast | MoreThanAgo | BetweenAgo


class RowRule:
    """A bound rule without parameters, as functions. Frozen once made; any number of threads may ask it."""

    def __init__(self, bound: BoundRule) -> None:
        """Raises ValueError for a rule with parameters, or with a limit: those are asked as sets."""
        if bound.parameters or bound.rule.limit is not None:
            raise ValueError("a rule with parameters or a limit has no row form")
        self._bound = bound
        self._scope = bound.rule.scope
        self._targets = {name: RowRule(target) for name, target in bound.segments.items() if _has_row_form(target)}
        nodes: list[Row] = []
        for node in bound.rule.nodes:
            nodes.append(_branch(node, nodes) if isinstance(node, Branch) else self._condition(node))
        self._root = nodes[-1]

    def holds(self, root: Root, contact: int, as_of_us: int, knowledge: Knowledge = NOTHING_KNOWN) -> bool:
        """Whether the contact is in the segment: `contact in evaluate(...).members`."""
        facts = RowFacts(root, contact, as_of_us, self._bound.zone)
        return self.holds_of(facts, knowledge)

    def holds_of(self, facts: RowFacts, knowledge: Knowledge) -> bool:
        """The same of facts that were read for another rule."""
        return self._in_scope(facts, knowledge) and self._root(facts, knowledge)

    def condition_of(self, facts: RowFacts, knowledge: Knowledge) -> bool:
        """The rule of these facts, whatever its scope and base."""
        return self._root(facts, knowledge)

    def _in_scope(self, facts: RowFacts, knowledge: Knowledge) -> bool:
        view = facts.root.contacts
        if self._bound.rule.base is not None:
            population = Population(self._scope, self._bound.rule.base)
            return facts.contact in members_of(population, self._context(facts, knowledge))
        if facts.contact not in view.alive:
            return False
        if facts.as_of_us < view.latest_us and facts.contact not in facts.root.exists(
            facts.as_of_us, np.array([facts.contact], np.uint32)
        ):
            return False
        if self._scope is Scope.ALL:
            return True
        return (facts.contact in view.known) == (self._scope is Scope.KNOWN)

    def _context(self, facts: RowFacts, knowledge: Knowledge) -> Context:
        one = np.array([facts.contact], np.uint32)
        return Context(facts.root, facts.as_of_us, self._bound.zone, one, self._bound.setting, knowledge)

    def _condition(self, condition: Condition) -> Row:
        if isinstance(condition, SegmentReference):
            return self._reference(condition)

        def as_a_set(facts: RowFacts, knowledge: Knowledge) -> bool:
            result = leaf(condition, self._context(facts, knowledge))
            return (facts.contact in result.found) != result.complement

        found = _condition(condition)
        if found is None:
            return as_a_set
        as_a_row = found

        def row(facts: RowFacts, knowledge: Knowledge) -> bool:
            try:
                return as_a_row(facts, knowledge)
            except _AsASetError:
                return as_a_set(facts, knowledge)

        return row

    def _reference(self, reference: SegmentReference) -> Row:
        name = reference.name
        target = self._targets.get(name)
        if target is not None and not reference.arguments:
            inside = target

            def in_target(facts: RowFacts, knowledge: Knowledge) -> bool:
                members = knowledge.members.get(name)
                return inside.holds_of(facts, knowledge) if members is None else facts.contact in members

            return in_target
        rule = _only(self._bound, reference)

        def as_a_set(facts: RowFacts, knowledge: Knowledge) -> bool:
            one = np.array([facts.contact], np.uint32)
            found = evaluate(rule, facts.root, facts.as_of_us, {}, one, None, knowledge)
            return facts.contact in found.members

        return as_a_set


def _has_row_form(bound: BoundRule) -> bool:
    return not bound.parameters and bound.rule.limit is None


def _only(bound: BoundRule, reference: SegmentReference) -> BoundRule:
    """The rule that is this reference alone, among everybody."""
    return replace(bound, rule=Rule((reference,), Scope.ALL))


def _branch(node: Branch, nodes: list[Row]) -> Row:
    children = [nodes[child] for child in node.children]
    match node.op:
        case Op.AND:
            return lambda facts, known: all(child(facts, known) for child in children)
        case Op.OR:
            return lambda facts, known: any(child(facts, known) for child in children)
        case Op.NOT:
            only = children[0]
            return lambda facts, known: not only(facts, known)
        case Op.EXCEPT:
            included, excluded = children[: node.k], children[node.k :]
            return lambda facts, known: (
                all(child(facts, known) for child in included) and not any(child(facts, known) for child in excluded)
            )
        case Op.AT_LEAST:
            k = node.k
            return lambda facts, known: sum(child(facts, known) for child in children) >= k


def _condition(condition: Condition) -> Row | None:
    match condition:
        case Everyone():
            return lambda _facts, _known: True
        case AttributeCondition(Comparison() as test):
            return _attribute(test)
        case InList(name):
            return _on_list(name)
        case EventCount(events, compare, counts, None):
            return _count(events, compare, counts)
        case EventAggregate(Function.SUM, path, events, compare, operands):
            return _sum(path, events, compare, operands)
        case _:
            return None


class _AsASetError(Exception):
    """What was met is no scalar: the condition has to be asked in its set form."""


def _on_list(name: str) -> Row:
    def row(facts: RowFacts, _known: Knowledge) -> bool:
        found = facts.on_list(name)
        if found is None:
            raise _AsASetError
        return found

    return row


def _attribute(test: Comparison) -> Row | None:
    holds = scalar_test(test)
    if holds is None:
        return None
    name, on_scalar = test.name, holds

    def row(facts: RowFacts, _known: Knowledge) -> bool:
        kind, value = facts.attribute(name)
        if kind in _LISTS:
            raise _AsASetError
        return on_scalar(kind, value, facts.root.dictionary, facts.as_of_us)

    return row


#: The rows of one run that a selection keeps, given the places in its window.
_Keep = Callable[[RowFacts, RunRows, int, int], list[int]]


def _kept(events: EventSelection) -> _Keep | None:
    """What the filter of a selection keeps; None where it has no form here."""
    plain = events.window is None or isinstance(events.window, _PLAIN_WINDOWS)
    named = not any(name.endswith("*") for name in events.names) and len(set(events.names)) == len(events.names)
    if not (plain and named and events.moments is None and not events.products):
        return None
    tests = _filter_tests(events.filter)
    if tests is None:
        return None
    with_machines = events.with_machines

    def keep(facts: RowFacts, found: RunRows, first: int, after: int) -> list[int]:
        run, rows = found.run, found.rows[first:after]
        if run.has_machine and not with_machines:
            machine = run.by_machine(np.array(rows, np.int64))
            rows = [row for row, by_machine in zip(rows, machine.tolist(), strict=True) if not by_machine]
        for name, test in tests:
            columns = run.params.columns.get(name, ())
            if any(column.kind in _LISTS for column in columns):
                raise _AsASetError
            texts, as_of = facts.root.dictionary, facts.as_of_us
            left = []
            for row in rows:
                kind, value = MISSING, 0
                for column in columns:
                    at = value_at(column, row)
                    if at is not None:
                        kind, value = int(column.kind), at
                        break
                if test(kind, value, texts, as_of):
                    left.append(row)
            rows = left
        return rows

    return keep


def _filter_tests(tree: FilterTree) -> list[tuple[str, Test]] | None:
    """The comparisons of a filter that joins comparisons by `and`; None for any other."""
    if not tree:
        return []
    leaves: tuple[Node | object, ...] = tree
    if isinstance(tree[-1], Branch):
        if tree[-1].op is not Op.AND or any(isinstance(node, Branch) for node in tree[:-1]):
            return None
        leaves = tree[:-1]
    tests = []
    for node in leaves:
        test = scalar_test(node) if isinstance(node, Comparison) and node.compare is not Compare.WITHIN else None
        if test is None or not isinstance(node, Comparison):
            return None
        tests.append((node.name, test))
    return tests


def _count(events: EventSelection, compare: Compare, counts: tuple[object, ...]) -> Row | None:
    keep, holds = _kept(events), number_test(compare, counts)  # type: ignore[arg-type]
    if keep is None or holds is None:
        return None
    names, window, unfiltered = events.names, events.window, not events.filter and not events.with_machines
    kept, on_number = keep, holds

    def row(facts: RowFacts, _known: Knowledge) -> bool:
        number, interval = 0, ALWAYS if window is None else facts.interval(window)
        for name in names:
            for found in facts.events(name):
                first, after = found.inside(interval, facts.as_of_us)
                if first == after:
                    continue
                if unfiltered and not found.run.has_machine:
                    number += after - first
                else:
                    number += len(kept(facts, found, first, after))
        return on_number(number * DECIMAL_SCALE)

    return row


def _sum(path: str, events: EventSelection, compare: Compare, operands: tuple[object, ...]) -> Row | None:
    keep, holds = _kept(events), number_test(compare, operands)  # type: ignore[arg-type]
    if keep is None or holds is None or "." in path:
        return None
    names, window = events.names, events.window
    kept, on_number = keep, holds

    def row(facts: RowFacts, _known: Knowledge) -> bool:
        units, interval = 0, ALWAYS if window is None else facts.interval(window)
        for name in names:
            for found in facts.events(name):
                first, after = found.inside(interval, facts.as_of_us)
                if first == after:
                    continue
                rows = kept(facts, found, first, after)
                for column in found.run.params.columns.get(path, ()):
                    scale = {Kind.INTEGER: DECIMAL_SCALE, Kind.DECIMAL: 1}.get(column.kind)
                    if scale is not None:
                        units += scale * sum(value_at(column, row) or 0 for row in rows)
        return on_number(units)

    return row
