"""The payload of a web push, closed for one browser (RFC 8291), and the keys that name its sender (RFC 8292).

By `cryptography` alone: the known library for it, pywebpush, does its own calls by `requests`, which would go past the
checks of addresses, and brings two HTTP clients along for some forty lines of key derivation.
"""

from __future__ import annotations

import base64
import binascii
import os
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from core.errors import invalid
from core.identity.push_tokens import Subscription
from services.channel.senders.jwt import plain_base64

#: Push services take bodies of 4,096 bytes; the head, the padding's mark and the tag are ours.
LIMIT_PAYLOAD_BYTES = 4_096 - 86 - 1 - 16
_CURVE = ec.SECP256R1()
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_RECORD_BYTES = 4_096


def closed(payload: bytes, subscription: Subscription) -> bytes:
    """`payload` as one record of aes128gcm that only the subscribed browser opens, by a new key pair and salt.

    Raises INVALID: PAYLOAD_TOO_LARGE over LIMIT_PAYLOAD_BYTES, BAD_ADDRESS for a key that is no point of the curve.
    """
    return closed_by(ec.generate_private_key(_CURVE), os.urandom(16), payload, subscription)


def closed_by(ours: ec.EllipticCurvePrivateKey, salt: bytes, payload: bytes, subscription: Subscription) -> bytes:
    """The same by a given key pair and salt of 16 bytes, neither of which may be used twice."""
    if len(payload) > LIMIT_PAYLOAD_BYTES:
        raise invalid("PAYLOAD_TOO_LARGE", f"a push has at most {LIMIT_PAYLOAD_BYTES} bytes, this one {len(payload)}")
    try:
        theirs = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, subscription.public_key)
    except ValueError as error:
        raise invalid("BAD_ADDRESS", "the subscription's key is no point of the curve") from error
    our_point = point(ours.public_key())
    info = b"WebPush: info\0" + point(theirs) + our_point
    secret = _derived(ours.exchange(ec.ECDH(), theirs), subscription.secret, info, 32)
    key = _derived(secret, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derived(secret, salt, b"Content-Encoding: nonce\0", 12)
    head = salt + _RECORD_BYTES.to_bytes(4, "big") + bytes((len(our_point),)) + our_point
    return head + AESGCM(key).encrypt(nonce, payload + b"\x02", None)


def private_key(text: str) -> ec.EllipticCurvePrivateKey:
    """The key of a base64url text of 32 bytes, as VAPID tools write it. Raises ValueError for anything else."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("is no base64url") from error
    if len(raw) != 32:
        raise ValueError("has 32 bytes in base64url")
    return ec.derive_private_key(int.from_bytes(raw, "big"), _CURVE)


def key_out_of(secret: str) -> str:
    """A VAPID key made out of any secret text, always the same one: 32 bytes as base64url."""
    number = int.from_bytes(sha256(b"cdp vapid key\0" + secret.encode()).digest(), "big") % (_ORDER - 1) + 1
    return plain_base64(number.to_bytes(32, "big"))


def public_text(key: ec.EllipticCurvePrivateKey) -> str:
    """What pages subscribe with (applicationServerKey), and what names the sender: base64url of the point."""
    return plain_base64(point(key.public_key()))


def point(key: ec.EllipticCurvePublicKey) -> bytes:
    """The public key as 65 bytes."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _derived(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt, info).derive(secret)
