"""The quick way of events and orders tells what the door tells of the same rows, or leaves the row to it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from cdp.bulk.v1 import bulk_pb2 as pb
from cdp.facts.v1 import facts_pb2
from core.events.schema import Schema
from core.money.rates import Rate, Rates
from services.ingest.bulk.door_rules import DoorRules
from services.ingest.bulk.frames import EntryFrame, ReadJob
from services.ingest.bulk.quick_events import QuickEvents
from services.ingest.bulk.reader import FileReader, learned_here
from services.ingest.bulk.rows import Row
from services.ingest.bulk.spec import checked_spec
from services.ingest.bulk.worker import with_file_columns
from services.runtime.facts import columns_from_proto

NOW_US = 1_790_000_000_000_000
RATES = Rates("UAH").with_rates([Rate("EUR", 0, 41_500_000_000_000)], 7)
EVENT_CELLS: Mapping[str, Sequence[str]] = {
    "email": ("a@example.com",) * 9 + ("A@Example.com ", "no mail", "", "é@example.com", "e\u0301@example.com"),
    "user_id": ("", "x1", "x2", "null", "x" * 500),
    "product_id": ("p1",) * 9 + ("p2", "", "nul\x00", "e\u0301", "é", "x" * 6_000, "x" * 40_000),
    "price": ("1", "1.50", "1.5") * 5 + ("-3", "1.00001", "9" * 20, "dear", "", "9" * 15, " 2 "),
    "quantity": ("1", "2") * 5 + ("2.0", "2.5", "12345678901234567890", ""),
    "shelf": ("7", "", "8", "08", "9.5", "x"),
    "vip": ("true", "no", "", "1"),
    "seen": ("", "", "", "2025-01-02", "never"),
    "time": ("2025-01-02", "2025-01-02T03:04:05.678Z") * 5
    + ("1970-01-01T00:00:00Z", "1960-01-01T00:00:00Z", "2100-01-01", "never", "", "1850-01-01", "0001-01-01"),
    "currency": ("UAH", "") * 8 + ("EUR", "USD", "uah", "gold"),
    "order_id": ("", "", "", "7"),
    "label": ("a", "b", "", "ж", "ж" * 5_000, "Ж" * 10_000),
}
TYPE_CELLS = (
    "product_viewed",
    "Product Viewed",
    "Order Completed",
    "order_updated",
    "sms_sent",
    "",
    "!",
    "survey_answered",
    "product_added_to_cart",
    "cart_viewed",
    "checkout_started",
    "own thing",
    "own_thing",
    "é",
    "order",
)
ORDER_CELLS: Mapping[str, Sequence[str]] = {
    "email": ("a@example.com",) * 9 + ("no mail", "", "é@example.com"),
    "date": ("2025-01-02",) * 9 + ("never", "", "2100-01-01"),
    "product_id": ("p1", "p2") * 5 + ("", "nul\x00", "x" * 6_000),
    "price": ("1", "1.50") * 5 + ("dear", "", "9" * 20),
    "quantity": ("1", "2") * 5 + ("many", ""),
    "item.currency": ("", "UAH") * 8 + ("EUR", "USD"),
    "status": ("completed", "", "Paid", "refunded", "Order Shipped", "!", "e\u0301", "x" * 70),
    "total": ("10", "12.50", "") * 4 + ("ten",),
    "value": ("",) * 9 + ("3",),
    "note": ("", "n", "é", "e\u0301"),
    "refund_id": ("", "", "r1"),
}


def _told(folder: Path, content: str, spec: pb.ImportSpec, *, rates: Rates | None, quickly: bool) -> list[str]:
    """Everything that a reading tells, but for where its entries end."""
    path = folder / "p.csv"
    path.write_text(content, encoding="utf-8")
    whole = with_file_columns(path, checked_spec(spec, "Europe/Kyiv"), Schema())
    frames: list[EntryFrame] = []
    readers: list[FileReader] = []
    job = ReadJob(str(path), "", 0, 0, NOW_US, "import:test:", dry_run=False)
    reader = FileReader(
        job,
        whole,
        DoorRules(Schema(), None, rates),
        lambda wants: learned_here(readers[0].rules.schema, wants, NOW_US),
        frames.append,
        quickly=quickly,
    )
    readers.append(reader)
    reader.read()
    told: list[str] = []
    for frame in frames:
        batch = facts_pb2.AcceptedBatch.FromString(frame.events)
        told += [
            repr((e.id, e.type, e.occurred_at_us, e.received_at_us, e.identifiers, e.flags, sorted(e.params.items())))
            + repr([sorted(line.items()) for line in e.items])
            for e in columns_from_proto(batch.events).rows()
        ]
        told += [fact.hex() for fact in frame.facts]
    told.append(b"".join(frame.rejected for frame in frames).decode("utf-8", "replace"))
    total = sum((frame.tally for frame in frames[1:]), frames[0].tally)
    told.append(repr((total.read, total.accepted, total.rejected, total.facts, sorted(total.by_reason.items()))))
    return told


def _dice() -> random.Random:
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    return random.Random(seed)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many items went the quick way; the way itself is the real one."""
    counts = [0]
    event, order = QuickEvents.event, QuickEvents.order

    def counted_event(self: QuickEvents, row: Row) -> bool:
        found = event(self, row)
        counts[0] += found
        return found

    def counted_order(self: QuickEvents, rows: Sequence[Row]) -> bool:
        found = order(self, rows)
        counts[0] += found
        return found

    monkeypatch.setattr(QuickEvents, "event", counted_event)
    monkeypatch.setattr(QuickEvents, "order", counted_order)
    return counts


