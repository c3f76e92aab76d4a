"""Signed tokens: they say what was signed, and nothing else is believed."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.delivery.links import OPEN_INDEX, LinkClaims, is_destination, key_id, sign, verify, workspace_of
from core.errors import CdpError

KEY = b"k" * 32
OTHER = b"o" * 32


@given(st.text(max_size=60), st.text(max_size=80), st.integers(0, 2**32 - 1), st.integers(0, 0xFFFF))
def test_round_trip(workspace: str, message_id: str, contact: int, index: int) -> None:
    token = sign(KEY, workspace, message_id, contact, index)
    assert verify(KEY, workspace, token) == LinkClaims(message_id, contact, index)
    assert workspace_of(token) == workspace
    assert token.isascii()
    assert not set(token) & set("/+=?&#%")


def refused(key: bytes, workspace: str, token: str) -> bool:
    with pytest.raises(CdpError) as caught:
        verify(key, workspace, token)
    return caught.value.reason == "UNKNOWN_LINK"


def test_every_changed_bit_is_noticed() -> None:
    token = sign(KEY, "w1", "m1", 7, 3)
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    for place in range(len(raw) * 8):
        forged = bytearray(raw)
        forged[place // 8] ^= 1 << place % 8
        assert refused(KEY, "w1", base64.urlsafe_b64encode(bytes(forged)).rstrip(b"=").decode())


def test_other_key_workspace_and_texts_are_refused() -> None:
    token = sign(KEY, "w1", "m1", 7, OPEN_INDEX)
    assert refused(OTHER, "w1", token)
    assert refused(KEY, "w2", token)
    for text in ("", "x", token[:-1], token + "A", token + "=", token.lower(), " " + token, "é" * 40, "A" * 5_000):
        assert refused(KEY, "w1", text)


def test_the_key_is_named_by_its_own_byte() -> None:
    token = sign(KEY, "w", "m", 1, 1)
    assert base64.urlsafe_b64decode(token + "==="[: -len(token) % 4])[0] == key_id(KEY)


@pytest.mark.parametrize(
    ("url", "answer"),
    [
        ("https://shop.example/a?b=c#d", True),
        ("HTTP://shop.example", True),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("//shop.example", False),
        ("http:/shop.example", False),
        ("https:///etc", False),
        ("https://shop.example/\r\nSet-Cookie: x", False),
        ("https://shop.example/a b", False),
        ("https:\\\\shop.example", False),
        ("ftp://shop.example/", False),
    ],
)
def test_destinations(url: str, answer: bool) -> None:
    assert is_destination(url) is answer
