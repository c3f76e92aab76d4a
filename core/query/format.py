"""The one canonical text of a rule."""

from __future__ import annotations

from core.query.ast import Branch, Condition, Op, Rule, Scope
from core.query.format_conditions import condition_text, needs_brackets_after_not
from core.query.format_tree import tree_text
from core.query.shape import check_shape

_LINE = 100


def format_rule(rule: Rule) -> str:
    """The canonical text: `parse(format_rule(rule)) == rule` for every well-formed rule.

    One line, unless the rule includes and excludes, has a scope of its own, or is longer than a line: then one line
    for each. Raises CdpError INVALID (RULE_SHAPE, RULE_TOO_DEEP, RULE_TOO_LARGE) for a node array that no text says.
    """
    check_shape(rule)
    text = _in_lines(rule)
    return text if rule.scope is Scope.KNOWN else f"among {rule.scope.value} contacts:\n{text}"


def _in_lines(rule: Rule) -> str:
    text = _text(rule.nodes, len(rule.nodes) - 1)
    root = rule.nodes[-1]
    if not isinstance(root, Branch):
        return text
    if root.op is Op.EXCEPT and 0 < root.k < len(root.children):
        return (
            f"{_lists(rule, root, 0, root.k, 'include')}\n{_lists(rule, root, root.k, len(root.children), 'exclude')}"
        )
    if len(text) <= _LINE or root.op not in (Op.AND, Op.OR):
        return text
    parts = [_child(rule, child) for child in root.children]
    return f"\n{root.op.value} ".join(parts)


def _lists(rule: Rule, root: Branch, first: int, last: int, word: str) -> str:
    parts = [_child(rule, child, listed=True) for child in root.children[first:last]]
    line = f"{word} {', '.join(parts)}"
    return line if len(line) <= _LINE else f"{word}\n  " + ",\n  ".join(parts)


def _child(rule: Rule, child: int, *, listed: bool = False) -> str:
    node = rule.nodes[child]
    text = _text(rule.nodes, child)
    wrapped = (Op.EXCEPT,) if listed else (Op.AND, Op.OR, Op.EXCEPT)
    return f"({text})" if isinstance(node, Branch) and node.op in wrapped else text


def _text(nodes: tuple[Branch | Condition, ...], root: int) -> str:
    return tree_text(nodes, root, condition_text, needs_brackets_after_not)
