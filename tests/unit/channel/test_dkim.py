"""Signatures under mails, verified by another implementation (dkimpy)."""

from __future__ import annotations

from dataclasses import replace
from email.headerregistry import Address

import dkim as dkimpy  # type: ignore[import-untyped]
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from services.channel.senders.dkim import DkimSigner, canonical_body, key_problem, sign
from services.channel.senders.mime import Mail, encode
from tests.contract.sender_peers.email import DOMAIN, SELECTOR, key_record, private_pem

MAIL = Mail(
    "<id@shop.example>",
    Address("Žluťoučký Shop", "shop", "shop.example"),
    "ann@mail.example",
    "Ваша корзина 🛒 " + "long " * 60,
    "<p>Привет 🛒</p>  \n.\n\n<p>end</p>\n\n\n",
    "Привет\t 🛒  \n.\nend\n",
    "https://t.example/u/token",
    1_700_000_000_000_000,
    "AbCdEfGhIjKlMnOpQrStUvWxYz",
    "complaints@shop.example",
)
NOW_S = 1_700_000_000


def signer() -> DkimSigner:
    return DkimSigner(DOMAIN, SELECTOR, private_pem())


def signed(mail: Mail) -> bytes:
    return sign(encode(mail), signer(), NOW_S)


def holds(raw: bytes) -> bool:
    return bool(dkimpy.verify(raw, dnsfunc=key_record))


@pytest.mark.parametrize(
    "mail",
    [
        MAIL,
        replace(MAIL, html=""),
        replace(MAIL, html="", text=""),
        replace(MAIL, html="", text=" \n\n \t\n"),
        replace(MAIL, subject="x", unsubscribe_url="", feedback_id="", complaints_to=""),
        replace(MAIL, sender=Address("", "shop", "shop.example"), subject="  two  blanks\tand a tab "),
    ],
)
def test_another_implementation_agrees(mail: Mail) -> None:
    raw = signed(mail)
    assert raw.startswith(b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=shop.example; s=s2026;")
    assert holds(raw)
    # What servers on the way may do: fold differently, blanks at line ends.
    assert holds(raw.replace(b"Subject: ", b"subject:  ", 1))


@pytest.mark.parametrize(
    ("wanted", "instead"),
    [
        (b"To: ann", b"To: eve"),
        (b"List-Unsubscribe: <https://t", b"List-Unsubscribe: <https://x"),
        (b"List-Unsubscribe-Post: List-Unsubscribe=One-Click", b"List-Unsubscribe-Post: no"),
        (b"CFBL-Feedback-ID: A", b"CFBL-Feedback-ID: B"),
        (b"CFBL-Address: complaints", b"CFBL-Address: nobody"),
        (b"end</p>", b"END</p>"),
        (b"Message-ID: <id", b"Message-ID: <ix"),
        (b"\r\nTo: ", b"\r\nSubject: another one\r\nTo: "),
        (b"\r\nTo: ", b"\r\nList-Unsubscribe: <https://x.example>\r\nTo: "),
    ],
)
def test_what_is_changed_on_the_way_breaks_the_signature(wanted: bytes, instead: bytes) -> None:
    raw = signed(MAIL)
    assert wanted in raw
    assert not holds(raw.replace(wanted, instead, 1))


def test_one_click_is_covered_as_rfc_8058_wants() -> None:
    head = signed(MAIL).partition(b"\r\n\r\n")[0].replace(b"\r\n\t", b"")
    listed = head.partition(b"; ")[2].partition(b"h=")[2].partition(b";")[0].decode().lower().split(":")
    assert {"from", "list-unsubscribe", "list-unsubscribe-post", "cfbl-address", "cfbl-feedback-id"} <= set(listed)
    assert listed.count("from") == listed.count("list-unsubscribe") == 2


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([b"a", b" ", b"\t", b"\r\n", b".", b"=20"]), max_size=30))
def test_bodies_of_all_shapes(pieces: list[bytes]) -> None:
    raw = b"From: a@shop.example\r\nTo: b@mail.example\r\nSubject: x\r\n\r\n" + b"".join(pieces) + b"\r\n"
    assert holds(sign(raw, signer(), NOW_S))


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (b"", b""),
        (b"\r\n\r\n", b""),
        (b" C \r\nD \t E\r\n\r\n\r\n", b" C\r\nD E\r\n"),  # RFC 6376, 3.4.5
        (b"no end", b"no end\r\n"),
    ],
)
def test_canonical_bodies(body: bytes, wanted: bytes) -> None:
    assert canonical_body(body) == wanted


def test_keys_that_cannot_sign() -> None:
    def pem(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey, password: bytes = b"") -> str:
        how = BestAvailableEncryption(password) if password else NoEncryption()
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how).decode()

    good = rsa.generate_private_key(65_537, 1_024)
    assert key_problem(pem(good)) == ""
    assert "PEM" in key_problem("")
    assert "PEM" in key_problem("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    assert "PEM" in key_problem(pem(good, b"password"))
    assert "RSA" in key_problem(pem(ed25519.Ed25519PrivateKey.generate()))
    assert private_pem() not in repr(signer())
