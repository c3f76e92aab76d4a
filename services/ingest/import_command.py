"""The command `cdp import`: sends a file to a running platform, imports it, and shows how far it is."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
from google.longrunning import operations_pb2, operations_pb2_grpc
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from cdp.bulk.v1 import bulk_pb2 as pb
from cdp.bulk.v1 import bulk_pb2_grpc
from services.runtime.errors import from_rpc

_KINDS = {"contacts": pb.IMPORT_KIND_CONTACTS, "events": pb.IMPORT_KIND_EVENTS, "orders": pb.IMPORT_KIND_ORDERS}
_PART_BYTES = 1 << 20
_STREAM_PARTS = 64
_LOOK_S = 0.25
_UNDER_WAY = (pb.IMPORT_STATE_QUEUED, pb.IMPORT_STATE_RUNNING)
_MOST_SHOWN = 20

Metadata = tuple[tuple[str, str], ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `cdp import`."""
    parser.add_argument("file", type=Path, help="CSV, NDJSON or Parquet")
    parser.add_argument("--kind", required=True, choices=_KINDS, help="what a row is")
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="COLUMN=TARGET",
        help="such as price=param.price; repeat it. Other columns are mapped by their names",
    )
    parser.add_argument("--event-type", default="", help="of events where no column tells it")
    parser.add_argument("--status", default="", help="of orders where no column tells it (completed)")
    parser.add_argument("--zone", default="", help="of times that name none (the workspace's)")
    parser.add_argument("--time-format", default="", help='unix_s, unix_ms, unix_us or such as "%%d.%%m.%%Y %%H:%%M"')
    parser.add_argument("--encoding", default="", help="of text (UTF-8)")
    parser.add_argument("--delimiter", default="", help="of CSV (found out)")
    parser.add_argument("--decimal-comma", action="store_true", help='"1 234,50" is a number')
    parser.add_argument("--dry-run", action="store_true", help="say what would happen, and do nothing")
    parser.add_argument("--rejected", type=Path, help="write the refused rows to this file")
    parser.add_argument("--address", default="127.0.0.1:50051", help="host:port of gRPC (%(default)s)")
    parser.add_argument("--key", help="API key of scope full; default: read from --key-file")
    parser.add_argument("--key-file", type=Path, default=Path("data/dev-key"), help="(%(default)s)")


def main(arguments: argparse.Namespace) -> int:
    """Run the command; its exit code: 0 when every row was accepted, 1 when some were refused, 2 when it failed."""
    key = arguments.key or arguments.key_file.read_text().strip()
    try:
        return asyncio.run(_import(arguments, (("authorization", f"Bearer {key}"),)))
    except grpc.aio.AioRpcError as error:
        known = from_rpc(error)
        print(f"cdp import: {known.message} [{known.reason}]", file=sys.stderr)
        return 2


async def _import(arguments: argparse.Namespace, metadata: Metadata) -> int:
    spec = _spec(arguments)
    async with grpc.aio.insecure_channel(arguments.address) as channel:
        bulk = bulk_pb2_grpc.BulkServiceStub(channel)
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as progress:
            await _send(bulk, arguments.file, spec.file, metadata, progress)
            request = pb.StartImportRequest(spec=spec, dry_run=arguments.dry_run)
            operation = await bulk.StartImport(request, metadata=metadata)
            try:
                found = await _follow(bulk, int(operation.name.rpartition("/")[2]), metadata, progress)
            except asyncio.CancelledError:
                stub = operations_pb2_grpc.OperationsStub(channel)
                await stub.CancelOperation(
                    operations_pb2.CancelOperationRequest(name=operation.name), metadata=metadata
                )
                raise
        _show(found)
        if arguments.rejected is not None:
            await _save_rejected(bulk, found.number, arguments.rejected, metadata)
    if found.state != pb.IMPORT_STATE_DONE:
        return 2
    return 1 if found.rows_rejected else 0


def _spec(arguments: argparse.Namespace) -> pb.ImportSpec:
    columns = []
    for pair in arguments.map:
        column, _, target = pair.rpartition("=")
        columns.append(pb.Column(column=column, target=target))
    return pb.ImportSpec(
        kind=_KINDS[arguments.kind],
        file=arguments.file.name,
        encoding=arguments.encoding,
        delimiter=arguments.delimiter,
        columns=columns,
        event_type=arguments.event_type,
        status=arguments.status,
        zone=arguments.zone,
        time_format=arguments.time_format,
        decimal_comma=arguments.decimal_comma,
    )


async def _send(
    bulk: bulk_pb2_grpc.BulkServiceStub, file: Path, name: str, metadata: Metadata, progress: Progress
) -> None:
    size = (await asyncio.to_thread(file.stat)).st_size
    task = progress.add_task("sent", total=size)

    async def parts(first: int) -> AsyncIterator[pb.UploadFileRequest]:
        yield pb.UploadFileRequest(start=pb.FileStart(name=name, offset=first, size_bytes=size))
        with file.open("rb") as content:
            content.seek(first)
            for _ in range(_STREAM_PARTS):
                part = await asyncio.to_thread(content.read, _PART_BYTES)
                if not part:
                    return
                yield pb.UploadFileRequest(content=part)
                progress.update(task, advance=len(part))

    at = 0
    while True:  # a call has an end: a large file takes several
        arrived = (await bulk.UploadFile(parts(at), metadata=metadata)).file
        if arrived.complete:
            return
        at = arrived.size_bytes


async def _follow(
    bulk: bulk_pb2_grpc.BulkServiceStub, number: int, metadata: Metadata, progress: Progress
) -> pb.Import:
    task = progress.add_task("imported", total=10_000)
    while True:
        answer = await bulk.GetImport(pb.GetImportRequest(number=number), metadata=metadata)
        found: pb.Import = getattr(answer, "import")
        words = f"imported {found.rows_read:,} rows, {found.rows_per_second:,}/s"
        progress.update(task, completed=found.progress_units, description=words)
        if found.state not in _UNDER_WAY:
            return found
        await asyncio.sleep(_LOOK_S)


def _show(found: pb.Import) -> None:
    console = Console()
    state = pb.ImportState.Name(found.state).removeprefix("IMPORT_STATE_").lower()
    verb = "would be " if found.dry_run else ""
    console.print(
        f"{found.operation} {state}: {found.rows_read:,} rows, {found.rows_accepted:,} {verb}accepted "
        f"({found.facts:,} {'facts' if found.facts != 1 else 'fact'}), {found.rows_rejected:,} {verb}refused"
    )
    if found.reason:
        console.print(f"  {found.description} [{found.reason}]", markup=False)
    if found.same_as:
        console.print(f"  import {found.same_as} accepted all of this file before")
    for reason, rows in sorted(found.rejected_by_reason.items()):
        console.print(f"  {rows:,} {reason}")
    if found.dry_run:
        for column in found.spec.columns:
            console.print(f"  {column.column} -> {column.target or 'left out'}", markup=False)
        for name in found.preview.new_names[:_MOST_SHOWN]:
            console.print(f"  new: {name.place}", markup=False)


async def _save_rejected(bulk: bulk_pb2_grpc.BulkServiceStub, number: int, file: Path, metadata: Metadata) -> None:
    with file.open("wb") as out:
        async for part in bulk.DownloadRejectedRows(pb.DownloadRejectedRowsRequest(number=number), metadata=metadata):
            await asyncio.to_thread(out.write, part.content)
