"""The stable draw: which part of a split, or of a control group, a contact belongs to.

It is the random bucket of the segment language, so that `random bucket 0 to 4999 of "n3/letter"` names exactly those
whom the block "letter" of the scenario "n3" sends its first way when that is half of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.query.leaves.hashes import hashes_of

#: Shares are parts of so many.
WHOLE = 10_000
#: The salt of the one control group that is the same for every scenario of a workspace.
CONTROL_SALT = "control"


def bucket_of(workspace: str, salt: str, key: str) -> int:
    """0 to 9,999: the first eight bytes, big-endian, of SHA-256(workspace NUL salt NUL public id) modulo 10,000."""
    return int(hashes_of(workspace, salt, [key])[0]) % WHOLE


def salt_of(scenario: str, block: str) -> str:
    """The salt of a block that names none."""
    return f"{scenario}/{block}"


def part_of(bucket: int, shares: Sequence[int]) -> int:
    """The index of the share that a bucket falls into; the shares are together 10,000, the first from bucket 0 on."""
    for index, share in enumerate(shares):
        bucket -= share
        if bucket < 0:
            return index
    raise ValueError(f"shares of together {sum(shares)} leave a bucket out")
