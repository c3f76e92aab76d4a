"""The one canonical text of a rule."""

from __future__ import annotations

from core.query.ast import Branch, Op, Rule, Scope
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
    text = _in_lines(_Texts(rule))
    return text if rule.scope is Scope.KNOWN else f"among {rule.scope.value} contacts:\n{text}"


class _Texts:
    """The leaves of a rule rendered once, and its subtrees on demand."""

    def __init__(self, rule: Rule) -> None:
        self._nodes = [node if isinstance(node, Branch) else condition_text(node) for node in rule.nodes]
        self._after_not = frozenset(
            index
            for index, node in enumerate(rule.nodes)
            if not isinstance(node, Branch) and needs_brackets_after_not(node)
        )
        self.root = self._nodes[-1]

    def whole(self) -> str:
        """The rule in one line."""
        return tree_text(self._nodes, len(self._nodes) - 1, self._after_not)

    def child(self, index: int, bracketed: tuple[Op, ...]) -> str:
        """One child of the root, in brackets if it is a branch of one of these."""
        node = self._nodes[index]
        text = tree_text(self._nodes, index, self._after_not)
        return f"({text})" if isinstance(node, Branch) and node.op in bracketed else text


def _in_lines(texts: _Texts) -> str:
    root = texts.root
    if isinstance(root, Branch) and root.op is Op.EXCEPT:
        lists = ((root.children[: root.k], "include"), (root.children[root.k :], "exclude"))
        return "\n".join(_list(texts, children, word) for children, word in lists if children)
    text = texts.whole()
    if len(text) <= _LINE or not isinstance(root, Branch) or root.op not in (Op.AND, Op.OR):
        return text
    return f"\n{root.op.value} ".join(texts.child(child, (Op.AND, Op.OR, Op.EXCEPT)) for child in root.children)


def _list(texts: _Texts, children: tuple[int, ...], word: str) -> str:
    parts = [texts.child(child, (Op.EXCEPT,)) for child in children]
    line = f"{word} {', '.join(parts)}"
    return line if len(line) <= _LINE else f"{word}\n  " + ",\n  ".join(parts)
