"""kill -9 in the middle of an import, at named points or at any moment: the log tells what it tells undisturbed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from cdp.bulk.v1 import bulk_pb2 as pb
from cdp.bulk.v1 import bulk_pb2_grpc
from cdp.facts.v1 import facts_pb2
from cdp.workspace.v1 import workspace_pb2, workspace_pb2_grpc
from services.demo.client import again
from services.runtime.caller import Workspace
from services.runtime.redis_log import RedisLog
from services.runtime.roles import Role
from services.runtime.workspaces import workspace_from_proto
from tests.fault.processes import Processes, platform
from tests.flow.bulk_house import CONTACTS, EVENTS, Facts, bulk_house, facts_in
from tests.flow.platform import eventually

pytestmark = pytest.mark.slow

ROWS = 25_000
KINDS = {"events": EVENTS, "contacts": CONTACTS}


def content_of(kind: str) -> bytes:
    """A file in which every tenth row is refused, and new names come up on the way."""
    if kind == "contacts":
        rows = (f"u{i}@example.com,{'x' if i % 10 == 0 else i},{i % 7},2025-01-02\n" for i in range(ROWS))
        return ("email,orders,size,time\n" + "".join(rows)).encode()
    rows = (f"u{i % 900}@example.com,p{i % 50},{'x' if i % 10 == 0 else i}.5,{i},2025-01-02\n" for i in range(ROWS))
    return ("email,product_id,price,shelf,time\n" + "".join(rows)).encode()


def spec_of(kind: str) -> pb.ImportSpec:
    """Its import."""
    columns = [
        pb.Column(column="orders", target="attribute.orders", kind=facts_pb2.KIND_INTEGER),
        pb.Column(column="time", target="time"),
    ]
    return pb.ImportSpec(
        kind=KINDS[kind],
        file="f.csv",
        event_type="product_viewed",
        zone="UTC",
        columns=columns if kind == "contacts" else [],
    )


class Shop:
    """A client of the one workspace; every call is tried again until the process answers."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._channel = grpc.aio.insecure_channel(processes.address(Role.INGEST))
        self._bulk = bulk_pb2_grpc.BulkServiceStub(self._channel)
        self._metadata = (("authorization", f"Bearer {processes.secret}"),)

    async def begin(self, kind: str) -> None:
        """Send the file and start its import."""
        content = content_of(kind)

        async def send() -> pb.UploadFileResponse:
            async def parts() -> AsyncIterator[pb.UploadFileRequest]:
                yield pb.UploadFileRequest(start=pb.FileStart(name="f.csv", size_bytes=len(content)))
                for first in range(0, len(content), 1 << 20):
                    yield pb.UploadFileRequest(content=content[first : first + (1 << 20)])

            return await self._bulk.UploadFile(parts(), metadata=self._metadata, timeout=30)

        await again(send)
        request = pb.StartImportRequest(spec=spec_of(kind), request_id="one")
        await again(lambda: self._bulk.StartImport(request, metadata=self._metadata, timeout=10))

    async def shown(self) -> pb.Import:
        """The import."""
        request = pb.GetImportRequest(number=1)
        answer = await again(lambda: self._bulk.GetImport(request, metadata=self._metadata, timeout=10))
        found = getattr(answer, "import")
        assert isinstance(found, pb.Import)
        return found

    async def done(self) -> pb.Import:
        """The import at its end."""

        async def ended() -> bool:
            found = await self.shown()
            assert found.state != pb.IMPORT_STATE_FAILED, found.description
            return found.state == pb.IMPORT_STATE_DONE

        await eventually(ended, "the import ends", 120.0)
        return await self.shown()

    async def report(self) -> bytes:
        """The refused rows."""
        request = pb.DownloadRejectedRowsRequest(number=1)
        return b"".join([p.content async for p in self._bulk.DownloadRejectedRows(request, metadata=self._metadata)])

    async def facts(self) -> Facts:
        """What the log holds."""
        log = await RedisLog.connect(self._processes.valkey.url)
        try:
            return await facts_in(log, await self._workspace())
        finally:
            await log.close()

    async def _workspace(self) -> Workspace:
        stub = workspace_pb2_grpc.WorkspaceServiceStub(self._channel)
        answer = await stub.GetWorkspace(workspace_pb2.GetWorkspaceRequest(), metadata=self._metadata, timeout=10)
        return workspace_from_proto(answer.workspace)

    async def close(self) -> None:
        """Let the channel go."""
        await self._channel.close()


async def _undisturbed(folder: Path, kind: str) -> tuple[Facts, str]:
    async with bulk_house(folder) as house:
        found = await house.imported(content_of(kind), spec_of(kind))
        assert (found.rows_read, found.rows_rejected) == (ROWS, ROWS // 10)
        return await house.facts(), await house.report(1)


async def _equal(shop: Shop, folder: Path, kind: str) -> None:
    found = await shop.done()
    assert (found.rows_read, found.rows_accepted, found.rows_rejected) == (ROWS, ROWS * 9 // 10, ROWS // 10)
    wanted, report = await _undisturbed(folder, kind)
    facts = await shop.facts()
    assert facts.told() == wanted.told()
    assert (await shop.report()).decode() == report
    assert facts.written < 2 * wanted.written


@pytest.mark.parametrize(
    ("point", "kind"),
    [
        ("bulk.entry_appended:9", "events"),
        pytest.param("bulk.appended:1", "contacts", marks=pytest.mark.fault),
        pytest.param("bulk.entry_appended:9", "contacts", marks=pytest.mark.fault),
        pytest.param("bulk.appended:1", "events", marks=pytest.mark.fault),
    ],
)
async def test_an_import_survives_a_kill_at_every_named_point(tmp_path: Path, point: str, kind: str) -> None:
    async with platform(tmp_path / "house", {}, (Role.INGEST,)) as processes:
        processes.kill(Role.INGEST)
        await processes.restart(Role.INGEST, point)
        shop = Shop(processes)
        await shop.begin(kind)
        await processes.wait_dead(Role.INGEST, 60.0)
        await processes.restart(Role.INGEST)
        await _equal(shop, tmp_path, kind)
        await shop.close()


async def test_a_reader_that_dies_is_begun_anew(tmp_path: Path) -> None:
    async with platform(tmp_path / "house", {}, (Role.INGEST,)) as processes:
        processes.kill(Role.INGEST)
        # It dies after so many entries, again and again; each life brings the import further.
        await processes.restart(Role.INGEST, "bulk.reading:12")
        shop = Shop(processes)
        await shop.begin("events")
        await _equal(shop, tmp_path, "events")
        await shop.close()


@pytest.mark.fault
async def test_an_import_survives_kills_at_any_moment(tmp_path: Path) -> None:
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    dice = random.Random(seed)
    async with platform(tmp_path / "house", {}, (Role.INGEST,)) as processes:
        shop = Shop(processes)
        await shop.begin("events")
        for _ in range(3):
            await asyncio.sleep(dice.uniform(0.2, 2.5))
            processes.kill(Role.INGEST)
            await processes.restart(Role.INGEST)
        await _equal(shop, tmp_path, "events")
        await shop.close()
