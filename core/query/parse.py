"""The text form of a rule to its tree. GRAMMAR.md says in prose what may be written."""

from __future__ import annotations

from core.query.ast import Condition, Rule, Scope
from core.query.lexer import tokenize
from core.query.parse_conditions import span_of, take_condition
from core.query.parse_cursor import Cursor
from core.query.parse_tree import TreeReader


def parse(text: str) -> Rule:
    """The rule that `text` says; names and kinds are not checked (bind does). Nodes carry their places.

    Raises CdpError INVALID with the place of the first mistake ("line 1, column 9: ...") and a hint: RULE_SYNTAX,
    RULE_UNSUPPORTED (a construct of the language that is not evaluated yet), RULE_VALUE (no such date, too large a
    number), RULE_WINDOW (a rolling month), RULE_PARAMETER (one argument twice), RULE_TOO_DEEP, RULE_TOO_LARGE.
    """
    cursor = Cursor(tokenize(text))
    if cursor.at_end():
        raise cursor.fail("the rule is empty.", 'Write a condition, or "everyone".')
    scope = _scope(cursor)
    nodes = TreeReader[Condition](cursor, take_condition, span_of).read()
    if not cursor.at_end():
        raise cursor.fail('a ")" closes nothing.')
    return Rule(nodes, scope)


def _scope(cursor: Cursor) -> Scope:
    if not cursor.skip("among"):
        return Scope.KNOWN
    word = cursor.peek().word
    if word not in [scope.value for scope in Scope]:
        raise cursor.expected('"known", "anonymous" or "all"')
    cursor.take()
    cursor.expect("contacts", 'Write "among all contacts:".')
    cursor.expect(":", 'Write "among all contacts:".')
    return Scope(word)
