"""The one canonical text of a rule."""

from __future__ import annotations

from core.query.ast import Branch, Op, Rule, Scope
from core.query.binding.shape import check_shape
from core.query.text.format_conditions import condition_text, denied_text
from core.query.text.format_population import limit_text
from core.query.text.format_tree import tree_text
from core.query.text.format_values import quoted

_LINE = 100
_STEP_BREAK = "\n  "


def format_rule(rule: Rule) -> str:
    """The canonical text: `parse(format_rule(rule)) == rule` for every well-formed rule.

    One line, unless the rule includes and excludes, has a scope, a base or a limit of its own, or is longer than a
    line: then one line for each, and for each step of a sequence. What binding writes into a rule (kinds of parameters,
    populations) is no part of the text. Raises CdpError INVALID (RULE_SHAPE, RULE_TOO_DEEP, RULE_TOO_LARGE) for a node
    array that no text says.
    """
    check_shape(rule)
    lines = [_in_lines(rule)]
    if rule.scope is not Scope.KNOWN or rule.base is not None:
        base = "" if rule.base is None else f" of base {quoted(rule.base)}"
        lines.insert(0, f"among {rule.scope.value} contacts{base}:")
    if rule.limit is not None:
        lines.append(limit_text(rule.limit))
    return "\n".join(lines)


class _Texts:
    """The leaves of a rule rendered once, and its subtrees on demand."""

    def __init__(self, rule: Rule, step_break: str) -> None:
        self._nodes = [node if isinstance(node, Branch) else condition_text(node, step_break) for node in rule.nodes]
        denied = ((index, denied_text(node)) for index, node in enumerate(rule.nodes) if not isinstance(node, Branch))
        self._denied = {index: text for index, text in denied if text is not None}
        self.root = self._nodes[-1]

    def whole(self) -> str:
        """The rule in one line."""
        return tree_text(self._nodes, len(self._nodes) - 1, self._denied)

    def child(self, index: int, bracketed: tuple[Op, ...]) -> str:
        """One child of the root, in brackets if it is a branch of one of these."""
        node = self._nodes[index]
        text = tree_text(self._nodes, index, self._denied)
        return f"({text})" if isinstance(node, Branch) and node.op in bracketed else text


def _in_lines(rule: Rule) -> str:
    texts = _Texts(rule, " ")
    root = texts.root
    if isinstance(root, Branch) and root.op is Op.EXCEPT:
        lists = ((root.children[: root.k], "include"), (root.children[root.k :], "exclude"))
        return "\n".join(_list(texts, children, word) for children, word in lists if children)
    text = texts.whole()
    if len(text) <= _LINE:
        return text
    texts = _Texts(rule, _STEP_BREAK)
    root = texts.root
    if not isinstance(root, Branch) or root.op not in (Op.AND, Op.OR):
        return texts.whole()
    return f"\n{root.op.value} ".join(texts.child(child, (Op.AND, Op.OR, Op.EXCEPT)) for child in root.children)


def _list(texts: _Texts, children: tuple[int, ...], word: str) -> str:
    parts = [texts.child(child, (Op.EXCEPT,)) for child in children]
    line = f"{word} {', '.join(parts)}"
    return line if len(line) <= _LINE else f"{word}\n  " + ",\n  ".join(parts)
