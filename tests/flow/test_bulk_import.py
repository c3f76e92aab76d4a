"""Files through the front door: mapped, checked, refused row by row, shown as operations."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from pathlib import Path
from typing import Any

import grpc
import httpx2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.longrunning import operations_pb2

from cdp.bulk.v1 import bulk_pb2 as pb
from core.events.columns import IMPORTED
from core.schema import DecimalUnits
from services.runtime.roles import Role
from tests.flow.bulk_house import CONTACTS, EVENTS, NOW_US, ORDERS, BulkHouse, bulk_house

DONE, FAILED = pb.IMPORT_STATE_DONE, pb.IMPORT_STATE_FAILED


def _report(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


async def _refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value.code(), refused.value.details() or ""


async def test_events_are_mapped_by_their_names_and_wrong_rows_are_reported(tmp_path: Path) -> None:
    content = (
        "Email;Product ID;Price;Quantity;Occurred At;Shelf\r\n"
        'a@example.com;p1;"1 234,50";2;31.01.2025 10:00;7\r\n'
        "b@example.com;p2;12,12345;2;31.01.2025 10:00;8\r\n"
        "\r\n"
        "c@example.com;p3;1,5;many;31.01.2025 10:00;9\r\n"
        "d@example.com;p4;1,5;1\r\n"
        ";p5;1,5;1;31.01.2025 10:00;9\r\n"
        "e@example.com;p6;1,5;1;30.03.2025 03:30;10\r\n"
    )
    spec = pb.ImportSpec(
        kind=EVENTS,
        file="views.csv",
        event_type="Product Viewed",
        zone="Europe/Kyiv",
        time_format="%d.%m.%Y %H:%M",
        decimal_comma=True,
    )
    async with bulk_house(tmp_path) as house:
        found = await house.imported(content.encode(), spec)
        assert (found.state, found.rows_read, found.rows_accepted, found.rows_rejected) == (DONE, 6, 1, 5)
        assert found.progress_units == 10_000
        assert dict(found.rejected_by_reason) == {"BAD_NUMBER": 2, "BAD_ROW": 1, "NO_IDENTIFIER": 1, "BAD_TIME": 1}
        event = next(iter((await house.facts()).events.values()))
        assert event.type == "product_viewed"
        assert event.flags & IMPORTED
        assert event.occurred_at_us == 1_738_310_400_000_000  # 10:00 in Kyiv is 08:00 UTC
        assert event.params["price"] == DecimalUnits(12_345_000)
        assert event.params["shelf"] == 7
        rows = _report(await house.report(found.number))
        assert [(row["row"], row["reason"], row["path"]) for row in rows] == [
            ("2", "BAD_NUMBER", "Price"),
            ("3", "BAD_NUMBER", "Quantity"),
            ("4", "BAD_ROW", ""),
            ("5", "NO_IDENTIFIER", "identifiers"),
            ("6", "BAD_TIME", "Occurred At"),
        ]
        assert rows[0]["Email"] == "b@example.com" and rows[0]["Price"] == "12,12345"


async def test_the_same_file_again_adds_nothing(tmp_path: Path) -> None:
    content = "email,product_id,time\n" + "".join(f"u{i}@example.com,p{i},2025-01-02\n" for i in range(2_500))
    spec = pb.ImportSpec(kind=EVENTS, file="e.csv", event_type="product_viewed")
    async with bulk_house(tmp_path) as house:
        first = await house.imported(content.encode(), spec)
        second = await house.ended(await house.start(spec))
        assert (second.state, second.same_as, second.rows_read) == (DONE, first.number, 0)
        assert (await house.facts()).written == 2_500
        third = await house.ended(await house.start(spec, again=True))
        assert third.rows_accepted == 2_500
        facts = await house.facts()
        assert (facts.written, len(facts.events)) == (5_000, 2_500)
        # A request that is sent twice begins one import.
        one, two = [await house.start(spec, request_id="r1", dry_run=True) for _ in range(2)]
        assert one.name == two.name


async def test_contacts_with_attributes_consents_and_lists(tmp_path: Path) -> None:
    content = (
        "email,phone,first_name,birth_date,city,club,mail_ok,groups,score\n"
        'a@example.com,+380501234567,Олена,1990-01-31,Київ,gold,yes,"vip; news",1.5\n'
        "b@example.com,,Ada,,,silver,unsubscribed,,2\n"
        "c@example.com,,Eve,,,silver,perhaps,,2\n"
    )
    spec = pb.ImportSpec(
        kind=CONTACTS,
        file="people.csv",
        columns=[
            pb.Column(column="mail_ok", target="consent.email"),
            pb.Column(column="groups", target="list"),
        ],
    )
    async with bulk_house(tmp_path) as house:
        found = await house.imported(content.encode(), spec)
        assert (found.state, found.rows_accepted, dict(found.rejected_by_reason)) == (DONE, 2, {"BAD_CONSENT": 1})
        first, second = (await house.facts()).others.values()
        assert first.imported and first.occurred_at_us == NOW_US
        assert [(one.kind, one.value) for one in first.profile.identifiers] == [
            ("email", "a@example.com"),
            ("phone", "+380501234567"),
        ]
        assert first.profile.attributes["first_name"].text == "Олена"
        assert first.profile.attributes["score"].decimal_units == 15_000
        assert [(one.list, one.member) for one in first.profile.lists] == [("vip", True), ("news", True)]
        assert [(one.channel, one.state) for one in second.profile.consents] == [("email", "denied")]
        assert set(second.profile.attributes) == {"first_name", "club", "score"}


async def test_rows_of_an_order_are_its_lines(tmp_path: Path) -> None:
    content = (
        "order_id,email,date,product_id,price,quantity,total\n"
        "1,a@example.com,2025-01-02,p1,1.5,2,5\n"
        "1,a@example.com,2025-01-02,p2,2,1,5\n"
        "2,a@example.com,2025-01-03,p2,2,1,2\n"
        "3,a@example.com,2025-01-03,p2,2,1,2\n"
        "3,a@example.com,2025-01-03,p3,two,1,2\n"
        "3,a@example.com,2025-01-03,p4,2,1,2\n"
    )
    async with bulk_house(tmp_path) as house:
        found = await house.imported(content.encode(), pb.ImportSpec(kind=ORDERS, file="orders.csv"))
        # An order without one of its lines would be another order: it is refused whole.
        assert (found.rows_read, found.rows_accepted, found.facts, found.rows_rejected) == (6, 3, 2, 3)
        one, two = (await house.facts()).events.values()
        assert one.type == "order_completed" and one.params["total"] == DecimalUnits(50_000)
        assert [line["product_id"] for line in one.items] == ["p1", "p2"]
        assert len(two.items) == 1
        rows = _report(await house.report(found.number))
        assert {(row["path"], row["description"]) for row in rows} == {("price", "(row 5) is no number")}


async def test_a_dry_run_tells_what_would_happen_and_does_nothing(tmp_path: Path) -> None:
    content = "email,city,shoe size,vip\na@example.com,Kyiv,38.5,true\nb@example.com,Lviv,39,false\n,Rivne,40,true\n"
    spec = pb.ImportSpec(kind=CONTACTS, file="people.csv")
    async with bulk_house(tmp_path) as house:
        await house.upload("people.csv", content.encode())
        proposed = await house.bulk.ProposeMapping(
            pb.ProposeMappingRequest(spec=spec), metadata=house.platform.metadata
        )
        assert [(one.column, one.target) for one in proposed.columns] == [
            ("email", "identifier.email"),
            ("city", "attribute.city"),
            ("shoe size", "attribute.shoe_size"),
            ("vip", "attribute.vip"),
        ]
        assert list(proposed.unknown_columns) == ["shoe size", "vip"]
        found = await house.ended(await house.start(spec, dry_run=True))
        assert (found.rows_accepted, dict(found.rejected_by_reason)) == (2, {"NO_IDENTIFIER": 1})
        assert [(one.place, one.kind) for one in found.preview.new_names] == [
            ("attribute.shoe_size", 3),
            ("attribute.vip", 4),
        ]
        assert [one.person.attributes["shoe_size"].decimal_units for one in found.preview.first] == [385_000, 390_000]
        assert (await house.facts()).written == 0


async def test_ndjson_and_parquet_tell_the_same_as_csv(tmp_path: Path) -> None:
    table: Any = pa.table(
        {
            "email": [f"u{i}@example.com" for i in range(2_100)],
            "price": pa.array([Decimal(i) / 100 for i in range(2_100)], pa.decimal128(12, 2)),
            "time": pa.array([1_735_725_600_000_000 + i for i in range(2_100)], pa.timestamp("us", "UTC")),
            "weight": [i / 10 for i in range(2_100)],
        }
    )
    pq.write_table(table, tmp_path / "e.parquet", row_group_size=1_000)
    lines = "".join(
        f'{{"email":"u{i}@example.com","price":{i / 100:.2f},"time":"2025-01-01T10:00:00.{i:06d}Z",'
        f'"weight":{i // 10}.{i % 10}}}\n'
        for i in range(2_100)
    )
    rows = "email,price,time,weight\n" + "".join(
        f"u{i}@example.com,{i / 100:.2f},2025-01-01T10:00:00.{i:06d}Z,{i // 10}.{i % 10}\n" for i in range(2_100)
    )
    contents = {"e.csv": rows.encode(), "e.ndjson": lines.encode(), "e.parquet": (tmp_path / "e.parquet").read_bytes()}
    async with bulk_house(tmp_path) as house:
        told = []
        for name, content in contents.items():
            spec = pb.ImportSpec(kind=EVENTS, file=name, event_type="product_viewed")
            found = await house.imported(content, spec)
            assert (found.state, found.rows_accepted) == (DONE, 2_100), found
            digest = found.digest[:16]
            events = [e for e in (await house.facts()).events.values() if e.id.startswith(f"import:{digest}:")]
            told.append([(e.occurred_at_us, e.identifiers, dict(e.params)) for e in events])
        assert told[0] == told[1] == told[2]
        assert told[0][7][2] == {"price": DecimalUnits(700), "weight": DecimalUnits(7_000)}


async def test_files_in_other_encodings_are_read_by_their_name_or_refused(tmp_path: Path) -> None:
    text = "email,first_name\na@example.com,Ёлка\n"
    async with bulk_house(tmp_path) as house:
        spec = pb.ImportSpec(kind=CONTACTS, file="p.csv")
        await house.upload("p.csv", text.encode("cp1251"))
        code, said = await _refusal(house.start(spec))
        assert code is grpc.StatusCode.INVALID_ARGUMENT and "windows-1251" in said
        spec.encoding = "windows-1251"
        found = await house.ended(await house.start(spec))
        assert found.rows_accepted == 1
        (fact,) = (await house.facts()).others.values()
        assert fact.profile.attributes["first_name"].text == "Ёлка"
        for content, word in (
            (text.encode("utf-16"), "UTF-16"),
            (b"\x1f\x8b\x08\x00abc", "gzip"),
            (b"", "column names"),
            (b"email,email\n", "two columns"),
        ):
            await house.upload("p.csv", content)
            code, said = await _refusal(house.start(pb.ImportSpec(kind=CONTACTS, file="p.csv")))
            assert code is grpc.StatusCode.INVALID_ARGUMENT and word in said
        # UTF-8 with its mark, and one broken row in the middle of a sound file.
        content = b"\xef\xbb\xbf" + text.encode() + b"b@example.com,\xff\xfe\nc@example.com,C\n"
        found = await house.imported(content, pb.ImportSpec(kind=CONTACTS, file="p.csv"))
        assert (found.rows_accepted, dict(found.rejected_by_reason)) == (2, {"BAD_TEXT": 1})


async def test_what_cannot_be_taken_apart_is_a_refused_row(tmp_path: Path) -> None:
    big = "x" * (10 << 20)
    content = (
        "email,first_name\n"
        f"a@example.com,{big}\n"
        'b@example.com,"quoted" twice\n'
        "c@example.com,fine\n"
        "d@example.com,nul\x00byte\n"
        'e@example.com,"line\nwithin"\n'
        'f@example.com,"never closed\n'
    )
    async with bulk_house(tmp_path) as house:
        found = await house.imported(content.encode(), pb.ImportSpec(kind=CONTACTS, file="p.csv"))
        assert (found.state, found.rows_read, found.rows_accepted) == (DONE, 6, 2)
        assert dict(found.rejected_by_reason) == {"ITEM_TOO_LARGE": 1, "BAD_ROW": 2, "BAD_TEXT": 1}
        report = await house.report(found.number)
        assert len(report) < 10_000  # what is shown of a field has an end


async def test_a_report_shows_no_value_where_there_was_none(tmp_path: Path) -> None:
    content = b'{"email": "a@example.com", "score": NaN}\n{"email": "b@example.com", "score": 1, "score": 2}\n'
    async with bulk_house(tmp_path) as house:
        found = await house.imported(content, pb.ImportSpec(kind=CONTACTS, file="n.ndjson"))
        rows = _report(await house.report(found.number))
        assert [(row["reason"], row["email"], row["score"]) for row in rows] == [
            ("BAD_NUMBER", "a@example.com", ""),
            ("DUPLICATE_KEY", "b@example.com", ""),
        ]


async def test_operations_are_listed_waited_for_and_cancelled(tmp_path: Path) -> None:
    content = "email,product_id\n" + "".join(f"u{i}@example.com,p{i}\n" for i in range(60_000))
    spec = pb.ImportSpec(kind=EVENTS, file="e.csv", event_type="product_viewed")
    async with bulk_house(tmp_path) as house:
        await house.upload("e.csv", content.encode())
        first, second = await house.start(spec), await house.start(spec, request_id="two")
        metadata = house.platform.metadata
        await house.operations.CancelOperation(
            operations_pb2.CancelOperationRequest(name=second.name), metadata=metadata
        )
        await house.operations.CancelOperation(
            operations_pb2.CancelOperationRequest(name=first.name), metadata=metadata
        )
        ended = await house.ended(first)
        assert ended.state == pb.IMPORT_STATE_CANCELLED
        assert ended.rows_accepted < 60_000
        answer = await house.operations.ListOperations(operations_pb2.ListOperationsRequest(), metadata=metadata)
        assert [(one.name, one.done, one.error.code) for one in answer.operations] == [
            (second.name, True, 1),
            (first.name, True, 1),
        ]
        unknown = operations_pb2.GetOperationRequest(name="operations/imports/77")
        code, _ = await _refusal(house.operations.GetOperation(unknown, metadata=metadata))
        assert code is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        (pb.ImportSpec(kind=EVENTS, file="e.csv"), "spec.event_type"),
        (pb.ImportSpec(file="e.csv"), "spec.kind"),
        (pb.ImportSpec(kind=EVENTS, file="../e.csv"), "spec.file"),
        (pb.ImportSpec(kind=EVENTS, file="e.csv", zone="Mars/Base"), "spec.zone"),
        (pb.ImportSpec(kind=EVENTS, file="e.csv", encoding="utf-16"), "spec.encoding"),
        (pb.ImportSpec(kind=EVENTS, file="e.csv", encoding="rot13"), "spec.encoding"),
        (pb.ImportSpec(kind=EVENTS, file="e.csv", time_format="%q"), "spec.time_format"),
        (pb.ImportSpec(kind=EVENTS, file="e.csv", event_type="x", columns=[pb.Column(column="no")]), "no column 'no'"),
        (
            pb.ImportSpec(
                kind=EVENTS, file="e.csv", event_type="x", columns=[pb.Column(column="email", target="item.x")]
            ),
            "no target",
        ),
        (
            pb.ImportSpec(kind=EVENTS, file="e.csv", event_type="x", columns=[pb.Column(column="email")]),
            "identifier.<kind>",
        ),
    ],
)
async def test_a_wrong_spec_is_refused_with_its_field(tmp_path: Path, spec: pb.ImportSpec, word: str) -> None:
    async with bulk_house(tmp_path) as house:
        await house.upload("e.csv", b"email,product_id\na@example.com,p\n")
        code, said = await _refusal(house.start(spec))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert word in said


async def test_uploads_go_on_where_they_broke_off(tmp_path: Path) -> None:
    content = b"email,first_name\n" + b"".join(b"u%d@example.com,N\n" % i for i in range(1_000))
    async with bulk_house(tmp_path) as house:
        url = f"{house.platform.http_url(Role.INGEST)}/v1/files/p.csv"
        headers = {"Authorization": f"Bearer {house.platform.key}"}
        async with httpx2.AsyncClient() as client:

            async def put(first: int, last: int, size: int = len(content)) -> httpx2.Response:
                told = {**headers, "Content-Range": f"bytes {first}-{last - 1}/{size}"}
                return await client.put(url, content=content[first:last], headers=told)

            assert (await put(0, 5_000)).status_code == 202
            assert (await put(6_000, 7_000)).json()["reason"] == "UPLOAD_OFFSET"
            assert (await client.get(url, headers=headers)).json() == {
                "name": "p.csv",
                "size_bytes": 5_000,
                "complete": False,
            }
            code, said = await _refusal(house.start(pb.ImportSpec(kind=CONTACTS, file="p.csv")))
            assert code is grpc.StatusCode.FAILED_PRECONDITION and "not arrived whole" in said
            assert (await put(4_000, 9_000)).status_code == 202  # a part sent again counts once
            done = await put(9_000, len(content))
            assert (done.status_code, done.json()["complete"]) == (200, True)
            # Sizes that lie.
            assert (await put(0, 100, 50)).json()["reason"] == "BAD_CONTENT_RANGE"
            told = {**headers, "Content-Range": "bytes 0-99/200"}
            lied = await client.put(url, content=content[:50], headers=told)
            assert lied.json()["reason"] == "RANGE_NOT_FILLED"
            assert (await client.put(url, content=b"x")).status_code == 401
        found = await house.ended(await house.start(pb.ImportSpec(kind=CONTACTS, file="p.csv")))
        assert found.rows_accepted == 1_000


async def test_files_are_listed_and_deleted(tmp_path: Path) -> None:
    async with bulk_house(tmp_path) as house:
        metadata = house.platform.metadata
        for name in ("b.csv", "a.csv"):
            await house.upload(name, b"email\na@example.com\n")
        listed = await house.bulk.ListFiles(pb.ListFilesRequest(page_size=1), metadata=metadata)
        assert ([one.name for one in listed.files], listed.next_page_token) == (["a.csv"], "a.csv")
        await house.bulk.DeleteFile(pb.DeleteFileRequest(name="a.csv"), metadata=metadata)
        listed = await house.bulk.ListFiles(pb.ListFilesRequest(), metadata=metadata)
        assert [one.name for one in listed.files] == ["b.csv"]
        code, _ = await _refusal(house.bulk.GetFile(pb.GetFileRequest(name="a.csv"), metadata=metadata))
        assert code is grpc.StatusCode.NOT_FOUND


async def _types(house: BulkHouse) -> set[str]:
    return {event.type for event in (await house.facts()).events.values()}


async def test_a_column_may_tell_the_type_and_the_id(tmp_path: Path) -> None:
    content = (
        "event_id,event,user_id,time,product_id,price\n"
        "m1,Product Viewed,u1,1735725600,p1,1\n"
        "m2,Product Added,u1,1735725601,p1,1.25\n"
        "m2,Product Added,u1,1735725601,p1,1.25\n"
    )
    spec = pb.ImportSpec(kind=EVENTS, file="e.csv", time_format="unix_s")
    async with bulk_house(tmp_path) as house:
        found = await house.imported(content.encode(), spec)
        assert (found.rows_accepted, dict(found.rejected_by_reason)) == (3, {})
        assert await _types(house) == {"product_viewed", "product_added_to_cart"}
        assert set((await house.facts()).events) == {"m1", "m2"}
