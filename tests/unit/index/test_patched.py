"""Columns that readers pin, against a dictionary."""

from __future__ import annotations

import numpy as np
import pytest

from core.index import patched
from core.index.bit_column import BitColumn
from core.index.patched import FrozenTable, PatchedTable
from core.index.recent import rows_above


def check(frozen: FrozenTable, model: dict[int, int], rng: np.random.Generator) -> None:
    expected = np.array([model.get(row, 0) for row in range(frozen.n)], np.int64)
    assert np.array_equal(frozen.whole(0), expected)
    assert np.array_equal(frozen.whole(1), (expected % 200).astype(np.uint8))
    asked = rng.integers(0, frozen.n + 50, 300)
    first, second = frozen.take(asked, (0, 1))
    inside = np.where(asked < frozen.n, expected[np.minimum(asked, frozen.n - 1)], 0)
    assert np.array_equal(first, inside)
    assert np.array_equal(second, (inside % 200).astype(np.uint8))
    for above in (-(2**63), -1, 0, 500, 10**6):
        rows, values = rows_above(frozen, 0, above)
        assert sorted(rows.tolist()) == np.flatnonzero(expected > above).tolist()
        assert np.array_equal(values, expected[rows])


@pytest.mark.parametrize("seed", range(6))
def test_readers_keep_what_they_pinned(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    print(f"seed {seed}")
    monkeypatch.setattr(patched, "_FOLD_ROWS", 700)
    rng = np.random.default_rng(seed)
    table = PatchedTable(np.int64, np.uint8)
    model: dict[int, int] = {}
    pinned: list[tuple[FrozenTable, dict[int, int]]] = []
    for step in range(40):
        table.grow(int(rng.integers(1, 4 if step < 5 else 6000)))
        count = int(rng.choice([1, 5, 60, 2000]))
        rows = np.unique(rng.integers(0, table.n, count))
        values = rng.integers(-1000, 1000, len(rows))
        table.set(rows, (values, values % 200))
        model.update(zip(rows.tolist(), values.tolist(), strict=True))
        assert np.array_equal(table.get(rows, (0,))[0], values)
        if rng.random() < 0.1:
            table.fold()
        if rng.random() < 0.3:
            table.fold_some()
        if rng.random() < 0.5:
            pinned.append((table.freeze(), dict(model)))
    assert any(len(frozen.rows) for frozen, _ in pinned)
    for frozen, then in pinned:
        check(frozen, then, rng)


def test_a_column_is_replaced_by_others() -> None:
    table = PatchedTable(np.int64, np.uint8)
    table.grow(5000)
    table.set(np.arange(5000), (np.arange(5000), np.zeros(5000, np.uint8)))
    before = table.freeze()
    table.set(np.array([7]), (np.array([70]), np.array([1])))
    table.recast(0, lambda held: (held * 2, held * 3))
    after = table.freeze()
    assert [column.tolist() for column in after.take(np.array([6, 7]), (0, 1, 2))] == [[12, 140], [18, 210], [0, 1]]
    assert before.take(np.array([7]), (0,))[0].tolist() == [7]


def test_loaded_arrays_are_never_written() -> None:
    held = np.arange(5000)
    held.setflags(write=False)
    table = PatchedTable(np.int64)
    table.load((held,))
    table.set(np.array([3]), (np.array([30]),))
    table.set(np.arange(0, 5000, 2), (np.zeros(2500, np.int64),))
    table.grow(6000)
    table.set(np.array([5999]), (np.array([1]),))
    whole = table.freeze().whole(0)
    assert (whole[2], whole[3], whole[5], whole[5999]) == (0, 30, 5, 1)


def test_an_empty_table_has_zeros() -> None:
    frozen = PatchedTable(np.int64, np.uint8).freeze()
    assert [column.tolist() for column in frozen.take(np.array([0, 9]), (0, 1))] == [[0, 0], [0, 0]]
    assert len(frozen.whole(0)) == 0
    assert len(rows_above(frozen, 0, -1)[0]) == 0


def test_bits_are_pinned() -> None:
    seed = 5
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    column, model = BitColumn(), np.zeros(30_000, np.bool_)
    pinned = []
    for count in (1, 10, 9000, 30, 20_000, 5):
        rows = rng.choice(30_000, count, replace=False)
        bits = rng.random(count) < 0.5
        column.set(rows, bits)
        model[rows] = bits
        assert np.array_equal(column.get(rows), bits)
        pinned.append((column.freeze(), model.copy()))
    column.clear(np.arange(30_000))
    for members, then in pinned:
        assert np.array_equal(members.mask(30_000), then)
    assert len(column.freeze()) == 0
