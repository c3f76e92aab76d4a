"""What a workspace's settings say about providers, caps, quiet hours and contents: checked, and as values."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from zoneinfo import ZoneInfo

from cdp.channel.v1 import channel_pb2
from core.delivery.caps import Cap, CapPeriod
from core.delivery.ledger import LONGEST_WINDOW_US
from core.delivery.quiet import Quiet, next_allowed
from core.errors import Violation
from services.channel.providers import NULL_KIND, KindRules, ProviderSettings

LIMIT_PROVIDERS = 50
LIMIT_CAPS = 50
LIMIT_QUIET_HOURS = 20
_MOST_PER_SECOND = 100_000
_MOST_MESSAGES = 10_000
_LONGEST_VALUE = 16_384
_LONGEST_CATEGORY = 255
_NAME = re.compile(r"[A-Za-z0-9_-]{1,60}")
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

#: Of every channel: the provider kinds that it knows.
Kinds = Mapping[str, Mapping[str, KindRules]]


def providers_of(message: channel_pb2.Settings) -> Mapping[str, Sequence[ProviderSettings]]:
    """The providers in use by channel, the smallest priority first; of equal ones as they are listed. A channel whose
    providers are all disabled has none in use, which is something else than a channel without a word about it."""
    found: dict[str, list[ProviderSettings]] = {}
    for one in sorted(message.providers, key=lambda one: one.priority):
        in_use = found.setdefault(one.channel, [])
        if not one.disabled:
            provider = ProviderSettings(
                one.name, one.kind, dict(one.settings), dict(one.secrets), one.per_second, one.priority
            )
            in_use.append(provider)
    return found


def caps_of(message: channel_pb2.Settings) -> tuple[Cap, ...]:
    """The caps, as listed."""
    return tuple(
        Cap(one.name, one.limit, CapPeriod(one.period), frozenset(one.channels), one.category, one.rolling_us)
        for one in message.caps
    )


def quiet_of(message: channel_pb2.Settings) -> tuple[Quiet, ...]:
    """The quiet hours, as listed."""
    return tuple(
        Quiet(
            _minute(getattr(one, "from")),
            _minute(one.until),
            frozenset(one.channels),
            frozenset(WEEKDAYS.index(day) for day in one.weekdays),
        )
        for one in message.quiet_hours
    )


def keep_secrets(new: channel_pb2.Settings, old: channel_pb2.Settings) -> None:
    """Put into `new` the secrets that it leaves out: those of the provider of the same channel, name and kind."""
    new.webhook_secret = new.webhook_secret or old.webhook_secret
    known = {(one.channel, one.name, one.kind): one.secrets for one in old.providers}
    for one in new.providers:
        for name, secret in known.get((one.channel, one.name, one.kind), {}).items():
            if name not in one.secrets:
                one.secrets[name] = secret


def hide_secrets(message: channel_pb2.Settings) -> None:
    """They never leave."""
    message.webhook_secret = ""
    for one in message.providers:
        one.secrets.clear()


def delivery_problems(message: channel_pb2.Settings, kinds: Kinds) -> list[Violation]:
    """Everything that is wrong with these parts of the settings; no secret is repeated."""
    problems = [
        Violation(f"settings.{name}", f"has more than {limit} entries")
        for name, limit in (
            ("providers", LIMIT_PROVIDERS),
            ("caps", LIMIT_CAPS),
            ("quiet_hours", LIMIT_QUIET_HOURS),
        )
        if len(getattr(message, name)) > limit
    ]
    if problems:
        return problems
    problems += _doubled("providers", [one.name for one in message.providers])
    problems += _doubled("caps", [one.name for one in message.caps])
    for index, provider in enumerate(message.providers):
        problems += _told(f"settings.providers[{index}]", _provider_problems(provider, kinds))
    for index, cap in enumerate(message.caps):
        problems += _told(f"settings.caps[{index}]", _cap_problems(cap, kinds))
    for index, quiet in enumerate(message.quiet_hours):
        problems += _told(f"settings.quiet_hours[{index}]", _quiet_problems(quiet, kinds))
    if not 0 <= message.content_window_us <= LONGEST_WINDOW_US:
        problems.append(Violation("settings.content_window_us", "is longer than 92 days"))
    if not problems:
        rules = quiet_of(message)
        silent = [channel for channel in kinds if next_allowed(rules, channel, ZoneInfo("UTC"), 0) is None]
        problems += [Violation("settings.quiet_hours", f"leave no time for the channel {one}") for one in silent]
    return problems


def _provider_problems(one: channel_pb2.Provider, kinds: Kinds) -> Iterator[tuple[str, str]]:
    if not _NAME.fullmatch(one.name):
        yield "name", "has 1 to 60 letters, digits, _ and -"
    if one.per_second > _MOST_PER_SECOND:
        yield "per_second", f"is more than {_MOST_PER_SECOND}"
    if one.channel not in kinds:
        yield "channel", f"is none of {', '.join(sorted(kinds))}"
        return
    rules = KindRules() if one.kind == NULL_KIND else kinds[one.channel].get(one.kind)
    if rules is None:
        yield "kind", f"is none of {', '.join(sorted({NULL_KIND, *kinds[one.channel]}))}"
        return
    wrong = [
        *_names(one.settings, "settings", rules.needed, rules.allowed),
        *_names(one.secrets, "secrets", rules.needed_secrets, rules.allowed_secrets),
    ]
    yield from wrong
    if not wrong and (problem := rules.problem(one.settings, one.secrets)):
        yield "settings", problem


def _names(
    told: Mapping[str, str], field: str, needed: Collection[str], allowed: Collection[str]
) -> Iterator[tuple[str, str]]:
    for name in sorted(needed):
        if not told.get(name):
            yield f"{field}.{name}", "is missing"
    for name, value in sorted(told.items()):
        if name not in needed and name not in allowed:
            yield f"{field}.{name[:60]}", "is not known to this kind"
        elif len(value) > _LONGEST_VALUE:
            yield f"{field}.{name}", f"is longer than {_LONGEST_VALUE} characters"


def _cap_problems(one: channel_pb2.Cap, kinds: Kinds) -> Iterator[tuple[str, str]]:
    if not _NAME.fullmatch(one.name):
        yield "name", "has 1 to 60 letters, digits, _ and -"
    yield from _channel_problems(one.channels, kinds)
    if len(one.category) > _LONGEST_CATEGORY:
        yield "category", f"is longer than {_LONGEST_CATEGORY} characters"
    if not 1 <= one.limit <= _MOST_MESSAGES:
        yield "limit", f"is not from 1 to {_MOST_MESSAGES}"
    if int(one.period) not in {int(period) for period in CapPeriod}:
        yield "period", "is none of day, week and rolling"
    elif int(one.period) == CapPeriod.ROLLING and not 0 < one.rolling_us <= LONGEST_WINDOW_US:
        yield "rolling_us", "is not more than 0 and at most 92 days"
    elif int(one.period) != CapPeriod.ROLLING and one.rolling_us:
        yield "rolling_us", "is of rolling caps alone"


def _quiet_problems(one: channel_pb2.QuietHours, kinds: Kinds) -> Iterator[tuple[str, str]]:
    yield from _channel_problems(one.channels, kinds)
    for name in ("from", "until"):
        if not _TIME.fullmatch(getattr(one, name)):
            yield name, 'is no time like "21:00"'
    for day in one.weekdays:
        if day not in WEEKDAYS:
            yield "weekdays", f"{day[:20]!r} is none of {', '.join(WEEKDAYS)}"


def _channel_problems(channels: Iterable[str], kinds: Kinds) -> Iterator[tuple[str, str]]:
    for channel in channels:
        if channel not in kinds:
            yield "channels", f"{channel[:60]!r} is none of {', '.join(sorted(kinds))}"


def _doubled(field: str, names: Sequence[str]) -> list[Violation]:
    return [
        Violation(f"settings.{field}[{index}].name", "stands twice")
        for index, name in enumerate(names)
        if name in names[:index]
    ]


def _told(path: str, problems: Iterable[tuple[str, str]]) -> list[Violation]:
    return [Violation(f"{path}.{field}", description) for field, description in problems]


def _minute(time: str) -> int:
    hours, _, minutes = time.partition(":")
    return int(hours) * 60 + int(minutes)
