"""Random buckets, and at most so many members."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from tests.oracle.facts import Plain
from tests.oracle.population import measured

if TYPE_CHECKING:
    from tests.oracle import Oracle
    from tests.oracle.row import Row


def digest(row: Row, salt: str) -> int:
    """ "first 8 bytes, big-endian, of SHA-256(workspace NUL salt NUL contact id)"."""
    text = f"{row.oracle.setting['workspace']}\0{salt}\0{row.contact.key}"
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big")


def bucket(row: Row, salt: str) -> int:
    """ "mod 10000"."""
    return digest(row, salt) % 10_000


def limited(oracle: Oracle, rule: Plain, members: set[int], as_of: int, parameters: Mapping[str, Any]) -> set[int]:
    """Without a limit all. "`limit n` and `limit n by x` stand at the top only, after exclusion: n smallest by
    (hash, contact id), or best x first, missing out, ties by hash." """
    limit = rule.get("limit")
    if limit is None:
        return members
    ranked: list[tuple[Fraction, int, bytes, int]] = []
    for row in oracle.rows(rule, as_of, parameters):
        value = Fraction(0) if limit["by"] is None else measured(row, limit["by"])
        if row.contact.number in members and value is not None:
            best_first = value if limit["smallest"] else -value
            ranked.append((best_first, digest(row, limit["salt"]), row.contact.key.encode(), row.contact.number))
    return {number for *_, number in sorted(ranked)[: limit["count"]]}
