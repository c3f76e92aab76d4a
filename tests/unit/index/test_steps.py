"""Step functions of contacts, against a list of writes."""

from __future__ import annotations

import random

import numpy as np
import pytest

from core.index.contacts import ContactTable
from core.index.section import Section
from core.index.step_run import StepRun
from core.index.step_section import pack_steps, unpack_steps
from core.index.step_writer import StepWriter
from core.index.steps import StepView
from core.schema import Kind

Write = tuple[int, int, int, int, int]  # contact, at_us, log order, kind, value
CONTACTS = 1200


def valid(writes: list[Write], contact: int, as_of_us: int) -> tuple[int, int]:
    held = [
        (at_us, order, kind, value) for c, at_us, order, kind, value in writes if c == contact and at_us <= as_of_us
    ]
    return max(held)[2:] if held else (0, 0)


def check(view: StepView, writes: list[Write], rng: random.Random) -> None:
    """Everything that a view answers."""
    by_contact: dict[int, list[Write]] = {}
    for write in sorted(writes):
        by_contact.setdefault(write[0], []).append(write)
    assert list(zip(*(column.tolist() for column in view.all_writes().columns()), strict=True)) == sorted(writes)
    times = [write[1] for write in writes] or [0]
    for as_of_us in (min(times) - 1, max(times), rng.choice(times), rng.choice(times) - 1):
        expected = [valid(by_contact.get(contact, []), contact, as_of_us) for contact in range(CONTACTS)]
        kinds, values = view.valid(as_of_us, None, CONTACTS)
        assert list(zip(kinds.tolist(), values.tolist(), strict=True)) == expected
        some = rng.sample(range(CONTACTS), 50)
        kinds, values = view.valid(as_of_us, np.array(some, np.uint32), len(some))
        assert list(zip(kinds.tolist(), values.tolist(), strict=True)) == [expected[contact] for contact in some]
        column = view.whole(as_of_us)
        if column is not None:
            wanted = rng.choice(expected)
            found = column.select(
                (column.kinds == wanted[0]) & (column.values == wanted[1]) & (column.kinds != 0),
                (column.row_kinds == wanted[0]) & (column.row_values == wanted[1]) & (column.row_kinds != 0),
            )
            expected_members = [c for c, pair in enumerate(expected) if pair == wanted and wanted[0]]
            assert found.numbers().tolist() == expected_members
        until_us = as_of_us + rng.randrange(100)
        contacts, instants = view.writes_between(as_of_us, until_us)
        between = [write for write in writes if as_of_us < write[1] <= until_us]
        assert instants.tolist() == sorted(write[1] for write in between)
        assert sorted(zip(contacts.tolist(), instants.tolist(), strict=True)) == sorted(w[:2] for w in between)
        low = rng.randrange(-50, 50)
        contacts, found_values = view.values_between(Kind.INTEGER, low, low + 40)
        inside = sorted((w[0], w[4]) for w in writes if w[3] == Kind.INTEGER and low < w[4] <= low + 40)
        assert sorted(zip(contacts.tolist(), found_values.tolist(), strict=True)) == inside
        assert found_values.tolist() == sorted(found_values.tolist())
        of_some = view.writes_of(np.array(some, np.uint32), as_of_us)
        expected_writes = sorted(w for w in writes if w[0] in set(some) and w[1] <= as_of_us)
        assert list(zip(*(column.tolist() for column in of_some.columns()), strict=True)) == expected_writes
    for kind in (Kind.INTEGER, Kind.TEXT):
        assert view.values_of_kind(kind).tolist() == sorted({w[4] for w in writes if w[3] == kind})
    pairs = [(rng.randrange(CONTACTS), rng.choice(times)) for _ in range(100)]
    contacts_at, instants_at = zip(*pairs, strict=True)
    kinds, values = view.valid_at(np.array(contacts_at, np.uint32), np.array(instants_at, np.int64))
    assert list(zip(kinds.tolist(), values.tolist(), strict=True)) == [
        valid(by_contact.get(c, []), c, t) for c, t in pairs
    ]


def some_writes(rng: random.Random, count: int, order: int, distinct: int) -> list[Write]:
    """With equal instants, instants before 1970, erasing writes and two kinds."""
    writes = []
    for number in range(count):
        kind = rng.choice((0, Kind.INTEGER, Kind.INTEGER, Kind.INTEGER, Kind.TEXT))
        value = 0 if kind == 0 else rng.randrange(distinct) if kind == Kind.TEXT else rng.randrange(-distinct, distinct)
        writes.append((rng.randrange(CONTACTS), rng.randrange(-100, 900), order + number, int(kind), value))
    return writes