def _csv(rows: Sequence[Mapping[str, str]]) -> str:
    return ",".join(rows[0]) + "\n" + "".join(",".join(row.values()) + "\n" for row in rows)


@pytest.mark.parametrize("rates", [None, RATES], ids=["no rates", "rates"])
@pytest.mark.parametrize("typed", [False, True], ids=["one type", "a column of types"])
def test_events(tmp_path: Path, taken: list[int], rates: Rates | None, typed: bool) -> None:
    dice = _dice()
    rows = []
    for number in range(1_500):
        # Most rows are mostly ordinary: wrong cells are seldom.
        row = {name: cells[0] if dice.random() < 0.85 else dice.choice(cells) for name, cells in EVENT_CELLS.items()}
        if typed:
            row["event"] = TYPE_CELLS[0] if dice.random() < 0.5 else dice.choice(TYPE_CELLS)
            row["message_id"] = dice.choice(("", f"m{number}") * 3 + ("x" * 300, "order:7", "é", "e\u0301"))
        rows.append(row)
    columns = [
        pb.Column(column="seen", target="param.seen", kind=facts_pb2.KIND_DATE),
        pb.Column(column="vip", target="param.vip", kind=facts_pb2.KIND_BOOLEAN),
        pb.Column(column="shelf", target="param.shelf", kind=facts_pb2.KIND_INTEGER),
    ]
    if dice.random() < 0.7:
        columns[0].target = ""  # a column of dates leaves every row that has one to the door
    spec = pb.ImportSpec(kind=pb.IMPORT_KIND_EVENTS, file="p.csv", columns=columns)
    if not typed:
        spec.event_type = "product_viewed"
    content = _csv(rows)
    quick = _told(tmp_path, content, spec, rates=rates, quickly=True)
    assert taken[0] > 50, "hardly anything went the quick way"
    before = taken[0]
    assert quick == _told(tmp_path, content, spec, rates=rates, quickly=False)
    assert taken[0] == before


@pytest.mark.parametrize("rates", [None, RATES], ids=["no rates", "rates"])
@pytest.mark.parametrize("refunds", [False, True], ids=["no refunds", "refunds"])
def test_orders(tmp_path: Path, taken: list[int], rates: Rates | None, refunds: bool) -> None:
    dice = _dice()
    rows = []
    for number in range(700):
        order_id = "" if dice.random() < 0.02 else "x" * 300 if dice.random() < 0.02 else f"o{number}"
        for _ in range(dice.choice((1, 1, 2, 3, 70 if number % 300 == 0 else 4))):
            row = {name: cells[0] if dice.random() < 0.9 else dice.choice(cells) for name, cells in ORDER_CELLS.items()}
            if not refunds:
                del row["refund_id"]
            rows.append({"order_id": order_id, **row})
    spec = pb.ImportSpec(kind=pb.IMPORT_KIND_ORDERS, file="p.csv")
    content = _csv(rows)
    quick = _told(tmp_path, content, spec, rates=rates, quickly=True)
    assert (taken[0] > 50) is not refunds, "an order's id may depend on its return: those are the door's"
    assert quick == _told(tmp_path, content, spec, rates=rates, quickly=False)
