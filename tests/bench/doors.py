"""Both doors of one ingest process on a durable log, beside what they stand on: a bare pipeline of XADD into the same
log server, and servers whose handlers do nothing. Client, server and log share the machine."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from services.runtime.roles import Role
from services.runtime.server_process import free_port
from tests.bench.door_senders import BATCH
from tests.bench.empty_servers import METHOD, PATH
from tests.fault.processes import ROOT, Processes
from tests.servers import ValkeyServer, start_valkey

_ROUNDS = 5
_BATCHES = 300
_EVENT = b"x" * 330
_INGEST = "/cdp.ingest.v1.IngestService/IngestBatch"


async def measure_doors(folder: Path) -> dict[str, object]:
    """Medians of alternated rounds, events a second."""
    valkey = start_valkey(folder / "log", "always")
    processes = Processes(folder, valkey, {})
    http_port, grpc_port = free_port(), free_port()
    empty = _start_empty(http_port, grpc_port)
    try:
        processes.start(Role.INGEST)
        await processes.wait_ready(Role.INGEST)
        await processes.make_workspace()
        http = processes.http_url(Role.INGEST).removeprefix("http://")
        ways = {
            "http_durable": ("http", http, "/v1/batch"),
            "http_empty_handler": ("http", f"127.0.0.1:{http_port}", PATH),
            "grpc_durable": ("grpc", processes.address(Role.INGEST), _INGEST),
            "grpc_empty_handler": ("grpc", f"127.0.0.1:{grpc_port}", METHOD),
        }
        rates: dict[str, list[float]] = {name: [] for name in (*ways, "bare_xadd")}
        for round_ in range(_ROUNDS + 1):
            for name, way in ways.items():
                rate = await asyncio.to_thread(_rate, *way, processes.secret)
                if round_:  # the first warms up
                    rates[name].append(rate)
            if round_:
                rates["bare_xadd"].append(await asyncio.to_thread(_bare, valkey))
    finally:
        empty.terminate()
        empty.wait()
        await processes.close()
        valkey.stop()
    medians = {name: statistics.median(found) for name, found in rates.items()}
    return {
        **{f"{name}_events_per_s": round(rate) for name, rate in medians.items()},
        "goals_events_per_s": "HTTP 15,000, gRPC 25,000",
        "http_of_empty": round(medians["http_durable"] / medians["http_empty_handler"], 3),
        "grpc_of_empty": round(medians["grpc_durable"] / medians["grpc_empty_handler"], 3),
        "batch": BATCH,
        "rounds": _ROUNDS,
    }


def _start_empty(http_port: int, grpc_port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.bench.empty_servers", str(http_port), str(grpc_port)]
    return subprocess.Popen(command, cwd=ROOT)


def _rate(way: str, address: str, path: str, key: str) -> float:
    command = [sys.executable, "-m", "tests.bench.door_senders", way, address, path, key, str(_BATCHES)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2_000:])
    told = json.loads(done.stdout)
    return float(told["events"] / told["seconds"])


def _bare(valkey: ValkeyServer) -> float:
    """One XADD an event, pipelined by the batch, each batch acknowledged when it is on the disk."""
    with valkey.client() as client:
        started_s = time.perf_counter()
        for _ in range(_BATCHES):
            pipeline = client.pipeline(transaction=False)
            for _ in range(BATCH):
                pipeline.xadd("bare", {"p": _EVENT})
            pipeline.execute()
        seconds = time.perf_counter() - started_s
        client.delete("bare")
    return _BATCHES * BATCH / seconds
