"""Imports of large CSV files: events, contacts, orders; accepted durable, and the memory that it takes."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import grpc
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from cdp.bulk.v1 import bulk_pb2 as pb
from cdp.bulk.v1 import bulk_pb2_grpc
from services.demo.client import again
from services.runtime.roles import Role
from tests.bench.feed import children, peak_bytes
from tests.fault.processes import platform

ROWS = 800_000
_SEED = 20_261_122
_PART_BYTES = 1 << 20
_LOOK_S = 0.05
_UNDER_WAY = (pb.IMPORT_STATE_QUEUED, pb.IMPORT_STATE_RUNNING)


def events(rows: int) -> Iterator[str]:
    """Views of 3,000 products by rows / 5 people."""
    dice = random.Random(_SEED)
    yield "email,product_id,price,quantity,occurred_at,category,brand,url\n"
    for i in range(rows):
        product = dice.randrange(3_000)
        yield (
            f"u{dice.randrange(rows // 5)}@example.com,p{product},{product % 900}.50,{i % 3 + 1},"
            f"2025-01-{i % 28 + 1:02d}T{i % 24:02d}:{i % 60:02d}:{dice.randrange(60):02d}Z,"
            f"cat{product % 50},b{product % 400},https://shop.example/p/{product}\n"
        )


def contacts(rows: int) -> Iterator[str]:
    """People with two identifiers and six attributes."""
    yield "email,external_id,first_name,birth_date,city,language,gender,club\n"
    for i in range(rows):
        born = f"19{50 + i % 50}-0{i % 9 + 1}-1{i % 9}"
        yield f"u{i}@example.com,x{i},Name{i % 3_000},{born},City{i % 300},uk,{'fm'[i % 2]},gold\n"


def orders(rows: int) -> Iterator[str]:
    """Orders of three lines."""
    dice = random.Random(_SEED)
    yield "order_id,email,date,product_id,price,quantity,total\n"
    for i in range(rows):
        order = i // 3
        yield (
            f"o{order},u{order % 50_000}@example.com,2025-01-{order % 28 + 1:02d}T10:00:00Z,"
            f"p{dice.randrange(3_000)},{dice.randrange(900)}.50,{i % 3 + 1},10\n"
        )


_FILES: dict[str, tuple[pb.ImportKind.ValueType, Callable[[int], Iterator[str]]]] = {
    "events": (pb.IMPORT_KIND_EVENTS, events),
    "contacts": (pb.IMPORT_KIND_CONTACTS, contacts),
    "orders": (pb.IMPORT_KIND_ORDERS, orders),
}


async def measure_imports(folder: Path, rows: int = ROWS) -> dict[str, object]:
    """Rows a second from StartImport to its end, on a log that makes every entry durable before it is acknowledged;
    unification is not there, so nothing is waited for. Memory is the most that the serving process, and the one that
    reads, ever held. `call` is the longest of short calls made meanwhile."""
    found: dict[str, object] = {"rows": rows}
    for what, (kind, lines) in _FILES.items():
        file = folder / f"{what}.csv"
        await asyncio.to_thread(_write, file, lines(rows))
        # Unification is allowed to be a thousand entries behind: a fresh platform for each.
        async with (
            platform(folder / what, {}, (Role.INGEST,)) as processes,
            grpc.aio.insecure_channel(processes.address(Role.INGEST)) as channel,
        ):
            bulk = bulk_pb2_grpc.BulkServiceStub(channel)
            metadata = (("authorization", f"Bearer {processes.secret}"),)
            await again(lambda: bulk.ListFiles(pb.ListFilesRequest(), metadata=metadata))  # noqa: B023
            started_s = time.perf_counter()
            await bulk.UploadFile(_parts(file), metadata=metadata, timeout=600)
            found[f"{what}: upload, MB/s"] = round(file.stat().st_size / (time.perf_counter() - started_s) / 2**20)
            spec = pb.ImportSpec(kind=kind, file=file.name, event_type="product_viewed")
            seconds, ended, calls, reading = await _import(bulk, metadata, spec, processes.pid(Role.INGEST), what)
            if ended.state != pb.IMPORT_STATE_DONE or ended.rows_accepted != rows:
                raise RuntimeError(f"the import ended as {ended.state}: {ended.description}, {ended.rows_accepted}")
            found[f"{what}: rows a second, durable"] = round(rows / seconds)
            found[f"{what}: call meanwhile, p99 ms"] = round(calls[int(len(calls) * 0.99)] * 1_000, 1)
            found[f"{what}: serving process, peak MB"] = peak_bytes(processes.pid(Role.INGEST)) >> 20
            found[f"{what}: reading process, peak MB"] = reading >> 20
    return found


async def _import(
    bulk: bulk_pb2_grpc.BulkServiceStub, metadata: tuple[tuple[str, str], ...], spec: pb.ImportSpec, pid: int, what: str
) -> tuple[float, pb.Import, list[float], int]:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    calls: list[float] = []
    reading = 0
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task(what, total=10_000)
        started_s = time.perf_counter()
        operation = await bulk.StartImport(pb.StartImportRequest(spec=spec), metadata=metadata)
        request = pb.GetImportRequest(number=int(operation.name.rpartition("/")[2]))
        while True:
            asked_s = time.perf_counter()
            answer = await bulk.GetImport(request, metadata=metadata)
            calls.append(time.perf_counter() - asked_s)
            found: pb.Import = getattr(answer, "import")
            progress.update(task, completed=found.progress_units)
            reading = max([reading, *(peak_bytes(child) for child in children(pid))])
            if found.state not in _UNDER_WAY:
                return time.perf_counter() - started_s, found, sorted(calls), reading
            await asyncio.sleep(_LOOK_S)


def _write(file: Path, lines: Iterator[str]) -> None:
    with file.open("w", encoding="utf-8") as out:
        out.writelines(lines)


async def _parts(file: Path) -> AsyncIterator[pb.UploadFileRequest]:
    yield pb.UploadFileRequest(start=pb.FileStart(name=file.name, size_bytes=file.stat().st_size))
    with file.open("rb") as content:
        while part := await asyncio.to_thread(content.read, _PART_BYTES):
            yield pb.UploadFileRequest(content=part)
