"""The quick way of contacts tells what the door tells of the same rows, or leaves the row to it."""

from __future__ import annotations

import random
from pathlib import Path

from cdp.bulk.v1 import bulk_pb2 as pb
from cdp.facts.v1 import facts_pb2
from core.events.schema import Schema
from services.ingest.bulk.door_rules import DoorRules
from services.ingest.bulk.frames import EntryFrame, ReadJob
from services.ingest.bulk.reader import FileReader, learned_here
from services.ingest.bulk.spec import checked_spec
from services.ingest.bulk.worker import with_file_columns

NOW_US = 1_790_000_000_000_000
CELLS = {
    "email": ("a@example.com", "A@Example.com ", "no mail", "", "é@example.com", "b@example.com"),
    "external_id": ("x1", "null", "", "x2", "x" * 500),
    "first_name": ("Ada", "Ольга", "", "é", "nul\x00", "x" * 40_000),
    "birth_date": ("1990-01-31", "31.1.1990", "", "1990-02-30"),
    "size": ("38", "38.5", "big", "", "12345678901234567890"),
    "vip": ("true", "no", "", "perhaps"),
    "time": ("2025-01-02", "1970-01-01T00:00:00Z", "1960-01-01T00:00:00Z", "never", ""),
}


def _facts(folder: Path, content: str, *, quickly: bool) -> tuple[list[bytes], bytes]:
    path = folder / "p.csv"
    path.write_text(content, encoding="utf-8")
    columns = [
        pb.Column(column="size", target="attribute.size", kind=facts_pb2.KIND_INTEGER),
        pb.Column(column="time", target="time"),
    ]
    spec = pb.ImportSpec(kind=pb.IMPORT_KIND_CONTACTS, file="p.csv", columns=columns)
    whole = with_file_columns(path, checked_spec(spec, "Europe/Kyiv"), Schema())
    frames: list[EntryFrame] = []
    readers: list[FileReader] = []
    job = ReadJob(str(path), "", 0, 0, NOW_US, "import:test:", dry_run=False)
    reader = FileReader(
        job,
        whole,
        DoorRules(Schema()),
        lambda wants: learned_here(readers[0].rules.schema, wants, NOW_US),
        frames.append,
        quickly=quickly,
    )
    readers.append(reader)
    reader.read()
    facts = [facts_pb2.AcceptedFact.FromString(fact) for frame in frames for fact in frame.facts]
    told = [fact.SerializeToString(deterministic=True) for fact in facts]
    return told, b"".join(frame.rejected for frame in frames)


def test_it_tells_what_the_door_tells(tmp_path: Path) -> None:
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    dice = random.Random(seed)
    rows = [",".join(dice.choice(cells) for cells in CELLS.values()) for _ in range(600)]
    content = ",".join(CELLS) + "\n" + "\n".join(rows) + "\n"
    quick, quick_report = _facts(tmp_path, content, quickly=True)
    slow, slow_report = _facts(tmp_path, content, quickly=False)
    assert len(quick) > 20
    assert quick == slow
    assert quick_report == slow_report
