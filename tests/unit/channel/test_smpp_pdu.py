"""SMPP units byte by byte, and what strangers may send in their place."""

from __future__ import annotations

import struct

import pytest

from services.channel.senders import smpp_pdu
from services.channel.senders.smpp_pdu import Command, Number, Pdu, Submit, Tag


def test_a_unit_as_the_standard_draws_it() -> None:
    """SMPP 3.4, 3.2.3: the example of a bind_transmitter there, as a transceiver and with our version."""
    body = smpp_pdu.bind_body("SMPP3TEST", "secret08", "SUBMIT1")
    raw = smpp_pdu.encode(Pdu(Command.BIND_TRANSCEIVER, 0, 1, body))
    assert raw.hex() == (
        "0000002f000000090000000000000001" + "534d50503354455354007365637265743038005355424d49543100340000" + "00"
    )
    assert smpp_pdu.decode_head(raw[:16]) == (0x1F, Pdu(Command.BIND_TRANSCEIVER, 0, 1))


def test_a_submission() -> None:
    submit = Submit(
        Number("Shop", 5, 0),
        Number("436601234567", 1, 1),
        b"Hi",
        8,
        0x40,
        1,
        "000001000000000R",
        ((Tag.SAR_TOTAL, b"\x02"),),
    )
    assert smpp_pdu.submit_body(submit) == (
        b"\0" + b"\x05\x00Shop\0" + b"\x01\x01436601234567\0" + b"\x40\x00\x00" + b"\0" + b"000001000000000R\0"
        b"\x01\x00\x08\x00\x02Hi" + b"\x02\x0e\x00\x01\x02"
    )  # fmt: skip
    with pytest.raises(ValueError, match="254"):
        smpp_pdu.submit_body(Submit(Number("1", 1, 1), Number("2", 1, 1), b"x" * 255, 0))


@pytest.mark.parametrize("length", [0, 15, 72 * 1024 + 1, 0xFFFFFFFF])
def test_lengths_that_no_unit_has(length: int) -> None:
    with pytest.raises(ValueError, match="none of SMPP"):
        smpp_pdu.decode_head(struct.pack(">IIII", length, 5, 0, 1))


def deliver(coding: int = 0, octets: bytes = b"id:7", parameters: bytes = b"", esm_class: int = 4) -> bytes:
    head = b"\0" + b"\x01\x01436601234567\0" + b"\x05\x00Shop\0" + bytes((esm_class, 0, 0)) + b"\0\0"
    return head + bytes((0, 0, coding, 0, len(octets))) + octets + parameters


def test_a_receipt_with_parameters() -> None:
    parameters = struct.pack(">HH", Tag.RECEIPTED_MESSAGE_ID, 5) + b"a001\0" + struct.pack(">HHB", 0x0427, 1, 2)
    found = smpp_pdu.read_deliver(deliver(parameters=parameters))
    assert (found.source, found.is_receipt, found.text) == ("436601234567", True, "id:7")
    assert smpp_pdu.string_parameter(found.parameters[Tag.RECEIPTED_MESSAGE_ID]) == "a001"
    assert found.parameters[Tag.MESSAGE_STATE] == b"\x02"


def test_a_text_from_a_phone() -> None:
    found = smpp_pdu.read_deliver(deliver(8, "Да".encode("utf-16-be"), esm_class=0))
    assert (found.is_receipt, found.text) == (False, "Да")
    payload = struct.pack(">HH", Tag.MESSAGE_PAYLOAD, 4) + b"long"
    assert smpp_pdu.read_deliver(deliver(0, b"", payload)).text == "long"


def test_whatever_is_cut_is_refused() -> None:
    whole = deliver(parameters=struct.pack(">HH", Tag.RECEIPTED_MESSAGE_ID, 5) + b"a001\0")
    without_parameters = len(deliver())
    for end in range(len(whole)):
        # A rest too short for a parameter is let go.
        if end < without_parameters or end >= without_parameters + 4:
            with pytest.raises(ValueError):
                smpp_pdu.read_deliver(whole[:end])


@pytest.mark.parametrize(
    ("body", "name"), [(b"a001\0", "a001"), (b"a001", "a001"), (b"", ""), (b"\0", ""), (b"\xff\0", "\ufffd")]
)
def test_names_of_answers(body: bytes, name: str) -> None:
    assert smpp_pdu.message_id(body) == name


@pytest.mark.parametrize(
    ("left_us", "wanted"),
    [
        (3_600_000_000, "000000010000000R"),
        (90_061_999_999, "000001010101000R"),
        (28 * 86_400_000_000 - 1, "000027235959000R"),
        (28 * 86_400_000_000, ""),
        (1, "000000000001000R"),
        (-5, "000000000001000R"),
    ],
)
def test_how_long_a_message_is_worth_it(left_us: int, wanted: str) -> None:
    now_us = 1_800_000_000_000_000
    assert smpp_pdu.relative_validity(now_us + left_us, now_us) == wanted
    assert smpp_pdu.relative_validity(0, now_us) == ""
