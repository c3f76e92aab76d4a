"""Values that events hold, numbered so that equal ones have equal numbers in all steps of a sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.kernels.ranges import sorted_unique
from core.query.execute_context import Context, Valid
from core.query.leaves.sequence_events import Entries
from core.query.rows.domain import ITEMS, Domain, Operand
from core.query.rows.numbers_compare import in_units
from core.query.rows.picked import Picked
from core.schema import Kind

PREFIX = ITEMS + "."
_HIGH = np.uint64(32)
_NUMBERS = (Kind.INTEGER, Kind.DECIMAL)
_TEXTS = (Kind.TEXT, Kind.TEXT_LIST)


@dataclass(frozen=True, slots=True)
class Held:
    """Values of one kind in events of `picked`: event `events[i]` holds `values[i]`, on the line `lines[i]` of the run
    (None: as its own parameter)."""

    picked: Picked
    kind: Kind
    values: NDArray[Any]
    events: NDArray[np.int64]
    lines: NDArray[np.int64] | None = None


def of_events(name: str, picked: Picked) -> list[Held]:
    """The values of the events' own parameter."""
    domain = picked.domain()
    return [Held(picked, one.kind, one.values, _rows(one)) for one in domain.operands(name)]


def of_lines(name: str, picked: Picked, events: NDArray[np.bool_] | None = None) -> list[Held]:
    """The values of a field of the lines, of those `events` only where given."""
    line_rows, parents = picked.run.item_ranges(picked.rows)
    lines: Domain = picked.domain().elements(ITEMS)[0]
    found: list[Held] = []
    for operand in lines.operands(name):
        places, values = _rows(operand), operand.values
        if events is not None:
            wanted = events[parents[places]]
            places, values = places[wanted], values[wanted]
        if len(places):
            found.append(Held(picked, operand.kind, values, parents[places], line_rows[places]))
    return found


def _rows(operand: Operand) -> NDArray[np.int64]:
    if operand.rows is None:
        return np.arange(len(operand), dtype=np.int64)
    return operand.rows.astype(np.int64, copy=False)


class Codes:
    """Numbers below 2**32 - 1 for the values of some Held; numbers of both kinds are equal if their values are."""

    def __init__(self, held: list[Held], context: Context) -> None:
        self._codes: dict[int, NDArray[np.uint64]] = {}
        first_free = len(context.root.dictionary)
        by_class: dict[Kind, list[Held]] = {}
        for one in held:
            if one.kind in _TEXTS:
                self._codes[id(one)] = one.values.astype(np.uint64)
            else:
                by_class.setdefault(Kind.DECIMAL if one.kind in _NUMBERS else one.kind, []).append(one)
        for kind, parts in by_class.items():
            values = [in_units(one.values, one.kind) if kind is Kind.DECIMAL else one.values for one in parts]
            distinct = sorted_unique(np.concatenate(values))
            for one, own in zip(parts, values, strict=True):
                self._codes[id(one)] = (np.searchsorted(distinct, own) + first_free).astype(np.uint64)
            first_free += len(distinct)

    def of(self, held: Held) -> NDArray[np.uint64]:
        """The number of each of its values."""
        return self._codes[id(held)]

    def entries(self, held: list[Held]) -> list[tuple[Entries, NDArray[np.uint64]]]:
        """Each event once per value with the value's number, the lines of an event that hold the value with it; one
        part per run, those of lines apart from those of events."""
        groups: dict[tuple[int, bool], list[Held]] = {}
        for one in held:
            groups.setdefault((id(one.picked), one.lines is None), []).append(one)
        return [self._grouped(group) for group in groups.values()]

    def _grouped(self, group: list[Held]) -> tuple[Entries, NDArray[np.uint64]]:
        events = np.concatenate([one.events for one in group])
        packed = (events.astype(np.uint64) << _HIGH) | np.concatenate([self.of(one) for one in group])
        pairs, owners = np.unique(packed, return_inverse=True)
        numbers = pairs & np.uint64(0xFFFFFFFF)
        which = (pairs >> _HIGH).astype(np.int64)
        lines = [one.lines for one in group if one.lines is not None]
        if not lines:
            return Entries(group[0].picked, which), numbers
        by_owner = np.argsort(owners, kind="stable")
        offsets = np.zeros(len(pairs) + 1, np.int64)
        np.cumsum(np.bincount(owners, minlength=len(pairs)), out=offsets[1:])
        return Entries(group[0].picked, which, np.concatenate(lines)[by_owner], offsets), numbers

    def represented(self, held: list[Held]) -> tuple[NDArray[np.uint64], Valid]:
        """The distinct numbers, ascending, and one of the equal values that each stands for."""
        codes = np.concatenate([np.zeros(0, np.uint64), *(self.of(one) for one in held)])
        kinds = [np.full(len(one.values), one.kind, np.uint8) for one in held]
        values = [one.values.astype(np.int64) for one in held]
        distinct, first = np.unique(codes, return_index=True)
        all_kinds = np.concatenate([np.zeros(0, np.uint8), *kinds])
        return distinct, Valid(all_kinds[first], np.concatenate([np.zeros(0, np.int64), *values])[first])
