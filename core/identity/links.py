"""Whose a weak identifier (a cookie, a push token) was at which time.

A history is a tuple of (from_us, contact), ascending: from that instant on it belonged to that contact, until the
next entry. Before the first entry it belongs to the first contact, whose anonymous history it was.
"""

from __future__ import annotations

import struct
from bisect import bisect_right

History = tuple[tuple[int, int], ...]
#: What is stored for an identifier: the contact of a strong one, the history of a weak one.
Link = int | History

_ENTRY = struct.Struct(">qI")
_CONTACT = struct.Struct(">I")


def linked_at(history: History, at_us: int) -> int:
    """The contact that the identifier belonged to at `at_us`. `history` is not empty."""
    if len(history) == 1:
        return history[0][1]
    return history[max(0, bisect_right(history, at_us, key=_from) - 1)][1]


def with_link(history: History, at_us: int, contact: int, moves_limit: int) -> History | None:
    """`history` after a fact of `at_us` showed the identifier in the hands of `contact`; the same object when that
    was known, None when it would have more than `moves_limit` entries. Of one instant the later call counts."""
    if not history:
        return ((at_us, contact),)
    place = bisect_right(history, at_us, key=_from)
    if place == 0 and history[0][1] == contact:
        return ((at_us, contact), *history[1:])
    if place > 0 and history[place - 1][1] == contact:
        return history
    before = history[: place - 1] if place > 0 and history[place - 1][0] == at_us else history[:place]
    result = _joined((*before, (at_us, contact), *history[place:]))
    return result if len(result) <= max(moves_limit, len(history)) else None


def renamed(history: History, loser: int, survivor: int) -> History:
    """`history` after `loser` became part of `survivor`."""
    return _joined(tuple((from_us, survivor if contact == loser else contact) for from_us, contact in history))


def pack_link(link: Link) -> bytes:
    """Bytes for the state table: big-endian uint32, or 12 bytes (int64, uint32) an entry."""
    if isinstance(link, int):
        return _CONTACT.pack(link)
    return b"".join(_ENTRY.pack(from_us, contact) for from_us, contact in link)


def unpack_link(raw: bytes) -> Link:
    """The inverse of `pack_link`. Raises ValueError for other lengths."""
    if len(raw) == _CONTACT.size:
        (contact,) = _CONTACT.unpack(raw)
        return int(contact)
    if not raw or len(raw) % _ENTRY.size:
        raise ValueError(f"{len(raw)} bytes are no link of an identifier")
    return tuple((int(from_us), int(contact)) for from_us, contact in _ENTRY.iter_unpack(raw))


def _from(entry: tuple[int, int]) -> int:
    return entry[0]


def _joined(history: History) -> History:
    """Without entries that change nothing."""
    return tuple(entry for i, entry in enumerate(history) if i == 0 or history[i - 1][1] != entry[1])
