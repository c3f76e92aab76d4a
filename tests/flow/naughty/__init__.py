"""The Big List of Naughty Strings (github.com/minimaxir/big-list-of-naughty-strings); its licence is beside it."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from zlib import crc32

_PACKED = Path(__file__).parent / "blns.base64.json"
#: All of them, in their order. In base64 they break no editor and no search.
BLNS: tuple[str, ...] = tuple(b64decode(one).decode() for one in json.loads(_PACKED.read_text()))


def some(place: str, count: int) -> tuple[str, ...]:
    """`count` of them for one place, by its name: other ones elsewhere, the same on each run."""
    first = crc32(place.encode()) % len(BLNS)
    return (BLNS + BLNS)[first : first + count]
