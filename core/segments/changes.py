"""Records of membership: who entered or left which segment, when, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from core.index.contact_set import ContactSet


class Cause(IntEnum):
    """Why a membership changed; where several hold at one step the first of this order is recorded. The numbers are
    those of cdp.segment.v1.Cause."""

    CREATED = 1  # the segment was saved for the first time
    ERASED = 2
    EDIT = 3
    MERGE = 4
    UNMERGE = 5
    IMPORT = 6
    EVENT = 7
    CATALOGUE = 8
    POPULATION = 9
    TIME = 10


@dataclass(frozen=True, slots=True)
class MembershipChange:
    """One contact entered (or left) one segment. `effective_at_us` is by facts, `recorded_at_us` by the log: the
    boundary itself for changes by time. `witness` holds ids of the events that did it."""

    contact: int
    segment: str
    version: int
    entered: bool
    effective_at_us: int
    recorded_at_us: int
    cause: Cause
    witness: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BulkChange:
    """What saving or deleting a segment did to its members, all at once."""

    segment: str
    version: int
    entered: ContactSet
    left: ContactSet
    recorded_at_us: int
    cause: Cause


Change = MembershipChange | BulkChange
