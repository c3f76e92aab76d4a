"""Ids written as lower-case UUIDs (8-4-4-4-12 hexadecimal digits), as pairs of uint64 and back.

Pairs order as the texts do by bytes, because the dashes stand at fixed places and digits sort before letters.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.kernels.compiled import compiled

#: Bytes of a UUID's text.
UUID_LENGTH = 36
_DASHES = (8, 13, 18, 23)


@compiled
def read_uuids(text: NDArray[np.uint8], pairs: NDArray[np.uint64]) -> bool:
    """Read `len(pairs) / 2` UUIDs that stand one after the other in `text`; False (and `pairs` worthless) where one is
    not written so."""
    for i in range(len(pairs) // 2):
        at = i * 36
        for half in range(2):
            value = np.uint64(0)
            digits = 0
            place = at if half == 0 else at + 18
            while digits < 16:
                byte = text[place]
                if place - at == 8 or place - at == 13 or place - at == 18 or place - at == 23:
                    if byte != np.uint8(45):
                        return False
                elif byte >= np.uint8(48) and byte <= np.uint8(57):
                    value = (value << np.uint64(4)) | np.uint64(byte - np.uint8(48))
                    digits += 1
                elif byte >= np.uint8(97) and byte <= np.uint8(102):
                    value = (value << np.uint64(4)) | np.uint64(byte - np.uint8(87))
                    digits += 1
                else:
                    return False
                place += 1
            pairs[2 * i + half] = value
    return True


def plain_read_uuids(text: NDArray[np.uint8], pairs: NDArray[np.uint64]) -> bool:
    """read_uuids in NumPy."""
    table = text.reshape(-1, UUID_LENGTH)
    if not (table[:, _DASHES] == ord("-")).all():
        return False
    digits = np.delete(table, _DASHES, axis=1)
    decimal, letter = (digits >= ord("0")) & (digits <= ord("9")), (digits >= ord("a")) & (digits <= ord("f"))
    if not (decimal | letter).all():
        return False
    values = np.where(decimal, digits - np.uint8(48), digits - np.uint8(87))
    nibbles = values.reshape(len(table), 16, 2)
    whole = (nibbles[:, :, 0] << np.uint8(4)) | nibbles[:, :, 1]
    pairs[:] = np.ascontiguousarray(whole).view(">u8").reshape(-1)
    return True


def write_uuid(high: int, low: int) -> bytes:
    """The text of one pair."""
    digits = b"%016x%016x" % (high, low)
    return b"-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def write_uuids(pairs: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """The texts of all pairs, one after the other."""
    whole = pairs.astype(">u8").view(np.uint8).reshape(-1, 16)
    digits = np.empty((len(whole), 32), np.uint8)
    digits[:, 0::2], digits[:, 1::2] = whole >> np.uint8(4), whole & np.uint8(15)
    digits += np.where(digits < 10, np.uint8(48), np.uint8(87))
    texts = np.full((len(whole), UUID_LENGTH), ord("-"), np.uint8)
    texts[:, [place for place in range(UUID_LENGTH) if place not in _DASHES]] = digits
    return texts.reshape(-1)
