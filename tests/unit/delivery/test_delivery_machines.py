"""Which hits machines made."""

from __future__ import annotations

import pytest

from core.delivery.machines import is_machine_click, is_machine_open

CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36"
GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"


@pytest.mark.parametrize(
    ("method", "agent", "opened", "clicked"),
    [
        ("GET", CHROME, False, False),
        ("HEAD", CHROME, True, True),
        ("GET", "", True, True),
        ("GET", GMAIL, True, False),
        ("GET", "YahooMailProxy; https://help.yahoo.example/", True, False),
        ("GET", "Mozilla/5.0", True, False),
        ("GET", "Mozilla/5.0 (compatible; Googlebot/2.1)", True, True),
        ("GET", "curl/8.5.0", True, True),
    ],
)
def test_by_user_agent(method: str, agent: str, opened: bool, clicked: bool) -> None:
    assert is_machine_open(method, {"user-agent": agent}) is opened
    assert is_machine_click(method, {"user-agent": agent}) is clicked


@pytest.mark.parametrize("header", ["purpose", "sec-purpose", "x-moz"])
def test_prefetch(header: str) -> None:
    headers = {"user-agent": CHROME, header: "prefetch;prerender"}
    assert is_machine_open("GET", headers)
    assert is_machine_click("GET", headers)
