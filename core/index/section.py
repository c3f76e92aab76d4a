"""Named arrays as bytes: one section of a snapshot.

A section that is written is a draft first: views of the arrays, a slice at a time. Nothing joins or copies them while
it holds the interpreter lock, because whoever answers calls meanwhile would stand still: 30 to 60 milliseconds for a
column of five million contacts.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import CdpError, Code

#: The first bytes of every section: what it is, and the version of its format.
_MAGIC = b"CDPSNAP1"
_HEAD = struct.Struct("<8sIQ")


#: A slice takes about 0.2 ms to sum up, to hash or to write, and all of these let go of the interpreter lock.
_SLICE_BYTES = 1 << 18

#: Texts that are joined in one go, which holds the lock.
_TEXTS_AT_ONCE = 1 << 14

Content = tuple[Mapping[str, NDArray[Any]], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a snapshot that was read. `name` is unique within it."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Draft:
    """A part of a snapshot that is to be written: `make` gives its arrays (one-dimensional, of numbers) and JSON facts,
    when they are needed.

    `made_of`: while these very objects (numbers: equal ones) stand under the name, the bytes are the same, and need not
    be made; None promises nothing. Sections whose name starts with `events/` never change under one name.
    """

    name: str
    make: Callable[[], Content]
    made_of: tuple[object, ...] | None = None

    def slices(self) -> list[memoryview]:
        """The bytes, in order, as views of at most 256 KiB: magic, CRC-32 and length of the head, head as JSON, then
        the arrays' bytes, little-endian. The arrays must not be written while the views are in use."""
        arrays, facts = self.make()
        little = {
            key: np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
            for key, array in arrays.items()
        }
        head = json.dumps(
            {"arrays": [[key, array.dtype.str, len(array)] for key, array in little.items()], "facts": facts},
            separators=(",", ":"),
        ).encode()
        body = _sliced(head)
        for array in little.values():
            body += _sliced(array.view(np.uint8).data)
        checksum = 0
        for part in body:
            checksum = zlib.crc32(part, checksum)
        return [memoryview(_HEAD.pack(_MAGIC, checksum, len(head))), *body]

    @property
    def data(self) -> bytes:
        """The bytes at once."""
        return b"".join(self.slices())


def pack(name: str, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any] | None = None) -> Draft:
    """A section of arrays that are there."""
    return Draft(name, lambda: (arrays, facts or {}))


def unpack(section: Section | Draft) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The arrays (read-only views of the bytes) and facts of a section. Raises CdpError where it is damaged."""
    data = section.data
    if len(data) < _HEAD.size:
        raise _damaged(section, "it is cut off")
    magic, checksum, head_length = _HEAD.unpack_from(data)
    body = memoryview(data)[_HEAD.size :]
    if magic != _MAGIC:
        raise _damaged(section, "it is of no known format")
    if zlib.crc32(body) != checksum:
        raise _damaged(section, "its checksum does not fit")
    head = json.loads(bytes(body[:head_length]))
    arrays: dict[str, NDArray[Any]] = {}
    place = head_length
    for key, dtype, length in head["arrays"]:
        arrays[key] = np.frombuffer(body, np.dtype(dtype), length, place)
        place += arrays[key].nbytes
    return arrays, head["facts"]


def pack_texts(texts: list[str]) -> dict[str, NDArray[Any]]:
    """Texts as two arrays, `bytes` (UTF-8) and `offsets` (one more than there are texts)."""
    encoded = [text.encode() for text in texts]
    offsets = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum([len(text) for text in encoded], out=offsets[1:])
    data = np.empty(int(offsets[-1]), np.uint8)
    for first in range(0, len(encoded), _TEXTS_AT_ONCE):
        part = b"".join(encoded[first : first + _TEXTS_AT_ONCE])
        data[offsets[first] : offsets[first] + len(part)] = np.frombuffer(part, np.uint8)
    return {"bytes": data, "offsets": offsets}


def unpack_texts(arrays: Mapping[str, NDArray[Any]]) -> list[str]:
    """The inverse of `pack_texts`."""
    data = arrays["bytes"].tobytes()
    offsets = arrays["offsets"].tolist()
    return [data[first:last].decode() for first, last in pairwise(offsets)]


def _sliced(data: bytes | memoryview) -> list[memoryview]:
    whole = memoryview(data)
    return [whole[first : first + _SLICE_BYTES] for first in range(0, len(whole), _SLICE_BYTES)]


def _damaged(section: Section | Draft, why: str) -> CdpError:
    return CdpError(Code.INTERNAL, "SNAPSHOT_DAMAGED", f'the snapshot\'s section "{section.name}" is unusable: {why}')
