"""Signed tokens that a click in a message takes along to the shop's site, so that the tracker there knows whose visit
it is without a login.

A token is base64url of: version (1 byte, 1), length of the workspace id (1), workspace id, second of the click (4,
unsigned, since 1970), public id of the contact, and the first 16 bytes of HMAC-SHA256 over all of it. It holds for an
hour: an address that somebody passes on later makes nobody else the recipient.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from hashlib import sha256

from core.clock import SECOND_US
from core.errors import CdpError, invalid

#: The parameter of an address that holds the token.
VISIT_PARAM = "cdp_lt"
#: How long after the click a token names its contact.
VISIT_TOKEN_S = 3_600

_VERSION = 1
_MAC_BYTES = 16
_LONGEST_TOKEN = 800
#: A token of a clock that is a little ahead of ours.
_AHEAD_S = 60


def sign_visit(key: bytes, workspace: str, contact_key: str, now_us: int) -> str:
    """The token, safe in an address. Raises ValueError for a workspace id over 255 bytes or an instant before 1970
    or after 2105."""
    name = workspace.encode()
    if len(name) > 255:
        raise ValueError("a visit token holds a workspace of at most 255 bytes")
    second = now_us // SECOND_US
    if not 0 <= second < 2**32:
        raise ValueError(f"a visit token holds a second from 1970 to 2105, not {second}")
    body = bytes((_VERSION, len(name))) + name + second.to_bytes(4, "big") + contact_key.encode()
    return base64.urlsafe_b64encode(body + _mac(key, body)).rstrip(b"=").decode()


def visitor_of(key: bytes, workspace: str, token: str, now_us: int) -> str:
    """The public id of the contact whom a genuine, fresh token of `workspace` names. Raises INVALID / BAD_LINK_TOKEN
    for every other text."""
    if len(token) > _LONGEST_TOKEN or not token.isascii():
        raise _bad("is none of ours")
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise _bad("is none of ours") from error
    body, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
    name = workspace.encode()
    end = 2 + len(name)
    genuine = hmac.compare_digest(mac, _mac(key, body))
    if not genuine or len(body) <= end + 4 or body[0] != _VERSION or body[1] != len(name) or body[2:end] != name:
        raise _bad("is none of ours")
    age_s = now_us // SECOND_US - int.from_bytes(body[end : end + 4], "big")
    if not -_AHEAD_S <= age_s <= VISIT_TOKEN_S:
        raise _bad("is too old: it holds for an hour after the click")
    return body[end + 4 :].decode()


def _bad(what: str) -> CdpError:
    return invalid("BAD_LINK_TOKEN", f"the link token {what}")


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.new(key, b"cdp visit\0" + body, sha256).digest()[:_MAC_BYTES]
