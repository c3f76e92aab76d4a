"""What people were sent, as far as caps and contents need to know it.

A message is counted at the decision to call its provider, in the commit that makes `sending` durable, and taken out
again only when the provider surely has nothing of it. Rows stand under the public key of the person as it was then:
after a merge the rows of all keys that the person had are read together, after an unmerge each has its own again.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from core.clock import DAY_US

#: No cap and no window of contents looks back further.
LONGEST_WINDOW_US = 92 * DAY_US

_ENTRY = struct.Struct("<qQQBB")


@dataclass(frozen=True, slots=True)
class Counted:
    """One message by one channel: its number in the outbox (one that went on to another channel has an entry for each
    it may have reached), the instant of the call, and its content (`content_number`; 0: none)."""

    sequence: int
    at_us: int
    channel: str
    category: str = ""
    content: int = 0


def content_number(content: str) -> int:
    """A content as it is counted; 0 for the empty text alone."""
    return int.from_bytes(sha256(content.encode()).digest()[:8], "big") or 1 if content else 0


class Ledger:
    """Rows in memory: key -> entries, packed because there are as many rows as people. What is changed here is only
    durable once the caller has stored `row` of the key."""

    def __init__(self) -> None:
        self._rows: dict[str, bytes] = {}

    def load(self, key: str, row: bytes, now_us: int) -> bool:
        """Take a stored row; False when nothing of it counts any more, then it is not kept."""
        entries = unpack(row)
        if not _fresh(entries, now_us):
            return False
        self._rows[key] = row
        return True

    def of(self, keys: Iterable[str]) -> list[Counted]:
        """The entries under all the keys of one person, each once."""
        return [entry for key in dict.fromkeys(keys) if (row := self._rows.get(key)) for entry in unpack(row)]

    def add(self, key: str, entry: Counted) -> None:
        """Count a message; the same message by the same channel is counted anew. What is too old goes."""
        kept = [one for one in unpack(self._rows.get(key, b"")) if not _same(one, entry.sequence, entry.channel)]
        self._rows[key] = pack([*_fresh(kept, entry.at_us), entry])

    def remove(self, key: str, sequence: int, channel: str) -> None:
        """The provider surely has nothing. Nothing happens where it is not counted."""
        kept = [one for one in unpack(self._rows.get(key, b"")) if not _same(one, sequence, channel)]
        if kept:
            self._rows[key] = pack(kept)
        else:
            self._rows.pop(key, None)

    def row(self, key: str) -> bytes:
        """The row to store; empty: there is none any more."""
        return self._rows.get(key, b"")

    def forget(self, keys: Iterable[str]) -> list[str]:
        """Nothing is known of these any more; returns those that had a row."""
        return [key for key in dict.fromkeys(keys) if self._rows.pop(key, None) is not None]

    def __len__(self) -> int:
        return len(self._rows)


def pack(entries: Sequence[Counted]) -> bytes:
    """Entries as a stored row."""
    parts = []
    for one in entries:
        channel, category = one.channel.encode(), one.category.encode()
        parts.append(_ENTRY.pack(one.at_us, one.sequence, one.content, len(channel), len(category)))
        parts += (channel, category)
    return b"".join(parts)


def unpack(row: bytes) -> list[Counted]:
    """The entries of a stored row."""
    entries, at = [], 0
    while at < len(row):
        at_us, sequence, content, channel, category = _ENTRY.unpack_from(row, at)
        middle = at + _ENTRY.size + channel
        end = middle + category
        told = row[at + _ENTRY.size : middle].decode(), row[middle:end].decode()
        entries.append(Counted(sequence, at_us, *told, content))
        at = end
    return entries


def _same(one: Counted, sequence: int, channel: str) -> bool:
    return one.sequence == sequence and one.channel == channel


def _fresh(entries: Iterable[Counted], now_us: int) -> list[Counted]:
    return [one for one in entries if one.at_us > now_us - LONGEST_WINDOW_US]
