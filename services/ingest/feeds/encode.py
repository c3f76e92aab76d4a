"""Products as protobuf writes them, made by hand: a million times in a minute, three times as fast as by messages.

Fields stand in the order of their names, so that equal products give equal bytes. Field numbers are those of
cdp.facts.v1; a test holds these bytes against what the messages read.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from core.schema import DecimalUnits, Instant, Scalar

# Tags: of Product, of a map's entry, and of Value.
_PRODUCT_ID, _FIELD = b"\x0a", b"\x12"
_KEY, _VALUE = b"\x0a", b"\x12"
_TEXT, _INTEGER, _DECIMAL_UNITS, _BOOLEAN, _INSTANT = b"\x0a", b"\x10", b"\x20", b"\x28", b"\x30"
_SMALL = [bytes((number,)) for number in range(128)]
_TRUE, _FALSE = _VALUE + b"\x02" + _BOOLEAN + b"\x01", _VALUE + b"\x02" + _BOOLEAN + b"\x00"


def product_bytes(product_id: str, fields: Mapping[str, Scalar]) -> bytes:
    """A serialised cdp.facts.v1.Product. Raises TypeError for a date, which no feed tells."""
    name = product_id.encode()
    parts = [_PRODUCT_ID, varint(len(name)), name]
    for key in sorted(fields):
        entry = _key(key) + _value(fields[key])
        parts += (_FIELD, varint(len(entry)), entry)
    return b"".join(parts)


def varint(number: int) -> bytes:
    """A natural number as protobuf writes it."""
    if number < 0x80:
        return _SMALL[number]
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


@lru_cache(4_096)
def _key(name: str) -> bytes:
    raw = name.encode()
    return _KEY + varint(len(raw)) + raw


def _value(value: Scalar) -> bytes:
    if isinstance(value, str):
        raw = value.encode()
        size = varint(len(raw))
        return _VALUE + varint(1 + len(size) + len(raw)) + _TEXT + size + raw
    if isinstance(value, bool):
        return _TRUE if value else _FALSE
    if isinstance(value, DecimalUnits):
        return _number(_DECIMAL_UNITS, _zigzag(value.units))
    if isinstance(value, Instant):
        return _number(_INSTANT, value.us & 0xFFFF_FFFF_FFFF_FFFF)
    if isinstance(value, int):
        return _number(_INTEGER, _zigzag(value))
    raise TypeError(f"no field of a feed is a {type(value).__name__}")


def _number(tag: bytes, number: int) -> bytes:
    raw = varint(number)
    return _VALUE + varint(1 + len(raw)) + tag + raw


def _zigzag(number: int) -> int:
    return number << 1 if number >= 0 else (-number << 1) - 1
