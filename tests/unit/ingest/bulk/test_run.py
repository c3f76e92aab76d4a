"""The stored form of an import, and how it is shown."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cdp.bulk.v1 import bulk_pb2 as pb
from cdp.ingest.v1 import ingest_pb2
from core.errors import CdpError
from services.ingest.bulk.frames import EntryFrame, Tally
from services.ingest.bulk.run import ImportRun, ImportState
from services.ingest.bulk.spec import spec_bytes

GOLDEN = Path(__file__).parents[3] / "golden" / "bulk" / "import-1.json"
SPEC = pb.ImportSpec(
    kind=pb.IMPORT_KIND_EVENTS,
    file="views.csv",
    format=pb.FILE_FORMAT_CSV,
    encoding="utf-8",
    delimiter=",",
    columns=[pb.Column(column="email", target="identifier.email")],
    event_type="product_viewed",
    zone="Europe/Kyiv",
    list_separator=";",
)
RUN = ImportRun(
    number=7,
    state=ImportState.RUNNING,
    spec=spec_bytes(SPEC),
    dry_run=False,
    again=False,
    began_at_us=1_000_000,
    key_id="k1",
    request_id="r1",
    told_at_us=2_000_000,
    digest="ab" * 32,
    bytes_total=1_000,
)
FRAME = EntryFrame(Tally(10, 7, 3, 7, {"BAD_TIME": 3}), 10, 400, 400, 7, b"e", (), b"row\n")


def test_the_stored_form_stays_readable() -> None:
    reached = RUN.reached(FRAME)
    assert ImportRun.decode(reached.encode()) == reached
    kept = GOLDEN.read_bytes()
    assert ImportRun.decode(kept) == reached
    assert json.loads(kept) == json.loads(reached.encode())
    later = json.loads(kept) | {"format": 2}
    with pytest.raises(CdpError, match="another format"):
        ImportRun.decode(json.dumps(later).encode())


def test_what_people_are_is_not_stored() -> None:
    preview = pb.Preview(unknown_columns=["x"])
    preview.first.add(person=ingest_pb2.Person(message_id="m"))
    kept = ImportRun.decode(replace(RUN, preview=preview.SerializeToString()).encode())
    assert pb.Preview.FromString(kept.preview) == pb.Preview(unknown_columns=["x"])


def test_frames_add_up_and_are_shown() -> None:
    run = RUN.reached(FRAME).reached(FRAME)
    assert (run.read, run.accepted, run.rejected, run.by_reason) == (20, 14, 6, {"BAD_TIME": 6})
    assert run.report_bytes == 8
    shown = run.to_proto(3_000_000)
    assert (shown.progress_units, shown.rows_per_second, shown.remaining_s) == (4_000, 10, 3)
    failed = run.ended(ImportState.FAILED, 4_000_000, "BAD_FILE", "is broken").to_operation(5_000_000)
    assert failed.done and failed.error.message == "is broken"
    assert EntryFrame.decode(*_heard(FRAME)) == FRAME


def _heard(frame: EntryFrame) -> tuple[dict[str, object], list[bytes]]:
    line, _, rest = frame.encode().partition(b"\n")
    head = json.loads(line)
    parts = []
    for size in head["parts"]:
        parts.append(rest[:size])
        rest = rest[size:]
    assert not rest
    return head, parts
