"""Identifiers that seem to be shared by several people: counted where they contradict what stands, bounded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from core.events.columns import Identifier

#: So many are kept; the least met go first.
MAX_SUSPECTS = 10_000
_KEPT_OF_FULL = 0.9
#: From so many contradictions on it is proposed to block the identifier.
PROPOSE_FROM = 10


@dataclass(frozen=True, slots=True)
class Suspicion:
    """How often one identifier contradicted what stands, and when it did last (the latest instant of such a fact)."""

    limits_hit: int = 0
    moves: int = 0
    moves_refused: int = 0
    external_ids_apart: int = 0
    separated_apart: int = 0
    last_at_us: int = 0

    @property
    def total(self) -> int:
        """All contradictions."""
        return self.limits_hit + self.moves + self.moves_refused + self.external_ids_apart + self.separated_apart

    @property
    def block_proposed(self) -> bool:
        """Whether it is met so often that it seems to be nobody's own."""
        return self.total >= PROPOSE_FROM

    def seen(self, name: str, at_us: int) -> Suspicion:
        """This after one more of the counter `name`."""
        one: Suspicion = replace(self, last_at_us=max(self.last_at_us, at_us), **{name: getattr(self, name) + 1})
        return one


def overflowing(suspects: Mapping[Identifier, Suspicion]) -> list[Identifier]:
    """Those to forget once there are more than MAX_SUSPECTS: the least and longest ago met. The same at every fold."""
    if len(suspects) <= MAX_SUSPECTS:
        return []
    ranked = sorted(suspects, key=lambda one: (suspects[one].total, suspects[one].last_at_us, one.kind, one.value))
    return ranked[: len(suspects) - int(MAX_SUSPECTS * _KEPT_OF_FULL)]


def ranked(suspects: Mapping[Identifier, Suspicion]) -> list[tuple[Identifier, Suspicion]]:
    """The most often met first, then the latest, then by kind and value."""
    return sorted(suspects.items(), key=lambda one: (-one[1].total, -one[1].last_at_us, one[0].kind, one[0].value))


def encode_suspicion(one: Suspicion) -> bytes:
    """JSON with sorted keys."""
    return json.dumps(asdict(one), sort_keys=True, separators=(",", ":")).encode()


def decode_suspicion(raw: bytes) -> Suspicion:
    """The inverse."""
    return Suspicion(**json.loads(raw))
