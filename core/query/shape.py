"""Whether a rule is a tree that a text could say: arities, limits and ranges, before any name is looked up."""

from __future__ import annotations

from collections.abc import Sequence

from core.errors import CdpError
from core.query.ast import (
    AttributeCondition,
    Branch,
    Condition,
    ElementMatch,
    EventAggregate,
    EventCount,
    Everyone,
    FilterNode,
    InList,
    MessageCount,
    Node,
    Op,
    Rule,
    SegmentReference,
)
from core.query.limits import MAX_DEPTH, MAX_NODES, MAX_OPERANDS
from core.query.problems import SHAPE, TOO_DEEP, TOO_LARGE, place, problem
from core.query.shape_values import (
    check_aggregate,
    check_comparison,
    check_counts,
    check_name,
    check_operands,
    check_window,
)


def check_shape(rule: Rule) -> None:
    """Raises INVALID (RULE_SHAPE, RULE_TOO_DEEP, RULE_TOO_LARGE, RULE_VALUE) unless `rule` is well-formed.

    Well-formed: exact post-order (every subtree is contiguous, children in order, each node used once), `and` and
    `or` of two or more, operands as the operator needs, values within their ranges.
    """
    _check_tree(rule.nodes, "nodes")
    left = MAX_NODES - len(rule.nodes)
    for index, node in enumerate(rule.nodes):
        if not isinstance(node, Branch):
            left -= _check_condition(node, where_of(node, f"nodes[{index}]"))
            if left < 0:
                raise problem(TOO_LARGE, "", f"the rule has more than {MAX_NODES} conditions and branches.")


def where_of(node: Node | FilterNode, otherwise: str) -> str:
    """The place of a node for an error: its line and column, or `otherwise`."""
    return place(node.span, otherwise)


def _check_condition(condition: Condition, where: str) -> int:
    """Checks one leaf and returns the number of nodes in its filters."""
    match condition:
        case Everyone():
            return 0
        case AttributeCondition(test):
            if isinstance(test, ElementMatch):
                return _check_element(test, where)
            check_comparison(test, where)
            return 0
        case InList(name):
            check_name(name, where)
            return 0
        case SegmentReference(name, arguments):
            check_name(name, where)
            names = [argument for argument, _ in arguments]
            if names != sorted(set(names)):
                raise problem(SHAPE, where, "arguments stand sorted by name, each once.")
            for argument in names:
                check_name(argument, where)
            check_operands(tuple(operand for _, operand in arguments), where)
            return 0
        case EventCount(events, compare, counts, same):
            check_counts(compare, counts, where)
            if same is not None:
                check_name(same, where)
            check_window(events.window, where)
            return _check_names(events.names, where) + _check_filter(events.filter, where, elements_allowed=True)
        case MessageCount(_, matching, window, compare, counts):
            check_counts(compare, counts, where)
            check_window(window, where)
            return _check_filter(matching, where, elements_allowed=True)
        case EventAggregate(_, path, events, compare, operands):
            check_name(path, where)
            check_aggregate(compare, operands, where)
            check_window(events.window, where)
            return _check_names(events.names, where) + _check_filter(events.filter, where, elements_allowed=True)


def _check_names(names: tuple[str, ...], where: str) -> int:
    if not names or len(names) > MAX_OPERANDS:
        raise problem(SHAPE, where, f"a selection names 1 to {MAX_OPERANDS} events.")
    for name in names:
        check_name(name, where)
    return 0


def _check_element(element: ElementMatch, where: str) -> int:
    check_name(element.name, where)
    if not element.filter:
        raise problem(SHAPE, where, "an element match needs a filter.")
    return _check_filter(element.filter, where, elements_allowed=False)


def _check_filter(nodes: tuple[FilterNode, ...], where: str, *, elements_allowed: bool) -> int:
    if not nodes:
        return 0
    _check_tree(nodes, f"{where} filter")
    count = len(nodes)
    for index, node in enumerate(nodes):
        here = where_of(node, f"{where} filter[{index}]")
        if isinstance(node, ElementMatch):
            if not elements_allowed:
                raise problem(SHAPE, here, "the fields of an element are single values; no element match fits there.")
            count += _check_element(node, here)
        elif not isinstance(node, Branch):
            check_comparison(node, here)
    return count


def _check_tree(nodes: Sequence[Node] | Sequence[FilterNode], what: str) -> None:
    if not nodes:
        raise problem(SHAPE, "", "a rule has at least one node.")
    if len(nodes) > MAX_NODES:
        raise problem(TOO_LARGE, "", f"the rule has more than {MAX_NODES} conditions and branches.")
    standing: list[int] = []
    depths: list[int] = []
    for index, node in enumerate(nodes):
        depth = 0
        if isinstance(node, Branch):
            where = place(node.span, f"{what}[{index}]")
            _check_branch(node, where)
            first = len(standing) - len(node.children)
            if first < 0 or tuple(standing[first:]) != node.children:
                raise problem(SHAPE, where, "children stand before their parent, in order, each used once.")
            depth = 1 + max(depths[first:])
            if depth > MAX_DEPTH:
                raise problem(TOO_DEEP, where, f"branches are nested deeper than {MAX_DEPTH}.")
            del standing[first:], depths[first:]
        standing.append(index)
        depths.append(depth)
    if len(standing) != 1:
        raise problem(SHAPE, "", f"the last node of {what} joins all others.")


def _check_branch(branch: Branch, where: str) -> None:
    count = len(branch.children)
    match branch.op:
        case Op.AND | Op.OR:
            fits = count >= 2 and branch.k == 0
        case Op.NOT:
            fits = count == 1 and branch.k == 0
        case Op.AT_LEAST:
            fits = 1 <= branch.k <= count
        case Op.EXCEPT:
            fits = count >= 1 and 0 <= branch.k <= count
    if not fits:
        raise _arity(branch, where)


def _arity(branch: Branch, where: str) -> CdpError:
    count = len(branch.children)
    if branch.op is Op.AT_LEAST:
        return problem(SHAPE, where, f'"at least {branch.k} of" {count}: the number lies from 1 to {count}.')
    return problem(SHAPE, where, f'"{branch.op.value}" cannot join {count} conditions with k = {branch.k}.')
