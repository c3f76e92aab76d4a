"""Public ids both ways."""

from __future__ import annotations

import random
import uuid

import numpy as np
import pytest

from core.index.key_text import format_uuids, parse_uuid, parse_uuids
from core.index.keys import KeyTable, KeyView, packed_without


def some_uuid(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128)))


def test_uuids_are_read_as_they_are_written() -> None:
    seed = 3
    print(f"seed {seed}")
    rng = random.Random(seed)
    right = [some_uuid(rng) for _ in range(50)] + [str(uuid.UUID(int=0)), str(uuid.UUID(int=2**128 - 1))]
    one = right[0]
    signed = "+" + one[1:]
    wrong = ["", one.upper() + "", one[:-1], one + "0", one.replace("-", "_"), signed, "é" * 36, " " * 36, "key-1"]
    wrong[1] = "ABCDEF01" + one[8:]
    valid, halves = parse_uuids(right + wrong)
    assert valid.tolist() == [True] * len(right) + [False] * len(wrong)
    assert format_uuids((halves[0][: len(right)], halves[1][: len(right)])) == right
    for text, high, low in zip(right, *(half.tolist() for half in halves), strict=False):
        assert parse_uuid(text) == (high, low)
    assert [parse_uuid(text) for text in wrong] == [None] * len(wrong)


def check(view: KeyView, model: dict[int, str], n: int) -> None:
    assert view.keys_of(np.arange(n, dtype=np.uint32)) == [model.get(number, "") for number in range(n)]
    for number, key in random.Random(1).sample(sorted(model.items()), min(len(model), 200)):
        assert view.number_of(key) == number
        assert view.key_of(number) == key
    assert view.number_of("nobody") is None
    assert view.number_of(str(uuid.UUID(int=5))) is None


@pytest.mark.parametrize("seed", range(3))
def test_ids_of_all_forms_found_from_both_sides_in_pinned_versions(seed: int) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    table = KeyTable()
    model: dict[int, str] = {}
    pinned: list[tuple[KeyView, dict[int, str]]] = []
    for count in (1, 3, 40_000, 100, 17_000, 9_000, 9_000, 5, 20_000):
        numbers = rng.sample(range(120_000), count)
        keys = [some_uuid(rng) if rng.random() < 0.7 else f"shop é {rng.getrandbits(60)}" for _ in numbers]
        if count == 40_000:
            keys = [some_uuid(rng) for _ in numbers]
            table.tell(np.array(numbers, np.uint32), np.array([list(uuid.UUID(k).bytes) for k in keys], np.uint8))
        else:
            table.tell(np.array(numbers, np.uint32), keys)
        model.update(zip(numbers, keys, strict=True))
        pinned.append((table.view(), dict(model)))
    for view, then in pinned:
        check(view, then, 120_010)
    table.fold_some()
    check(table.view(), model, 120_010)


def test_telling_an_id_again_changes_nothing() -> None:
    table = KeyTable()
    numbers = np.array([4, 2], np.uint32)
    keys = ["four", str(uuid.UUID(int=9))]
    table.tell(numbers, keys)
    first = table.view()
    table.tell(numbers, keys)
    assert table.view() is first
    table.tell(np.array([4], np.uint32), ["another"])
    assert (first.key_of(4), first.number_of("four"), first.number_of("another")) == ("four", 4, None)
    later = table.view()
    assert (later.key_of(4), later.number_of("four"), later.number_of("another")) == ("another", None, 4)


def test_packed_ids_lack_those_of_contacts_that_are_gone() -> None:
    table = KeyTable()
    table.tell(np.arange(4, dtype=np.uint32), ["zero", "one", str(uuid.UUID(int=7)), "three"])
    columns, heap = packed_without(table.view(), np.array([False, True, True, False, False]))
    assert heap.tobytes() == b"zerothree"
    again = KeyTable()
    again.load(columns, heap)
    assert again.view().keys_of(np.arange(5)) == ["zero", "", "", "three", ""]
    again.tell(np.array([1], np.uint32), ["new"])
    assert [again.view().number_of(key) for key in ("zero", "one", "three", "new")] == [0, None, 3, 1]


def test_a_uuid_takes_about_thirty_bytes() -> None:
    table = KeyTable()
    n = 100_000
    table.tell(np.arange(n, dtype=np.uint32), np.random.default_rng(2).integers(0, 256, (n, 16)).astype(np.uint8))
    assert table.view().nbytes <= 32 * n
