"""A disk that is full: writes stop with a stable refusal, reads go on, nothing acknowledged is lost, and once there is
room everything recovers by itself. After an fsync that failed the process ends."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import httpx2
import pytest
from google.protobuf.message import Message

from cdp.bulk.v1 import bulk_pb2, bulk_pb2_grpc
from cdp.catalog.v1 import catalog_pb2, catalog_pb2_grpc
from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from cdp.profile.v1 import profile_pb2
from cdp.segment.v1 import segment_pb2
from core.clock import ManualClock
from core.eventlog.memory import MemoryLog
from core.index.digest import digest
from core.index.index import Index
from services.demo.client import Client, again
from services.ingest.worker import ArchiveShard
from services.runtime.errors import from_rpc
from services.runtime.feed import ConsumerPositions
from services.runtime.server_process import free_port
from services.runtime.waiter import LoopWaiter
from services.segment_engine.snapshots import SnapshotStore
from tests.fault.digests import LogCopy, numbers_of
from tests.fault.processes import ROOT
from tests.fault.small_disk import SmallDisk, small_disk
from tests.flow.platform import eventually
from tests.flow.unification_house import payload_of
from tests.generators.scene import make_scene
from tests.generators.world import batches
from tests.unit.ingest.house import DEV, NOW_US
from tests.unit.profile.people import E as EMAIL
from tests.unit.profile.people import T, event

MIB = 1 << 20
_FILLING_BYTES = 4_000
_READY_S = 60.0


class Up:
    """`cdp up` with everything on one disk, as a person runs it."""

    def __init__(self, data: Path, printed: Path, keep_free_bytes: int) -> None:
        self._printed = printed
        self._data = data
        grpc_port, http_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{http_port}"
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("CDP_")},
            "CDP_DATA_DIR": str(data),
            "CDP_GRPC_PORT": str(grpc_port),
            "CDP_HTTP_PORT": str(http_port),
            "CDP_LOG_KEEP_FREE_BYTES": str(keep_free_bytes),
            "CDP_SNAPSHOT_INTERVAL_S": "1",
            "CDP_LOG_LEVEL": "warning",
        }
        with printed.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "services", "up"], cwd=ROOT, env=environment, stdout=out, stderr=out
            )
        self._address = f"127.0.0.1:{grpc_port}"
        self._client: Client | None = None

    @property
    def client(self) -> Client:
        """A caller with the key that it printed."""
        assert self._client is not None, "wait until it is ready"
        return self._client

    @property
    def returncode(self) -> int | None:
        """Of the process; None while it runs."""
        return self._process.poll()

    async def ready(self) -> None:
        """Return once it says that it is."""

        async def said() -> bool:
            assert self._process.poll() is None, self.printed()
            return "ready:" in self.printed()

        await eventually(said, "it is ready", _READY_S)
        self._client = Client(self._address, (self._data / "dev-key").read_text().strip())

    def printed(self) -> str:
        """Everything it has printed."""
        return self._printed.read_text(errors="replace")

    async def close(self) -> None:
        """kill -9: its log server goes with it."""
        if self._client is not None:
            await self._client.close()
        self._process.kill()
        await asyncio.to_thread(self._process.wait, 30)


@asynccontextmanager
async def up_on(disk: SmallDisk, printed: Path, keep_free_bytes: int) -> AsyncIterator[Up]:
    up = Up(disk.folder / "data", printed, keep_free_bytes)
    try:
        await up.ready()
        yield up
        assert up.returncode is None, up.printed()
    finally:
        print(up.printed()[-8_000:])
        await up.close()


class Shop:
    """Sends, and remembers what was acknowledged."""

    def __init__(self, up: Up) -> None:
        self._up = up
        self.acknowledged: list[str] = []
        self._number = 0

    async def send(self, items: int = 50) -> None:
        """A batch over gRPC; raises what it raises."""
        self._number += 1
        ids = [f"m{self._number}-{item}" for item in range(items)]
        who = facts_pb2.Identifier(kind="external_id", value="ann")
        events = [ingest_pb2.Event(type="store_entered", message_id=one, identifiers=[who]) for one in ids]
        for one in events:  # each has a text of its own: equal ones are kept once an entry
            one.params["text"].text = os.urandom(_FILLING_BYTES).hex()
        request = ingest_pb2.IngestBatchRequest(items=[ingest_pb2.BatchItem(event=one) for one in events])
        client = self._up.client
        answer = await client.ingest.IngestBatch(request, metadata=client.metadata, timeout=20)
        self.acknowledged += [one.message_id for one in answer.results]

    async def fill(self) -> grpc.aio.AioRpcError:
        """Send until it is refused."""
        for _ in range(1_000):
            try:
                await self.send()
            except grpc.aio.AioRpcError as error:
                return error
        raise AssertionError("it never refused")

    async def read(self) -> None:
        """Questions to each service that answers any; a server that is started anew is waited for."""
        client = self._up.client
        who = facts_pb2.Identifier(kind="external_id", value="ann")
        get = profile_pb2.GetRequest(identifier=who, timeline_size=5)
        found = await again(lambda: client.profile.Get(get, metadata=client.metadata, timeout=10))
        assert len(found.timeline) == 5
        ask = segment_pb2.EvaluateRequest(rule=segment_pb2.RuleSource(text="did store_entered"), members=True)
        answer = await again(lambda: client.segment.Evaluate(ask, metadata=client.metadata, timeout=10))
        assert len(numbers_of(answer.roaring)) == 1

    async def all_there(self) -> None:
        """Unification's log comes to hold everything acknowledged, each once."""
        log = LogCopy(self._up.client)

        async def complete() -> bool:
            await log.catch_up()
            return set(self.acknowledged) <= log.ids().keys()

        await eventually(complete, "everything acknowledged is folded", 60.0)
        assert set(log.ids().values()) == {1}


