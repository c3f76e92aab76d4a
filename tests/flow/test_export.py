"""Segments as files: values exact, formulas harmless, pages of one instant, and back again through an import."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from pathlib import Path

import grpc
import httpx2
import pyarrow.parquet as pq
import pytest

from cdp.bulk.v1 import bulk_pb2 as pb
from cdp.bulk.v1 import bulk_pb2_grpc
from cdp.facts.v1 import facts_pb2
from cdp.segment.v1 import segment_pb2, segment_pb2_grpc
from services.runtime.roles import Role
from tests.flow.bulk_house import CONTACTS, BulkHouse, bulk_house
from tests.flow.platform import TOGETHER, eventually

PEOPLE = (
    '{"email":"a@example.com","external_id":"x1","name":"=cmd()","score":-1.25,"born":"1990-01-31","vip":true,'
    '"tags":["b","a;c"],"kids":[{"name":"K","age":3}],"home":{"latitude":50.45,"longitude":-30.5}}\n'
    '{"email":"b@example.com","external_id":"x2","name":"say \\"hi\\"\\nЇжак","score":899999999999999.0001}\n'
    '{"email":"c@example.com","external_id":"x3","name":"","score":7,"seen":"2025-01-02T03:04:05.000006Z"}\n'
)
COLUMNS = [
    pb.Column(column="born", target="attribute.born", kind=facts_pb2.KIND_DATE),
    pb.Column(column="seen", target="attribute.seen", kind=facts_pb2.KIND_INSTANT),
    pb.Column(column="score", target="attribute.score", kind=facts_pb2.KIND_DECIMAL),
    pb.Column(column="name", target="attribute.nick"),
]
EVERYBODY = "not email is missing"
NAMES = ["email", "nick", "score", "born", "vip", "tags", "kids", "seen", "home"]


class _Exports:
    """A client of the engine."""

    def __init__(self, house: BulkHouse, channel: grpc.aio.Channel) -> None:
        self.house = house
        self.stub = bulk_pb2_grpc.ExportServiceStub(channel)
        self.segments = segment_pb2_grpc.SegmentServiceStub(channel)

    async def ready(self, people: int) -> None:
        async def there() -> bool:
            request = segment_pb2.EvaluateRequest(rule=segment_pb2.RuleSource(text=EVERYBODY))
            try:
                found = await self.segments.Evaluate(request, metadata=self.house.platform.metadata)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE and "email" not in (error.details() or ""):
                    raise
                return False
            return bool(found.count.total == people)

        await eventually(there, "the engine has them all", 30.0)

    async def whole(self, **asked: object) -> tuple[bytes, list[pb.ExportSegmentResponse]]:
        if "name" not in asked:
            asked["rule"] = segment_pb2.RuleSource(text=EVERYBODY)
        request = pb.ExportSegmentRequest(**asked)  # type: ignore[arg-type]
        answers = [one async for one in self.stub.ExportSegment(request, metadata=self.house.platform.metadata)]
        return b"".join(one.content for one in answers), answers


async def test_a_segment_as_csv_ndjson_and_parquet(tmp_path: Path) -> None:
    spec = pb.ImportSpec(kind=CONTACTS, file="p.ndjson", columns=COLUMNS)
    async with bulk_house(tmp_path, TOGETHER) as house, house.platform.channel(Role.SEGMENT_ENGINE) as channel:
        found = await house.imported(PEOPLE.encode(), spec)
        assert found.rows_accepted == 3, await house.report(1)
        exports = _Exports(house, channel)
        await exports.ready(3)

        content, answers = await exports.whole(attributes=NAMES)
        rows = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
        assert [row["email"] for row in rows] == ["a@example.com", "b@example.com", "c@example.com"]
        assert answers[0].contacts == 3 and answers[0].freshness.position > 0
        assert (rows[0]["nick"], rows[0]["score"], rows[0]["born"], rows[0]["vip"]) == (
            "=cmd()",
            "-1.25",
            "1990-01-31",
            "true",
        )
        assert (rows[1]["nick"], rows[1]["score"]) == ('say "hi"\nЇжак', "899999999999999.0001")
        assert rows[2]["seen"] == "2025-01-02T03:04:05.000006Z"
        assert json.loads(rows[0]["kids"]) == [{"age": 3, "name": "K"}]
        safe, _ = await exports.whole(attributes=NAMES, formula_safe=True)
        first = next(csv.DictReader(io.StringIO(safe.decode(), newline="")))
        assert (first["nick"], first["score"]) == ("'=cmd()", "-1.25")

        lines, _ = await exports.whole(attributes=NAMES, format=pb.EXPORT_FORMAT_NDJSON)
        told = [json.loads(line, parse_float=Decimal) for line in lines.decode().splitlines()]
        assert told[1]["score"] == Decimal("899999999999999.0001")
        assert told[0]["tags"] == ["b", "a;c"] and "seen" not in told[0]
        assert told[0]["home"] == {"latitude": Decimal("50.45"), "longitude": Decimal("-30.5")}

        table, _ = await exports.whole(attributes=NAMES, format=pb.EXPORT_FORMAT_PARQUET)
        columns = pq.read_table(io.BytesIO(table)).to_pydict()
        assert columns["score"] == [Decimal("-1.2500"), Decimal("899999999999999.0001"), Decimal("7.0000")]
        assert columns["tags"] == [["b", "a;c"], None, None]
        everything, _ = await exports.whole()
        header = everything.decode().splitlines()[0]
        assert header.startswith("contact_key,") and "nick" in header


async def test_pages_are_of_one_instant_and_http_tells_the_same(tmp_path: Path) -> None:
    content = "email,city\n" + "".join(f"u{i:04d}@example.com,C{i % 7}\n" for i in range(5_003))
    async with bulk_house(tmp_path, TOGETHER) as house, house.platform.channel(Role.SEGMENT_ENGINE) as channel:
        await house.imported(content.encode(), pb.ImportSpec(kind=CONTACTS, file="p.csv"))
        exports = _Exports(house, channel)
        await exports.ready(5_003)
        save = segment_pb2.SaveSegmentRequest(name="All", rule=segment_pb2.RuleSource(text=EVERYBODY))
        await exports.segments.SaveSegment(save, metadata=house.platform.metadata)
        whole, answers = await exports.whole(name="All", attributes=["email", "city"])
        assert len(answers) == 4 and whole.count(b"\r\n") == 5_004
        pages, token = [], ""
        while True:
            page, told = await exports.whole(
                name="All", attributes=["email", "city"], page_size=1_200, page_token=token
            )
            pages.append(page.partition(b"\r\n")[2])
            token = told[-1].next_page_token
            if not token:
                break
        assert whole.partition(b"\r\n")[2] == b"".join(pages)
        # A stream that broke off goes on after its last answer.
        rest, _ = await exports.whole(name="All", attributes=["email", "city"], page_token=answers[1].next_page_token)
        head = b"".join(one.content for one in answers[:2])
        assert head + rest.partition(b"\r\n")[2] == whole

        url = f"{house.platform.http_url(Role.SEGMENT_ENGINE)}/v1/exports/All?attributes=email,city"
        async with httpx2.AsyncClient() as client:
            answer = await client.get(url, headers={"Authorization": f"Bearer {house.platform.key}"})
            assert answer.content == whole
            assert answer.headers["x-cdp-contacts"] == "5003"
            assert (await client.get(url)).status_code == 401
            wrong = await client.get(url + "&format=xls", headers={"Authorization": f"Bearer {house.platform.key}"})
            assert (wrong.status_code, wrong.json()["reason"]) == (400, "BAD_EXPORT")

        # Back again: what was exported tells the same people the same.
        spec = pb.ImportSpec(kind=CONTACTS, file="back.csv")
        back = await house.imported(whole, spec)
        assert (back.rows_accepted, back.rows_rejected) == (5_003, 0), await house.report(back.number)
        await exports.ready(5_003)
        again, _ = await exports.whole(name="All", attributes=["email", "city"])
        assert again == whole


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"attributes": ["email", "email"]}, "each once"),
        ({"attributes": ["nothing"]}, "no contact has an attribute"),
        ({"page_token": "x"}, "page token"),
        ({"page_token": "MS45OTk5OTk5OTk5OTk5OTk5OTk5OS4tMQ"}, "page token"),
        ({"format": 9}, "format"),
        ({"name": "none"}, "none"),
    ],
)
async def test_wrong_questions_are_refused(tmp_path: Path, asked: dict[str, object], reason: str) -> None:
    async with bulk_house(tmp_path, TOGETHER) as house, house.platform.channel(Role.SEGMENT_ENGINE) as channel:
        exports = _Exports(house, channel)
        await house.imported(b"email\na@example.com\n", pb.ImportSpec(kind=CONTACTS, file="p.csv"))
        await exports.ready(1)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await exports.whole(**asked)
        assert refused.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)
        assert reason in (refused.value.details() or "")
