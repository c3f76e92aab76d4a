"""An email as bytes: multipart/alternative in UTF-8, with headers that nobody can break out of.

The standard library writes the headers that need encoding. The others, and the parts, are put together here: it
takes several times as long for them, and it folds long addresses into encoded words, which one-click servers do not
read."""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import lru_cache
from hashlib import sha256

from core.delivery.mail_reports import TOKEN_HEADER
from core.errors import invalid

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: A mailbox as it may stand in an SMTP command: nothing that ends it, quotes it or adds parameters.
_MAILBOX = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
_HEADER_LINE = re.compile(rb"([A-Za-z-]+):[ \t]")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
#: Printable ASCII without blanks at its ends.
_PLAIN = re.compile(r"(?:[!-~](?:[ -~]*[!-~])?)?")
_LONGEST_LINE = 998
_POLICY = SMTP.clone(max_line_length=200, cte_type="7bit")


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail. `unsubscribe_url` is empty for transactional mail."""

    message_id: str
    sender: Address
    recipient: str
    subject: str
    html: str
    text: str
    unsubscribe_url: str
    now_us: int
    #: Names the message to whoever reports about it (RFC 9477); empty: nothing does.
    feedback_id: str = ""
    #: Where complaints about it go (RFC 9477); empty: nowhere.
    complaints_to: str = ""


def mailbox(address: str) -> str:
    """`address` as it goes into an SMTP command, an international domain in its ASCII form.

    Raises INVALID/BAD_ADDRESS for anything but one plain mailbox.
    """
    local, _, domain = address.rpartition("@")
    try:
        ascii_address = f"{local}@{domain if domain.isascii() else domain.encode('idna').decode()}"
    except UnicodeError as error:
        raise invalid("BAD_ADDRESS", f"the domain {domain[:60]!r} is no host name") from error
    if not _MAILBOX.fullmatch(ascii_address) or ".." in ascii_address:
        raise invalid("BAD_ADDRESS", f"{address[:80]!r} is no mailbox that mail can be sent to")
    return ascii_address


def encode(mail: Mail) -> bytes:
    """The mail as it follows DATA, with CRLF line ends.

    Raises INVALID/HEADER_INJECTION when a value would break out of its header: looked for in the values and again in
    the serialised bytes, because the library has let line ends through inside encoded words.
    """
    headers = {
        "From": str(mail.sender),
        "To": mail.recipient,
        "Subject": mail.subject,
        "Date": format_datetime(_EPOCH + timedelta(microseconds=mail.now_us)),
        "Message-ID": mail.message_id,
    }
    if mail.unsubscribe_url:
        headers["List-Unsubscribe"] = f"<{mail.unsubscribe_url}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    if mail.feedback_id:
        headers[TOKEN_HEADER] = mail.feedback_id
    if mail.complaints_to:
        headers["CFBL-Address"] = f"{mail.complaints_to}; report=arf"
    for name, value in headers.items():
        if _CONTROL.search(value):
            raise invalid("HEADER_INJECTION", f"{name} has a line break or control character")
    try:
        raw = b"".join(_header(name, value) for name, value in headers.items()) + _body(mail)
    except (ValueError, UnicodeError) as error:
        raise invalid("HEADER_INJECTION", f"the mail cannot be written: {error}") from error
    _check_head(raw, {*headers, "MIME-Version", "Content-Type", "Content-Transfer-Encoding"})
    return raw


def _header(name: str, value: str) -> bytes:
    """One header with its line end. Raises ValueError where it would be longer than a line of mail may be."""
    if not _PLAIN.fullmatch(value) or "=?" in value:
        return _encoded(name, value)
    line = f"{name}: {value}\r\n".encode("ascii")
    if len(line) > _LONGEST_LINE:
        raise ValueError(f"{name} is longer than {_LONGEST_LINE} bytes")
    return line


@lru_cache(maxsize=256)
def _encoded(name: str, value: str) -> bytes:
    """By the library; senders, and subjects without values, are the same in many mails."""
    message = EmailMessage(policy=_POLICY)
    message[name] = value
    return message.as_bytes().removesuffix(b"\r\n")


def _body(mail: Mail) -> bytes:
    """The headers of the content, an empty line, and the content."""
    text = _part("plain", mail.text)
    if not mail.html:
        return b"MIME-Version: 1.0\r\n" + text
    # Encoded parts have no "=_", so no line of theirs can be a boundary.
    boundary = b"=_" + sha256(mail.message_id.encode()).hexdigest()[:24].encode()
    head = b'MIME-Version: 1.0\r\nContent-Type: multipart/alternative;\r\n boundary="%s"\r\n' % boundary
    # The line end before a boundary belongs to it.
    between = b"\r\n--" + boundary
    return head + between + b"\r\n" + text + between + b"\r\n" + _part("html", mail.html) + between + b"--\r\n"


def _part(subtype: str, content: str) -> bytes:
    """One part with its headers, as lines with CRLF."""
    lines = "\r\n".join([*content.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n"), ""])
    head = f'Content-Type: text/{subtype}; charset="utf-8"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n'
    return head.encode() + binascii.b2a_qp(lines.encode(), istext=True)


def _check_head(raw: bytes, allowed: set[str]) -> None:
    head = raw.partition(b"\r\n\r\n")[0]
    seen: set[bytes] = set()
    names = {name.lower().encode() for name in allowed}
    for line in head.split(b"\r\n"):
        if b"\r" in line or b"\n" in line or b"\0" in line:
            raise invalid("HEADER_INJECTION", "a header has a bare line break")
        if line[:1] in (b" ", b"\t") and seen and line.strip():
            continue
        match = _HEADER_LINE.match(line)
        name = match[1].lower() if match else b""
        if name not in names or name in seen:
            raise invalid("HEADER_INJECTION", f"a header line is not ours: {line[:60]!r}")
        seen.add(name)
