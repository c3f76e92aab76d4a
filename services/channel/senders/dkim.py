"""DKIM signatures (RFC 6376) of whole mails: rsa-sha256, relaxed/relaxed."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from core.delivery.mail_reports import TOKEN_HEADER

#: What is signed if it is there. RFC 8058 wants both of List-Unsubscribe among them, RFC 9477 both of CFBL.
SIGNED_HEADERS = (
    *("From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"),
    *("List-Unsubscribe", "List-Unsubscribe-Post", "CFBL-Address", TOKEN_HEADER),
)
#: Listed once more than they are there, so that nobody adds another one on the way.
_ONCE = ("From", "To", "Subject", "Date", "Message-ID", "Content-Type", "List-Unsubscribe", "List-Unsubscribe-Post")
_LEAST_BITS = 1024
_LINE = 72
_BLANKS = re.compile(rb"[ \t]+")
_FOLD = re.compile(rb"\r\n(?=[ \t])")


@dataclass(frozen=True, slots=True)
class DkimSigner:
    """As whom to sign: the key that the TXT record <selector>._domainkey.<domain> shows the public half of."""

    domain: str
    selector: str
    key_pem: str = field(repr=False)


def key_problem(key_pem: str) -> str:
    """Why a key cannot sign; empty when it can."""
    try:
        key = _key(key_pem)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return "is no private key in PEM without a password"
    if not isinstance(key, RSAPrivateKey) or key.key_size < _LEAST_BITS:
        return f"is no RSA key of {_LEAST_BITS} bits at least"
    return ""


def sign(raw: bytes, signer: DkimSigner, now_s: int) -> bytes:
    """`raw`, a mail with CRLF line ends, with its signature before it. Raises ValueError for a key that `key_problem`
    refuses."""
    key = _key(signer.key_pem)
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("the key is no RSA key")
    head, _, body = raw.partition(b"\r\n\r\n")
    headers = _headers(head)
    names = [name for name in SIGNED_HEADERS if name.lower().encode() in headers]
    listed = ":".join([*names, *_ONCE])
    body_hash = base64.b64encode(sha256(canonical_body(body)).digest()).decode()
    signature = (
        f"v=1; a=rsa-sha256; c=relaxed/relaxed; d={signer.domain}; s={signer.selector}; t={now_s};\r\n"
        f"\th={_folded(listed)};\r\n\tbh={body_hash};\r\n\tb="
    )
    signed = b"".join(_canonical_header(headers[name.lower().encode()]) + b"\r\n" for name in names)
    signed += _canonical_header(b"DKIM-Signature: " + signature.encode())
    value = base64.b64encode(key.sign(signed, PKCS1v15(), SHA256())).decode()
    chunks = "\r\n\t".join(value[at : at + _LINE] for at in range(0, len(value), _LINE))
    return f"DKIM-Signature: {signature}{chunks}\r\n".encode() + raw


def canonical_body(body: bytes) -> bytes:
    """RFC 6376, 3.4.4: blanks at line ends and empty lines at the end do not count, other blanks count as one."""
    # Without regular expressions, which take longer than the signature itself.
    lines = (body if body.endswith(b"\r\n") else body + b"\r\n").replace(b"\t", b" ")
    while b"  " in lines:
        lines = lines.replace(b"  ", b" ")
    lines = lines.replace(b" \r\n", b"\r\n")
    stripped = lines.rstrip(b"\r\n")
    return stripped + b"\r\n" if stripped else b""


def _headers(head: bytes) -> dict[bytes, bytes]:
    """Header lines, unfolded, by name in lower case; none of ours stands twice."""
    lines = _FOLD.sub(b"", head).split(b"\r\n")
    return {line.partition(b":")[0].lower(): line for line in lines}


def _canonical_header(line: bytes) -> bytes:
    """RFC 6376, 3.4.2."""
    name, _, value = _FOLD.sub(b"", line).partition(b":")
    return name.strip().lower() + b":" + _BLANKS.sub(b" ", value).strip()


def _folded(names: str) -> str:
    """A list of header names in lines of moderate length; blanks around the colons do not count."""
    lines = [""]
    for name in names.split(":"):
        if len(lines[-1]) + len(name) > _LINE:
            lines.append("")
        lines[-1] += f"{name}:"
    return "\r\n\t".join(lines).removesuffix(":")


@lru_cache(maxsize=64)
def _key(key_pem: str) -> object:
    return load_pem_private_key(key_pem.encode(), None)
