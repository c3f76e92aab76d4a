"""Named arrays as bytes: one section of a snapshot."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import CdpError, Code

#: The first bytes of every section: what it is, and the version of its format.
_MAGIC = b"CDPSNAP1"
_HEAD = struct.Struct("<8sIQ")


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a snapshot. `name` is unique within it; sections whose name starts with `events/` never change under
    one name, so that a later snapshot may reuse the bytes."""

    name: str
    data: bytes


def pack(name: str, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any] | None = None) -> Section:
    """Arrays (one-dimensional, of numbers) and JSON `facts` as a section: magic, CRC-32 and length of the head, head
    as JSON, then the arrays' bytes, little-endian."""
    little = {key: array.astype(array.dtype.newbyteorder("<"), copy=False) for key, array in arrays.items()}
    head = json.dumps(
        {"arrays": [[key, array.dtype.str, len(array)] for key, array in little.items()], "facts": facts or {}},
        separators=(",", ":"),
    ).encode()
    body = b"".join((head, *(array.tobytes() for array in little.values())))
    return Section(name, _HEAD.pack(_MAGIC, zlib.crc32(body), len(head)) + body)


def unpack(section: Section) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The arrays (read-only views of the bytes) and facts of a section. Raises CdpError where it is damaged."""
    if len(section.data) < _HEAD.size:
        raise _damaged(section, "it is cut off")
    magic, checksum, head_length = _HEAD.unpack_from(section.data)
    body = memoryview(section.data)[_HEAD.size :]
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
    return {"bytes": np.frombuffer(b"".join(encoded), np.uint8), "offsets": offsets}


def unpack_texts(arrays: Mapping[str, NDArray[Any]]) -> list[str]:
    """The inverse of `pack_texts`."""
    data = arrays["bytes"].tobytes()
    offsets = arrays["offsets"].tolist()
    return [data[first:last].decode() for first, last in pairwise(offsets)]


def _damaged(section: Section, why: str) -> CdpError:
    return CdpError(Code.INTERNAL, "SNAPSHOT_DAMAGED", f'the snapshot\'s section "{section.name}" is unusable: {why}')
