"""The text form of a rule to its tree. GRAMMAR.md says in prose what may be written."""

from __future__ import annotations

from core.query.ast import Condition, Rule, Scope
from core.query.text.lexer import tokenize
from core.query.text.parse_conditions import span_of, take_condition
from core.query.text.parse_cursor import Cursor
from core.query.text.parse_population import take_limit
from core.query.text.parse_tree import TreeReader

_AMONG = 'Write "among all contacts:".'


def parse(text: str) -> Rule:
    """The rule that `text` says; names and kinds are not checked (bind does). Nodes carry their places.

    Raises CdpError INVALID with the place of the first mistake ("line 1, column 9: ...") and a hint: RULE_SYNTAX,
    RULE_VALUE (no such date, too large a number), RULE_WINDOW (a rolling month), RULE_PARAMETER (one argument twice),
    RULE_TOO_DEEP, RULE_TOO_LARGE.
    """
    return read(Cursor(tokenize(text)))


def read(cursor: Cursor) -> Rule:
    """The same of all tokens of a cursor."""
    if cursor.at_end():
        raise cursor.fail("the rule is empty.", 'Write a condition, or "everyone".')
    scope, base = _scope(cursor)
    nodes = TreeReader[Condition](cursor, take_condition, span_of, ends_before="limit").read()
    limit = take_limit(cursor)
    if cursor.at(")"):
        raise cursor.fail('a ")" closes nothing.')
    if not cursor.at_end():
        raise cursor.expected("the end", "A limit stands at the end of the rule.")
    return Rule(nodes, scope, base, limit)


def _scope(cursor: Cursor) -> tuple[Scope, str | None]:
    if not cursor.skip("among"):
        return Scope.KNOWN, None
    word = cursor.peek().word
    if word not in [scope.value for scope in Scope]:
        raise cursor.expected('"known", "anonymous" or "all"')
    cursor.take()
    cursor.expect("contacts", _AMONG)
    base = cursor.name("the name of a base") if cursor.skip("of", "base") else None
    cursor.expect(":", _AMONG)
    return Scope(word), base
