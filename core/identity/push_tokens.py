"""The forms of a push token: one text for a browser's subscription, an Android app's and an iOS app's token.

| form | who gave it out | channel |
|---|---|---|
| `webpush:<public key>.<secret>.<endpoint>` | a browser's push service | web_push |
| `apns:<hex>`, or 64 to 200 hex digits alone | Apple | mobile_push |
| `fcm:<token>`, or anything else | Firebase | mobile_push |

Key and secret of a browser are base64url of 33 and 16 bytes, the endpoint is its push service's address for it.

A token belongs to one device. What is told of it (it is gone, or it was given) is a consent of its channel under the
category `device_category(token)`, so that one device that is gone takes no other one of the person along.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

WEB_PUSH = "web_push"
MOBILE_PUSH = "mobile_push"

_WEB = "webpush:"
_POINT_BYTES = 65
_KEY_BYTES = 33
_SECRET_BYTES = 16
_APNS = re.compile(r"[0-9A-Fa-f]{64,200}")


class PushService(StrEnum):
    """Who gave a token out."""

    WEB = "webpush"
    APNS = "apns"
    FCM = "fcm"


@dataclass(frozen=True, slots=True)
class Subscription:
    """A browser's subscription: where to send, the browser's public key (a compressed P-256 point, 33 bytes) and the
    secret that it shares with us (16 bytes)."""

    endpoint: str
    public_key: bytes
    secret: bytes


def web_token(endpoint: str, public_key: bytes, secret: bytes) -> str:
    """The text of a subscription; of the same one always the same. `public_key` is p256dh as browsers tell it.

    Raises ValueError for anything but a point of 65 bytes and a secret of 16; whether the point is on the curve is not
    looked at.
    """
    if len(public_key) != _POINT_BYTES or public_key[0] != 4:
        raise ValueError("a subscription's public key is an uncompressed P-256 point of 65 bytes")
    if len(secret) != _SECRET_BYTES:
        raise ValueError("a subscription's secret has 16 bytes")
    compressed = bytes((2 + public_key[-1] % 2,)) + public_key[1:_KEY_BYTES]
    return f"{_WEB}{_text(compressed)}.{_text(secret)}.{endpoint}"


def subscription_of(token: str) -> Subscription | None:
    """The subscription that a token of a browser stands for; None for every other text."""
    if not token.startswith(_WEB):
        return None
    parts = token.removeprefix(_WEB).split(".", 2)
    if len(parts) != 3:
        return None
    key, secret = _bytes(parts[0]), _bytes(parts[1])
    if len(key) != _KEY_BYTES or key[0] not in (2, 3) or len(secret) != _SECRET_BYTES:
        return None
    return Subscription(parts[2], key, secret)


def service_of(token: str) -> PushService:
    """Who gave `token` out."""
    if token.startswith(_WEB):
        return PushService.WEB
    for one in (PushService.APNS, PushService.FCM):
        if token.startswith(f"{one}:"):
            return one
    return PushService.APNS if _APNS.fullmatch(token) else PushService.FCM


def bare(token: str) -> str:
    """A token of an app as its service knows it."""
    service = service_of(token)
    return token.removeprefix(f"{service}:")


def channel_of(token: str) -> str:
    """The channel that reaches the device."""
    return WEB_PUSH if service_of(token) is PushService.WEB else MOBILE_PUSH


def device_category(token: str) -> str:
    """The category of the channel's consents that holds what was told of this device alone. No subscription category
    has such a name: theirs have no colon."""
    return f"device:{sha256(token.encode()).hexdigest()[:16]}"


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    """The bytes of unpadded base64url; none for anything else."""
    if not text.isascii():
        return b""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
    return raw if _text(raw) == text else b""
