"""The text of an SMS as octets: GSM 03.38 where the alphabet has every character, UCS-2 otherwise; long texts in parts.

GSM 03.38 (3GPP TS 23.038) counts septets, one octet each on the way to the provider, who packs them. Ten characters,
among them the brackets and the euro sign, take two: an escape and a second. One message holds 160 septets or 70 units
of UTF-16; a part of a longer one seven septets or three units less, for the header by which the phone joins them.
"""

from __future__ import annotations

from dataclasses import dataclass

#: data_coding of SMPP: the provider's default alphabet, which is GSM 03.38, and UCS-2.
GSM = 0
UCS2 = 8

#: Septets, or octets of UCS-2, of a message alone, and of a part.
_ALONE = {GSM: 160, UCS2: 140}
_PART = {GSM: 153, UCS2: 134}
#: The header numbers parts with one octet.
LIMIT_PARTS = 255

_ESCAPE = 0x1B
_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = {
    "\f": 0x0A,
    "^": 0x14,
    "{": 0x28,
    "}": 0x29,
    "\\": 0x2F,
    "[": 0x3C,
    "~": 0x3D,
    "]": 0x3E,
    "|": 0x40,
    "€": 0x65,
}
_GSM_OCTETS = {character: bytes((code,)) for code, character in enumerate(_BASIC) if code != _ESCAPE} | {
    character: bytes((_ESCAPE, code)) for character, code in _EXTENDED.items()
}


@dataclass(frozen=True, slots=True)
class SmsText:
    """A text in the parts that it is sent in, one at least. `coding` is GSM or UCS2; no part ends within a character.
    Headers are not among the octets."""

    coding: int
    parts: tuple[bytes, ...]


def sms_text(text: str) -> SmsText:
    """The text in as few parts as its alphabet allows. Empty text is one empty part.

    Raises ValueError for a text of more than LIMIT_PARTS parts, or with a lone surrogate.
    """
    coding, characters = _octets(text)
    if sum(map(len, characters)) <= _ALONE[coding]:
        return SmsText(coding, (b"".join(characters),))
    parts = [bytearray()]
    for character in characters:
        if len(parts[-1]) + len(character) > _PART[coding]:
            parts.append(bytearray())
        parts[-1] += character
    if len(parts) > LIMIT_PARTS:
        raise ValueError(f"the text has {len(parts)} parts, more than {LIMIT_PARTS}")
    return SmsText(coding, tuple(bytes(part) for part in parts))


def join_header(reference: int, parts: int, number: int) -> bytes:
    """The header of part `number` (from 1) of `parts`, which all have the same `reference` (0 to 255): 3GPP TS 23.040,
    9.2.3.24.1."""
    return bytes((5, 0, 3, reference, parts, number))


def _octets(text: str) -> tuple[int, list[bytes]]:
    try:
        return GSM, [_GSM_OCTETS[character] for character in text]
    except KeyError:
        return UCS2, [character.encode("utf-16-be") for character in text]
