"""Public ids as fixed numbers: a UUID in its usual text is 16 bytes, any other text a place in a heap of bytes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_LENGTH = 36
_DASHES = (8, 13, 18, 23)
_DIGITS = np.array([place for place in range(_LENGTH) if place not in _DASHES])
_HEX = b"0123456789abcdef"
_NO_DIGIT = 255


def _nibbles() -> NDArray[np.uint8]:
    table = np.full(256, _NO_DIGIT, np.uint8)
    table[np.frombuffer(_HEX, np.uint8)] = np.arange(16)
    return table


_NIBBLES = _nibbles()
_PAIRS = np.array([[_HEX[byte >> 4], _HEX[byte & 15]] for byte in range(256)], np.uint8)

Halves = tuple[NDArray[np.uint64], NDArray[np.uint64]]


def halves_of_bytes(uuids: NDArray[np.uint8]) -> Halves:
    """UUIDs as n rows of 16 bytes: the upper and the lower 64 bits of each."""
    both = np.ascontiguousarray(uuids).view(">u8").astype(np.uint64)
    return both[:, 0], both[:, 1]


def parse_uuids(texts: Sequence[str]) -> tuple[NDArray[np.bool_], Halves]:
    """Which of `texts` are UUIDs in lower case with dashes, and the halves of each (0 where it is none)."""
    fits = np.array([len(text) == _LENGTH and text.isascii() for text in texts], np.bool_)
    chosen = texts if fits.all() else [text for text, fit in zip(texts, fits.tolist(), strict=True) if fit]
    letters = np.frombuffer("".join(chosen).encode(), np.uint8).reshape(-1, _LENGTH)
    nibbles = _NIBBLES[letters[:, _DIGITS]]
    valid = (letters[:, _DASHES] == ord("-")).all(axis=1) & (nibbles != _NO_DIGIT).all(axis=1)
    upper, lower = halves_of_bytes((nibbles[:, ::2] << np.uint8(4)) | (nibbles[:, 1::2] & np.uint8(15)))
    high, low = np.zeros(len(fits), np.uint64), np.zeros(len(fits), np.uint64)
    rows = np.flatnonzero(fits)[valid]
    high[rows], low[rows] = upper[valid], lower[valid]
    canonical = np.zeros(len(fits), np.bool_)
    canonical[rows] = True
    return canonical, (high, low)


def format_uuids(halves: Halves) -> list[str]:
    """The texts of UUIDs."""
    bytes_of = np.stack(halves, axis=1).astype(">u8").view(np.uint8)
    letters = np.full((len(bytes_of), _LENGTH), ord("-"), np.uint8)
    letters[:, _DIGITS] = _PAIRS[bytes_of].reshape(-1, 32)
    joined = letters.tobytes().decode("ascii")
    return [joined[first : first + _LENGTH] for first in range(0, len(joined), _LENGTH)]


def parse_uuid(text: str) -> tuple[int, int] | None:
    """The halves of one UUID; None where it is written in any other way."""
    if len(text) != _LENGTH:
        return None
    try:
        value = int(text.replace("-", ""), 16)
    except ValueError:
        return None
    halves = value >> 64, value & (2**64 - 1)
    # More texts are read as a number (signs, spaces, capitals) than are written so.
    return halves if value >= 0 and format_uuid(*halves) == text else None


def format_uuid(high: int, low: int) -> str:
    """The text of one UUID."""
    digits = f"{high:016x}{low:016x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
