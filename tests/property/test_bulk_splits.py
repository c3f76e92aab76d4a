"""However an upload is cut and broken off, and wherever a reading is interrupted, the facts are the same."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

from cdp.bulk.v1 import bulk_pb2 as pb
from cdp.facts.v1 import facts_pb2
from core.events.schema import Schema
from services.ingest.bulk.door_rules import DoorRules
from services.ingest.bulk.files import BulkFiles
from services.ingest.bulk.frames import EntryFrame, ReadJob, Tally
from services.ingest.bulk.orders_seen import OrdersSeen
from services.ingest.bulk.reader import FileReader, learned_here
from services.ingest.bulk.spec import checked_spec
from services.ingest.bulk.worker import with_file_columns
from services.runtime.facts import columns_from_proto

NOW_US = 1_790_000_000_000_000
ROUNDS = 25


def _content(dice: random.Random) -> bytes:
    rows = []
    for number in range(dice.randrange(1, 400)):
        note = dice.choice(("plain", '"two\nlines"', '"a ""quote"""', "Юрій", '"broken" here', ""))
        price = dice.choice(("1.5", "x", "2", ""))
        rows.append(f"u{dice.randrange(30)}@example.com,{price},{note},o{number // 3 % 40}")
    return ("\ufeff" * dice.randrange(2) + "email,price,note,order_id\r\n" + "\r\n".join(rows)).encode()


async def _sent(files: BulkFiles, content: bytes, dice: random.Random) -> None:
    """In streams that break off, parts of which are sent twice."""
    at = 0
    while at < len(content) or not content:
        first = dice.randrange(max(0, at - 50), at + 1)
        last = min(len(content), at + dice.randrange(1, len(content) + 2))
        cuts = sorted(dice.randrange(first, last + 1) for _ in range(3))

        async def parts(places: tuple[int, ...] = (first, *cuts, last)) -> AsyncIterator[bytes]:
            for begin, end in pairwise(places):
                yield content[begin:end]

        state = await files.receive("f.csv", first, len(content), parts())
        at = state.size_bytes
        assert state.complete == (at == len(content))


def _frames(path: Path, spec: pb.ImportSpec, row: int, offset: int, frame_rows: int = 5_000) -> list[EntryFrame]:
    frames: list[EntryFrame] = []
    readers: list[FileReader] = []
    job = ReadJob(str(path), "", row, offset, NOW_US, "import:test:", dry_run=False)
    reader = FileReader(
        job,
        spec,
        DoorRules(Schema()),
        lambda wants: learned_here(readers[0].rules.schema, wants, NOW_US),
        frames.append,
        frame_rows=frame_rows,
    )
    readers.append(reader)
    reader.read()
    return frames


def _told(frames: list[EntryFrame]) -> tuple[list[str], list[str], str]:
    events = []
    for frame in frames:
        batch = facts_pb2.AcceptedBatch.FromString(frame.events)
        events += [repr((e.id, sorted(e.params.items()), e.items)) for e in columns_from_proto(batch.events).rows()]
    facts = [
        facts_pb2.AcceptedFact.FromString(fact).SerializeToString(deterministic=True).hex()
        for frame in frames
        for fact in frame.facts
    ]
    return events, facts, b"".join(frame.rejected for frame in frames).decode()


def test_rows_of_an_order_that_stand_apart_are_refused_wherever_reading_begins(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    rows = ["1,,p1", "1,,p2", "2,,p1", "1,,p3", "1,Completed,p4", "3,,p1", "1,refunded,p1", "2,completed,p5"]
    path.write_text("\n".join(["email,order_id,status,product_id", *(f"a@example.com,{row}" for row in rows)]))
    asked = pb.ImportSpec(kind=pb.IMPORT_KIND_ORDERS, file="f.csv")
    spec = with_file_columns(path, checked_spec(asked, "UTC"), Schema())
    frames = _frames(path, spec, 0, 0, frame_rows=1)
    tally = sum((one.tally for one in frames), Tally())
    assert (tally.read, tally.accepted, tally.rejected, tally.facts) == (8, 5, 3, 4)
    assert tally.by_reason == {"ORDER_SCATTERED": 3}
    report = b"".join(one.rejected for one in frames).decode().splitlines()
    assert [line.split(",")[:3] for line in report] == [[f"{n}", "ORDER_SCATTERED", "order_id"] for n in (4, 5, 8)]


def test_names_that_were_seen_are_as_those_of_a_set() -> None:
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    dice = random.Random(seed)
    seen, plain = OrdersSeen(), set[str]()
    for _ in range(30_000):
        text = str(dice.randrange(20_000))
        assert seen.add(text) == (text not in plain)
        plain.add(text)


async def test_any_split_gives_equal_facts(tmp_path: Path) -> None:
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    dice = random.Random(seed)
    for number in range(ROUNDS):
        content = _content(dice)
        folder = tmp_path / str(number)
        files = BulkFiles(folder, 1 << 30)
        await _sent(files, content, dice)
        path = files.path("f.csv")
        assert path.read_bytes() == content
        for kind in (pb.IMPORT_KIND_EVENTS, pb.IMPORT_KIND_CONTACTS, pb.IMPORT_KIND_ORDERS):
            asked = pb.ImportSpec(kind=kind, file="f.csv", event_type="thing_done")
            spec = with_file_columns(path, checked_spec(asked, "UTC"), Schema())
            frames = _frames(path, spec, 0, 0, frame_rows=7)
            # Taken up after any of its frames, the rest is read as if nothing had happened.
            cut = dice.randrange(len(frames) + 1)
            kept = frames[:cut]
            place = (kept[-1].row, kept[-1].offset) if kept else (0, 0)
            resumed = _frames(path, spec, *place)
            assert _told([*kept, *resumed]) == _told(frames) == _told(_frames(path, spec, 0, 0))
