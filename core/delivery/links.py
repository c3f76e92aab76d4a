"""Signed tokens of tracked links: who got which message, and which of its links was followed.

A token is base64url of: key id (1 byte), length of the workspace id (1), workspace id, contact (4), link index (2),
message id, and the first 16 bytes of HMAC-SHA256 over all of it. The destination is never in the token: it is stored
when the message is sent, so a token cannot be bent into a redirect to anywhere else.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from dataclasses import dataclass
from hashlib import sha256

from core.errors import CdpError, not_found

#: Indices that name no destination.
OPEN_INDEX = 0xFFFF
UNSUBSCRIBE_INDEX = 0xFFFE
PREFERENCES_INDEX = 0xFFFD
SHOWN_INDEX = 0xFFFC

_MAC_BYTES = 16
_LONGEST_TOKEN = 1_000
#: What no address of a link may have.
_UNSAFE = re.compile(r"[\x00-\x20\\\x7f]")


@dataclass(frozen=True, slots=True)
class LinkClaims:
    """What a genuine token says. `url_index` is the link's place in the message, or OPEN_INDEX, UNSUBSCRIBE_INDEX,
    PREFERENCES_INDEX or SHOWN_INDEX (a device showed the message)."""

    message_id: str
    contact: int
    url_index: int


def key_id(key: bytes) -> int:
    """The byte (0 to 255) by which tokens name the key that signed them."""
    return sha256(b"cdp link key id\0" + key).digest()[0]


def sign(key: bytes, workspace: str, message_id: str, contact: int, url_index: int) -> str:
    """The token, safe in a URL path. Raises ValueError for a workspace id over 255 bytes or numbers out of range."""
    name = workspace.encode()
    if len(name) > 255 or not 0 <= url_index <= 0xFFFF or not 0 <= contact < 2**32:
        raise ValueError("a link token holds a workspace of at most 255 bytes, a uint32 contact and a uint16 index")
    body = bytes((key_id(key), len(name))) + name + contact.to_bytes(4, "big") + url_index.to_bytes(2, "big")
    body += message_id.encode()
    return _text(body + _mac(key, body))


def verify(key: bytes, workspace: str, token: str) -> LinkClaims:
    """What a genuine token of `workspace` says. Raises NOT_FOUND/UNKNOWN_LINK for every other text, in a time that
    does not depend on where it is wrong."""
    raw = _bytes(token)
    body, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
    genuine = hmac.compare_digest(mac, _mac(key, body))
    name = workspace.encode()
    end = 2 + len(name)
    if not genuine or len(body) < end + 6 or body[0] != key_id(key) or body[1] != len(name) or body[2:end] != name:
        raise unknown_link()
    contact = int.from_bytes(body[end : end + 4], "big")
    url_index = int.from_bytes(body[end + 4 : end + 6], "big")
    return LinkClaims(body[end + 6 :].decode(), contact, url_index)


def workspace_of(token: str) -> str:
    """The workspace that a token claims to be of, not verified. Raises NOT_FOUND/UNKNOWN_LINK if it names none."""
    raw = _bytes(token)
    try:
        return raw[2 : 2 + raw[1]].decode()
    except (IndexError, UnicodeDecodeError) as error:
        raise unknown_link() from error


def is_destination(url: str) -> bool:
    """Whether a link may lead there: http or https with a host, no spaces, no control characters, no backslash."""
    if _UNSAFE.search(url) is not None:
        return False
    scheme, separator, rest = url.partition("://")
    return separator != "" and scheme.lower() in ("http", "https") and rest[:1] not in ("", "/", "?", "#")


def unknown_link() -> CdpError:
    """The one error for tokens that are not ours, forged, or of something that is gone."""
    return not_found("UNKNOWN_LINK", "there is no such link")


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.new(key, b"cdp link\0" + body, sha256).digest()[:_MAC_BYTES]


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(token: str) -> bytes:
    if len(token) > _LONGEST_TOKEN or not token.isascii():
        raise unknown_link()
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise unknown_link() from error
    if len(raw) < _MAC_BYTES + 8 or _text(raw) != token:
        raise unknown_link()
    return raw
