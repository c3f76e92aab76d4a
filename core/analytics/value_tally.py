"""Which values a name holds and how often: distinct values counted, the most frequent ones found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.events.raw import scalar_of
from core.index.root import Root
from core.index.table import TEXT_KINDS
from core.schema import DECIMAL_SCALE, MAX_DECIMAL_UNITS, Kind, Location, Scalar

#: One kind with raw values as columns hold them, and how often each stands (None: once).
Part = tuple[Kind, NDArray[Any], NDArray[np.int64] | None]

_LARGEST_WHOLE = MAX_DECIMAL_UNITS // DECIMAL_SCALE


@dataclass(frozen=True, slots=True)
class Tally:
    """`count` values, `distinct` different ones among them, and the most frequent with their counts, most frequent
    first, equal ones by value (texts by their UTF-8 bytes)."""

    count: int
    distinct: int
    examples: tuple[tuple[Scalar | Location, int], ...]


def tally(root: Root, parts: Sequence[Part], most: int) -> Tally:
    """Count the values of one name. Integers count as the decimals that they equal where there are decimals too; a
    list of texts counts by its texts. Without values everything is 0 and empty."""
    kinds = {kind for kind, values, _ in parts if len(values)}
    by_kind: dict[Kind, list[tuple[NDArray[Any], NDArray[np.int64]]]] = {}
    for kind, values, counts in parts:
        found, often = _counted(values, counts)
        if kind is Kind.INTEGER and Kind.DECIMAL in kinds:
            small = np.abs(found) <= _LARGEST_WHOLE
            by_kind.setdefault(Kind.DECIMAL, []).append((found[small] * DECIMAL_SCALE, often[small]))
            found, often = found[~small], often[~small]
        by_kind.setdefault(Kind.TEXT if kind in TEXT_KINDS else kind, []).append((found, often))
    count, distinct = 0, 0
    best: list[tuple[Scalar | Location, int]] = []
    for kind in sorted(by_kind):
        values = np.concatenate([found for found, _ in by_kind[kind]])
        values, counts = _counted(values, np.concatenate([often for _, often in by_kind[kind]]))
        count, distinct = count + int(counts.sum()), distinct + len(values)
        best += _most_frequent(root, kind, values, counts, most)
    best.sort(key=lambda one: -one[1])
    return Tally(count, distinct, tuple(best[:most]))


def _counted(values: NDArray[Any], counts: NDArray[np.int64] | None) -> tuple[NDArray[Any], NDArray[np.int64]]:
    if counts is None:
        distinct, often = np.unique(values, return_counts=True)
        return distinct, often.astype(np.int64)
    if len(values) == 0:
        return values, counts
    order = np.argsort(values, kind="stable")
    values, counts = values[order], counts[order]
    heads = np.flatnonzero(np.append(True, values[1:] != values[:-1]))
    return values[heads], np.add.reduceat(counts, heads)


def _most_frequent(
    root: Root, kind: Kind, values: NDArray[Any], counts: NDArray[np.int64], most: int
) -> Iterator[tuple[Scalar | Location, int]]:
    if most <= 0 or len(values) == 0:
        return
    least = 0 if len(values) <= most else int(np.partition(counts, -most)[-most])
    rows = np.flatnonzero(counts >= least).tolist()
    if kind is Kind.TEXT:
        spelled = [root.dictionary.text(int(values[row])).encode() for row in rows]
        order = sorted(range(len(rows)), key=lambda place: (-int(counts[rows[place]]), spelled[place]))
    else:
        order = sorted(range(len(rows)), key=lambda place: (-int(counts[rows[place]]), int(values[rows[place]])))
    for place in order[:most]:
        row = rows[place]
        yield _value(root, kind, int(values[row])), int(counts[row])


def _value(root: Root, kind: Kind, raw: int) -> Scalar | Location:
    if kind is Kind.TEXT:
        return root.dictionary.text(raw)
    if kind is Kind.LOCATION:
        return root.locations[raw]
    return scalar_of(kind, raw)
