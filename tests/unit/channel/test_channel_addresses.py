"""Where webhooks may go."""

from __future__ import annotations

import pytest

from core.errors import CdpError
from services.channel.channel_settings import is_webhook_url
from services.channel.senders.webhook import signature
from services.runtime.addresses import is_public, pin

PRIVATE = (
    *("127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
    *("192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1"),
    *("fd12::1", "ff02::1", "fec0::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1"),
    *("64:ff9b::a9fe:a9fe", "64:ff9b::10.0.0.1", "64:ff9b:1::7f00:1", "2002:7f00:1::", "2002:a9fe:a9fe::"),
    *("2002:c0a8:101::1", "2001:0:7f00:1::", "2001:db8::1", "100::1", "localhost", "127.1", "0x7f000001"),
    "fe80::1%eth0",
)
PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "64:ff9b::808:808", "2002:808:808::", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_forms(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_forms(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "2130706433", "0x7f.1", "64:ff9b::7f00:1"])
async def test_a_private_host_is_refused_unless_allowed_by_name(host: str) -> None:
    with pytest.raises(CdpError) as caught:
        await pin(host, 80, frozenset({"other.example"}), "allowed_private_hosts")
    assert caught.value.reason in ("PRIVATE_ADDRESS", "HOST_NOT_FOUND")
    if host in ("127.0.0.1", "localhost"):
        assert caught.value.reason == "PRIVATE_ADDRESS"
        assert await pin(host, 80, frozenset({host}), "allowed_private_hosts") in ("127.0.0.1", "::1")


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://hooks.example/in?x=1", True),
        ("http://hooks.example:8080", True),
        ("https://user:pw@hooks.example/", False),
        ("ftp://hooks.example/", False),
        ("https://", False),
        ("https://hooks.example:99999/", False),
        ("https://hooks.example/\r\nX: y", False),
        ("https://hooks.example\\@evil.example", False),
        ("file:///etc/passwd", False),
        ("", False),
    ],
)
def test_webhook_urls(url: str, good: bool) -> None:
    assert is_webhook_url(url) is good


def test_signature_as_openssl_makes_it() -> None:
    wanted = "49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686"
    assert signature("secret", 1_700_000_000, b'{"a":1}') == f"t=1700000000,v1={wanted}"
