"""A rule as data, without what is as always: for messages of failed tests."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from enum import Enum


def brief(part: object) -> str:
    """Classes and fields; those that have their default are left out."""
    if isinstance(part, Enum):
        return f"{type(part).__name__}.{part.name}"
    if isinstance(part, tuple):
        return f"({', '.join(map(brief, part))}{',' if len(part) == 1 else ''})"
    if not is_dataclass(part) or isinstance(part, type):
        return repr(part)
    named = [(one, getattr(part, one.name)) for one in fields(part) if one.name != "span"]
    told = [f"{one.name}={brief(value)}" for one, value in named if value != one.default]
    return f"{type(part).__name__}({', '.join(told)})"
