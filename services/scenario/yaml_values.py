"""How single values stand in a scenario's YAML: durations, shares, numbers, instants and values of the platform.

Readers raise ValueError with what is wrong, in words for whoever wrote it.
"""

from __future__ import annotations

import re

from cdp.facts.v1 import facts_pb2
from core.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US, WEEK_US
from core.errors import CdpError
from core.query.text.moments import format_instant, parse_date, parse_instant
from core.schema import DecimalUnits, Instant, Scalar, format_units, parse_decimal
from services.runtime.facts import scalar_from_proto, value_to_proto
from services.scenario import yaml_nodes

_UNITS = {
    "w": WEEK_US,
    "d": DAY_US,
    "h": HOUR_US,
    "m": MINUTE_US,
    "s": SECOND_US,
    "ms": 1_000,
    "us": 1,
}
_WORDS = {"week": "w", "day": "d", "hour": "h", "minute": "m", "min": "m", "second": "s"}
_DIGITS = 18
_PART = re.compile(rf"([0-9]{{1,{_DIGITS}}})\s*([a-z]+)\s*")
_WHOLE = re.compile(r"[0-9]{1,20}")
_SIGNED = re.compile(r"-?[0-9]{1,20}")
_DECIMAL = re.compile(r"-?[0-9]{1,20}\.[0-9]{1,20}")
_PER_CENT = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,4})?)\s*%")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

_BAD_DURATION = "a duration is written 2h, 3d or 1h 30m, with the units w, d, h, m and s, the largest first"


def read_duration(text: str) -> int:
    """`2h`, `3d`, `1h 30m`, `2 days`, with a minus before it where it goes back: microseconds."""
    rest = text.strip().lower()
    back = rest.startswith("-")
    rest = rest.removeprefix("-").lstrip()
    total_us, former_us = 0, 0
    while rest:
        part = _PART.match(rest)
        if part is None:
            raise ValueError(f'"{_shown(text)}" is no duration: {_BAD_DURATION}')
        name = part.group(2)
        unit_us = _UNITS.get(_WORDS.get(name.removesuffix("s") if len(name) > 2 else name, name))
        if unit_us is None or (former_us and unit_us >= former_us):
            raise ValueError(f'"{_shown(text)}" is no duration: {_BAD_DURATION}')
        total_us += int(part.group(1)) * unit_us
        former_us = unit_us
        rest = rest[part.end() :]
    if not former_us:
        raise ValueError(f'"{_shown(text)}" is no duration: {_BAD_DURATION}')
    return -total_us if back else total_us


def write_duration(duration_us: int) -> str:
    """The one text of a duration: whole weeks, else days and what is smaller; `0s` for none."""
    if duration_us < 0:
        return f"-{write_duration(-duration_us)}"
    if duration_us and duration_us % WEEK_US == 0:
        return f"{duration_us // WEEK_US}w"
    parts: list[str] = []
    left_us = duration_us
    for unit, unit_us in _UNITS.items():
        if unit == "w" or left_us < unit_us:
            continue
        parts.append(f"{left_us // unit_us}{unit}")
        left_us %= unit_us
    return " ".join(parts) or "0s"


def read_share(text: str) -> int:
    """`20 %`, with at most two decimals: parts of 10,000."""
    units = read_per_cent(text)
    if units % 100:
        raise ValueError(f'"{_shown(text)}": a share has at most two decimals')
    return units // 100


def write_share(share: int) -> str:
    """`20 %`."""
    return write_per_cent(share * 100)


def read_per_cent(text: str) -> int:
    """`12.5 %`, with at most four decimals: units of 1e-4 of a per cent."""
    matched = _PER_CENT.fullmatch(text.strip())
    if matched is None:
        raise ValueError(f'"{_shown(text)}" is no share: write it as 20 %')
    return parse_decimal(matched.group(1)).units


def write_per_cent(units: int) -> str:
    """`12.5 %`."""
    return f"{format_units(units)} %"


def read_whole(text: str) -> int:
    """A number from 0 on."""
    if not _WHOLE.fullmatch(text):
        raise ValueError(f'"{_shown(text)}" is no whole number')
    return int(text)


def read_moment(text: str) -> int:
    """`2026-11-02T10:00:00Z`: microseconds."""
    try:
        return parse_instant(text).us
    except ValueError as error:
        raise ValueError(f'"{_shown(text)}": {error}') from error


def write_moment(us: int) -> str:
    """`2026-11-02T10:00:00Z`. Raises ValueError outside of the years 1 to 9999."""
    try:
        return format_instant(Instant(us))
    except OverflowError as error:
        raise ValueError(f"{us} lies outside of the years 1 to 9999") from error


def read_truth(text: str) -> bool:
    """`true` or `false`."""
    if text not in ("true", "false"):
        raise ValueError(f'"{_shown(text)}": write true or false')
    return text == "true"


def read_value(scalar: yaml_nodes.Scalar) -> facts_pb2.Value:
    """A value of the platform. In quotes, or as a block: a text. Plain: true and false, whole numbers, numbers with a
    decimal point, dates and instants are what they look like, everything else is a text."""
    return value_to_proto(_scalar(scalar.text) if scalar.plain else scalar.text)


def _scalar(text: str) -> Scalar:
    if text in ("true", "false"):
        return text == "true"
    if _SIGNED.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return parse_decimal(text)
    if _DAY.fullmatch(text):
        return parse_date(text)
    if _DAY.match(text) and text[10:11] in ("T", "t"):
        return parse_instant(text)
    return text


def write_value(message: facts_pb2.Value) -> tuple[str, bool]:
    """The text of a value, and whether it stands plain. Raises ValueError for what is no single value."""
    try:
        value = scalar_from_proto(message)
    except CdpError as error:
        raise ValueError(error.message) from error
    if value is None:
        raise ValueError("a value is missing")
    if isinstance(value, str):
        return value, False
    if isinstance(value, bool):
        return ("true" if value else "false"), True
    if isinstance(value, DecimalUnits):
        text = format_units(value.units)
        return (text if "." in text else f"{text}.0"), True
    if isinstance(value, Instant):
        return write_moment(value.us), True
    return (str(value) if isinstance(value, int) else value.isoformat()), True


def _shown(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}..."
