"""Whose an identifier is, and whose a weak one (a cookie, a push token) was at which time.

A holder is one number: the part (the contact that it would be had nobody ever been merged) in the high 32 bits, and
the contact that this part belongs to now in the low 32, so that a fact finds both by one look-up. A history is a tuple
of (from_us, holder), ascending: from that instant on it belonged to that holder, until the next entry. Before the
first entry it belongs to the first holder, whose anonymous history it was.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Mapping

Holder = int
History = tuple[tuple[int, Holder], ...]
#: What is stored for an identifier: the holder of a strong one, the history of a weak one.
Link = Holder | History

_CONTACT_BITS = 32
_CONTACT_MASK = (1 << _CONTACT_BITS) - 1

_ONE = struct.Struct(">I")
_ONE_OF_TWO = struct.Struct(">II")
_ENTRY = struct.Struct(">qI")
_WIDE_ENTRY = struct.Struct(">qII")
#: Stands before wide entries: no length of the other forms is one more than a multiple of 16.
_WIDE = b"\1"


def holder(part: int, contact: int) -> Holder:
    """The holder that is `part` of `contact`."""
    return part << _CONTACT_BITS | contact


def alone(contact: int) -> Holder:
    """The holder that is its own contact."""
    return contact << _CONTACT_BITS | contact


def part_of(one: Holder) -> int:
    """The part that holds."""
    return one >> _CONTACT_BITS


def contact_of(one: Holder) -> int:
    """The contact that the part belongs to now."""
    return one & _CONTACT_MASK


def holder_at(link: Link, at_us: int) -> Holder:
    """The holder at `at_us` of a strong or weak identifier."""
    return link if isinstance(link, int) else linked_at(link, at_us)


def linked_at(history: History, at_us: int) -> Holder:
    """The holder that the identifier belonged to at `at_us`. `history` is not empty."""
    if len(history) == 1:
        return history[0][1]
    return history[max(0, bisect_right(history, at_us, key=_from) - 1)][1]


def with_link(history: History, at_us: int, one: Holder, moves_limit: int) -> History | None:
    """`history` after a fact of `at_us` showed the identifier in the hands of `one`; the same object when that was
    known, None when it would have more than `moves_limit` entries. Of one instant the later call counts."""
    if not history:
        return ((at_us, one),)
    place = bisect_right(history, at_us, key=_from)
    if place == 0 and history[0][1] == one:
        return ((at_us, one), *history[1:])
    if place > 0 and history[place - 1][1] == one:
        return history
    before = history[: place - 1] if place > 0 and history[place - 1][0] == at_us else history[:place]
    result = _joined((*before, (at_us, one), *history[place:]))
    return result if len(result) <= max(moves_limit, len(history)) else None


def rehomed(link: Link, homes: Mapping[int, int]) -> Link:
    """`link` after each part in `homes` became part of the contact that stands there."""
    if isinstance(link, int):
        return _rehomed(link, homes)
    return tuple((from_us, _rehomed(one, homes)) for from_us, one in link)


def without(link: Link, contact: int) -> Link | None:
    """`link` as if it had never led to `contact`; None: it led to nobody else."""
    if isinstance(link, int):
        return None if contact_of(link) == contact else link
    return _joined(tuple(entry for entry in link if contact_of(entry[1]) != contact)) or None


def pack_link(link: Link) -> bytes:
    """Bytes for the state table: a contact (big-endian uint32), with its part behind it where that is another; of a
    history 12 bytes (int64, contact) an entry, or a byte 1 and 16 bytes (int64, contact, part) an entry."""
    if isinstance(link, int):
        part, contact = part_of(link), contact_of(link)
        return _ONE.pack(contact) if part == contact else _ONE_OF_TWO.pack(contact, part)
    if all(part_of(one) == contact_of(one) for _, one in link):
        return b"".join(_ENTRY.pack(from_us, contact_of(one)) for from_us, one in link)
    return _WIDE + b"".join(_WIDE_ENTRY.pack(from_us, contact_of(one), part_of(one)) for from_us, one in link)


def unpack_link(raw: bytes) -> Link:
    """The inverse of `pack_link`. Raises ValueError for other lengths."""
    if len(raw) == _ONE.size:
        return alone(int(_ONE.unpack(raw)[0]))
    if len(raw) == _ONE_OF_TWO.size:
        contact, part = _ONE_OF_TWO.unpack(raw)
        return holder(part, contact)
    if raw and len(raw) % _ENTRY.size == 0:
        return tuple((int(from_us), alone(contact)) for from_us, contact in _ENTRY.iter_unpack(raw))
    if len(raw) > 1 and raw[:1] == _WIDE and len(raw) % _WIDE_ENTRY.size == 1:
        wide = _WIDE_ENTRY.iter_unpack(raw[1:])
        return tuple((int(from_us), holder(part, contact)) for from_us, contact, part in wide)
    raise ValueError(f"{len(raw)} bytes are no link of an identifier")


def _rehomed(one: Holder, homes: Mapping[int, int]) -> Holder:
    home = homes.get(part_of(one))
    return one if home is None else holder(part_of(one), home)


def _from(entry: tuple[int, int]) -> int:
    return entry[0]


def _joined(history: History) -> History:
    """Without entries that change nothing."""
    return tuple(entry for i, entry in enumerate(history) if i == 0 or history[i - 1][1] != entry[1])
