"""Roaring's portable bytes, written from and read into words and numbers without building Python objects per member.

Format: https://github.com/RoaringBitmap/RoaringFormatSpec. Containers of 65,536 numbers: up to 4,096 members as
sorted uint16, more as 1,024 words. Written bytes hold no run containers; read bytes may.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

_COOKIE_PLAIN = 12346
_COOKIE_RUNS = 12347
_OFFSETS_FROM = 4
_ARRAY_LIMIT = 4096
_WORDS = 1024
_SPAN = 65536


def words_to_portable(words: NDArray[np.uint64]) -> bytes:
    """The members of a dense set (bit i of word w is number 64 w + i) as portable bytes."""
    count = -(-len(words) // _WORDS)
    padded = words
    if count * _WORDS != len(words):
        padded = np.zeros(count * _WORDS, np.uint64)
        padded[: len(words)] = words
    blocks = padded.reshape(count, _WORDS)
    sizes = np.bitwise_count(blocks).sum(axis=1, dtype=np.int64)
    keys = np.flatnonzero(sizes)
    bodies = []
    for key in keys.tolist():
        block = blocks[key]
        if sizes[key] > _ARRAY_LIMIT:
            bodies.append(block.astype("<u8", copy=False).tobytes())
        else:
            bits = np.unpackbits(block.view(np.uint8), bitorder="little")
            bodies.append(np.flatnonzero(bits).astype("<u2").tobytes())
    return _assemble(keys, sizes[keys], bodies)


def numbers_to_portable(numbers: NDArray[np.uint32]) -> bytes:
    """Ascending, unique numbers as portable bytes."""
    high = numbers >> np.uint32(16)
    keys, starts, sizes = np.unique(high, return_index=True, return_counts=True)
    bodies = []
    for start, size in zip(starts.tolist(), sizes.tolist(), strict=True):
        low = (numbers[start : start + size] & np.uint32(0xFFFF)).astype("<u2")
        if size > _ARRAY_LIMIT:
            bits = np.zeros(_SPAN, np.bool_)
            bits[low] = True
            bodies.append(np.packbits(bits, bitorder="little").tobytes())
        else:
            bodies.append(low.tobytes())
    return _assemble(keys, sizes, bodies)


def portable_to_numbers(data: bytes) -> NDArray[np.uint32]:
    """The members, ascending. Raises ValueError where `data` is no portable Roaring bitmap."""
    try:
        return _read(data)
    except (struct.error, IndexError) as error:
        raise ValueError(f"no portable Roaring bitmap: {error}") from error


def _assemble(keys: NDArray[np.integer], sizes: NDArray[np.integer], bodies: list[bytes]) -> bytes:
    head = np.empty((len(keys), 2), "<u2")
    head[:, 0] = keys
    head[:, 1] = sizes - 1
    lengths = np.array([len(body) for body in bodies], np.int64)
    first = 8 + 8 * len(keys)
    offsets = (first + np.cumsum(lengths) - lengths).astype("<u4")
    return b"".join((struct.pack("<II", _COOKIE_PLAIN, len(keys)), head.tobytes(), offsets.tobytes(), *bodies))


def _read(data: bytes) -> NDArray[np.uint32]:
    (cookie,) = struct.unpack_from("<I", data, 0)
    if cookie == _COOKIE_PLAIN:
        (count,) = struct.unpack_from("<I", data, 4)
        runs = np.zeros(count, np.bool_)
        place, has_offsets = 8, True
    elif cookie & 0xFFFF == _COOKIE_RUNS:
        count = (cookie >> 16) + 1
        flags = np.frombuffer(data, np.uint8, -(-count // 8), 4)
        runs = np.unpackbits(flags, bitorder="little")[:count].astype(np.bool_)
        place, has_offsets = 4 + len(flags), count >= _OFFSETS_FROM
    else:
        raise ValueError(f"no portable Roaring bitmap: cookie {cookie}")
    head = np.frombuffer(data, "<u2", 2 * count, place).reshape(count, 2)
    place += 4 * count + (4 * count if has_offsets else 0)
    parts: list[NDArray[np.uint32]] = []
    for row, (key, size_less_one) in enumerate(head.tolist()):
        size = size_less_one + 1
        if runs[row]:
            (run_count,) = struct.unpack_from("<H", data, place)
            pairs = np.frombuffer(data, "<u2", 2 * run_count, place + 2).reshape(run_count, 2).astype(np.uint32)
            place += 2 + 4 * run_count
            parts.extend(np.arange(s, s + n + 1, dtype=np.uint32) + np.uint32(key << 16) for s, n in pairs.tolist())
        elif size > _ARRAY_LIMIT:
            bits = np.unpackbits(np.frombuffer(data, np.uint8, _SPAN // 8, place), bitorder="little")
            place += _SPAN // 8
            parts.append(np.flatnonzero(bits).astype(np.uint32) + np.uint32(key << 16))
        else:
            low = np.frombuffer(data, "<u2", size, place)
            place += 2 * size
            parts.append(low.astype(np.uint32) + np.uint32(key << 16))
    return np.concatenate(parts) if parts else np.zeros(0, np.uint32)