@pytest.mark.fault
async def test_everything_on_one_small_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 160 * MIB) as disk:
        async with up_on(disk, tmp_path / "printed", 48 * MIB) as up:
            shop = Shop(up)
            await shop.send()
            refused = await shop.fill()
            assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert from_rpc(refused).reason == "LOG_FULL"
            assert from_rpc(refused).retry_after_s is not None
            assert 0 < disk.free_bytes < 48 * MIB
            async with httpx2.AsyncClient(auth=(dict(up.client.metadata)["authorization"][7:], "")) as http:
                call = {"event": "Store Entered", "userId": "ann", "messageId": "h"}
                answer = await http.post(f"{up.url}/v1/track", json=call)
                assert (answer.status_code, answer.json()["reason"]) == (429, "LOG_FULL")
                assert int(answer.headers["retry-after"]) >= 1
            await shop.read()

            # Now others take what is left: files are refused while there is some, then nothing can be written at all.
            for upload in (_feed_upload, _bulk_upload):
                full = await _refused(disk, up.client, upload)
                assert full.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, full
                assert from_rpc(full).reason in ("DISK_FULL", "LOG_FULL")
            disk.fill()
            await asyncio.sleep(3.0)  # snapshots and archive try in vain meanwhile
            await shop.read()

            # Room again, and nobody does anything: all writes go on.
            disk.empty()
            disk.grow(400 * MIB)
            await again(shop.send)
            await again(lambda: _feed_upload(up.client))
            await again(lambda: _bulk_upload(up.client))
            await shop.all_there()
            await shop.read()


async def test_an_archive_without_room_waits_and_catches_up(tmp_path: Path) -> None:
    with small_disk(tmp_path / "archive", 1 * MIB) as disk:
        log = MemoryLog(ManualClock(NOW_US), LoopWaiter())
        fence = await log.acquire(f"ingest:{DEV.bucket}", "one", 60.0)
        assert fence is not None
        disk.fill(leave_bytes=64 << 10)
        for number in range(40):
            noise = os.urandom(20_000).hex()
            await log.append(DEV, [payload_of([event(f"{noise}{number}", T, EMAIL)])], NOW_US)
        shard = ArchiveShard(
            log, ManualClock(NOW_US), DEV, fence, disk.folder / "dev", ConsumerPositions(), flush_bytes=1, flush_s=0.0
        )
        await shard.open()
        work = asyncio.create_task(shard.run())
        await asyncio.sleep(3.0)
        assert not work.done(), "it goes on trying"
        assert shard.archived == 0
        assert (await log.append(DEV, [payload_of([event("more", T, EMAIL)])], NOW_US)).last == 41
        disk.empty()
        disk.grow(64 * MIB)

        async def caught_up() -> bool:
            return shard.archived == 41

        await eventually(caught_up, "all is archived")
        work.cancel()
        await asyncio.wait({work})
        files = [path.name for path in (disk.folder / "dev").glob("*/*")]
        assert files
        assert not [name for name in files if name.endswith(".draft")]
        await log.close()


