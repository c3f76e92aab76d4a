"""What is known about a name, for those who write rules: who has it, how many values, which ones, since when.

Exact as of an instant, over those who are in answers: facts of erased contacts, of contacts that do not exist yet, and
of machines are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.analytics.value_tally import Part, Tally, tally
from core.index.event_run import EventRun
from core.index.product_view import product_run
from core.index.root import Root
from core.index.step_run import MISSING
from core.index.table import Table
from core.schema import Kind, Location, Scalar

_NEVER = (0, 0)


@dataclass(frozen=True, slots=True)
class Description:
    """`having` of `total` have the name: contacts, events, elements, lines or products, as its function says.
    `distinct` values, and `examples` as `Tally` orders them. `first_us`, `last_us`: the earliest and latest fact, 0
    where there is none or it has no instant of its own."""

    having: int
    total: int
    distinct: int
    examples: tuple[tuple[Scalar | Location, int], ...]
    first_us: int
    last_us: int


def describe_attribute(root: Root, name: str, as_of_us: int, most: int) -> Description:
    """Contacts that have the attribute now. The texts of a list count each on its own; lists of objects have no
    values here, their fields do (`describe_element`)."""
    people = root.exists(as_of_us)
    view = root.attributes.get(name)
    if view is None:
        return Description(0, len(people), 0, (), *_NEVER)
    kinds, values = view.valid(as_of_us, people.numbers(), root.contact_count)
    parts: list[Part] = []
    for kind in (Kind(number) for number in np.unique(kinds).tolist() if number != MISSING):
        mine = values[kinds == kind]
        if kind is Kind.TEXT_LIST:
            parts.append(_texts_of_lists(root, mine))
        elif kind is not Kind.OBJECT_LIST:
            parts.append((kind, mine, None))
    writes = view.all_writes()
    taken = people.has(writes.contacts) & (writes.at_us <= as_of_us) & (writes.kinds != MISSING)
    counted = tally(root, parts, most)
    having = int(np.count_nonzero(kinds != MISSING))
    return Description(having, len(people), counted.distinct, counted.examples, *_span(writes.at_us[taken]))


def describe_element(root: Root, attribute: str, name: str, as_of_us: int, most: int) -> Description:
    """Elements that have the field, of all elements of the lists that contacts have now."""
    people = root.exists(as_of_us)
    view = root.attributes.get(attribute)
    if view is None:
        return Description(0, 0, 0, (), *_NEVER)
    kinds, values = view.valid(as_of_us, people.numbers(), root.contact_count)
    lists, often = np.unique(values[kinds == Kind.OBJECT_LIST], return_counts=True)
    lengths = root.object_lists.lengths(lists)
    rows = _ranges(root.object_lists.offsets[lists], lengths)
    weights = np.repeat(often.astype(np.int64), lengths)
    # Rows of different lists are different, so each row has one weight.
    order = np.argsort(rows)
    rows, weights = rows[order], weights[order]
    parts: list[Part] = []
    for column in root.object_lists.elements.columns.get(name, ()):
        held = np.arange(len(column), dtype=np.int64) if column.rows is None else column.rows.astype(np.int64)
        places = np.minimum(np.searchsorted(rows, held), max(0, len(rows) - 1))
        inside = rows[places] == held if len(rows) else np.zeros(len(held), np.bool_)
        parts.append((column.kind, column.values[inside], weights[places[inside]]))
    return _described(tally(root, parts, most), int(weights.sum()), _NEVER)


def describe_event(root: Root, type_: str, as_of_us: int) -> Description:
    """Events of the type, of all events of all types."""
    having, instants, total = 0, [], 0
    for other, runs in root.events.items():
        for run in runs:
            rows = _rows(root, run, as_of_us)
            total += len(rows)
            if other == type_ and len(rows):
                having += len(rows)
                instants.append(run.occurred_at_us[rows])
    span = _span(np.concatenate(instants)) if instants else _NEVER
    return Description(having, total, 0, (), *span)


def describe_parameter(root: Root, type_: str, name: str, as_of_us: int, most: int) -> Description:
    """Events of the type that have the parameter, of all events of the type."""
    parts: list[Part] = []
    having, total, instants = 0, 0, [np.zeros(0, np.int64)]
    for run in root.events.get(type_, ()):
        rows = _rows(root, run, as_of_us)
        total += len(rows)
        holders, found = _values(run.params, name, rows)
        parts += found
        having += len(holders)
        instants.append(run.occurred_at_us[rows[holders]])
    counted = tally(root, parts, most)
    return Description(having, total, counted.distinct, counted.examples, *_span(np.concatenate(instants)))


def describe_item(root: Root, name: str, as_of_us: int, most: int) -> Description:
    """Lines that have the field, of all lines of all events."""
    parts: list[Part] = []
    having, total, instants = 0, 0, [np.zeros(0, np.int64)]
    for run in (run for runs in root.events.values() for run in runs if run.item_offsets is not None):
        events = _rows(root, run, as_of_us)
        lines, parents = run.item_ranges(events)
        total += len(lines)
        holders, found = _values(run.items, name, lines)
        parts += found
        having += len(holders)
        instants.append(run.occurred_at_us[events[parents[holders]]])
    counted = tally(root, parts, most)
    return Description(having, total, counted.distinct, counted.examples, *_span(np.concatenate(instants)))


def describe_product(root: Root, name: str, as_of_us: int, most: int) -> Description:
    """Products in the catalogue that have the field, of all of them."""
    if not root.products.runs:
        return Description(0, 0, 0, (), *_NEVER)
    run = product_run(root.products.runs)
    rows = run.rows_at(run.distinct, np.full(len(run.distinct), as_of_us, np.int64))
    rows = rows[rows >= 0]
    rows = rows[~run.deleted[rows]]
    holders, parts = _values(run.fields, name, rows)
    counted = tally(root, parts, most)
    return Description(len(holders), len(rows), counted.distinct, counted.examples, *_NEVER)


def _rows(root: Root, run: EventRun, as_of_us: int) -> NDArray[np.int64]:
    inside = run.between(-(2**62), as_of_us + 1)
    kept = root.exists(as_of_us).has(run.contacts[inside]) & ~run.by_machine(inside)
    return np.asarray(np.flatnonzero(kept) + inside.start, np.int64)


def _values(table: Table, name: str, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], Sequence[Part]]:
    """Which of `rows` (their places) have the name, and the values by kind."""
    parts: list[Part] = []
    holders = [np.zeros(0, np.int64)]
    for column in table.columns.get(name, ()):
        mine = column.select(rows)
        parts.append((mine.kind, mine.values, None))
        holders.append(np.arange(len(rows)) if mine.rows is None else mine.rows.astype(np.int64))
    return np.unique(np.concatenate(holders)), parts


def _texts_of_lists(root: Root, numbers: NDArray[np.int64]) -> Part:
    lists, often = np.unique(numbers, return_counts=True)
    lengths = root.text_lists.lengths(lists)
    rows = _ranges(root.text_lists.offsets[lists], lengths)
    columns = root.text_lists.elements.columns.get("", ())
    codes = columns[0].values[rows].astype(np.int64) if columns else np.zeros(0, np.int64)
    owners = np.repeat(np.arange(len(lists)), lengths)
    # A text that stands twice in a list counts once for its contact.
    pairs = np.unique(np.stack((owners, codes)), axis=1) if len(codes) else np.zeros((2, 0), np.int64)
    return Kind.TEXT_LIST, pairs[1], often.astype(np.int64)[pairs[0]]


def _ranges(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    firsts = starts - (np.cumsum(lengths) - lengths)
    places: NDArray[np.int64] = np.repeat(firsts, lengths) + np.arange(int(lengths.sum()), dtype=np.int64)
    return places


def _described(counted: Tally, total: int, span: tuple[int, int]) -> Description:
    return Description(counted.count, total, counted.distinct, counted.examples, *span)


def _span(instants: NDArray[np.int64]) -> tuple[int, int]:
    return (int(instants.min()), int(instants.max())) if len(instants) else _NEVER


def known_in(root: Root, table: str, owner: str) -> Iterator[str]:
    """The names that facts hold: `table` is attribute, element, event, parameter, item or product."""
    match table:
        case "attribute":
            yield from root.attributes
        case "element":
            yield from (name for attribute, name in root.element_kinds() if attribute == owner)
        case "event":
            yield from root.events
        case "parameter":
            yield from root.event_kinds().get(owner, {})
        case "item":
            yield from root.item_kinds()
        case "product":
            yield from {name for run in root.products.runs for name in run.fields.columns}
