"""Values, times of day and weekdays of scenarios between their wire form and core."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from cdp.facts.v1 import facts_pb2
from core.errors import CdpError, Violation, invalid
from core.schema import Scalar
from services.runtime.facts import scalar_from_proto

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)


def wrong(path: str, description: str) -> CdpError:
    """INVALID / SCENARIO_INVALID for one place."""
    return invalid("SCENARIO_INVALID", f"{path}: {description}", Violation(path, description))


def scalar(message: facts_pb2.Value, path: str) -> Scalar | None:
    """A single value; None where nothing is set."""
    try:
        return scalar_from_proto(message)
    except CdpError as error:
        raise wrong(path, error.message) from error


def values(messages: Mapping[str, facts_pb2.Value], path: str) -> dict[str, Scalar]:
    """Values by name, none of which may be missing."""
    found: dict[str, Scalar] = {}
    for name, written in sorted(messages.items()):
        value = scalar(written, f"{path}[{name}]")
        if value is None:
            raise wrong(f"{path}[{name}]", "a value of the scenario is not missing")
        found[name] = value
    return found


def minute_of_day(text: str, path: str) -> int:
    """ "09:00" as minutes since midnight; empty is midnight."""
    if not text:
        return 0
    found = _TIME.fullmatch(text)
    if found is None:
        raise wrong(path, f'"{text}" is no time of day like "09:00"')
    return int(found[1]) * 60 + int(found[2])


def time_of_day(minute: int) -> str:
    """540 as "09:00"."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


def weekdays(names: Sequence[str], path: str) -> tuple[int, ...]:
    """Names of weekdays as numbers, Monday is 0."""
    found = []
    for index, name in enumerate(names):
        if name not in WEEKDAYS:
            raise wrong(f"{path}[{index}]", f'"{name}" is none of {", ".join(WEEKDAYS)}')
        found.append(WEEKDAYS.index(name))
    return tuple(found)
