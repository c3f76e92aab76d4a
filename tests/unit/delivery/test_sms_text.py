"""The text of an SMS: which alphabet, how many parts, and that no character is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.delivery.sms_text import GSM, UCS2, join_header, sms_text

GSM_CHARACTERS = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./09:;<=>?¡AZÄÖÑÜ§¿azäöñüà"
TWO_SEPTETS = "\f^{}\\[~]|€"


@pytest.mark.parametrize(
    ("text", "coding", "lengths"),
    [
        ("", GSM, [0]),
        ("Hello", GSM, [5]),
        ("a" * 160, GSM, [160]),
        ("a" * 161, GSM, [153, 8]),
        ("a" * 306, GSM, [153, 153]),
        ("a" * 307, GSM, [153, 153, 1]),
        ("€" * 80, GSM, [160]),
        ("€" * 81, GSM, [152, 10]),  # the escape and its second stay together
        ("a" + "€" * 80, GSM, [153, 8]),
        ("ß" * 70, GSM, [70]),
        ("Ж" * 70, UCS2, [140]),
        ("Ж" * 71, UCS2, [134, 8]),
        ("a" * 159 + "Ж", UCS2, [134, 134, 52]),
        ("💐" * 35, UCS2, [140]),
        ("💐" * 36, UCS2, [132, 12]),  # two units each: 33 of them fit into 67 units
        ("\u00a0", UCS2, [2]),
        ("`", UCS2, [2]),
        ("\x1b", UCS2, [2]),
    ],
)
def test_alphabet_and_parts(text: str, coding: int, lengths: list[int]) -> None:
    found = sms_text(text)
    assert (found.coding, [len(part) for part in found.parts]) == (coding, lengths)


def test_octets_of_the_standard() -> None:
    """3GPP TS 23.038, 6.2.1: a few places of the table, written down by hand."""
    assert sms_text("@ΔÉ \n{€").parts == (bytes((0, 0x10, 0x1F, 0x20, 0x0A, 0x1B, 0x28, 0x1B, 0x65)),)
    assert sms_text("¿ÄàüÑ").parts == (bytes((0x60, 0x5B, 0x7F, 0x7E, 0x5D)),)


def test_every_character_of_the_alphabet_has_octets_of_its_own() -> None:
    octets = {sms_text(one).parts[0] for one in GSM_CHARACTERS + TWO_SEPTETS}
    assert len(octets) == len(GSM_CHARACTERS) + len(TWO_SEPTETS)
    assert all(sms_text(one).coding == GSM for one in GSM_CHARACTERS + TWO_SEPTETS)
    assert all(len(sms_text(one).parts[0]) == 2 for one in TWO_SEPTETS)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=400))
def test_no_part_cuts_a_character(text: str) -> None:
    found = sms_text(text)
    if found.coding == UCS2:
        assert "".join(part.decode("utf-16-be") for part in found.parts) == text
    else:
        assert all(part[-1:] != b"\x1b" for part in found.parts)
        assert sum(len(part) for part in found.parts) == len(text) + sum(one in TWO_SEPTETS for one in text)
    if len(found.parts) > 1:
        assert all(len(part) <= (134 if found.coding == UCS2 else 153) for part in found.parts)


def test_too_long() -> None:
    assert len(sms_text("a" * 153 * 255).parts) == 255
    with pytest.raises(ValueError, match="256 parts"):
        sms_text("a" * (153 * 255 + 1))


def test_lone_surrogates_are_refused() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        sms_text("\ud83d")


def test_header_of_a_part() -> None:
    assert join_header(0xAB, 3, 2) == bytes.fromhex("050003ab0302")
