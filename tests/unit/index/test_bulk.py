"""Facts of contacts as columns say what the same facts say one by one."""

from __future__ import annotations

import random
import uuid
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from core.errors import CdpError
from core.events.columns import EventColumnsBuilder
from core.events.facts import AttributeWrite, ContactFact, ContactState, Erasure, Merge
from core.index.bulk import StateColumns, WriteColumns
from core.index.digest import digest
from core.index.index import Index
from core.index.snapshot import decode, encode
from core.schema import DecimalUnits, Instant, Kind, Value
from tests.unit.index.small_world import apply

N = 400
#: What values of each kind lie below.
MOST = {
    Kind.TEXT: 3,
    Kind.INTEGER: 90,
    Kind.DECIMAL: 10**9,
    Kind.BOOLEAN: 2,
    Kind.INSTANT: 10**15,
    Kind.DATE: 20_000,
}
EPOCH = date(1970, 1, 1)


def value_of(kind: Kind, raw: int, texts: tuple[str, ...]) -> Value:
    match kind:
        case Kind.TEXT:
            return texts[raw]
        case Kind.DECIMAL:
            return DecimalUnits(raw)
        case Kind.BOOLEAN:
            return bool(raw)
        case Kind.INSTANT:
            return Instant(raw)
        case Kind.DATE:
            return EPOCH + timedelta(days=raw)
        case _:
            return raw


def facts_of(columns: StateColumns | WriteColumns) -> list[ContactFact]:
    rows = list(zip(columns.contacts.tolist(), columns.occurred_at_us.tolist(), strict=True))
    if isinstance(columns, StateColumns):
        keys = columns.keys
        if isinstance(keys, np.ndarray):
            keys = [str(uuid.UUID(bytes=key.tobytes())) for key in keys]
        return [
            ContactState(contact, key, known, reachable, at_us, 0)
            for (contact, at_us), key, known, reachable in zip(
                rows, keys, columns.known.tolist(), columns.reachable.tolist(), strict=True
            )
        ]
    missing = [False] * len(rows) if columns.missing is None else columns.missing.tolist()
    return [
        AttributeWrite(
            contact, columns.name, None if gone else value_of(columns.kind, raw, columns.texts), at_us, False, 0
        )
        for (contact, at_us), raw, gone in zip(rows, columns.values.tolist(), missing, strict=True)
    ]


def some_columns(rng: np.random.Generator) -> list[StateColumns | WriteColumns]:
    contacts = rng.permutation(N).astype(np.uint32)
    uuids = rng.integers(0, 256, (N, 16)).astype(np.uint8)
    made: list[StateColumns | WriteColumns] = [
        StateColumns(
            contacts,
            uuids if rng.random() < 0.5 else [f"key {number}" for number in contacts.tolist()],
            rng.random(N) < 0.5,
            rng.integers(0, 64, N).astype(np.uint8),
            rng.integers(0, 1000, N),
        )
    ]
    for kind, most in MOST.items():
        count = int(rng.integers(0, 2 * N))
        made.append(
            WriteColumns(
                f"a {kind.name}",
                rng.integers(0, N, count).astype(np.uint32),
                rng.integers(0, 1000, count),
                kind,
                rng.integers(0, most, count),
                ("red", "green", "é") if kind is Kind.TEXT else (),
                rng.random(count) < 0.1 if rng.random() < 0.5 else None,
            )
        )
    return made


@pytest.mark.parametrize("seed", range(4))
def test_columns_and_single_facts_are_the_same(seed: int) -> None:
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    picked = random.Random(seed)
    by_columns, one_by_one = Index(), Index()
    for position in range(1, 6):
        made = some_columns(rng)
        by_columns.apply_columns(made, position)
        apply(one_by_one, [fact for columns in made for fact in facts_of(columns)], position)
        survivor, loser, gone = picked.sample(range(N), 3)
        if by_columns.root().survivor_of(survivor) == survivor and by_columns.root().survivor_of(loser) == loser:
            for index in (by_columns, one_by_one):
                apply(index, [Merge(survivor, loser, 0), Erasure(gone, 0)], position)
        assert digest(by_columns.root()) == digest(one_by_one.root())
        assert by_columns.root().learned == one_by_one.root().learned
    root, again = by_columns.root(), decode(encode(by_columns.root())).root()
    assert digest(again) == digest(root)
    for as_of_us in (-1, 0, 500, 999, 1000):
        earliest = root.contacts.earliest_of(np.arange(N, dtype=np.uint32))
        assert root.exists(as_of_us).numbers().tolist() == np.flatnonzero(earliest <= as_of_us).tolist()
        assert again.exists(as_of_us) == root.exists(as_of_us)
    everyone = np.arange(N, dtype=np.uint32)
    for channels in (0, 1, 6, 0xFF):
        bits = root.contacts.reachable_of(everyone)
        assert root.reachable(channels).numbers().tolist() == np.flatnonzero(bits & channels).tolist()


def test_lists_are_no_columns() -> None:
    none = np.zeros(0, np.int64)
    with pytest.raises(CdpError) as refused:
        Index().apply_columns([WriteColumns("tags", none.astype(np.uint32), none, Kind.TEXT_LIST, none)], 1)
    assert refused.value.reason == "KIND_NOT_COLUMNAR"


def test_a_root_between_columns_stays_as_it_was() -> None:
    index = Index()
    contacts, times = np.arange(5000, dtype=np.uint32), np.arange(5000)
    texts = ("a", "b")
    index.apply_columns([WriteColumns("x", contacts, times, Kind.TEXT, times % 2, texts)], 1)
    first = index.root()
    before = digest(first)
    index.apply_columns([WriteColumns("x", contacts[:40], times[:40] + 9000, Kind.TEXT, times[:40] % 1, texts)], 2)
    second = index.root()
    empty = replace(EventColumnsBuilder().build(), contacts=np.zeros(0, np.uint32))
    index.apply(empty, [AttributeWrite(7, "x", "c", 20_000, False, 0)], 3)
    assert digest(first) == before
    assert len({before, digest(second), digest(index.root())}) == 3
