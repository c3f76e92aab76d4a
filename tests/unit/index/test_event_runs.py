"""Runs: ids in both forms, merging, moving, parts, compaction."""

from __future__ import annotations

import random
import uuid
from dataclasses import replace

import numpy as np
import pytest

from core.events.columns import MACHINE, Event, EventColumnsBuilder
from core.index import event_store
from core.index.dictionary import TextDictionary
from core.index.digest import digest
from core.index.event_blocks import ROWS, BlockWords
from core.index.event_decode import decode
from core.index.event_ids import EventIds, join_ids
from core.index.event_merge import merge_all, merge_runs, sorted_run
from core.index.event_run import EventRun
from core.index.snapshot import decode as decode_snapshot
from core.index.snapshot import encode
from core.index.table import Column
from core.kernels.bits import plain_set_bits, words_for
from core.schema import DecimalUnits, Kind
from tests.unit.index.small_world import SmallWorld, apply

SEED = 91


def run_of(rng: random.Random, dictionary: TextDictionary, first: int, count: int, *, spread: int) -> EventRun:
    """Events in log order, `first` on, as a run; instants and ids repeat, some have lines, texts, machine marks."""
    builder = EventColumnsBuilder()
    for number in range(first, first + count):
        params: dict[str, object] = {"n": number} if rng.random() < 0.7 else {}
        if rng.random() < 0.5:
            params["price"] = DecimalUnits(rng.randrange(0, 90) * 10_000)
        if rng.random() < 0.2:
            params["tags"] = ("a", f"t{rng.randrange(400)}")
        items = tuple({"sku": f"s{rng.randrange(5)}", "q": k} for k in range(rng.choice((0, 0, 1, 3))))
        name = str(uuid.UUID(int=rng.randrange(3))) if spread % 2 else f"id-{rng.randrange(3)}"
        flags = MACHINE if rng.random() < 0.1 else 0
        at_us = first // 2 + rng.randrange(spread)
        builder.add(Event(name, "e", at_us, at_us, (), params, items, flags))  # type: ignore[arg-type]
    columns = builder.build()
    contacts = np.array([rng.randrange(700) for _ in range(count)], np.uint32)
    run, _ = decode(replace(columns, contacts=contacts), dictionary)
    return sorted_run(run)


def rows_of(run: EventRun) -> list[tuple[object, ...]]:
    """All that a run says of each event, in its order."""
    params: list[list[object]] = [[] for _ in range(len(run))]
    for name, columns in sorted(run.params.columns.items()):
        for column in columns:
            rows = range(len(run)) if column.rows is None else column.rows.tolist()
            for row, value in zip(rows, column.values.tolist(), strict=True):
                params[row].append((name, int(column.kind), value))
    item_rows, parents = run.item_ranges(slice(0, len(run)))
    items: list[list[object]] = [[] for _ in range(len(run))]
    for name, columns in sorted(run.items.columns.items()):
        for column in columns:
            selected = column.select(item_rows)
            rows = range(len(parents)) if selected.rows is None else selected.rows.tolist()
            for row, value in zip(rows, selected.values.tolist(), strict=True):
                items[parents[row]].append((name, value))
    machine = run.by_machine(slice(0, len(run)))
    return [
        (int(run.occurred_at_us[row]), run.event_id(row), int(run.contacts[row]), bool(machine[row]), *extra)
        for row, extra in enumerate(zip(map(tuple, params), map(tuple, items), strict=True))
    ]


