"""Text of a rule to tokens."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import Enum

from core.errors import CdpError
from core.query.ast import Span
from core.query.limits import MAX_STRING, MAX_TEXT
from core.query.problems import SYNTAX, TOO_LARGE, VALUE, place, problem
from core.query.text.moments import parse_date, parse_instant
from core.schema import MAX_INTEGER, MIN_INTEGER, Scalar, parse_decimal


class TokenKind(Enum):
    """What a token is. VALUE is a number, a date or an instant; FINE a number with more than four decimals, which only
    degrees have; PERIOD is `2026-10`, `2026-Q3` or `2026-W07`; TIME is `22:00`; NAME stands in backquotes."""

    WORD = "word"
    NAME = "name"
    TEXT = "text"
    VALUE = "value"
    FINE = "fine"
    PERIOD = "period"
    TIME = "time"
    SYMBOL = "symbol"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """`text` as written; `value` what it means; `word` in lower case for WORD, else empty."""

    kind: TokenKind
    text: str
    value: Scalar
    span: Span
    word: str = ""


#: A name that needs no quotes, if it is no word of the language.
BARE_NAME = re.compile(r"[^\W\d][\w\u0300-\u036f]*")

#: A token, and the spaces before it, as there are some before most.
_TOKEN = re.compile(
    r"""
    [ ]*(?:
    (?P<space>\s+|--[^\n]*)
  | (?P<instant>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(?:[Zz]|[+-][0-9]{2}:[0-9]{2})?)
  | (?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2}(?![\w-]))
  | (?P<period>[0-9]{4}-(?:[0-9]{2}|[Qq][0-9]|[Ww][0-9]{2})(?![\w-]))
  | (?P<time>[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?(?!\w))
  | (?P<number>-?[0-9]+(?:\.[0-9]+)?)
  | (?P<word>(?:[^\W\d][\w\u0300-\u036f]*)(?:['’]s\b)?\*?|\*)
  | (?P<text>"(?:[^"\\\n]|\\.)*")
  | (?P<name>`[^`\n]+`)
  | (?P<symbol>!=|<=|>=|<>|==|&&|\|\||[<>=(),.:%])
    )
    """,
    re.VERBOSE,
)
_DIGITS = 20
_ESCAPE = re.compile(r"\\(u\{([0-9a-fA-F]{1,6})\}|u([0-9a-fA-F]{4})|.)", re.DOTALL)
_ESCAPED = {'"': '"', "\\": "\\", "n": "\n", "t": "\t", "r": "\r"}
_SPELLED = {
    "==": 'Write "=".',
    "<>": 'Write "!=".',
    "&&": 'Write "and".',
    "||": 'Write "or".',
    ";": "One rule has no semicolons; join conditions by and / or.",
    "'": 'Texts stand in double quotes: "like this".',
    '"': 'The text is not closed: add " at its end (in one line).',
    "`": "The name is not closed: add ` at its end.",
    "“": 'Use straight quotes: "like this".',
    "”": 'Use straight quotes: "like this".',
    "«": 'Use straight quotes: "like this".',
    "!": 'Write "not", or "!=" to compare.',
    "[": "Lists stand in round brackets.",
    "{": "Lists stand in round brackets.",
}


def tokenize(text: str) -> list[Token]:
    """All tokens of `text` and an END. Raises INVALID with line and column (columns count characters from 1)."""
    if len(text) > MAX_TEXT:
        raise problem(TOO_LARGE, "", f"the text is longer than {MAX_TEXT} characters.")
    tokens: list[Token] = []
    line, line_start, at = 1, 0, 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            span = Span(line, at - line_start + 1)
            raise _fail(SYNTAX, span, f"cannot read {text[at]!r} here.", _SPELLED.get(text[at], ""))
        group = match.lastgroup or ""
        start, at = match.span(group)
        written = text[start:at]
        if group == "space":
            newlines = written.count("\n")
            if newlines:
                line += newlines
                line_start = start + written.rindex("\n") + 1
            continue
        tokens.append(_token(group, written, Span(line, start - line_start + 1)))
    tokens.append(Token(TokenKind.END, "", "", Span(line, len(text) - line_start + 1)))
    return tokens


def _token(group: str, written: str, span: Span) -> Token:
    match group:
        case "word":
            return Token(TokenKind.WORD, written, _nfc(written, span), span, written.lower().replace("’", "'"))
        case "symbol":
            if written in _SPELLED:
                raise _fail(SYNTAX, span, f'"{written}" is not an operator.', _SPELLED[written])
            return Token(TokenKind.SYMBOL, written, written, span)
        case "text":
            return Token(TokenKind.TEXT, written, _nfc(_unescape(written[1:-1], span), span), span)
        case "name":
            return Token(TokenKind.NAME, written, _nfc(written[1:-1], span), span)
        case "number":
            whole, _, fraction = written.partition(".")
            if 4 < len(fraction) <= _DIGITS and len(whole) <= _DIGITS:
                return Token(TokenKind.FINE, written, written, span)
            return Token(TokenKind.VALUE, written, _number(written, span), span)
        case "period" | "time":
            return Token(TokenKind(group), written, written, span)
    try:
        return Token(TokenKind.VALUE, written, (parse_date if group == "date" else parse_instant)(written), span)
    except ValueError as error:
        raise _fail(VALUE, span, f"{written} is no {group}: {error}.") from error


def _number(written: str, span: Span) -> Scalar:
    whole, _, fraction = written.partition(".")
    if len(fraction) > 4:
        raise _fail(VALUE, span, f"{_shown(written)} has more than four decimals.")
    if len(whole) > _DIGITS:
        raise _fail(VALUE, span, f"{_shown(written)} is too large a number.")
    if fraction:
        try:
            return parse_decimal(written)
        except ValueError as error:
            raise _fail(VALUE, span, f"{written} is too large: a number with decimals reaches 9e14.") from error
    number = int(whole)
    if not MIN_INTEGER <= number <= MAX_INTEGER:
        raise _fail(VALUE, span, f"{written} is too large a number.")
    return number


def _shown(written: str) -> str:
    return written if len(written) <= 40 else f"{written[:40]}..."


def _unescape(body: str, span: Span) -> str:
    def replaced(match: re.Match[str]) -> str:
        code = match.group(2) or match.group(3)
        if code is not None:
            point = int(code, 16)
            if point > 0x10FFFF or 0xD800 <= point <= 0xDFFF:
                raise _fail(SYNTAX, span, f"{match.group()} is no character.")
            return chr(point)
        known = _ESCAPED.get(match.group(1))
        if known is None:
            raise _fail(SYNTAX, span, f"{match.group()} is no escape.", f"Write \\\\{match.group(1)} for a backslash.")
        return known

    return _ESCAPE.sub(replaced, body)


def _nfc(text: str, span: Span) -> str:
    if len(text) > MAX_STRING:
        raise _fail(TOO_LARGE, span, f"a text or name is longer than {MAX_STRING} characters.")
    if text.isascii():
        return text
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise _fail(SYNTAX, span, "half a surrogate pair is no character.")
    return unicodedata.normalize("NFC", text)


def _fail(reason: str, span: Span, text: str, hint: str = "") -> CdpError:
    return problem(reason, place(span), text, hint)
