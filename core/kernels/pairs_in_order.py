"""Rows that name a contact and a value, listed in the order of contacts.

core.kernels.pair_counts counts pairs by parts of `1 << shift` contacts; a run whose order by contact is known need not
be dealt out to them, it is read once as it lies. What `starts`, `low` and `rows` mean stands in
core.kernels.contact_order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.kernels.compiled import compiled
from core.kernels.contact_order import Low, Rows, Starts, plain_contacts_of

Words = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class OrderedRows:
    """The rows `first_row` to `first_row + row_count` of a run: each holds value `numbers[code] - 1` (0: none of the
    values asked for). `codes` are unsigned and stand in the order of `rows`, all of them; `numbers` (uint32) has an
    entry for each."""

    starts: Starts
    low: Low
    rows: Rows
    first_row: int
    row_count: int
    codes: NDArray[Any]
    numbers: NDArray[np.uint32]

    def most(self, first_part: int, after_part: int, shift: int) -> int:
        """No more rows than this belong to the contacts of these parts; of a window that cuts the run, no fewer."""
        last = len(self.starts) - 1
        first, after = (int(self.starts[min(part << (shift - 8), last)]) for part in (first_part, after_part))
        return after - first


@compiled
def list_in_order(
    starts: Starts,
    low: Low,
    rows: Rows,
    first_row: int,
    row_count: int,
    codes: NDArray[Any],
    numbers: NDArray[np.uint32],
    members: Words,
    shift: int,
    first_part: int,
    after_part: int,
    place: int,
    begins: NDArray[np.int64],
    packed: NDArray[np.uint32],
) -> int:
    """Write (contact within its part, value in the lower half) of each row that counts, of contacts in `members`, to
    `packed` from `place` on, part after part; `begins` (one entry more than parts) gets where each begins. `shift` is 8
    or more. Where the next row would go is returned; `packed` has room for one more."""
    whole = first_row == 0 and row_count == len(rows)
    origin, span = np.uint32(first_row), np.uint32(row_count)
    every_value = True
    for number in numbers:
        every_value &= number > np.uint32(0)
    # The last words may be those of fewer contacts than a block has.
    full = min(after_part << (shift - 8), len(members) >> 2)
    everyone = True
    for word in members[(first_part << (shift - 8)) << 2 : full << 2]:
        everyone &= word == np.uint64(0xFFFFFFFFFFFFFFFF)
    out = np.uint64(place)
    for part in range(first_part, after_part):
        begins[part - first_part] = out
        first_block = part << (shift - 8)
        for block in range(first_block, min((part + 1) << (shift - 8), len(starts) - 1)):
            at = np.uint32((block - first_block) << 24)
            first, after = np.uint64(starts[block]), np.uint64(starts[block + 1])
            # Without a branch for each row: one that is guessed wrong costs more than the rest of it.
            if everyone and block < full:
                if whole and every_value:
                    for i in range(first, after):
                        slot = at + (np.uint32(low[i]) << np.uint32(16))
                        packed[out + (i - first)] = slot | (numbers[codes[i]] - np.uint32(1))
                    out += after - first
                else:
                    for i in range(first, after):
                        number = numbers[codes[i]]
                        packed[out] = (at + (np.uint32(low[i]) << np.uint32(16))) | np.uint32(number - np.uint32(1))
                        inside = np.uint32(rows[i] - origin) < span
                        out += np.uint64(inside) & np.uint64(number > np.uint32(0))
                continue
            some = members[4 * block : 4 * block + 4]
            for i in range(first, after):
                if np.uint64(low[i] >> np.uint8(6)) >= np.uint64(len(some)):
                    break
                number = numbers[codes[i]]
                packed[out] = (at + (np.uint32(low[i]) << np.uint32(16))) | np.uint32(number - np.uint32(1))
                member = some[low[i] >> np.uint8(6)] >> np.uint64(low[i] & np.uint8(63))
                inside = np.uint32(rows[i] - origin) < span
                out += np.uint64(inside) & np.uint64(number > np.uint32(0)) & member
    begins[after_part - first_part] = out
    return int(out)


def plain_list_in_order(
    starts: Starts,
    low: Low,
    rows: Rows,
    first_row: int,
    row_count: int,
    codes: NDArray[Any],
    numbers: NDArray[np.uint32],
    members: Words,
    shift: int,
    first_part: int,
    after_part: int,
    place: int,
    begins: NDArray[np.int64],
    packed: NDArray[np.uint32],
) -> int:
    """list_in_order in NumPy."""
    contacts = plain_contacts_of(starts, low)
    held = np.zeros(max(int(contacts.max(initial=0)) + 1, 64 * len(members)), np.bool_)
    held[: 64 * len(members)] = np.unpackbits(members.view(np.uint8), bitorder="little")
    found = numbers[codes]
    near = rows.astype(np.int64) - first_row
    parts = contacts >> np.uint32(shift)
    kept = (
        (near >= 0) & (near < row_count) & (found > 0) & held[contacts] & (parts >= first_part) & (parts < after_part)
    )
    within = contacts[kept] & np.uint32((1 << shift) - 1)
    end = place + int(kept.sum())
    packed[place:end] = (within << np.uint32(16)) | (found[kept] - np.uint32(1))
    begins[:] = place + np.searchsorted(parts[kept], np.arange(first_part, after_part + 1), "left")
    return end
