"""A coupon: a code that belongs to a person, with an end, and redeemed once or several times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.coupons.pool import Pool
from core.errors import conflict
from core.events.columns import Event, Identifier
from core.schema import DecimalUnits, Instant, Scalar

COUPON_ISSUED = "coupon_issued"
COUPON_REDEEMED = "coupon_redeemed"
COUPON_EXPIRED = "coupon_expired"
USED_UP = "COUPON_USED_UP"
EXPIRED = "COUPON_EXPIRED"
#: Ids of the platform's events about coupons begin so.
_PREFIX = "coupon:"


@dataclass(frozen=True, slots=True)
class Redemption:
    """One use of a code; `order_id` and `request_id` may be empty."""

    at_us: int
    order_id: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Coupon:
    """`expires_at_us` 0: never. `expired`: its end was recorded before it was redeemed."""

    code: str
    pool: str
    person: Identifier
    occasion: str
    campaign: str
    issued_at_us: int
    expires_at_us: int
    redemptions: tuple[Redemption, ...] = ()
    expired: bool = False

    def redeemed_by(self, order_id: str, request_id: str) -> bool:
        """Whether this order, or this request, redeemed it before."""
        return any(
            (order_id and one.order_id == order_id) or (request_id and one.request_id == request_id)
            for one in self.redemptions
        )

    def is_of_another(self, whose: Sequence[Identifier]) -> bool:
        """Whether these identifiers tell that it was issued to somebody else: one of its kind, and not the same."""
        return any(one.kind == self.person.kind for one in whose) and self.person not in whose


def redeemed(coupon: Coupon, pool: Pool, at_us: int, order_id: str, request_id: str) -> Coupon:
    """The coupon after one more use. Raises CONFLICT / COUPON_EXPIRED, COUPON_USED_UP."""
    if coupon.expires_at_us and coupon.expires_at_us <= at_us:
        raise conflict(EXPIRED, "the coupon is void: its time is over")
    if len(coupon.redemptions) >= pool.redemptions:
        raise conflict(USED_UP, f"the coupon was redeemed {len(coupon.redemptions)} times, which is all it may be")
    return replace(coupon, redemptions=(*coupon.redemptions, Redemption(at_us, order_id, request_id)))


def issued_event(coupon: Coupon, pool: Pool, now_us: int) -> Event:
    """The person was given the code."""
    return _event(coupon, pool, COUPON_ISSUED, coupon.issued_at_us, now_us, (coupon.person,), {})


def redeemed_event(coupon: Coupon, pool: Pool, now_us: int, whose: Sequence[Identifier]) -> Event:
    """The latest use of the code, by `whose` (nobody told: by the one it was issued to)."""
    last = coupon.redemptions[-1]
    more: dict[str, Scalar] = {"order_id": last.order_id} if last.order_id else {}
    if coupon.is_of_another(whose):
        more["other_person"] = True
    by = tuple(whose) or (coupon.person,)
    return _event(coupon, pool, COUPON_REDEEMED, last.at_us, now_us, by, more, f":{len(coupon.redemptions)}")


def expired_event(coupon: Coupon, pool: Pool, now_us: int) -> Event:
    """The code became void before it was redeemed, at its own instant."""
    return _event(coupon, pool, COUPON_EXPIRED, coupon.expires_at_us, now_us, (coupon.person,), {})


def _event(
    coupon: Coupon,
    pool: Pool,
    type_: str,
    at_us: int,
    now_us: int,
    whose: tuple[Identifier, ...],
    more: dict[str, Scalar],
    number: str = "",
) -> Event:
    texts = {"occasion": coupon.occasion, "campaign": coupon.campaign, "unit": pool.unit}
    params: dict[str, Scalar] = {name: text for name, text in texts.items() if text}
    params |= {"coupon": coupon.code, "pool": coupon.pool, **more}
    if pool.value_units:
        params["value"] = DecimalUnits(pool.value_units)
    if coupon.expires_at_us:
        params["expires_at"] = Instant(coupon.expires_at_us)
    # The instant makes it an id that nobody guesses and takes first.
    event_id = f"{_PREFIX}{coupon.code}:{type_}:{coupon.issued_at_us}{number}"
    return Event(event_id, type_, at_us, now_us, whose, params)
