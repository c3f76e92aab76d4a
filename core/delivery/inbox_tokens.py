"""Signed tokens by which an app or a page reads one contact's inbox. The shop's server asks for one, for the person who
has logged in there: no identifier that a browser knows, or a person can guess, opens an inbox by itself.

A token is base64url of: version (1 byte, 1), id of the key that signed it (1), length of the workspace id (1),
workspace id, second of its end (4, unsigned, since 1970), public id of the contact, and the first 16 bytes of
HMAC-SHA256 over all of it.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass
from hashlib import sha256

from core.clock import DAY_US, SECOND_US
from core.delivery.links import key_id
from core.errors import CdpError, Code

#: How long a token holds unless something else was asked for, and at the most.
USUAL_LIFETIME_US = DAY_US
LONGEST_LIFETIME_US = 30 * DAY_US

_VERSION = 1
_MAC_BYTES = 16
_LONGEST_TOKEN = 800


@dataclass(frozen=True, slots=True)
class InboxReader:
    """Whose inbox a genuine token opens."""

    workspace: str
    contact_key: str


def sign_reader(key: bytes, reader: InboxReader, until_us: int) -> str:
    """The token, safe in a header and in an address; it holds until the second of `until_us`. Raises ValueError for a
    workspace id over 255 bytes, an empty contact key, or an instant before 1970 or after 2105."""
    name = reader.workspace.encode()
    second = until_us // SECOND_US
    if len(name) > 255 or not reader.contact_key or not 0 <= second < 2**32:
        raise ValueError("an inbox token holds a workspace of at most 255 bytes, a contact and a second up to 2105")
    body = bytes((_VERSION, key_id(key), len(name))) + name + second.to_bytes(4, "big") + reader.contact_key.encode()
    return base64.urlsafe_b64encode(body + _mac(key, body)).rstrip(b"=").decode()


def reader_of(key: bytes, token: str, now_us: int) -> InboxReader:
    """Whose inbox a genuine token opens at `now_us`. Raises UNAUTHENTICATED / BAD_INBOX_TOKEN for every other text, and
    INBOX_TOKEN_ENDED for one that is past its end."""
    if not 0 < len(token) <= _LONGEST_TOKEN or not token.isascii():
        raise _bad()
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise _bad() from error
    body, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
    genuine = hmac.compare_digest(mac, _mac(key, body))
    if not genuine or len(body) < 3 or body[0] != _VERSION or body[1] != key_id(key):
        raise _bad()
    end = 3 + body[2]
    if len(body) <= end + 4:
        raise _bad()
    if now_us // SECOND_US >= int.from_bytes(body[end : end + 4], "big"):
        raise CdpError(Code.UNAUTHENTICATED, "INBOX_TOKEN_ENDED", "this token has ended: ask the shop for a new one")
    return InboxReader(body[3:end].decode(), body[end + 4 :].decode())


def _bad() -> CdpError:
    return CdpError(Code.UNAUTHENTICATED, "BAD_INBOX_TOKEN", "this is no token of an inbox")


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.new(key, b"cdp inbox\0" + body, sha256).digest()[:_MAC_BYTES]