@pytest.mark.parametrize("spread", (1, 4, 50, 51))
def test_merged_runs_are_the_run_of_all_events(spread: int) -> None:
    print(f"seed {SEED + spread}")
    rng = random.Random(SEED + spread)
    for _ in range(25):
        dictionary = TextDictionary()
        sizes = [rng.randrange(1, 40) for _ in range(rng.randrange(2, 5))]
        runs, first = [], 0
        for size in sizes:
            runs.append(run_of(rng, dictionary, first, size, spread=spread))
            first += size
        for run in runs:
            run.contact_order()
        merged = merge_all(tuple(runs), 7)
        # A stable sort of the runs one after the other: of equal instants and ids the older run's come first.
        together = [row for run in runs for row in rows_of(run)]
        assert rows_of(merged) == sorted(together, key=lambda row: (row[0], str(row[1]).encode()))
        assert merged.has_contact_order()
        anew = replace(merged, serial=8).with_contacts(merged.contacts, 9).contact_order()
        assert merged.contact_rows().tolist() == anew.rows.tolist()
        assert merged.contact_order().contacts().tolist() == anew.contacts().tolist()
        first, after = sorted((rng.randrange(len(merged) + 1), rng.randrange(len(merged) + 1)))
        assert rows_of(merged.part(first, after)) == rows_of(merged)[first:after]
        chosen = np.array(sorted(rng.sample(range(len(merged)), len(merged) // 2)), np.int64)
        assert rows_of(merged.take(chosen, 3)) == [rows_of(merged)[row] for row in chosen.tolist()]


def test_ids_in_both_forms() -> None:
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    plain = ("b", "", "ä\0", "order-1/paid", "b\0")
    uuids = tuple(str(uuid.UUID(int=rng.getrandbits(128))) for _ in range(6))
    texts, pairs = EventIds.of_texts(plain), EventIds.of_texts(uuids)
    assert (texts.pairs is None, pairs.pairs is None, pairs.nbytes) == (True, False, 96)
    assert EventIds.of_texts((*uuids, uuids[0].upper())).pairs is None
    assert EventIds.of_texts(()).nbytes == 4
    for ids, written in ((texts, plain), (pairs, uuids), (join_ids((pairs, texts)), (*uuids, *plain))):
        assert [one.decode() for one in ids] == list(written)
        assert [ids.at(row).decode() for row in range(len(ids))] == list(written)
        assert [one.decode() for one in ids.take(np.array([3, 1, 1]))] == [written[3], written[1], written[1]]
        assert [one.decode() for one in ids.between(1, 4)] == list(written[1:4])
        assert [one.decode() for one in EventIds.of_arrays(ids.arrays())] == list(written)
        order = np.lexsort(ids.order_keys(np.arange(len(ids))))
        assert [written[row] for row in order] == sorted(written, key=str.encode)
    assert join_ids((texts.between(0, 0), pairs)).packed().pairs is not None


def test_blocks_of_rows_hold_who_is_among_them() -> None:
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    contacts = rng.integers(0, 900, 2 * ROWS + 1000).astype(np.uint32)
    flags = np.where(rng.random(len(contacts)) < 0.999, MACHINE, 0).astype(np.uint8)
    blocks = BlockWords(contacts, flags)
    for first, after in ((0, 10), (5, ROWS + 5), (ROWS, 2 * ROWS), (3, 2 * ROWS + 999), (ROWS - 1, ROWS + 1)):
        words, expected = words_for(900), words_for(900)
        blocks.add_rows(first, after, words)
        human = flags[first:after] == 0
        plain_set_bits(contacts[first:after][human], expected)
        assert words.tolist() == expected.tolist()
    assert blocks.nbytes == 15 * 8, "only the second block was ever covered"
    blocks.add_rows(0, 2 * ROWS, words_for(900))
    assert blocks.nbytes == 2 * 15 * 8
    words, expected = words_for(900), words_for(900)
    blocks.add_rows(0, len(contacts), words)
    plain_set_bits(contacts[flags == 0], expected)
    assert words.tolist() == expected.tolist()
    assert blocks.nbytes == 3 * 15 * 8, "a window that holds all of a run needs one set"
    moved = contacts.copy()
    moved[7] = 899
    assert blocks.moved(contacts, moved).nbytes == 15 * 8


def test_long_runs_are_joined_beside_the_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_store, "_SEALED_ROWS", 8)
    monkeypatch.setattr(event_store, "_COMPACT_ROWS", 40)
    world = SmallWorld().contacts(0, 1, 2)
    for number in range(90):
        world.event(number % 3, "site_visited", number * 7 % 31, {"n": number})
    index = world.index(9, root_each=True)
    before = index.root()
    waiting = index.events.compactions()
    assert waiting
    merged = [one.merged() for one in waiting]
    assert all(index.events.swap(one, run) for one, run in zip(waiting, merged, strict=True))
    apply(index, SmallWorld().event(0, "site_visited", 3, {"n": 1000}, event_id="late").log, 99)
    after = index.root()
    assert len(after.events["site_visited"]) < len(before.events["site_visited"])
    assert all(len(run) <= 40 for run in after.events["site_visited"])
    whole = world.event(0, "site_visited", 3, {"n": 1000}, event_id="late").root()
    assert digest(after) == digest(whole)
    assert not index.events.swap(waiting[0], merged[0]), "its runs are gone"


def test_merges_beyond_the_pause_wait_and_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    world = SmallWorld().contacts(0, 1, 2)
    for number in range(400):
        world.event(number % 3, rng.choice("abcd"), number + rng.randrange(9), {"n": number})
    expected = world.root(13, root_each=True)
    monkeypatch.setattr(event_store, "_MERGE_ROWS", 70)
    monkeypatch.setattr(event_store, "_SEALED_ROWS", 30)
    index = world.index(13, root_each=True)
    assert digest(index.root()) == digest(expected)
    assert all(len(runs) < 16 for runs in index.root().events.values())
    index.compact()
    assert digest(index.root()) == digest(expected)
    assert all(len(runs) < 8 for runs in index.root().events.values())


def test_a_run_that_moved_meanwhile_is_not_overwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_store, "_SEALED_ROWS", 4)
    world = SmallWorld().contacts(0, 1)
    for number in range(40):
        world.event(number % 2, "site_visited", number)
    index = world.index(5, root_each=True)
    waiting = index.events.compactions()[0]
    apply(index, SmallWorld().merge(0, 1).log, 99)
    moved = index.root()
    assert not index.events.swap(waiting, waiting.merged())
    assert digest(index.root()) == digest(moved)


def test_what_is_kept_to_answer_sooner_is_counted_and_forgotten() -> None:
    rng, dictionary = random.Random(SEED), TextDictionary()
    run = run_of(rng, dictionary, 0, 30, spread=4)
    assert (run.cache_nbytes, run.has_contact_order()) == (0, False)
    small = run.nbytes
    whole = Column.of(Kind.INTEGER, None, np.arange(30))
    assert run.values_by_contact("row", whole).codes.tolist() == run.contact_rows().tolist()
    assert run.cache_nbytes == 30 * 8
    assert run.nbytes == small + run.contact_order().nbytes
    run.forget()
    assert run.cache_nbytes == 0


def test_runs_of_a_snapshot_are_ordinary_arrays() -> None:
    world = SmallWorld().contacts(0).event(0, "site_visited", 1, {"n": 1, "t": "x"}, ({"sku": "s"},))
    (run,) = decode_snapshot(encode(world.root())).root().events["site_visited"]
    columns = [column for some in (*run.params.columns.values(), *run.items.columns.values()) for column in some]
    for array in (run.occurred_at_us, run.contacts, run.item_offsets, *(column.packed.codes for column in columns)):
        assert array is not None
        assert array.flags.writeable
        assert array.flags.aligned


def test_merging_with_nothing() -> None:
    rng, dictionary = random.Random(SEED), TextDictionary()
    run = run_of(rng, dictionary, 0, 5, spread=4)
    for merged in (merge_runs(run, run.part(0, 0), 4), merge_runs(run.part(0, 0), run, 4)):
        assert (merged.serial, rows_of(merged)) == (4, rows_of(run))
