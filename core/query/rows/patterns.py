"""Regular expressions: RE2, found anywhere in the text, case-sensitive, with bounded memory."""

from __future__ import annotations

from typing import Protocol, cast

import re2

from core.query.limits import MAX_PATTERN, MAX_PATTERN_BYTES


class Pattern(Protocol):
    """A compiled expression."""

    def search(self, text: str) -> object | None:
        """Something where the expression is found in `text`, else None."""


def compile_pattern(text: str) -> Pattern:
    """`text` compiled by RE2. Raises ValueError for what RE2 refuses and for an expression past the limits."""
    if len(text) > MAX_PATTERN:
        raise ValueError(f"it is longer than {MAX_PATTERN} characters")
    options = re2.Options()
    options.max_mem = MAX_PATTERN_BYTES
    options.log_errors = False
    try:
        return cast(Pattern, re2.compile(text, options))
    except re2.error as error:
        raise ValueError(_message(error)) from error


def _message(error: Exception) -> str:
    cause = error.args[0] if error.args else error
    return cause.decode("utf-8", "replace") if isinstance(cause, bytes) else str(cause)
