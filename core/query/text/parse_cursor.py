"""A place in the tokens of a rule: looking ahead, taking words, names and values."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from core.errors import CdpError
from core.query.ast import AttributeAtEvent, AttributeOperand, InLast, Literal, Operand, Parameter, Span, StepOperand
from core.query.limits import MAX_NODES, MAX_OPERANDS
from core.query.problems import SYNTAX, TOO_LARGE, VALUE, place, problem
from core.query.text.lexer import Token, TokenKind
from core.query.text.words import RESERVED
from core.schema import DECIMAL_SCALE, DecimalUnits

TakenT = TypeVar("TakenT")


class Cursor:
    """Walks the tokens of one rule once. Methods that take something raise RULE_SYNTAX where it does not stand."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._words = [token.text if token.kind is TokenKind.SYMBOL else token.word for token in tokens]
        self._at = 0
        self._nodes = 0
        #: Where the one token stands that says the value of a part, and the part: another value there would be the same
        #: part with that value, and change nothing else of the tree (holes.py).
        self.valued: list[tuple[Span, Literal | InLast]] = []

    def peek(self, ahead: int = 0) -> Token:
        """The token `ahead` places on; past the end it is END."""
        at = self._at + ahead
        return self._tokens[at] if at < len(self._tokens) else self._tokens[-1]

    @property
    def span(self) -> Span:
        """Where the next token stands."""
        return self.peek().span

    def take(self) -> Token:
        """The next token, passed."""
        token = self.peek()
        self._at += 1
        return token

    def at_end(self) -> bool:
        """Whether all is read."""
        return self.peek().kind is TokenKind.END

    def at(self, *words: str) -> bool:
        """Whether these words (or symbols) follow."""
        # Asked some fifty times a condition, so nothing is looked up twice.
        known, place = self._words, self._at
        for word in words:
            if (known[place] if place < len(known) else known[-1]) != word:
                return False
            place += 1
        return True

    def is_word(self, ahead: int, word: str) -> bool:
        """Whether the token `ahead` places on is this word or symbol."""
        place = self._at + ahead
        return (self._words[place] if place < len(self._words) else self._words[-1]) == word

    def skip(self, *words: str) -> bool:
        """Passes these words if they follow."""
        if not self.at(*words):
            return False
        self._at += len(words)
        return True

    def expect(self, word: str, hint: str = "") -> Token:
        """Passes this word or symbol."""
        if not self.at(word):
            raise self.expected(f'"{word}"', hint)
        return self.take()

    def fail(self, text: str, hint: str = "", *, reason: str = SYNTAX, span: Span | None = None) -> CdpError:
        """An error here, or at `span`."""
        return problem(reason, place(span or self.span), text, hint)

    def expected(self, what: str, hint: str = "") -> CdpError:
        """An error that names what should stand here and what does."""
        token = self.peek()
        found = "the text ends" if token.kind is TokenKind.END else f"found {_shown(token)}"
        return self.fail(f"expected {what}, {found}.", hint)

    def count_node(self) -> None:
        """Counts one node of the rule or of a filter. Raises RULE_TOO_LARGE past the limit."""
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self.fail(f"the rule has more than {MAX_NODES} conditions and branches.", reason=TOO_LARGE)

    def name(self, what: str, *, prefix: bool = False) -> str:
        """A bare or quoted name; with `prefix` a bare one may end in `*`."""
        token = self.peek()
        if token.kind is TokenKind.WORD:
            if token.word in RESERVED:
                raise self.expected(what, f'To use "{token.text}" as a name, write it in quotes.')
            if token.text.endswith("*") and not prefix:
                raise self.expected(what, "Only event names may end in *.")
            if "'" in token.word:
                raise self.expected(what)
        elif token.kind not in (TokenKind.NAME, TokenKind.TEXT):
            raise self.expected(what)
        if token.value == "":
            raise self.fail("a name cannot be empty.")
        self.take()
        return str(token.value)

    def dotted(self, what: str) -> str:
        """A name that may have parts joined by dots, as `items.amount`."""
        parts = [self.name(what)]
        while self.skip("."):
            parts.append(self.name(what))
        return ".".join(parts)

    def operand(self, what: str = "a value") -> Operand:
        """A value, `:parameter`, `attribute name` (`at the event`), or `step.parameter` of a sequence."""
        token = self.peek()
        if self.is_word(1, ".") and self.at_name():
            step = self.name(what)
            self.expect(".")
            return StepOperand(step, self.dotted("the name of a parameter"))
        if token.kind in (TokenKind.TEXT, TokenKind.VALUE):
            self._at += 1
            literal = Literal(token.value)
            self.valued.append((token.span, literal))
            return literal
        if token.kind is TokenKind.FINE:
            raise self.fail(f"{token.text} has more than four decimals.", reason=VALUE)
        if token.kind is TokenKind.PERIOD:
            raise self.expected(what, 'Periods are windows: "in calendar month 2026-10".')
        if token.kind is TokenKind.TIME:
            raise self.expected(what, 'Hours of the day read "at hours 08:00 to 20:00".')
        if token.word in ("true", "false"):
            return Literal(self.take().word == "true")
        if self.skip(":"):
            return Parameter(self.name("the name of a parameter"))
        if self.skip("attribute"):
            name = self.dotted("the name of an attribute")
            return AttributeAtEvent(name) if self.skip("at", "the", "event") else AttributeOperand(name)
        if token.kind is TokenKind.WORD and token.word not in RESERVED:
            raise self.expected(what, f'Texts stand in quotes: "{token.text}".')
        raise self.expected(what)

    def at_name(self, ahead: int = 0) -> bool:
        """Whether the token `ahead` places on may be a name: a quoted one, or a word that is not reserved."""
        token = self.peek(ahead)
        if token.kind is TokenKind.WORD:
            return token.word not in RESERVED and "'" not in token.word
        return token.kind in (TokenKind.NAME, TokenKind.TEXT)

    def percent(self) -> DecimalUnits:
        """`5 %` or `2.5 %`."""
        number = self.decimal("a percentage")
        if not (self.skip("%") or self.skip("percent")):
            raise self.expected('"%"', 'Write "10 %".')
        return number

    def decimal(self, what: str) -> DecimalUnits:
        """A number that is not negative, whole or with decimals."""
        value = self.peek().value
        if self.peek().kind is not TokenKind.VALUE or isinstance(value, bool):
            raise self.expected(what)
        if isinstance(value, int):
            value = DecimalUnits(value * DECIMAL_SCALE)
        if not isinstance(value, DecimalUnits) or value.units < 0:
            raise self.expected(what)
        self.take()
        return value

    def whole(self, what: str) -> int:
        """A whole number that is not negative."""
        token = self.peek()
        if token.kind is not TokenKind.VALUE or not isinstance(token.value, int) or token.value < 0:
            raise self.expected(what)
        self.take()
        return token.value

    def bracketed(self, take_one: Callable[[], TakenT]) -> tuple[TakenT, ...]:
        """`(a, b, c)`, at least one."""
        self.expect("(")
        taken = [take_one()]
        while self.skip(","):
            taken.append(take_one())
            if len(taken) > MAX_OPERANDS:
                raise self.fail(f"a list has more than {MAX_OPERANDS} values.", reason=TOO_LARGE)
        self.expect(")", 'Values of a list are separated by ",".')
        return tuple(taken)


def _shown(token: Token) -> str:
    text = token.text if len(token.text) <= 40 else f"{token.text[:40]}..."
    return text if text.startswith('"') else f'"{text}"'
