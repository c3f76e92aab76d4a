"""Who carries a channel's messages: one provider, and what a workspace may say about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from core.delivery.outbox import Accepted, Outcome

#: Of every channel: takes whatever it is given and keeps nothing. For load tests.
NULL_KIND = "null"


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """One provider of a workspace, or the process's own. `name` is unique within the workspace; `kind` says how it is
    spoken to. `per_second`: messages, 0 for no limit; of several the smallest `priority` is asked first."""

    name: str
    kind: str
    settings: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    per_second: int = 0
    priority: int = 0


def _no_problem(_settings: Mapping[str, str], _secrets: Mapping[str, str]) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class KindRules:
    """What a provider kind must and may be told. `problem` gets settings and secrets whose names are right, and says
    what is wrong with their values; "" for nothing. It never repeats a secret."""

    needed: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()
    needed_secrets: frozenset[str] = frozenset()
    allowed_secrets: frozenset[str] = frozenset()
    problem: Callable[[Mapping[str, str], Mapping[str, str]], str] = _no_problem


def null_outcome() -> Outcome:
    """What a provider of kind `null` answers to everything."""
    return Accepted("null")
