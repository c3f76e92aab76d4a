"""CouponService: convert, ask the books, convert."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import grpc

from cdp.coupon.v1 import coupon_pb2 as pb
from cdp.coupon.v1 import coupon_pb2_grpc
from cdp.facts.v1 import facts_pb2
from core.coupons.coupon import Coupon
from core.coupons.pool import Pool, is_pool_name
from core.errors import Violation, invalid
from core.events.checks import Bad, clean_text
from core.events.columns import Identifier
from services.ingest.coupons.books import CouponBooks
from services.ingest.identity_door import one_form
from services.ingest.ways import Ways
from services.runtime.caller import Scope, caller
from services.runtime.pages import bad_page_token, page_entries
from services.runtime.service import GrpcService

Context = grpc.aio.ServicerContext[Any, Any]

MOST_CODES = 10_000
_MOST_CHARACTERS = 200

_SCOPES = {
    "SavePool": Scope.FULL,
    "GetPool": Scope.READ,
    "ListPools": Scope.READ,
    "AddCodes": Scope.FULL,
    "IssueCoupon": Scope.FULL,
    "RedeemCoupon": Scope.FULL,
    "GetCoupon": Scope.READ,
}
_UNITS: dict[int, str] = {
    pb.VALUE_UNIT_UNSPECIFIED: "",
    pb.VALUE_UNIT_MONEY: "money",
    pb.VALUE_UNIT_PER_CENT: "percent",
}
_UNITS_ON_THE_WIRE = {unit: pb.ValueUnit.ValueType(number) for number, unit in _UNITS.items()}


class CouponRpc(coupon_pb2_grpc.CouponServiceServicer):
    """Answered by the process that owns the workspace; others pass calls on to it."""

    def __init__(self, ways: Ways, books_of: Callable[[str], CouponBooks]) -> None:
        """`books_of` answers the open books of a workspace, or raises UNAVAILABLE / NOT_READY."""
        self._ways = ways
        self._books_of = books_of

    def service(self) -> GrpcService:
        """Ready to be added to a server."""
        add = partial(coupon_pb2_grpc.add_CouponServiceServicer_to_server, self)
        return GrpcService("cdp.coupon.v1.CouponService", add, _SCOPES)

    async def SavePool(self, request: pb.SavePoolRequest, context: Context) -> pb.SavePoolResponse:
        """The next version of a pool."""
        asked = request.pool
        title = _text(asked.title, "pool.title")
        unit = _UNITS.get(asked.unit)
        if unit is None:
            raise invalid("BAD_POOL", "pool.unit: is unknown", Violation("pool.unit", "is unknown"))
        pool = Pool(
            asked.name,
            title,
            asked.value_units,
            unit,
            asked.pattern,
            asked.expires_at_us,
            asked.valid_days,
            asked.limit_per_person,
            asked.redemptions,
            asked.low_below,
            for_forms=asked.for_forms,
        )
        return pb.SavePoolResponse(pool=_pool_to_proto(await self._books().save_pool(pool, asked.etag)))

    async def GetPool(self, request: pb.GetPoolRequest, context: Context) -> pb.GetPoolResponse:
        """A pool with its figures."""
        return pb.GetPoolResponse(pool=_pool_to_proto(self._books().pool(request.name)))

    async def ListPools(self, request: pb.ListPoolsRequest, context: Context) -> pb.ListPoolsResponse:
        """Pools by name; the token is the last one's name."""
        if request.page_token and not is_pool_name(request.page_token):
            raise bad_page_token()
        rest = [pool for pool in self._books().pools() if pool.name > request.page_token]
        page = rest[: page_entries(request.page_size)]
        token = page[-1].name if len(page) < len(rest) else ""
        return pb.ListPoolsResponse(pools=[_pool_to_proto(pool) for pool in page], next_page_token=token)

    async def AddCodes(self, request: pb.AddCodesRequest, context: Context) -> pb.AddCodesResponse:
        """Codes that the workspace does not know yet."""
        if not 1 <= len(request.codes) <= MOST_CODES:
            what = f"1 to {MOST_CODES} at once, here are {len(request.codes)}"
            raise invalid("BAD_CODE", f"codes: {what}", Violation("codes", what))
        added, known = await self._books().add_codes(request.pool, list(request.codes))
        return pb.AddCodesResponse(added=added, known=known)

    async def IssueCoupon(self, request: pb.IssueCouponRequest, context: Context) -> pb.IssueCouponResponse:
        """A code for a person."""
        [person] = self._person(request.person, required=True)
        texts = [_text(text, path) for path, text in (("occasion", request.occasion), ("campaign", request.campaign))]
        request_id = _text(request.request_id, "request_id")
        books = self._books()
        coupon, repeated = await books.issue(request.pool, person, texts[0], texts[1], request_id)
        return pb.IssueCouponResponse(
            coupon=_coupon_to_proto(coupon), repeated=repeated, pool_low=books.pool(coupon.pool).low
        )

    async def RedeemCoupon(self, request: pb.RedeemCouponRequest, context: Context) -> pb.RedeemCouponResponse:
        """One use of a code."""
        whose = self._person(request.person, required=False)
        order_id, request_id = _text(request.order_id, "order_id"), _text(request.request_id, "request_id")
        coupon, repeated = await self._books().redeem(_text(request.code, "code"), whose, order_id, request_id)
        return pb.RedeemCouponResponse(
            coupon=_coupon_to_proto(coupon), repeated=repeated, other_person=coupon.is_of_another(whose)
        )

    async def GetCoupon(self, request: pb.GetCouponRequest, context: Context) -> pb.GetCouponResponse:
        """An issued coupon."""
        return pb.GetCouponResponse(coupon=_coupon_to_proto(await self._books().coupon(_text(request.code, "code"))))

    def _books(self) -> CouponBooks:
        return self._books_of(caller().workspace.id)

    def _person(self, message: facts_pb2.Identifier, *, required: bool) -> list[Identifier]:
        if not required and not message.kind and not message.value:
            return []
        person = Identifier(message.kind, _text(message.value, "person.value", 1_000))
        names = self._ways.of(caller().workspace).names
        if names is None or not names.usable(person):
            what = f"names nobody: it is no usable {message.kind or 'identifier'}"
            raise invalid("NO_IDENTIFIER", f"person: {what}", Violation("person", what))
        return [one_form(person)]


