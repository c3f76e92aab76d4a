"""What erasures store reads as an earlier release wrote it; a file under tests/golden/erasure never changes."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from core.eventlog.protocol import Entry
from core.events.columns import Identifier
from core.profile.erasures import ErasedPerson, decode_erased, encode_erased, keyed_blind
from services.profile_unification.archived_log import range_key, range_of, range_row
from services.profile_unification.erasure_books import append_forgotten, forgotten_of, read_forgotten
from services.profile_unification.log_files import LogRange, read_range, write_range

GOLDEN = Path(__file__).parents[2] / "golden" / "erasure"
NAMES = (Identifier("email", "ann@example.com"), Identifier("contact_key", "0011223344556677"))
PERSON = ErasedPerson("erase:1", (3, 2), ("0011223344556677",), NAMES, "why", "who", 1_700_000_000_000_000, 7, False)
RANGE = LogRange(1, 2, 1, 1_000)
ENTRIES = [Entry(1, 1_700_000_000_000_000, b"one"), Entry(2, 1_700_000_000_000_001, b"two")]


def test_an_order_that_is_not_done() -> None:
    stored = (GOLDEN / "erased.json").read_bytes()
    assert decode_erased(stored) == PERSON
    assert encode_erased(PERSON) == stored


def test_the_file_of_the_forgotten(tmp_path: Path) -> None:
    line = forgotten_of([PERSON], keyed_blind(b"key", "w"))
    assert list(read_forgotten(GOLDEN / "forgotten.jsonl")) == [line]
    path = tmp_path / "new" / "w.jsonl"
    assert list(read_forgotten(path)) == []
    append_forgotten(path, [line])
    assert path.read_bytes() == (GOLDEN / "forgotten.jsonl").read_bytes()
    append_forgotten(path, [line])
    assert list(read_forgotten(path)) == [line, line]
    with path.open("ab") as file:
        file.write(b'{"v": 1, "cut o')
    assert list(read_forgotten(path)) == [line, line], "what a crash cut off was never acknowledged"
    append_forgotten(path, [line])
    assert list(read_forgotten(path)) == [line, line, line]
    path.write_text(path.read_text().replace('"v": 1', '"v": 2'))
    with pytest.raises(ValueError, match="version"):
        list(read_forgotten(path))


def test_archived_ranges(tmp_path: Path) -> None:
    stored = (GOLDEN / "range.json").read_bytes()
    assert range_of(range_key(RANGE), stored) == RANGE
    assert range_row(RANGE) == stored
    assert read_range(GOLDEN, RANGE, 0, 10, 1_000) == ENTRIES
    written = write_range(tmp_path, ENTRIES, 1)
    assert written.name == RANGE.name
    assert pq.read_table(tmp_path / written.name).equals(pq.read_table(GOLDEN / RANGE.name))
