"""Stored forms of rates, orders, pools and coupons: what an earlier release wrote is read, and written again alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.coupons.codec import decode_coupon, decode_pool, encode_coupon, encode_pool
from core.coupons.coupon import Coupon, Redemption
from core.coupons.pool import Pool
from core.errors import CdpError
from core.events.columns import Identifier
from core.money.rates import RATE_SCALE, Rate
from core.orders.book import OrderBook, Return
from core.orders.codec import OrderRecord, decode_order, encode_order
from services.ingest.rates_store import decode_rates, encode_rates

GOLDEN = Path(__file__).parents[1] / "golden" / "money"
ANN = Identifier("external_id", "ann")
RATES = [Rate("EUR", 1_790_000_000_000_000, RATE_SCALE * 11 // 10), Rate("UAH", -5, 24_000_000_001)]
ORDER = OrderRecord(
    OrderBook(10, 1_000_000, 30, (Return("refunded:r1", 20, 300_000), Return("refunded", 25, None))),
    (("completed", 10, 11), ("refunded:r1", 20, 21)),
    (ANN, Identifier("email", "ann@shop.test")),
    3,
)
POOL = Pool(
    "spring", "Spring sale", 100_000, "percent", "VIP-######", 99, 7, 2, 3, 5, 4, 100, 50, 20, 10, for_forms=True
)
COUPON = Coupon("VIP-ACDEF3", "spring", ANN, "birthday", "may", 10, 99, (Redemption(20, "o1", "r"),), expired=False)


def test_the_forms_of_version_1() -> None:
    assert decode_rates((GOLDEN / "rates-v1.json").read_bytes()) == RATES
    assert decode_order((GOLDEN / "order-v1.json").read_bytes()) == ORDER
    assert decode_pool((GOLDEN / "pool-v1.json").read_bytes()) == POOL
    assert decode_coupon((GOLDEN / "coupon-v1.json").read_bytes()) == COUPON


def test_they_are_written_alike() -> None:
    assert encode_rates(RATES, "key-1", 7) == (GOLDEN / "rates-v1.json").read_bytes()
    assert encode_order(ORDER) == (GOLDEN / "order-v1.json").read_bytes()
    assert encode_pool(POOL) == (GOLDEN / "pool-v1.json").read_bytes()
    assert encode_coupon(COUPON) == (GOLDEN / "coupon-v1.json").read_bytes()


@pytest.mark.parametrize("decode", [decode_rates, decode_order, decode_pool, decode_coupon])
def test_a_later_format_is_refused(decode: object) -> None:
    with pytest.raises(CdpError, match="cannot be read"):
        decode(b'{"format": 2}')  # type: ignore[operator]
