"""For each of many values the number of contacts that hold it, by rows that name a contact and a value.

Rows are first dealt out by blocks of contacts, so that one bit for every (contact, value) of a block stays in the
cache; then a block's rows set their bits, and a bit that is set for the first time counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.kernels.compiled import compiled
from core.kernels.pairs_in_order import OrderedRows, list_in_order
from core.kernels.scratch import scratch
from core.kernels.threads import in_parallel, parts_for

Words = NDArray[np.uint64]
#: Bits of one block as a power of two: 256 KiB.
_BLOCK_BITS = 21
#: A dealt row is a contact within its block and, in the lower half, a value.
_VALUE_BITS = 16
#: A part of fewer rows does not pay for a thread.
_LEAST_ROWS = 1 << 17


@dataclass(frozen=True, slots=True)
class ValueRows:
    """Row i: contact `contacts[i]` (uint32) holds value `numbers[codes[i]] - 1`; 0: none of the values asked for.
    `codes` are unsigned, `numbers` (uint32) has an entry for each."""

    contacts: NDArray[np.uint32]
    codes: NDArray[Any]
    numbers: NDArray[np.uint32]


def contacts_by_value(
    having: Sequence[ValueRows | OrderedRows],
    lacking: Sequence[ValueRows | OrderedRows],
    members: Words,
    value_count: int,
) -> NDArray[np.int64]:
    """How many contacts of the set `members` hold each of `value_count` (at most 65,535) values by some row of `having`
    and by none of `lacking`; int64."""
    shift = max(8, min(_VALUE_BITS, _BLOCK_BITS - value_count.bit_length()))
    blocks = ((len(members) * 64) >> shift) + 1
    sources = [_Source.of(some, members, shift, blocks) for some in (lacking, having)]

    def count(first: int, after: int) -> NDArray[np.int64]:
        counts = np.zeros(value_count, np.int64)
        bits = np.zeros(((value_count << shift) + 63) >> 6, np.uint64)
        rooms = [source.room(shift, first, after) for source in sources]
        with scratch(sum(rooms)) as memory:
            without = sources[0].listed(members, shift, first, after, memory[: rooms[0]])
            held = sources[1].listed(members, shift, first, after, memory[rooms[0] :])
            count_first_bits(*without, *held, after - first, value_count, bits, counts)
        return counts

    # Parts of about as many rows: active contacts may stand close together.
    rows = np.add(*(source.rows_until(shift, blocks) for source in sources))
    threads = parts_for(int(rows[-1]), _LEAST_ROWS)
    inner = [int(np.searchsorted(rows, int(rows[-1]) * number // threads)) for number in range(1, threads)]
    ends = [0, *(min(end, blocks) for end in inner), blocks]
    parts = in_parallel([partial(count, first, after) for first, after in pairwise(ends)])
    return sum(parts, np.zeros(value_count, np.int64))


@dataclass(frozen=True, slots=True)
class _Source:
    """Rows by block of contacts: some dealt out to `packed`, where each block begins at `starts`, the others read in
    their own order."""

    starts: NDArray[np.int64]
    packed: NDArray[np.uint32]
    ordered: list[OrderedRows]

    @classmethod
    def of(cls, parts: Sequence[ValueRows | OrderedRows], members: Words, shift: int, blocks: int) -> _Source:
        """These rows; those that have no order by contact are dealt out here."""
        dealt = _dealt([part for part in parts if isinstance(part, ValueRows)], members, shift, blocks)
        return cls(*dealt, [part for part in parts if isinstance(part, OrderedRows)])

    def rows_until(self, shift: int, blocks: int) -> NDArray[np.int64]:
        """About how many rows there are in the blocks before each block, and in all."""
        total = self.starts.copy()
        for part in self.ordered:
            places = np.minimum(np.arange(blocks + 1) << (shift - 8), len(part.starts) - 1)
            total += part.starts[places]
        return total

    def room(self, shift: int, first: int, after: int) -> int:
        """What `listed` needs for these blocks."""
        dealt = int(self.starts[after] - self.starts[first])
        return 0 if not self.ordered else dealt + sum(part.most(first, after, shift) for part in self.ordered) + 1

    def listed(
        self, members: Words, shift: int, first: int, after: int, memory: NDArray[np.uint32]
    ) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        """All rows of the blocks `first` to `after`: source i has `packed[begins[i, b] : begins[i, b + 1]]` for the
        b-th of them. What has to be written goes to `memory`."""
        own = slice(int(self.starts[first]), int(self.starts[after]))
        begins = np.empty((len(self.ordered) + 1, after - first + 1), np.int64)
        begins[0] = self.starts[first : after + 1] - own.start
        if not self.ordered:
            return begins, self.packed[own]
        place = own.stop - own.start
        memory[:place] = self.packed[own]
        for number, part in enumerate(self.ordered, 1):
            place = list_in_order(
                part.starts,
                part.low,
                part.rows,
                part.first_row,
                part.row_count,
                part.codes,
                part.numbers,
                members,
                shift,
                first,
                after,
                place,
                begins[number],
                memory,
            )
        return begins, memory


def _dealt(
    parts: Sequence[ValueRows], members: Words, shift: int, blocks: int
) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """The rows that count, block after block, and where each block begins."""
    threads = parts_for(sum(len(part.contacts) for part in parts), _LEAST_ROWS)
    # Each thread deals a piece of every part, and writes to places of its own: by block, then by thread.
    shares = [[_piece(part, number, threads) for part in parts] for number in range(threads)]

    def count(share: Sequence[ValueRows]) -> NDArray[np.int64]:
        sizes = np.zeros(blocks, np.int64)
        for piece in share:
            count_blocks(piece.contacts, piece.codes, piece.numbers, members, shift, sizes)
        return sizes

    def deal(share: Sequence[ValueRows], places: NDArray[np.int64]) -> None:
        for piece in share:
            deal_out(piece.contacts, piece.codes, piece.numbers, members, shift, places, packed)

    sizes = np.array(in_parallel([partial(count, share) for share in shares]))
    starts = np.zeros(blocks + 1, np.int64)
    np.cumsum(sizes.sum(axis=0), out=starts[1:])
    packed = np.empty(int(starts[-1]), np.uint32)
    firsts = starts[:-1] + np.cumsum(sizes, axis=0) - sizes
    in_parallel([partial(deal, share, places) for share, places in zip(shares, firsts, strict=True)])
    return starts, packed


def _piece(part: ValueRows, number: int, count: int) -> ValueRows:
    """Piece `number` of `count` of these rows."""
    rows = len(part.contacts)
    here = slice(rows * number // count, rows * (number + 1) // count)
    return ValueRows(part.contacts[here], part.codes[here], part.numbers)


@compiled
def count_blocks(
    contacts: NDArray[np.uint32],
    codes: NDArray[Any],
    numbers: NDArray[np.uint32],
    members: Words,
    shift: int,
    sizes: NDArray[np.int64],
) -> None:
    """Add the rows that count to the entry of their block."""
    by = np.uint32(shift)
    for i in range(len(contacts)):
        contact = contacts[i]
        member = (members[contact >> np.uint32(6)] >> np.uint64(contact & np.uint32(63))) & np.uint64(1)
        sizes[contact >> by] += np.int64(member) * np.int64(numbers[codes[i]] > np.uint32(0))


@compiled
def deal_out(
    contacts: NDArray[np.uint32],
    codes: NDArray[Any],
    numbers: NDArray[np.uint32],
    members: Words,
    shift: int,
    places: NDArray[np.int64],
    packed: NDArray[np.uint32],
) -> None:
    """Put (contact within its block, value) of each row that counts to the next place of its block."""
    by = np.uint32(shift)
    within = np.uint32((1 << shift) - 1)
    for i in range(len(contacts)):
        contact = contacts[i]
        number = numbers[codes[i]]
        member = (members[contact >> np.uint32(6)] >> np.uint64(contact & np.uint32(63))) & np.uint64(1)
        if member and number:
            block = contact >> by
            packed[places[block]] = ((contact & within) << np.uint32(16)) | (number - np.uint32(1))
            places[block] += 1


@compiled
def count_first_bits(
    without_begins: NDArray[np.int64],
    without: NDArray[np.uint32],
    begins: NDArray[np.int64],
    packed: NDArray[np.uint32],
    blocks: int,
    value_count: int,
    bits: Words,
    counts: NDArray[np.int64],
) -> None:
    """Block after block: set the bits of `without`, then count those that `packed` sets first. The rows of block b are
    those between `begins[i, b]` and `begins[i, b + 1]`, for each i. `bits` is scratch."""
    width = np.uint64(value_count)
    one = np.uint64(1)
    for block in range(blocks):
        held = np.int64(0)
        for source in range(len(begins)):
            held += begins[source, block + 1] - begins[source, block]
        if held == 0:
            continue
        bits[:] = np.uint64(0)
        for source in range(len(without_begins)):
            for i in range(np.uint64(without_begins[source, block]), np.uint64(without_begins[source, block + 1])):
                bit = np.uint64(without[i] >> np.uint32(16)) * width + np.uint64(without[i] & np.uint32(0xFFFF))
                bits[bit >> np.uint64(6)] |= one << (bit & np.uint64(63))
        for source in range(len(begins)):
            for i in range(np.uint64(begins[source, block]), np.uint64(begins[source, block + 1])):
                value = np.uint64(packed[i] & np.uint32(0xFFFF))
                bit = np.uint64(packed[i] >> np.uint32(16)) * width + value
                word = bits[bit >> np.uint64(6)]
                counts[value] += np.int64((~word >> (bit & np.uint64(63))) & one)
                bits[bit >> np.uint64(6)] = word | (one << (bit & np.uint64(63)))


def plain_contacts_by_value(
    having: Sequence[ValueRows], lacking: Sequence[ValueRows], members: Words, value_count: int
) -> NDArray[np.int64]:
    """contacts_by_value in NumPy."""
    left = np.setdiff1d(_pairs(having, members), _pairs(lacking, members))
    return np.bincount((left & np.uint64(0xFFFF)).astype(np.int64), minlength=value_count).astype(np.int64)


def _pairs(parts: Sequence[ValueRows], members: Words) -> NDArray[np.uint64]:
    found = [np.zeros(0, np.uint64)]
    held = np.unpackbits(members.view(np.uint8), bitorder="little").view(np.bool_)
    for part in parts:
        numbers = part.numbers[part.codes]
        kept = held[part.contacts] & (numbers > 0)
        found.append((part.contacts[kept].astype(np.uint64) << np.uint64(_VALUE_BITS)) | (numbers[kept] - np.uint32(1)))
    return np.unique(np.concatenate(found))
