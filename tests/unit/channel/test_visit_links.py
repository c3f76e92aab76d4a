"""The token of a visit in an address, and whose addresses get it."""

from __future__ import annotations

import pytest

from services.channel.visit_links import is_at_home, with_visit


@pytest.mark.parametrize(
    ("url", "led_to"),
    [
        ("https://shop.ua/", "https://shop.ua/?cdp_lt=T"),
        ("https://shop.ua/a?b=1&c=%20#top", "https://shop.ua/a?b=1&c=%20&cdp_lt=T#top"),
        ("https://shop.ua/a?cdp_lt=old&b", "https://shop.ua/a?b&cdp_lt=T"),
    ],
)
def test_the_token_stands_in_the_query(url: str, led_to: str) -> None:
    assert with_visit(url, "T") == led_to


def test_only_the_shops_own_hosts_get_it() -> None:
    hosts = ("shop.ua",)
    assert all(
        is_at_home(f"https://{host}/x", hosts) for host in ("shop.ua", "www.shop.ua", "SHOP.ua:8443", "shop.ua.")
    )
    others = ("notshop.ua", "shop.ua.evil.example", "evil.example?shop.ua", "shop.ua@evil.example", "[::1]", "[::1")
    assert not any(is_at_home(f"https://{host}/x", hosts) for host in others)
    assert not is_at_home("https://shop.ua/", ())
