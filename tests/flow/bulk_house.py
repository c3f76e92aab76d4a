"""A shop that moves in: files are sent and imported through the front door."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import grpc
from google.longrunning import operations_pb2, operations_pb2_grpc

from cdp.bulk.v1 import bulk_pb2 as pb
from cdp.bulk.v1 import bulk_pb2_grpc
from cdp.facts.v1 import facts_pb2
from core.clock import ManualClock
from core.eventlog.protocol import EventLog
from core.events.columns import Event
from services.runtime.facts import columns_from_proto
from services.runtime.partitions import partition
from services.runtime.roles import Role
from services.runtime.settings import ADDRESS_KEYS
from tests.flow.platform import Platform, eventually

NOW_US = 1_790_000_000_000_000
CONTACTS, EVENTS, ORDERS = pb.IMPORT_KIND_CONTACTS, pb.IMPORT_KIND_EVENTS, pb.IMPORT_KIND_ORDERS
_NOWHERE = {key: "127.0.0.1:1" for role, key in ADDRESS_KEYS.items() if role is not Role.INGEST}


@dataclass(slots=True)
class Facts:
    """What ingest's log holds, first of each id alone, by id. `written` counts the repeated as well."""

    events: dict[str, Event] = field(default_factory=dict)
    others: dict[str, facts_pb2.AcceptedFact] = field(default_factory=dict)
    written: int = 0

    def told(self) -> tuple[list[str], list[str]]:
        """Everything but when it was received, in the order of the log: two equal runs tell the same."""
        events = [
            repr((e.id, e.type, e.occurred_at_us, e.identifiers, sorted(e.params.items()), e.items, e.flags))
            for e in self.events.values()
        ]
        others = []
        for fact in self.others.values():
            kept = facts_pb2.AcceptedFact()
            kept.CopyFrom(fact)
            kept.ClearField("received_at_us")
            kept.ClearField("before_event")
            others.append(kept.SerializeToString(deterministic=True).hex())
        return events, others


@dataclass(slots=True)
class BulkHouse:
    """The shop's side of BulkService and Operations."""

    platform: Platform
    bulk: bulk_pb2_grpc.BulkServiceStub
    operations: operations_pb2_grpc.OperationsStub

    async def upload(self, name: str, content: bytes, cuts: Sequence[int] = ()) -> pb.File:
        """Send a file in one stream, cut into messages at these places."""
        places = [0, *sorted(cuts), len(content)]

        async def parts() -> AsyncIterator[pb.UploadFileRequest]:
            yield pb.UploadFileRequest(start=pb.FileStart(name=name, size_bytes=len(content)))
            for first, last in pairwise(places):
                for at in range(first, last, 1 << 20):
                    yield pb.UploadFileRequest(content=content[at : min(at + (1 << 20), last)])

        return (await self.bulk.UploadFile(parts(), metadata=self.platform.metadata)).file

    async def start(self, spec: pb.ImportSpec, **more: object) -> operations_pb2.Operation:
        """Begin an import."""
        request = pb.StartImportRequest(spec=spec, **more)  # type: ignore[arg-type]
        return await self.bulk.StartImport(request, metadata=self.platform.metadata)

    async def ended(self, operation: operations_pb2.Operation) -> pb.Import:
        """An import once it has ended."""

        async def over() -> bool:
            request = operations_pb2.WaitOperationRequest(name=operation.name)
            return bool((await self.operations.WaitOperation(request, metadata=self.platform.metadata)).done)

        await eventually(over, f"{operation.name} ends", 120.0)
        return await self.shown(int(operation.name.rpartition("/")[2]))

    async def shown(self, number: int) -> pb.Import:
        """An import as it is now."""
        answer = await self.bulk.GetImport(pb.GetImportRequest(number=number), metadata=self.platform.metadata)
        found = getattr(answer, "import")
        assert isinstance(found, pb.Import)
        return found

    async def imported(self, content: bytes, spec: pb.ImportSpec, **more: object) -> pb.Import:
        """Upload and import; the import at its end."""
        await self.upload(spec.file, content)
        return await self.ended(await self.start(spec, **more))

    async def report(self, number: int) -> str:
        """The refused rows."""
        request = pb.DownloadRejectedRowsRequest(number=number)
        parts = self.bulk.DownloadRejectedRows(request, metadata=self.platform.metadata)
        return b"".join([part.content async for part in parts]).decode("utf-8", "replace")

    async def facts(self) -> Facts:
        """Everything in ingest's log."""
        return await facts_in(self.platform.log, self.platform.host(Role.INGEST).runtime.workspaces.all()[0])


async def facts_in(log: EventLog, workspace: object) -> Facts:
    """Everything in a workspace's ingest log."""
    found = Facts()
    position = 0
    while entries := await log.read(partition(Role.INGEST, workspace), position, 1_000, 1 << 30):  # type: ignore[arg-type]
        for entry in entries:
            batch = facts_pb2.AcceptedBatch.FromString(entry.payload)
            for event in columns_from_proto(batch.events).rows():
                found.written += 1
                found.events.setdefault(event.id, event)
            for fact in batch.facts:
                found.written += 1
                found.others.setdefault(fact.id, fact)
        position = entries[-1].position
    return found


class _Front(Platform):
    """A platform whose HTTP is that of ingest."""

    def _http_port(self, role: Role) -> int:
        return super()._http_port(Role.INGEST)


@asynccontextmanager
async def bulk_house(
    folder: Path, arrangement: tuple[tuple[Role, ...], ...] = ((Role.INGEST,),), **extra: str
) -> AsyncIterator[BulkHouse]:
    """Ingest alone, or more of the platform, with further settings."""
    nowhere = _NOWHERE if arrangement == ((Role.INGEST,),) else {}
    async with (
        _Front(folder, ManualClock(NOW_US), arrangement, {**nowhere, **extra}) as platform,
        platform.channel(Role.INGEST) as channel,
    ):
        stub = bulk_pb2_grpc.BulkServiceStub(channel)
        house = BulkHouse(platform, stub, operations_pb2_grpc.OperationsStub(channel))

        async def owned() -> bool:
            try:
                await stub.ListImports(pb.ListImportsRequest(), metadata=platform.metadata, wait_for_ready=True)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                return False
            return True

        await eventually(owned, "ingest owns the workspace")
        yield house
