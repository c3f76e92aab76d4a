"""JSON as it comes from strangers: bounded, exact, and with what cannot be kept marked in its place.

Numbers are exact (`int`, `Decimal`). NaN, Infinity, endless integers and repeated keys become a `Bad` value, and bytes
that are no UTF-8 become lone surrogates, so that they spoil the item that holds them and not its batch.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal

from core.errors import invalid
from core.events.checks import BAD_NUMBER, Bad

BAD_JSON = "BAD_JSON"
TOO_DEEP = "TOO_DEEP"
DUPLICATE_KEY = "DUPLICATE_KEY"

#: Levels of brackets in a whole document; well below where a parser would run out of stack.
MAX_DOCUMENT_DEPTH = 100
_LONGEST_INTEGER = 20

_ESCAPES = re.compile(rb"\\.", re.DOTALL)
_STRINGS = re.compile(rb'"[^"]*"')
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def parse(document: bytes) -> object:
    """The value of `document`. Raises INVALID / BAD_JSON, or TOO_DEEP before anything is parsed."""
    if _is_too_deep(document):
        raise invalid(TOO_DEEP, f"the document is nested deeper than {MAX_DOCUMENT_DEPTH} levels")
    try:
        return _DECODER.decode(document.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError) as error:
        raise invalid(BAD_JSON, f"the body is no JSON document: {error}") from error


def size_of(value: object) -> int:
    """The bytes of `value` as compact JSON."""
    return len(
        json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str).encode("utf-8", "surrogatepass")
    )


def _is_too_deep(document: bytes) -> bool:
    opening = document.count(b"[") + document.count(b"{")
    if opening <= MAX_DOCUMENT_DEPTH:
        return False
    brackets = _STRINGS.sub(b"", _ESCAPES.sub(b"", document)).translate(None, _NOT_BRACKETS)
    # Each pass takes the innermost level off; C does the work, so that a hostile document costs little.
    for _ in range(MAX_DOCUMENT_DEPTH):
        shorter = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if len(shorter) == len(brackets):
            break
        brackets = shorter
    depth = 0
    for bracket in brackets:
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DOCUMENT_DEPTH:
            return True
    return bool(brackets) and depth == 0


def _integer(text: str) -> int | Bad:
    return int(text) if len(text) <= _LONGEST_INTEGER else Bad(BAD_NUMBER, "is larger than a 64-bit integer")


def _fraction(text: str) -> Decimal | Bad:
    try:
        return Decimal(text)
    except ArithmeticError:
        return Bad(BAD_NUMBER, "is larger than 9e14")


def _constant(text: str) -> Bad:
    return Bad(BAD_NUMBER, f"{text} is no number")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                found[key] = Bad(DUPLICATE_KEY, "stands twice in its object")
            seen.add(key)
    return found


_DECODER = json.JSONDecoder(
    parse_int=_integer, parse_float=_fraction, parse_constant=_constant, object_pairs_hook=_object
)
