"""Keys: in force until revoked, expired or rotated past its grace; a browser's key knows its origins."""

from __future__ import annotations

import pytest

from core.api_keys import KeyRecord, changed_key, encode_key, key_from, new_key, opens, origin_allowed, rotated
from core.errors import CdpError
from core.limits import Limits

NOW_US = 1_796_000_000_000_000
FIRST, SECOND = (f"cdp_abcdef012345_{letter * 43}" for letter in "ab")


def made(**more: object) -> KeyRecord:
    """A write key of secret FIRST."""
    return new_key(FIRST, "shop", "site", 1, NOW_US, **more)  # type: ignore[arg-type]


def test_a_key_opens_until_it_expires() -> None:
    key = made(expires_at_us=NOW_US + 10)
    assert opens(key, FIRST, NOW_US + 9)
    assert not opens(key, FIRST, NOW_US + 10)
    assert not opens(key, SECOND, NOW_US)
    assert not opens(None, FIRST, NOW_US)


def test_a_rotated_key_opens_with_both_secrets_for_its_grace() -> None:
    key = rotated(made(), SECOND, 1_000, NOW_US)
    assert opens(key, SECOND, NOW_US)
    assert opens(key, FIRST, NOW_US + 999)
    assert not opens(key, FIRST, NOW_US + 1_000)
    assert opens(key, SECOND, NOW_US + 1_000)
    at_once = rotated(made(), SECOND, 0, NOW_US)
    assert not opens(at_once, FIRST, NOW_US)


@pytest.mark.parametrize(
    ("origin", "fits"),
    [
        ("https://shop.example", True),
        ("https://SHOP.example", True),
        ("http://shop.example", False),
        ("https://shop.example:8443", False),
        ("https://a.shop.example", False),
        ("https://www.toys.example", True),
        ("https://a.b.toys.example", True),
        ("https://toys.example", False),
        ("https://evil.example/.toys.example", False),
        ("https://eviltoys.example", False),
        ("https://user@x.toys.example", False),
        ("null", False),
        ("", False),
    ],
)
def test_which_pages_may_use_a_key(origin: str, fits: bool) -> None:
    key = made(origins=("https://Shop.example/", "https://*.toys.example"))
    assert key.origins == ("https://shop.example", "https://*.toys.example")
    assert origin_allowed(origin, key.origins) is fits


@pytest.mark.parametrize(
    "origin",
    ["shop.example", "https://", "https://*", "https://*.example", "ftp://shop.example", "https://shop.example/path",
     "https://a b", "javascript:alert(1)", "https://*.*.example.com", "null"],
)  # fmt: skip
def test_what_is_no_origin(origin: str) -> None:
    with pytest.raises(CdpError) as refused:
        made(origins=("https://shop.example", origin))
    assert refused.value.violations[0].path == "origins[1]"


def test_only_a_write_key_may_stand_in_a_page() -> None:
    for scope in (2, 3, 4):
        with pytest.raises(CdpError):
            new_key(FIRST, "shop", "", scope, NOW_US, origins=("https://shop.example",))
    with pytest.raises(CdpError):
        changed_key(made(origins=("https://shop.example",)), "", (), None)


def test_the_stored_form_reads_back_and_reads_what_was_stored_before() -> None:
    key = rotated(made(origins=("https://shop.example",), limits=Limits(5, 10, 100, 1_000)), SECOND, 50, NOW_US)
    assert key_from(encode_key(key)) == key
    before = (
        b'{"id":"abcdef012345","workspace_id":"shop","display_name":"site","scope":1,"secret_hash":"x",'
        b'"created_at_us":1,"revoked":true}'
    )
    assert key_from(before) == KeyRecord("abcdef012345", "shop", "site", 1, "x", 1, True)
