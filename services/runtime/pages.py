"""Pages of a list: how many entries one answer holds, and the tokens that say where the next page begins."""

from __future__ import annotations

from core.errors import CdpError, invalid

DEFAULT_ENTRIES = 100
MOST_ENTRIES = 1_000

#: Any instant in microseconds and any position has fewer digits than this.
_MOST_DIGITS = 18


def page_entries(asked: int) -> int:
    """How many entries a page holds: what is asked, 100 for 0, never more than 1,000."""
    return min(asked or DEFAULT_ENTRIES, MOST_ENTRIES)


def number_of(text: str) -> int:
    """The natural number that a page token, or a part of one, consists of. Raises INVALID / BAD_PAGE_TOKEN.

    Stricter than int(), which takes signs, spaces and other scripts' digits, and thousands of digits.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise bad_page_token()
    return int(text)


def bad_page_token() -> CdpError:
    """INVALID / BAD_PAGE_TOKEN, to be raised."""
    return invalid("BAD_PAGE_TOKEN", "this page token is none that an answer gave")
