"""Signed tokens (RFC 7515, 7519) by which push services know a sender: ES256 and RS256."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

#: A private key that can sign.
SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
_COORDINATE_BYTES = 32


def signed(key: SigningKey, claims: Mapping[str, object], **head: str) -> str:
    """The token of `claims`. A key of the curve P-256 signs by ES256, one of RSA by RS256."""
    algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    text = f"{_part({'alg': algorithm, **head})}.{_part(claims)}"
    return f"{text}.{plain_base64(_signature(key, text.encode()))}"


def plain_base64(raw: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _part(told: Mapping[str, object]) -> str:
    return plain_base64(json.dumps(told, separators=(",", ":")).encode())


def _signature(key: SigningKey, text: bytes) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(text, padding.PKCS1v15(), SHA256())
    first, second = decode_dss_signature(key.sign(text, ec.ECDSA(SHA256())))
    return first.to_bytes(_COORDINATE_BYTES, "big") + second.to_bytes(_COORDINATE_BYTES, "big")
