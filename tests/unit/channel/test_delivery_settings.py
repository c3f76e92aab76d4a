"""Settings of providers, caps and quiet hours: every wrong field is named, no secret is repeated."""

from __future__ import annotations

from typing import Any

import pytest

from cdp.channel.v1 import channel_pb2
from core.delivery.caps import Cap, CapPeriod
from core.delivery.quiet import Quiet
from core.errors import CdpError
from services.channel.channel_settings import check_settings
from services.channel.delivery_settings import (
    caps_of,
    delivery_problems,
    hide_secrets,
    keep_secrets,
    providers_of,
    quiet_of,
)
from services.channel.providers import KindRules


def _port(settings: Any, secrets: Any) -> str:
    return "port is no number" if not settings.get("port", "1").isdigit() else ""


RULES = KindRules(frozenset({"host"}), frozenset({"port"}), frozenset({"password"}), frozenset(), _port)
KINDS = {"email": {"smtp": RULES}, "webhook": {}}
GOOD: dict[str, Any] = {
    "channel": "email",
    "name": "main",
    "kind": "smtp",
    "settings": {"host": "mx"},
    "secrets": {"password": "hush"},
}
DAY, ROLLING = channel_pb2.CAP_PERIOD_DAY, channel_pb2.CAP_PERIOD_ROLLING


def problems(**fields: Any) -> list[str]:
    found = delivery_problems(channel_pb2.Settings(**fields), KINDS)
    return [f"{one.path} {one.description}" for one in found]


def provider(**fields: Any) -> channel_pb2.Provider:
    return channel_pb2.Provider(**{**GOOD, **fields})


def quiet(begin: str, end: str, *days: str) -> channel_pb2.QuietHours:
    return channel_pb2.QuietHours(until=end, weekdays=days, **{"from": begin})


@pytest.mark.parametrize(
    ("told", "path"),
    [
        (provider(name="no spaces"), "name has 1 to 60"),
        (provider(channel="pigeon"), "channel is none of email, webhook"),
        (provider(kind="viber"), "kind is none of null, smtp"),
        (provider(channel="webhook"), "kind is none of null"),
        (provider(settings={}), "settings.host is missing"),
        (provider(secrets={}), "secrets.password is missing"),
        (provider(settings={"host": "a", "hots": "b"}), "settings.hots is not known"),
        (provider(settings={"host": "a", "port": "x"}), "settings port is no number"),
        (provider(secrets={"password": "x" * 20_000}), "secrets.password is longer"),
        (provider(per_second=1_000_000), "per_second is more than 100000"),
    ],
)
def test_a_wrong_provider_is_named(told: channel_pb2.Provider, path: str) -> None:
    (problem,) = problems(providers=[told])
    assert problem.startswith(f"settings.providers[0].{path}")
    assert "hush" not in problem


@pytest.mark.parametrize(
    ("told", "path"),
    [
        ({"name": "a", "limit": 0, "period": DAY}, "limit"),
        ({"name": "", "limit": 1, "period": DAY}, "name"),
        ({"name": "a", "limit": 1}, "period"),
        ({"name": "a", "limit": 1, "period": ROLLING}, "rolling_us"),
        ({"name": "a", "limit": 1, "period": ROLLING, "rolling_us": 93 * 86_400_000_000}, "rolling_us"),
        ({"name": "a", "limit": 1, "period": DAY, "rolling_us": 1}, "rolling_us"),
        ({"name": "a", "limit": 1, "period": DAY, "channels": ["pigeon"]}, "channels"),
        ({"name": "a", "limit": 1, "period": DAY, "category": "x" * 256}, "category"),
    ],
)
def test_a_wrong_cap_is_named(told: dict[str, Any], path: str) -> None:
    (problem,) = problems(caps=[channel_pb2.Cap(**told)])
    assert problem.startswith(f"settings.caps[0].{path} ")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("killed_channels", ["email"] * 4),
        ("allowed_recipients", ["@" + "x" * 2_000]),
        ("allowed_private_hosts", ["x" * 2_001]),
        ("webhook_url", "https://shop.example/" + "x" * 2_000),
        ("webhook_secret", "x" * 2_001),
        ("from", "x" * 500 + " <shop@shop.example>"),
    ],
)
def test_what_is_too_large_to_be_kept_is_named(name: str, told: Any) -> None:
    with pytest.raises(CdpError) as caught:
        check_settings(channel_pb2.Settings(**{name: told}), KINDS)
    assert [one.path for one in caught.value.violations] == [f"settings.{name}"]
    assert len(caught.value.message) < 200


def test_names_stand_once() -> None:
    assert problems(providers=[provider(), provider()]) == ["settings.providers[1].name stands twice"]
    cap = channel_pb2.Cap(name="a", limit=1, period=DAY)
    assert problems(caps=[cap, cap]) == ["settings.caps[1].name stands twice"]


def test_quiet_hours_are_times_and_leave_some_time() -> None:
    assert problems(quiet_hours=[quiet("21:00", "09:00", "mon", "sun")]) == []
    (problem,) = problems(quiet_hours=[quiet("24:00", "09:00")])
    assert problem == 'settings.quiet_hours[0].from is no time like "21:00"'
    (problem,) = problems(quiet_hours=[quiet("21:00", "09:00", "monday")])
    assert problem.startswith("settings.quiet_hours[0].weekdays 'monday' is none of mon")
    found = problems(quiet_hours=[quiet("00:00", "12:00"), quiet("12:00", "00:00")])
    assert found == [f"settings.quiet_hours leave no time for the channel {one}" for one in ("email", "webhook")]


def test_values_are_as_told_and_providers_by_priority() -> None:
    message = channel_pb2.Settings(
        providers=[
            provider(name="b", priority=2),
            provider(name="off", disabled=True),
            provider(name="a", kind="null", priority=1, per_second=5),
        ],
        caps=[channel_pb2.Cap(name="c", limit=3, period=ROLLING, rolling_us=7, channels=["email"], category="x")],
        quiet_hours=[quiet("21:30", "09:00", "mon", "sun")],
    )
    told = [(one.name, one.kind, one.per_second) for one in providers_of(message)["email"]]
    assert told == [("a", "null", 5), ("b", "smtp", 0)]
    assert caps_of(message) == (Cap("c", 3, CapPeriod.ROLLING, frozenset({"email"}), "x", 7),)
    assert quiet_of(message) == (Quiet(1_290, 540, frozenset(), frozenset({0, 6})),)


def test_secrets_that_are_left_out_are_kept_for_the_same_provider_alone() -> None:
    old = channel_pb2.Settings(webhook_secret="w", providers=[provider()])
    shown = channel_pb2.Settings()
    shown.CopyFrom(old)
    hide_secrets(shown)
    assert "hush" not in str(shown) and not shown.webhook_secret
    keep_secrets(shown, old)
    assert shown == old
    other = channel_pb2.Settings(providers=[provider(kind="null", secrets={}), provider(name="new", secrets={})])
    keep_secrets(other, old)
    assert [dict(one.secrets) for one in other.providers] == [{}, {}]
    changed = channel_pb2.Settings(providers=[provider(secrets={"password": "new"})])
    keep_secrets(changed, old)
    assert changed.providers[0].secrets["password"] == "new"
