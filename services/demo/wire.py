"""Requests made of parts that are serialised once: 1.47 million basket lines would otherwise cost minutes.

Protobuf promises that serialised messages laid end to end are the serialised merge of those messages. So the fields of
a product, a quantity or a price are serialised by the library once each, and an item is their concatenation. Only the
frame of an embedded message (tag and length) is written here.
"""

from __future__ import annotations

_LENGTH_DELIMITED = 2


def varint(number: int) -> bytes:
    """`number` >= 0 in base 128, least significant group first."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


class Frames:
    """The bytes that stand before an embedded message in `field`: its tag and its length, kept per length."""

    def __init__(self, field: int) -> None:
        self._tag = varint(field << 3 | _LENGTH_DELIMITED)
        self._kept: dict[int, bytes] = {}

    def before(self, length_bytes: int) -> bytes:
        """The frame of a message of that many bytes."""
        frame = self._kept.get(length_bytes)
        if frame is None:
            frame = self._kept[length_bytes] = self._tag + varint(length_bytes)
        return frame

    def around(self, message: bytes) -> bytes:
        """`message` as a value of the field."""
        return self.before(len(message)) + message
