"""SMPP 3.4 on the wire: the few operations of a transceiver that sends messages and takes receipts.

A unit is a head of four 32-bit numbers (length, command, status, sequence) and a body; strings end with a zero, and
optional parameters follow as tag, length, value. Statuses that the standard does not know are numbers like any other:
many providers have their own from 0x400 on.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from core.clock import DAY_US, SECOND_US

_HEAD = struct.Struct(">IIII")
HEAD_BYTES: Final = _HEAD.size
#: The longest that a deliver_sm can be is 64 KB of payload and some parameters.
LIMIT_PDU_BYTES = 72 * 1024
RESPONSE: Final = 0x80000000

OK: Final = 0


class Command(IntEnum):
    """What a unit asks for; its answer has the bit RESPONSE."""

    GENERIC_NACK = 0x80000000
    SUBMIT_SM = 0x00000004
    DELIVER_SM = 0x00000005
    UNBIND = 0x00000006
    BIND_TRANSCEIVER = 0x00000009
    ENQUIRE_LINK = 0x00000015


class Status(IntEnum):
    """The statuses that mean something to us; there are many more."""

    INVALID_COMMAND = 0x00000003
    SYSTEM_ERROR = 0x00000008
    INVALID_DESTINATION = 0x0000000B
    QUEUE_FULL = 0x00000014
    THROTTLED = 0x00000058
    TEMPORARY_APPLICATION_ERROR = 0x00000064


class Tag(IntEnum):
    """Optional parameters."""

    RECEIPTED_MESSAGE_ID = 0x001E
    SAR_REFERENCE = 0x020C
    SAR_TOTAL = 0x020E
    SAR_NUMBER = 0x020F
    MESSAGE_PAYLOAD = 0x0424
    MESSAGE_STATE = 0x0427


#: esm_class: the text begins with a header; bits that mark a deliver_sm as a receipt.
HAS_HEADER: Final = 0x40
_RECEIPT_BITS: Final = 0x3C
_RECEIPT: Final = 0x04

#: registered_delivery: a receipt in any case, or of a failure alone.
RECEIPT_ALWAYS: Final = 1
RECEIPT_OF_FAILURE: Final = 2


@dataclass(frozen=True, slots=True)
class Pdu:
    """One unit; `command` need not be one that we know."""

    command: int
    status: int
    sequence: int
    body: bytes = b""

    @property
    def is_response(self) -> bool:
        """An answer to a unit of ours with the same sequence."""
        return bool(self.command & RESPONSE)


@dataclass(frozen=True, slots=True)
class Number:
    """An address with its type of number and numbering plan."""

    text: str
    ton: int
    npi: int


@dataclass(frozen=True, slots=True)
class Submit:
    """A message, or a part of one. `validity` is in SMPP's relative form, empty for the provider's own."""

    source: Number
    destination: Number
    octets: bytes
    coding: int
    esm_class: int = 0
    receipt: int = RECEIPT_ALWAYS
    validity: str = ""
    parameters: tuple[tuple[int, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Deliver:
    """What a provider hands to us: a receipt, or a message from a phone."""

    source: str
    is_receipt: bool
    text: str
    parameters: dict[int, bytes] = field(default_factory=dict)


def encode(pdu: Pdu) -> bytes:
    """The unit as it goes over the wire."""
    return _HEAD.pack(HEAD_BYTES + len(pdu.body), pdu.command, pdu.status, pdu.sequence) + pdu.body


def decode_head(raw: bytes) -> tuple[int, Pdu]:
    """How many octets of body follow a head, and the unit without it. Raises ValueError for a length that no unit of
    the standard has."""
    length, command, status, sequence = _HEAD.unpack(raw)
    if not HEAD_BYTES <= length <= LIMIT_PDU_BYTES:
        raise ValueError(f"a unit of {length} bytes is none of SMPP")
    return length - HEAD_BYTES, Pdu(command, status, sequence)


def bind_body(system_id: str, password: str, system_type: str) -> bytes:
    """Of bind_transceiver, for version 3.4 and any address."""
    return _text(system_id) + _text(password) + _text(system_type) + bytes((0x34, 0, 0, 0))


def submit_body(submit: Submit) -> bytes:
    """Of submit_sm. Raises ValueError for more than 254 octets: those belong into the payload parameter."""
    if len(submit.octets) > 254:
        raise ValueError(f"short_message holds 254 octets, not {len(submit.octets)}")
    parameters = b"".join(struct.pack(">HH", tag, len(value)) + value for tag, value in submit.parameters)
    return (
        _text("")
        + _number(submit.source)
        + _number(submit.destination)
        + bytes((submit.esm_class, 0, 0))
        + _text("")
        + _text(submit.validity)
        + bytes((submit.receipt, 0, submit.coding, 0, len(submit.octets)))
        + submit.octets
        + parameters
    )


def relative_validity(expires_at_us: int, now_us: int) -> str:
    """The time left in SMPP's relative form, YYMMDDhhmmss000R, a second at least; empty for 28 days and more, where the
    provider's own bound is nearer, and for 0, never."""
    left_us = expires_at_us - now_us
    if expires_at_us == 0 or left_us >= 28 * DAY_US:
        return ""
    minutes, seconds = divmod(max(left_us // SECOND_US, 1), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"0000{days:02}{hours:02}{minutes:02}{seconds:02}000R"


def message_id(body: bytes) -> str:
    """Of submit_sm_resp; empty if there is none."""
    return body.partition(b"\0")[0].decode("ascii", "replace")


def read_deliver(body: bytes) -> Deliver:
    """Of deliver_sm. Raises ValueError for a body that ends too early."""
    reader = _Reader(body)
    reader.text()
    reader.octets(2)
    source = reader.text()
    reader.octets(2)
    reader.text()
    esm_class, _, _ = reader.octets(3)
    reader.text()
    reader.text()
    _, _, coding, _, length = reader.octets(5)
    octets = reader.octets(length)
    parameters = reader.parameters()
    payload = octets or parameters.get(Tag.MESSAGE_PAYLOAD, b"")
    text = payload.decode("utf-16-be" if coding == 8 else "latin-1", "replace")
    return Deliver(source, esm_class & _RECEIPT_BITS == _RECEIPT, text, parameters)


def string_parameter(value: bytes) -> str:
    """An optional parameter that is a string, with or without its zero."""
    return value.partition(b"\0")[0].decode("ascii", "replace")


class _Reader:
    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def octets(self, count: int) -> bytes:
        found = self._body[self._at : self._at + count]
        if len(found) < count:
            raise ValueError("a unit ends within a field")
        self._at += count
        return found

    def text(self) -> str:
        end = self._body.find(b"\0", self._at)
        if end < 0:
            raise ValueError("a string has no end")
        found = self._body[self._at : end]
        self._at = end + 1
        return found.decode("ascii", "replace")

    def parameters(self) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        while self._at + 4 <= len(self._body):
            tag, length = struct.unpack(">HH", self.octets(4))
            found[tag] = self.octets(length)
        return found


def _text(text: str) -> bytes:
    return text.encode("ascii") + b"\0"


def _number(number: Number) -> bytes:
    return bytes((number.ton, number.npi)) + _text(number.text)
