"""and, or, not, brackets, at least k of, include and exclude: the same for rules and for filters.

Depth is held on a list of open brackets, never on the interpreter's stack.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, TypeVar

from core.errors import CdpError
from core.query.ast import Branch, Op, Span
from core.query.limits import MAX_DEPTH
from core.query.problems import TOO_DEEP
from core.query.text.lexer import TokenKind
from core.query.text.parse_cursor import Cursor
from core.query.text.words import RESERVED

LeafT = TypeVar("LeafT")

#: Reads one leaf. `negated`: a "not" stands directly before it. The second value says how many "not"s the leaf took in:
#: 1 for the one before it, -1 if its words hold one more ("was never in").
ReadLeaf = Callable[[Cursor, bool], tuple[LeafT, int]]


#: Words that begin a phrase behind some condition, and stand here because it does not take it.
_CLAUSES = ("on", "including", "sent", "within", "then", "as", "had", "regularly", "rising", "falling", "ignoring")


class _Kind(Enum):
    WHOLE = "whole"
    BRACKETS = "brackets"
    AT_LEAST = "at least"
    LISTS = "include and exclude"


@dataclass(slots=True)
class _Open:
    """An expression that is being read: `parts` joined by `op` since the last comma, `done` the ones before it."""

    kind: _Kind
    span: Span
    k: int = 0
    bracket: bool = True
    excluding: bool = False
    op: Op | None = None
    parts: list[int] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    nots: list[Span] = field(default_factory=list)


class TreeReader(Generic[LeafT]):
    """Reads one expression up to the bracket that closes what stands around it, to the word `ends_before` outside of
    all brackets, or to the end."""

    def __init__(
        self,
        cursor: Cursor,
        read_leaf: ReadLeaf[LeafT],
        span_of: Callable[[LeafT], Span],
        *,
        closed_by: str = "the end",
        ends_before: str = "",
    ) -> None:
        self._cursor = cursor
        self._read_leaf = read_leaf
        self._span_of = span_of
        self._closed_by = closed_by
        self._ends_before = ends_before
        self._nodes: list[Branch | LeafT] = []
        self._spans: list[Span] = []
        self._open: list[_Open] = []
        self._nots = 0

    def read(self) -> tuple[Branch | LeafT, ...]:
        """The nodes in post-order. Raises RULE_SYNTAX, RULE_TOO_DEEP, RULE_TOO_LARGE."""
        self._begin(_Kind.WHOLE, bracket=False)
        while self._operand() or self._after_operand():
            pass
        return tuple(self._nodes)

    def _operand(self) -> bool:
        """Reads what may begin an operand: True if another operand must follow, False once one is complete."""
        cursor = self._cursor
        if cursor.at("not"):
            self._open[-1].nots.append(cursor.take().span)
            self._nots += 1
            self._check_depth()
            return True
        if cursor.at("("):
            span = cursor.take().span
            self._begin(_Kind.BRACKETS, span=span)
            return True
        if cursor.at("at", "least"):
            span = cursor.take().span
            cursor.take()
            k = cursor.whole("how many of the conditions")
            cursor.expect("of", 'Write "at least 2 of (a, b, c)".')
            cursor.expect("(")
            self._begin(_Kind.AT_LEAST, span=span, k=k, lists_allowed=False)
            return True
        here = self._open[-1]
        span = cursor.span
        leaf, took_nots = self._read_leaf(cursor, bool(here.nots))
        if took_nots > 0:
            here.nots.pop()
        elif took_nots < 0:
            here.nots.append(span)
        self._nots -= took_nots
        self._check_depth()
        self._complete(self._add(leaf, self._span_of(leaf)))
        return False

    def _after_operand(self) -> bool:
        """Reads what follows a complete operand: True if another operand must follow, False at the end."""
        cursor = self._cursor
        while True:
            here = self._open[-1]
            if cursor.at("and") or cursor.at("or"):
                self._join(here)
                return True
            if cursor.at(",") and here.kind in (_Kind.AT_LEAST, _Kind.LISTS):
                cursor.take()
                self._finish_part(here)
                return True
            if cursor.at("exclude") and here.kind is _Kind.LISTS and not here.excluding:
                cursor.take()
                self._finish_part(here)
                here.k, here.excluding = len(here.done), True
                return True
            if not here.bracket and self._at_its_end():
                self._close()
                return False
            if cursor.at(")"):
                cursor.take()
                self._complete(self._close())
                continue
            raise self._unexpected(here)

    def _at_its_end(self) -> bool:
        cursor = self._cursor
        return cursor.at_end() or cursor.at(")") or (self._ends_before != "" and cursor.at(self._ends_before))

    def _begin(
        self, kind: _Kind, *, span: Span | None = None, k: int = 0, bracket: bool = True, lists_allowed: bool = True
    ) -> None:
        cursor = self._cursor
        here = _Open(kind, span or cursor.span, k=k, bracket=bracket)
        if lists_allowed and (cursor.at("include") or cursor.at("exclude")):
            here.span = cursor.span
            here.excluding = cursor.take().word == "exclude"
            here.kind = _Kind.LISTS
        self._open.append(here)
        self._check_depth()

    def _check_depth(self) -> None:
        if len(self._open) - 1 + self._nots > MAX_DEPTH:  # the outermost is the rule itself
            raise self._cursor.fail(f"brackets and nots are nested deeper than {MAX_DEPTH}.", reason=TOO_DEEP)

    def _add(self, node: Branch | LeafT, span: Span) -> int:
        self._cursor.count_node()
        self._nodes.append(node)
        self._spans.append(span)
        return len(self._nodes) - 1

    def _complete(self, node: int) -> None:
        here = self._open[-1]
        while here.nots:
            span = here.nots.pop()
            self._nots -= 1
            node = self._add(Branch(Op.NOT, (node,), span=span), span)
        here.parts.append(node)

    def _join(self, here: _Open) -> None:
        op = Op(self._cursor.peek().word)
        if here.op not in (None, op):
            raise self._cursor.fail(
                "and / or are mixed without brackets.", "Write a and (b or c), or (a and b) or c, whichever is meant."
            )
        here.op = op
        self._cursor.take()

    def _finish_part(self, here: _Open) -> None:
        node = here.parts[0]
        if here.op is not None:
            span = self._spans[node]
            node = self._add(Branch(here.op, tuple(here.parts), span=span), span)
        here.done.append(node)
        here.op, here.parts = None, []

    def _close(self) -> int:
        here = self._open.pop()
        self._finish_part(here)
        if here.kind is _Kind.AT_LEAST:
            return self._add(Branch(Op.AT_LEAST, tuple(here.done), k=here.k, span=here.span), here.span)
        if here.kind is _Kind.LISTS:
            k = here.k if here.excluding else len(here.done)
            return self._add(Branch(Op.EXCEPT, tuple(here.done), k=k, span=here.span), here.span)
        return here.done[0]

    def _unexpected(self, here: _Open) -> CdpError:
        cursor = self._cursor
        token = cursor.peek()
        closed_by = '")"' if here.bracket else self._closed_by
        expected = f'"and", "or" or {closed_by}'
        if token.text == ",":
            return cursor.expected(expected, "Commas join conditions only after include, exclude and at least k of.")
        if token.word in ("include", "exclude"):
            return cursor.expected(expected, f'"{token.word}" stands at the beginning, or once after include.')
        if token.word == "limit":
            return cursor.expected(expected, '"limit" stands at the end of the rule, outside of all brackets.')
        if token.word in RESERVED or token.word in _CLAUSES:
            return cursor.expected(expected, "This does not belong to the condition before it.")
        if token.kind is TokenKind.WORD:
            return cursor.expected(expected, "Names with spaces stand in quotes, and so do texts.")
        return cursor.expected(expected)
