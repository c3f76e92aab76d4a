"""How a measure, or an attribute of texts, is spread over the members of a segment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import invalid
from core.index.contact_set import ContactSet
from core.kernels.ranges import expand_ranges
from core.query.ast import Measure
from core.query.execute_context import Context
from core.query.leaves.measures import measure_values
from core.query.leaves.statistics import exact_sum
from core.schema import Kind

#: Bins, or values named one by one, of one histogram.
MAX_BINS = 1_000
_TEXTS = (Kind.TEXT, Kind.TEXT_LIST, Kind.BOOLEAN)


@dataclass(frozen=True, slots=True)
class NumberHistogram:
    """Bin i holds `counts[i]` members with `edges[i] <= x < edges[i + 1]`, the last one those at its end, too (equal
    width); or, by quantiles, `edges[i] < x <= edges[i + 1]`, the first one those at its start, too. Edges are exact,
    in the scale of `kind` (DECIMAL: units of 1e-4); no bins where nobody has the measure. `missing`: members without;
    `total` is the exact sum of the values."""

    kind: Kind
    edges: tuple[Fraction, ...]
    counts: tuple[int, ...]
    missing: int
    total: int


@dataclass(frozen=True, slots=True)
class TextHistogram:
    """The most frequent values with the number of members that hold each, ties by UTF-8 bytes; how many members hold
    some `other` value and none of these; and how many have no value. Of a list each element counts."""

    values: tuple[tuple[str, int], ...]
    other: int
    missing: int


def number_histogram(
    measure: Measure, members: ContactSet, bins: int, context: Context, *, quantiles: bool = False
) -> NumberHistogram:
    """Numbers, instants or dates of the members as of as_of in 1 to MAX_BINS bins of equal width, or of about equally
    many members: equal values share a bin, so there may be fewer bins than asked for."""
    _check_bins(bins)
    found = measure_values(measure, context.whole()).among(members)
    missing = len(members) - len(found)
    if len(found) == 0:
        return NumberHistogram(found.kind, (), (), missing, 0)
    edges, counts = _by_quantiles(found.values, bins) if quantiles else _by_width(found.values, bins)
    return NumberHistogram(found.kind, edges, counts, missing, exact_sum(found.values))


def text_histogram(name: str, members: ContactSet, top: int, context: Context) -> TextHistogram:
    """The 1 to MAX_BINS most frequent values of an attribute of texts, lists of texts or booleans among the members, as
    of as_of. Raises CdpError for values of other kinds."""
    _check_bins(top)
    whole = context.whole()
    contacts = members.numbers()
    valid = whole.attribute_of(name, contacts)
    if not np.isin(valid.kinds, (0, *_TEXTS)).all():
        raise invalid("HISTOGRAM_KIND", f'"{name}" holds values that are not counted one by one')
    owners, codes, texts = _held(valid.kinds, valid.values, whole)
    pairs = np.unique(np.stack((owners, codes)), axis=1)  # an element that stands twice in a list counts once
    numbers = np.bincount(pairs[1], minlength=len(texts))
    ranked = sorted(np.flatnonzero(numbers).tolist(), key=lambda code: (-int(numbers[code]), texts[code].encode()))
    named = ranked[:top]
    some = np.unique(pairs[0][np.isin(pairs[1], named)])
    return TextHistogram(
        tuple((texts[code], int(numbers[code])) for code in named),
        len(np.unique(pairs[0])) - len(some),
        int(np.count_nonzero(valid.kinds == 0)),
    )


def _held(
    kinds: NDArray[np.uint8], values: NDArray[np.int64], context: Context
) -> tuple[NDArray[np.int64], NDArray[np.int64], Sequence[str]]:
    """The row and the number of each held text, and the texts by number."""
    lists = np.flatnonzero(kinds == Kind.TEXT_LIST)
    view = context.root.text_lists
    places, parents = expand_ranges(view.offsets[values[lists]], view.offsets[values[lists] + 1])
    columns = view.elements.columns.get("", ())
    elements = columns[0].select(places).values.astype(np.int64) if columns else np.zeros(0, np.int64)
    rows = np.flatnonzero(kinds == Kind.TEXT)
    truths = np.flatnonzero(kinds == Kind.BOOLEAN)
    codes = np.concatenate((values[rows], elements))
    distinct, numbers = np.unique(codes, return_inverse=True)
    texts = [context.root.dictionary.text(code) for code in distinct.tolist()]
    owners = np.concatenate((rows, lists[parents], truths))
    return owners, np.concatenate((numbers, len(texts) + values[truths])), [*texts, "false", "true"]


def _by_width(values: NDArray[Any], bins: int) -> tuple[tuple[Fraction, ...], tuple[int, ...]]:
    least, largest = int(values.min()), int(values.max())
    span = largest - least
    if span == 0:
        return (Fraction(least), Fraction(largest)), (len(values),)
    exact = values if values.dtype != object and span * bins < 2**63 and abs(least) < 2**62 else values.astype(object)
    places = np.minimum((exact - least) * bins // span, bins - 1).astype(np.int64)
    edges = tuple(least + Fraction(span * number, bins) for number in range(bins + 1))
    return edges, tuple(np.bincount(places, minlength=bins).tolist())


def _by_quantiles(values: NDArray[Any], bins: int) -> tuple[tuple[Fraction, ...], tuple[int, ...]]:
    ordered = np.sort(values)
    n = len(ordered)
    ends = sorted({int(ordered[-(-step * n // bins) - 1]) for step in range(1, bins + 1)})
    reached = [int(np.searchsorted(ordered, end, "right")) for end in ends]
    counts = tuple(after - before for before, after in zip([0, *reached], reached, strict=False))
    return tuple(map(Fraction, (int(ordered[0]), *ends))), counts


def _check_bins(bins: int) -> None:
    if not 1 <= bins <= MAX_BINS:
        raise invalid("HISTOGRAM_BINS", f"a histogram has 1 to {MAX_BINS} bins, not {bins}")
