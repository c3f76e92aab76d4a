"""Predicates on texts."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import lru_cache

import re2

from core.errors import invalid
from core.query.ast import Compare


def fold(text: str) -> str:
    """NFC of full case folding: what `ignoring case` compares."""
    return unicodedata.normalize("NFC", text.casefold())


def composed(text: str) -> str:
    """NFC, the form of every stored text."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


@lru_cache(maxsize=256)
def _pattern(pattern: str) -> Callable[[str], bool]:
    try:
        compiled = re2.compile(pattern)
    except re2.error as error:
        raise invalid("PATTERN_INVALID", f"no regular expression of RE2: {pattern!r}: {error}") from error
    return lambda text: compiled.search(text) is not None


def predicate(compare: Compare, operand: str, ignoring_case: bool) -> Callable[[str], bool]:
    """`text compare operand` as a function of the text. Order is that of UTF-8 bytes, which is Python's own."""
    if compare is Compare.MATCHES:
        return _pattern(operand)
    wanted = fold(operand) if ignoring_case else operand

    def test(text: str) -> bool:
        return related(fold(text) if ignoring_case else text, compare, wanted)

    return test


def related(text: str, compare: Compare, wanted: str) -> bool:
    """`text compare wanted` for texts that are already folded as they should be."""
    match compare:
        case Compare.EQ:
            return text == wanted
        case Compare.LT:
            return text < wanted
        case Compare.LE:
            return text <= wanted
        case Compare.GT:
            return text > wanted
        case Compare.GE:
            return text >= wanted
        case Compare.CONTAINS:
            return wanted in text
        case Compare.STARTS:
            return text.startswith(wanted)
        case Compare.ENDS:
            return text.endswith(wanted)
        case _:
            raise ValueError(f"{compare} is no relation of texts")
