"""Pools and coupons as they are kept."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from core.coupons.coupon import Coupon, Redemption
from core.coupons.pool import Pool
from core.errors import CdpError, Code
from core.events.columns import Identifier

_FORMAT = 1


def encode_pool(pool: Pool) -> bytes:
    """The stored form."""
    return json.dumps({"format": _FORMAT, **asdict(pool)}, ensure_ascii=False, separators=(",", ":")).encode()


def decode_pool(stored: bytes) -> Pool:
    """The pool of stored bytes. Raises INTERNAL / BAD_COUPON_RECORD for a format of a later release."""
    return Pool(**_plain(stored))


def encode_coupon(coupon: Coupon) -> bytes:
    """The stored form."""
    return json.dumps({"format": _FORMAT, **asdict(coupon)}, ensure_ascii=False, separators=(",", ":")).encode()


def decode_coupon(stored: bytes) -> Coupon:
    """The coupon of stored bytes. Raises as `decode_pool`."""
    plain = _plain(stored)
    person = Identifier(**plain.pop("person"))
    redemptions = tuple(Redemption(**one) for one in plain.pop("redemptions"))
    return Coupon(**plain, person=person, redemptions=redemptions)


def _plain(stored: bytes) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(stored)
    if plain.pop("format") != _FORMAT:
        raise CdpError(Code.INTERNAL, "BAD_COUPON_RECORD", "a pool or coupon of a later format cannot be read")
    return plain
