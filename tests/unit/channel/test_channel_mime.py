"""Emails as bytes: read back by the standard library, and never more headers than ours."""

from __future__ import annotations

from dataclasses import replace
from email import message_from_bytes
from email.headerregistry import Address
from email.policy import SMTP

import pytest

from core.errors import CdpError
from services.channel.channel_settings import parse_sender
from services.channel.senders.mime import Mail, encode, mailbox

MAIL = Mail(
    "<id@shop.example>",
    Address("Žluťoučký Shop", "shop", "shop.example"),
    "ann@mail.example",
    "Ваша корзина 🛒 " + "long " * 60,
    "<p>Привет 🛒</p>\n.\n<p>end</p>",
    "Привет 🛒\n.\nend\n",
    "https://t.example/u/token",
    1_700_000_000_000_000,
)


def test_parsed_back() -> None:
    parsed = message_from_bytes(encode(MAIL), policy=SMTP)
    assert parsed["Subject"] == MAIL.subject.strip() or parsed["Subject"] == MAIL.subject
    assert parsed["From"].addresses[0].display_name == "Žluťoučký Shop"
    assert (parsed["To"], parsed["Message-ID"]) == ("ann@mail.example", "<id@shop.example>")
    assert parsed["List-Unsubscribe"] == "<https://t.example/u/token>"
    assert parsed["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert parsed.get_content_type() == "multipart/alternative"
    text, html = parsed.iter_parts()
    assert text.get_content().replace("\r\n", "\n") == MAIL.text
    assert html.get_content().replace("\r\n", "\n") == MAIL.html + "\n"
    assert not parsed.defects


def test_the_same_mail_twice_has_the_same_headers() -> None:
    heads = [encode(MAIL).partition(b"Content-Type")[0] for _ in range(2)]
    assert heads[0] == heads[1]


def test_a_long_address_to_unsubscribe_stays_readable() -> None:
    """RFC 8058: servers read it as it stands; no library of theirs undoes encoded words in it."""
    url = f"https://t.example/u/{'a1B-' * 150}"
    raw = encode(replace(MAIL, unsubscribe_url=url))
    assert f"\r\nList-Unsubscribe: <{url}>\r\n".encode() in raw
    assert message_from_bytes(raw, policy=SMTP)["List-Unsubscribe"] == f"<{url}>"
    with pytest.raises(CdpError, match="longer than 998 bytes"):
        encode(replace(MAIL, unsubscribe_url=url * 2))


def test_transactional_mail_offers_no_unsubscribe() -> None:
    assert b"List-Unsubscribe" not in encode(replace(MAIL, unsubscribe_url=""))


BREAKS = [
    "\r\nBcc: all@evil.example",
    "\nBcc: x@evil.example",
    "\rBcc: x",
    "\r\n\r\n<script>",
    "\0",
    "\x0bx",
    "é\r\nBcc: x",
]


@pytest.mark.parametrize("text", BREAKS)
def test_line_breaks_in_headers_refuse_the_mail(text: str) -> None:
    for broken in (
        replace(MAIL, subject=f"Hi{text}"),
        replace(MAIL, subject=f"Привет {text}"),
        replace(MAIL, message_id=f"<x{text}@y>"),
        replace(MAIL, unsubscribe_url=f"https://t.example/{text}"),
        replace(MAIL, recipient=f"ann@mail.example{text}"),
    ):
        with pytest.raises(CdpError) as caught:
            encode(broken)
        assert caught.value.reason == "HEADER_INJECTION"


@pytest.mark.parametrize("text", ["\u2028Bcc: x@evil.example", "\x85Bcc: x@evil.example", "=?utf-8?q?=0D=0ABcc:_x?="])
def test_what_only_looks_like_a_line_break_stays_in_its_header(text: str) -> None:
    try:
        parsed = message_from_bytes(encode(replace(MAIL, subject=f"Hi{text}")), policy=SMTP)
    except CdpError as error:
        assert error.reason == "HEADER_INJECTION"
        return
    assert parsed["Bcc"] is None
    assert len(parsed.keys()) == len(set(parsed.keys())) == 8


@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        ("ann@mail.example", "ann@mail.example"),
        ("ann+tag@пошта.example", "ann+tag@xn--80a1acny.example"),
        ("ann@mail.example>\r\nRCPT TO:<x@evil.example", None),
        ("ann@mail.example ORCPT=x", None),
        ("<ann@mail.example>", None),
        ("ann", None),
        ("@mail.example", None),
        ("a..b@mail.example", None),
        ("żona@mail.example", None),
        ("a@b@mail.example", None),
        ('"a b"@mail.example', None),
        ("", None),
    ],
)
def test_mailboxes(address: str, wanted: str | None) -> None:
    if wanted is not None:
        assert mailbox(address).startswith("ann")
        assert mailbox(address).isascii()
        return
    with pytest.raises(CdpError) as caught:
        mailbox(address)
    assert caught.value.reason == "BAD_ADDRESS"


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("Shop <shop@shop.example>", True),
        ("shop@shop.example", True),
        ("a@b.example, c@d.example", False),
        ("Shop", False),
        ("Shop <shop>", False),
        ("Shop\r\nBcc: x <shop@shop.example>", False),
        ("", False),
    ],
)
def test_senders(text: str, good: bool) -> None:
    assert (parse_sender(text) is not None) is good
