"""A shop that sends without end, remembers every success reply, and looks afterwards where everything is."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

import grpc
import httpx2
import pyarrow.parquet as pq

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from core.eventlog.protocol import EventLog, Partition
from core.workspace import bucket_of
from services.demo.client import Client, again
from services.ingest.usage import EVERYBODY
from services.ingest.usage import TABLE as USAGE
from services.ingest.worker import SOURCE
from services.ingest.worker import TABLE as ARCHIVE
from services.runtime.redis_log import RedisLog
from services.runtime.roles import Role
from tests.fault.processes import WORKSPACE, Processes

INGEST = Partition("ingest", WORKSPACE, bucket_of(WORKSPACE))
BATCH = 40
_FILLING = "x" * 1_000
_PATIENCE_S = 120.0
_MANY = 1 << 30


@dataclass(slots=True)
class Sender:
    """Sends until `stop` is set; the same call again while the server is away. `acknowledged` has a position for every
    id that a success reply named (0: over HTTP, which tells none); `sent` every id that may be in the log."""

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    acknowledged: dict[str, int] = field(default_factory=dict)
    sent: set[str] = field(default_factory=set)

    async def over_grpc(self, client: Client, name: str) -> None:
        """Batches with much in them, and now and then a name that nobody has told before."""
        number = 0
        while not self.stop.is_set():
            ids = [f"{name}-{number}-{item}" for item in range(BATCH)]
            # A type has at most 500 names: the next ones belong to another type.
            type_, novelty = f"visit_{number // 400}", f"novelty_{name}_{number // 4}"
            events = [_event(one, type_, novelty) for one in ids]
            items = [ingest_pb2.BatchItem(event=event) for event in events]
            self.sent.update(ids)
            request = ingest_pb2.IngestBatchRequest(items=items)
            answer = await again(lambda: _batch(client, request), _PATIENCE_S)  # noqa: B023 - called before the next
            assert [one.message_id for one in answer.results] == ids, answer.results[:2]
            self.acknowledged |= dict.fromkeys(ids, answer.position)
            number += 1

    async def over_http(self, url: str, secret: str, name: str) -> None:
        """Batches of an SDK."""
        number = 0
        async with httpx2.AsyncClient(timeout=20, auth=(secret, "")) as client:
            while not self.stop.is_set():
                ids = [f"{name}-{number}-{item}" for item in range(5)]
                calls = [{"type": "track", "event": "Store Entered", "userId": name, "messageId": one} for one in ids]
                self.sent.update(ids)
                await _posted(client, f"{url}/v1/batch", {"batch": calls})
                self.acknowledged |= dict.fromkeys(ids, 0)
                number += 1

    async def reached(self, count: int) -> None:
        """Return once so many more are acknowledged."""
        goal = len(self.acknowledged) + count
        async with asyncio.timeout(_PATIENCE_S):
            while len(self.acknowledged) < goal:  # noqa: ASYNC110 - the callers count in a plain dict
                await asyncio.sleep(0.02)


@dataclass(frozen=True, slots=True)
class Stored:
    """Where everything is: id -> positions, of the archive below `first` and of the log from there on."""

    positions: Mapping[str, set[int]]
    first: int
    archived: int
    #: Items that the archive counted, by its files and by the usage that it keeps.
    items: int
    used: int

    def check(self, sender: Sender) -> None:
        """Everything acknowledged is there, where the reply said; and nothing that nobody sent."""
        lost = sender.acknowledged.keys() - self.positions.keys()
        assert not lost, (len(lost), sorted(lost)[:5])
        elsewhere = [
            one for one, position in sender.acknowledged.items() if position and position not in self.positions[one]
        ]
        assert not elsewhere, elsewhere[:5]
        assert self.positions.keys() <= sender.sent
        assert self.used == self.items, "usage counts what the archive holds"


async def stored(url: str, folder: Path) -> Stored:
    """Read the log, and the archive as far as it is committed. Ingest must not run."""
    log = await RedisLog.connect(url)
    try:
        return await _stored(log, folder)
    finally:
        await log.close()


async def _stored(log: EventLog, folder: Path) -> Stored:
    archived = await log.source_position(INGEST, SOURCE)
    rows = {key.decode(): json.loads(value) async for key, value in log.scan(INGEST, ARCHIVE)}
    expected, positions = 1, dict[str, set[int]]()
    for name in sorted(rows, key=lambda name: name.partition("/")[2]):
        begins, _, ends = name.partition("/")[2].partition("-")
        assert int(begins) == expected, f"the archive has a gap or an overlap before {name}"
        expected = int(ends) + 1
        events = pq.read_table(folder / f"{name}.parquet", columns=["id", "position"])
        assert events.num_rows == rows[name]["events"]
        for row in events.to_pylist():
            positions.setdefault(row["id"], set()).add(row["position"])
    assert expected == archived + 1
    beyond = [path for path in folder.glob("*/*.parquet") if int(path.name.partition("-")[0]) <= archived]
    assert {str(path.relative_to(folder)).partition(".")[0] for path in beyond} == set(rows)
    first, last = await log.bounds(INGEST)
    assert first <= archived + 1, "the log was trimmed beyond the archive"
    entries = await log.read(INGEST, first - 1, _MANY, _MANY)
    assert [entry.position for entry in entries] == list(range(first, last + 1))
    for entry in entries:
        for one in facts_pb2.AcceptedBatch.FromString(entry.payload).events.ids:
            positions.setdefault(one, set()).add(entry.position)
    used = Counter[str]()
    async for key, value in log.scan(INGEST, USAGE):
        _, _, key_id = key.decode().partition("|")
        used["all" if key_id == EVERYBODY else "keys"] += int(value)
    items = sum(int(row["events"]) + int(row["facts"]) for row in rows.values())
    return Stored(positions, first, archived, items, used["keys"])


def send_meanwhile(processes: Processes, sender: Sender) -> list[asyncio.Task[None]]:
    """Three senders, until `sender.stop`."""
    client = processes.client(Role.INGEST)
    return [
        asyncio.create_task(sender.over_grpc(client, "one")),
        asyncio.create_task(sender.over_grpc(client, "two")),
        asyncio.create_task(sender.over_http(processes.http_url(Role.INGEST), processes.secret, "web")),
    ]


def _event(message_id: str, type_: str, novelty: str) -> ingest_pb2.Event:
    who = facts_pb2.Identifier(kind="external_id", value=f"person-{crc32(message_id.encode()) % 500}")
    params = {f"text_{n}": facts_pb2.Value(text=f"{message_id}{_FILLING}") for n in range(5)}
    params[novelty] = facts_pb2.Value(integer=1)
    return ingest_pb2.Event(message_id=message_id, type=type_, identifiers=[who], params=params)


async def _batch(client: Client, request: ingest_pb2.IngestBatchRequest) -> ingest_pb2.IngestBatchResponse:
    try:
        return await client.ingest.IngestBatch(request, metadata=client.metadata, timeout=10)
    except grpc.aio.AioRpcError as error:
        # A reply that a kill cut off, or that never comes: the same call may be made again, under the same ids.
        if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
            raise
        return await _batch(client, request)


async def _posted(client: httpx2.AsyncClient, url: str, body: object) -> None:
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            try:
                answer = await client.post(url, json=body)
            except httpx2.TransportError:
                await asyncio.sleep(0.05)
                continue
            if answer.status_code == 200:
                assert not answer.json().get("rejected"), answer.text
                return
            assert answer.status_code in (429, 503), answer.text
            await asyncio.sleep(0.05)
