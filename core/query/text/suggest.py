"""Names near to a misspelled one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

#: Names compared at most; past them a suggestion is not worth the time.
_COMPARED = 2_000


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`Did you mean "gender"?`, up to three names, nearest first; empty if nothing is near."""
    folded: dict[str, str] = {}
    for other in known:
        if abs(len(other) - len(name)) <= max(3, len(name) // 2):
            folded.setdefault(other.casefold(), other)
    near = get_close_matches(name.casefold(), sorted(folded)[:_COMPARED], n=3, cutoff=0.7)
    quoted = [f'"{folded[match]}"' for match in near]
    if not quoted:
        return ""
    return (
        f"Did you mean {quoted[0]}?" if len(quoted) == 1 else f"Did you mean {', '.join(quoted[:-1])} or {quoted[-1]}?"
    )
