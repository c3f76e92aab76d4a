"""Records of membership: who entered or left which segment, when, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import overload

import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True, slots=True)
class ChangeTable:
    """Many changes in record order, as columns of one length: `segment` (places in `segments` and `versions`),
    `contacts` uint32, `entered` bool, `effective_at_us` and `recorded_at_us` int64, `causes` uint8, `witness` (places
    in `event_ids`, -1: none)."""

    segments: tuple[str, ...]
    versions: tuple[int, ...]
    segment: NDArray[np.intp]
    contacts: NDArray[np.uint32]
    entered: NDArray[np.bool_]
    effective_at_us: NDArray[np.int64]
    recorded_at_us: NDArray[np.int64]
    causes: NDArray[np.uint8]
    witness: NDArray[np.int64]
    event_ids: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.contacts)

    def __iter__(self) -> Iterator[MembershipChange]:
        rows = zip(
            self.segment.tolist(),
            self.contacts.tolist(),
            self.entered.tolist(),
            self.effective_at_us.tolist(),
            self.recorded_at_us.tolist(),
            self.causes.tolist(),
            self.witness.tolist(),
            strict=True,
        )
        for segment, contact, entered, effective_at_us, recorded_at_us, cause, witness in rows:
            yield MembershipChange(
                contact,
                self.segments[segment],
                self.versions[segment],
                entered,
                effective_at_us,
                recorded_at_us,
                Cause(cause),
                () if witness < 0 else (self.event_ids[witness],),
            )


class Changes(Sequence[Change]):
    """Changes in record order; rows are made into records one by one only for those who go through them."""

    def __init__(self, parts: Iterable[ChangeTable | BulkChange] = ()) -> None:
        self.parts = tuple(part for part in parts if isinstance(part, BulkChange) or len(part))

    def __len__(self) -> int:
        return sum(1 if isinstance(part, BulkChange) else len(part) for part in self.parts)

    def __iter__(self) -> Iterator[Change]:
        for part in self.parts:
            if isinstance(part, BulkChange):
                yield part
            else:
                yield from part

    def __add__(self, other: Changes) -> Changes:
        return Changes((*self.parts, *other.parts))

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Changes | list) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    @overload
    def __getitem__(self, place: int) -> Change: ...
    @overload
    def __getitem__(self, place: slice) -> list[Change]: ...
    def __getitem__(self, place: int | slice) -> Change | list[Change]:
        return list(self)[place]


NO_CHANGES = Changes()