@pytest.mark.parametrize(("seed", "distinct"), [(1, 5), (2, 60), (3, 400), (4, 10**7), (5, 2**40)])
def test_views_say_what_was_written_whatever_moved_since(seed: int, distinct: int) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    writer, contacts = StepWriter(), ContactTable()
    writes: list[Write] = []
    pinned: list[tuple[StepView, list[Write]]] = []
    merged: dict[int, int] = {}
    erased: set[int] = set()
    order = 0
    for count in (1, 10, 5000, 80, 3, 70_000 if distinct > 10**8 else 900, 40, 8, 200, 0):
        fresh = some_writes(rng, count, order, distinct)
        order += count
        if rng.random() < 0.5 or count > 1000:
            columns = [np.array(column) for column in zip(*fresh, strict=True)] if fresh else [np.zeros(0)] * 5
            types = (np.uint32, np.int64, np.int64, np.uint8, np.int64)
            writer.write_all(StepRun(*(column.astype(t) for column, t in zip(columns, types, strict=True))))  # type: ignore[arg-type]
        else:
            for write in fresh:
                writer.write(*write)
        if rng.random() < 0.6:
            survivor, loser, gone = rng.sample([c for c in range(CONTACTS) if c not in merged and c not in erased], 3)
            contacts.merge(survivor, loser)
            contacts.erase(gone)
            merged = {part: survivor if to == loser else to for part, to in merged.items()} | {loser: survivor}
            erased |= {gone} | {part for part, to in merged.items() if to == gone}
        writer.seal(contacts.moves(), keep_parts=False)
        writes = [
            moved
            for write in writes + fresh
            if (moved := (merged.get(write[0], write[0]), *write[1:]))[0] not in erased
        ]
        if writer.folding or writer.overdue > 1:
            writer.fold_some()
        pinned.append((writer.view(), list(writes)))
    for view, then in rng.sample(pinned, 4):
        check(view, then, rng)
    section = pack_steps("attributes/x", pinned[-1][0])
    restored = StepWriter()
    restored.load(unpack_steps(Section(section.name, section.data)))
    check(restored.view(), writes, rng)
    more = some_writes(rng, 300, order, distinct)
    for write in more:
        restored.write(*write)
    restored.seal(contacts.resolver(), keep_parts=False)
    kept = [(merged.get(write[0], write[0]), *write[1:]) for write in more]
    check(restored.view(), writes + [write for write in kept if write[0] not in erased], rng)


def test_few_values_take_one_byte_and_many_two_or_more() -> None:
    n = 100_000
    contacts = np.arange(n, dtype=np.uint32)
    order = np.arange(n)
    for distinct, value_bytes in ((200, 1), (3000, 2), (n, 5)):
        writer, table = StepWriter(), ContactTable()
        kinds, values = np.full(n, Kind.INTEGER, np.uint8), np.arange(n) % distinct
        writer.write_all(StepRun(contacts, np.arange(n) + 2**50, order, kinds, values))
        writer.seal(table.moves(), keep_parts=False)
        view = writer.view()
        assert sum(view.tables()) == n * (8 + 4 + value_bytes)
        found = view.valid(2**60, None, n)
        assert found[0].tolist() == kinds.tolist()
        assert found[1].tolist() == values.tolist()


def test_ranges_of_numbers_are_ranges_of_codes() -> None:
    n = 10_000
    rng = np.random.default_rng(4)
    writer, table = StepWriter(), ContactTable()
    values = rng.permutation(n) % 90
    kinds = np.full(n, Kind.INTEGER, np.uint8)
    writer.write_all(StepRun(np.arange(n, dtype=np.uint32), np.zeros(n, np.int64), np.arange(n), kinds, values))
    writer.seal(table.moves(), keep_parts=False)
    entries = writer.view().entries
    assert entries is not None
    assert entries.values[1:].tolist() == list(range(90))
    assert entries.kinds.tolist() == [0] + [Kind.INTEGER] * 90


def test_log_orders_beyond_four_billion() -> None:
    writer, table = StepWriter(), ContactTable()
    writer.write(3, 10, 5, Kind.INTEGER, 1)
    writer.seal(table.moves(), keep_parts=False)
    writer.write(3, 10, 2**32 + 5, Kind.INTEGER, 2)
    writer.write(4, 10, 2**40, Kind.INTEGER, 3)
    writer.seal(table.moves(), keep_parts=False)
    assert writer.view().valid(10, np.array([3, 4], np.uint32), 2)[1].tolist() == [2, 3]
    assert writer.view().all_writes().log_order.tolist() == [5, 2**32 + 5, 2**40]
