"""The forms of push tokens, both ways."""

from __future__ import annotations

import pytest

from core.identity.push_tokens import (
    PushService,
    Subscription,
    bare,
    channel_of,
    device_category,
    service_of,
    subscription_of,
    web_token,
)

X, Y = bytes(range(32)), bytes(range(32, 64))
SECRET = bytes(range(16))
ENDPOINT = "https://push.example/send/a.b.c:d"


def test_a_subscription_there_and_back() -> None:
    for last in (b"\x10", b"\x11"):
        token = web_token(ENDPOINT, b"\x04" + X + Y[:-1] + last, SECRET)
        assert subscription_of(token) == Subscription(ENDPOINT, bytes((2 + last[0] % 2,)) + X, SECRET)
        assert (service_of(token), channel_of(token)) == (PushService.WEB, "web_push")
        assert len(token) == len(ENDPOINT) + 76


@pytest.mark.parametrize(
    ("key", "secret"),
    [(b"", SECRET), (b"\x04" + X, SECRET), (b"\x03" + X + Y, SECRET), (b"\x04" + X + Y, b""), (b"\x04" + X + Y, X)],
)
def test_keys_of_another_form_are_refused(key: bytes, secret: bytes) -> None:
    with pytest.raises(ValueError, match="subscription"):
        web_token(ENDPOINT, key, secret)


@pytest.mark.parametrize(
    "token",
    [
        *(
            "",
            "webpush:",
            "webpush:a.b",
            "webpush:a.b.c",
            "fcm:x",
            "a" * 64,
            f"webpush:{'=' * 44}.{'A' * 22}.https://x",
        ),
        *(f"webpush:{'A' * 44}.{'A' * 22}.https://x", f"webpush:Ag{'A' * 42}.{'A' * 21}.https://x", "webpush:é.é.é"),
    ],
)
def test_what_is_no_subscription(token: str) -> None:
    assert subscription_of(token) is None


@pytest.mark.parametrize(
    ("token", "service", "plain"),
    [
        ("a1" * 32, PushService.APNS, "a1" * 32),
        ("A1" * 80, PushService.APNS, "A1" * 80),
        ("apns:" + "b2" * 32, PushService.APNS, "b2" * 32),
        ("fcm:dX:APA91b", PushService.FCM, "dX:APA91b"),
        ("dX:APA91b", PushService.FCM, "dX:APA91b"),
        ("a1" * 31, PushService.FCM, "a1" * 31),
        ("", PushService.FCM, ""),
    ],
)
def test_tokens_of_apps(token: str, service: PushService, plain: str) -> None:
    assert (service_of(token), bare(token), channel_of(token)) == (service, plain, "mobile_push")


def test_a_device_has_a_category_of_its_own_that_no_subscription_category_has() -> None:
    names = {device_category(token) for token in ("a", "b", "A", "fcm:a")}
    assert len(names) == 4
    assert all(name.startswith("device:") and len(name) == 23 for name in names)
