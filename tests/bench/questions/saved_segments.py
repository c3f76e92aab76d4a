"""Twenty saved segments, from nearly everybody to very few."""

from __future__ import annotations

SAVED: tuple[str, ...] = (
    'gender = "female"',
    'gender = "male" and age < 40',
    "age between 25 and 34",
    "age >= 65",
    'country in ("C00", "C01", "C02")',
    'country = "C17"',
    'city = "city 250"',
    'device = "phone"',
    'device = "tablet" and language = "l03"',
    'language != "l00"',
    "did product_viewed in last 90 days",
    "did product_viewed at least 5 times in last 30 days",
    "did order_completed",
    "did order_completed in last 14 days",
    "did not message_opened in last 60 days",
    "did cart_updated in last 3 days and did not order_completed in last 3 days",
    'did product_viewed (category = "category 002") in last 30 days',
    'did product_viewed (category = "category 150" and price > 200) in last 60 days',
    "sum(order_completed.total) in last 180 days > 150",
    "did message_clicked in last 2 days",
)
