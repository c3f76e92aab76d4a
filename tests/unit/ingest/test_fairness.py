"""One workspace floods both doors: it is refused beyond its share, and the other one is not. Counted, not timed."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cdp.facts.v1.facts_pb2 import Identifier
from cdp.ingest.v1 import ingest_pb2 as pb
from cdp.workspace.v1 import workspace_pb2
from services.ingest.app import Ingest
from services.ingest.door import Door
from services.ingest.turns import Turns
from services.runtime.roles import Role
from tests.unit.ingest.house import House, eventually

BODY = json.dumps({"event": "e", "userId": "ann"}).encode()


def door_of(house: House) -> Door:
    service = house.host.service(Role.INGEST)
    assert isinstance(service, Ingest)
    return service._door


async def second_key(house: House) -> str:
    """The secret of a key of another workspace."""
    made = await house.workspaces.CreateWorkspace(
        workspace_pb2.CreateWorkspaceRequest(workspace=workspace_pb2.Workspace(id="other")), metadata=house.metadata
    )
    return made.secret


def head(key: str, path: str = "/v1/t", length: int = len(BODY), more: str = "") -> bytes:
    who = f"Authorization: Bearer {key}\r\n" if key else ""
    return f"POST {path} HTTP/1.1\r\nHost: x\r\n{who}{more}Content-Length: {length}\r\n\r\n".encode()


@asynccontextmanager
async def held_open(house: House, key: str, count: int, sent: bytes = b"") -> AsyncIterator[list[bytes]]:
    """`count` requests whose bodies do not end; yields the first lines of those that were answered all the same."""
    opened = [await asyncio.open_connection("127.0.0.1", house.host.http_port) for _ in range(count)]
    for _, writer in opened:
        writer.write(head(key, length=len(BODY) + len(sent)) + sent)

    async def answer(reader: asyncio.StreamReader) -> bytes:
        try:
            return await asyncio.wait_for(reader.readline(), 0.5)
        except TimeoutError:
            return b""

    try:
        yield [line for line in await asyncio.gather(*(answer(reader) for reader, _ in opened)) if line]
    finally:
        for _, writer in opened:
            writer.close()


@pytest.mark.parametrize("known", [True, False], ids=["key in the header", "key in the body"])
async def test_requests_in_work(house: House, known: bool) -> None:
    """Of a workspace, and of those of whom nothing is known yet: half of the room each."""
    other, door = await second_key(house), door_of(house)
    door.requests.most = 8
    async with held_open(house, house.key if known else "", 10) as answered:
        assert len(answered) == 6
        assert all(line.startswith(b"HTTP/1.1 429") for line in answered)
        assert door.requests.total == 4
        flood = await asyncio.gather(*(house.post("/v1/t", {"event": "e", "userId": "ann"}) for _ in range(10)))
        mine = [
            (await house.http.post("/v1/t", json={"event": "e", "userId": "bob"}, auth=(other, ""))).status_code
            for _ in range(10)
        ]
        assert mine == [200] * 10
        told = Counter(answer.status_code for answer in flood)
        assert told == {429: 10} if known else told[200] >= 4, "whose share is full is refused, who is known is not"
    await eventually(lambda: door.requests.total == 0)
    assert (await house.post("/v1/t", {"event": "e", "userId": "ann"})).status_code == 200


async def test_bytes_in_work(house: House) -> None:
    """Packed and unpacked bytes are counted while they are held, and given back."""
    other, door = await second_key(house), door_of(house)
    door.held.most = 200_000
    async with held_open(house, house.key, 4, b" " * 30_000) as answered:
        assert len(answered) == 1, "three times 30,000 fit into half of 200,000"
        assert (await house.http.post("/v1/t", content=BODY, auth=(other, ""))).status_code == 200
    await eventually(lambda: door.held.total == 0)
    packed = gzip.compress(BODY + b" " * 150_000)
    refused = await house.http.post("/v1/t", content=packed, auth=(house.key, ""))
    assert (refused.status_code, refused.json()["reason"]) == (429, "OVERLOADED")
    assert door.held.total == 0


async def test_calls_in_line_at_both_doors(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of batches of one workspace are in line, by HTTP and by gRPC; a call of the other one comes next."""
    other = await second_key(house)
    service = house.host.service(Role.INGEST)
    assert isinstance(service, Ingest)
    turns = service._ways._turns = Turns(items_a_pass=4)
    served: list[str] = []
    take = Turns.take

    async def noted(self: Turns, workspace: str, items: int) -> None:
        await take(self, workspace, items)
        served.append(workspace)

    monkeypatch.setattr(Turns, "take", noted)
    event = pb.Event(type="e", identifiers=[Identifier(kind="external_id", value="ann")])
    batch = pb.IngestBatchRequest(items=[pb.BatchItem(event=event)] * 500)
    document = {"batch": [{"type": "track", "event": "e", "userId": "ann"}] * 500}
    flood: list[Any] = [house.ingest.IngestBatch(batch, metadata=house.metadata) for _ in range(40)]
    flood += [asyncio.create_task(house.post("/v1/batch", document)) for _ in range(40)]
    await eventually(lambda: turns.waiting >= 20)
    before = len(served)
    bearer = (("authorization", f"Bearer {other}"),)
    await house.ingest.Track(pb.TrackRequest(event=event), metadata=bearer)
    assert served[before:].index("other") <= 4, "what was let through while the call was on its way"
    answers = await asyncio.gather(*flood)
    assert all(not one.reason for answer in answers[:40] for one in answer.results)
    assert Counter(answer.status_code for answer in answers[40:]) == {200: 40}
    assert Counter(served) == {"dev": 80, "other": 1}