def _text(text: str, path: str, most: int = _MOST_CHARACTERS) -> str:
    clean = clean_text(text)
    what = clean.description if isinstance(clean, Bad) else f"has at most {most} characters"
    if isinstance(clean, Bad) or len(clean) > most:
        raise invalid("BAD_TEXT", f"{path}: {what}", Violation(path, what))
    return clean


def _pool_to_proto(pool: Pool) -> pb.Pool:
    return pb.Pool(
        name=pool.name,
        title=pool.title,
        value_units=pool.value_units,
        unit=_UNITS_ON_THE_WIRE[pool.unit],
        pattern=pool.pattern,
        expires_at_us=pool.expires_at_us,
        valid_days=pool.valid_days,
        limit_per_person=pool.limit,
        redemptions=pool.redemptions,
        low_below=pool.low_below,
        etag=pool.etag,
        for_forms=pool.for_forms,
        figures=pb.Figures(
            added=pool.added,
            issued=pool.issued,
            redeemed=pool.redeemed,
            expired=pool.expired,
            left=pool.left,
            low=pool.low,
        ),
    )


def _coupon_to_proto(coupon: Coupon) -> pb.Coupon:
    return pb.Coupon(
        code=coupon.code,
        pool=coupon.pool,
        person=facts_pb2.Identifier(kind=coupon.person.kind, value=coupon.person.value),
        occasion=coupon.occasion,
        issued_at_us=coupon.issued_at_us,
        expires_at_us=coupon.expires_at_us,
        redemptions=[pb.Redemption(at_us=one.at_us, order_id=one.order_id) for one in coupon.redemptions],
    )