async def test_a_snapshot_without_room_leaves_the_former_one(tmp_path: Path) -> None:
    with small_disk(tmp_path / "snapshots", 4 * MIB) as disk:
        folder = disk.folder / "dev"
        store = SnapshotStore(folder, "dev")
        folder.mkdir()
        scene = make_scene(3, questions=0)
        index = Index()
        several = list(batches(scene.random, scene.world.log))
        for batch in several[:-1]:
            index.apply(batch.events, batch.facts, batch.position)
        former, before = index.position, digest(index.root())
        await store.keep(index.root(), "epoch")
        disk.fill()
        index.apply(several[-1].events, several[-1].facts, several[-1].position)
        await store.keep(index.root(), "epoch")
        assert store.position == former < index.position
        assert digest(SnapshotStore(folder, "dev").load().root()) == before
        disk.empty()
        await store.keep(index.root(), "epoch")
        assert store.position == index.position
        assert digest(SnapshotStore(folder, "dev").load().root()) == digest(index.root())


_FSYNC_FAILS = """
import errno, os, sys
from pathlib import Path

def fails(descriptor):
    raise OSError(errno.EIO, "Input/output error")

os.fsync = fails
"""
_ARCHIVE = """
from core.eventlog.protocol import Entry
from services.ingest.archive import write_ranges
write_ranges(Path(sys.argv[1]), [Entry(1, 1, b"")])
"""
_SNAPSHOT = """
from core.index.index import Index
from services.segment_engine.snapshots import write_snapshot
write_snapshot(Path(sys.argv[1]) / "1.snapshot", Index().root(), "dev")
"""
_UPLOAD = """
import asyncio
from services.ingest.bulk.files import BulkFiles

async def parts():
    yield b"email"

asyncio.run(BulkFiles(Path(sys.argv[1]), 100).receive("f.csv", 0, 5, parts()))
"""


@pytest.mark.parametrize("writes", [_ARCHIVE, _SNAPSHOT, _UPLOAD], ids=["archive", "snapshot", "upload"])
def test_an_fsync_that_fails_ends_the_process(tmp_path: Path, writes: str) -> None:
    command = [sys.executable, "-c", _FSYNC_FAILS + writes, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert done.returncode == 74, done.stderr.decode()
    assert not list(tmp_path.glob("**/*.parquet")) + list(tmp_path.glob("*.snapshot")) + list(tmp_path.glob("f.csv"))


async def _refused(
    disk: SmallDisk, client: Client, upload: Callable[[Client], Awaitable[None]]
) -> grpc.aio.AioRpcError:
    """The refusal of an upload, once nothing frees any room: old snapshots go, the log's file is rewritten."""
    for _ in range(20):
        disk.fill(leave_bytes=7 * MIB)
        try:
            await again(lambda: upload(client), 5.0)
        except grpc.aio.AioRpcError as error:
            return error
        await asyncio.sleep(0.2)
    raise AssertionError("it was never refused")


async def _feed_upload(client: Client) -> None:
    """A megabyte of a feed."""
    stub = catalog_pb2_grpc.CatalogServiceStub(client.channel)
    feed = catalog_pb2.SaveFeedRequest(feed=catalog_pb2.Feed(name="shop"), request_id="one")
    await stub.SaveFeed(feed, metadata=client.metadata, timeout=10)

    call = stub.UploadFeed(metadata=client.metadata, timeout=20)
    await _sent(call, [catalog_pb2.UploadFeedRequest(name="shop"), *_megabyte(catalog_pb2.UploadFeedRequest)])


async def _bulk_upload(client: Client) -> None:
    """A megabyte of a file."""
    stub = bulk_pb2_grpc.BulkServiceStub(client.channel)

    start = bulk_pb2.UploadFileRequest(start=bulk_pb2.FileStart(name="f.csv", size_bytes=1 << 20))
    call = stub.UploadFile(metadata=client.metadata, timeout=20)
    await _sent(call, [start, *_megabyte(bulk_pb2.UploadFileRequest)])


def _megabyte(message: Callable[..., Message]) -> list[Message]:
    return [message(content=os.urandom(64 << 10)) for _ in range(16)]


async def _sent(call: Any, messages: Sequence[Message]) -> None:
    """Send all, or as much as the server lets us; raises its refusal."""
    with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):  # refused in between: the answer says why
        for one in messages:
            await call.write(one)
        await call.done_writing()
    await call
