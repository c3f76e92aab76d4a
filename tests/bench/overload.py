"""One workspace floods ingest's HTTP door with three times what it can take; another one sends as before.

Goals: the flood is taken at 70 % of the peak at least, what is above is refused by 429, memory is bounded, and the
other workspace's 99th percentile is at most twice what it is alone. Server, log and both senders share the machine."""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import subprocess
import sys
import time
from base64 import b64encode
from collections import Counter
from pathlib import Path

from cdp.workspace.v1 import workspace_pb2, workspace_pb2_grpc
from services.demo.client import again
from services.runtime.roles import Role
from tests.bench.door_senders import BATCH, http_bodies
from tests.fault.processes import _TOKEN, ROOT, Processes
from tests.servers import start_valkey

_PATH = "/v1/batch"
_OVER = 3
_SECONDS = 6.0
#: Connections of the closed loop that finds the peak, and of the flood.
_PEAK_CONNECTIONS, _FLOOD_CONNECTIONS = 8, 600
_QUIET_EVERY_S = 0.03
_QUIET_EVENTS = 10


async def measure_overload(folder: Path) -> dict[str, object]:
    """The peak, the flood, and the quiet workspace alone and beside it."""
    valkey = start_valkey(folder / "log", "always")
    processes = Processes(folder, valkey, {})
    try:
        processes.start(Role.INGEST)
        await processes.wait_ready(Role.INGEST)
        await processes.make_workspace()
        quiet_key = await _second_key(processes)
        address = processes.http_url(Role.INGEST).removeprefix("http://")
        await _flood(address, processes.secret, 0.0)  # warms up
        peak = await _flood(address, processes.secret, 0.0)
        per_s = peak["200"] / peak["seconds"]
        alone = await _quiet(address, quiet_key)
        flooding = asyncio.create_task(_flood(address, processes.secret, _OVER * per_s))
        await asyncio.sleep(2.0)  # it makes its bodies first
        beside = await _quiet(address, quiet_key)
        flood = await flooding
        memory = _peak_bytes(processes.pid(Role.INGEST))
    finally:
        await processes.close()
        valkey.stop()
    taken_per_s = flood["200"] / flood["seconds"]
    return {
        "peak_events_per_s": round(per_s * BATCH),
        "offered_events_per_s": round(sum(flood[status] for status in ("200", "429")) / flood["seconds"] * BATCH),
        "taken_events_per_s": round(taken_per_s * BATCH),
        "goodput_of_peak": round(taken_per_s / per_s, 2),
        "refused_429": round(flood["429"]),
        "answered_otherwise": round(flood["other"]),
        "quiet_alone_p50_p99_ms": alone,
        "quiet_beside_flood_p50_p99_ms": beside,
        "quiet_p99_ratio": round(beside[1] / alone[1], 2),
        "memory_peak_mb": round(memory / 1e6),
        "goals": "goodput 0.7, ratio 2",
    }


async def _second_key(processes: Processes) -> str:
    stub = workspace_pb2_grpc.WorkspaceServiceStub(processes.client(Role.INGEST).channel)
    request = workspace_pb2.CreateWorkspaceRequest(workspace=workspace_pb2.Workspace(id="quiet"))
    metadata = (("authorization", f"Bearer {_TOKEN}"),)
    made = await again(lambda: stub.CreateWorkspace(request, metadata=metadata, timeout=10.0))
    return str(made.secret)


def _peak_bytes(pid: int) -> int:
    """The most that the process ever had resident, as the system tells it; 0 where it does not."""
    status = Path(f"/proc/{pid}/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) * 1024 if found else 0


async def _flood(address: str, key: str, per_s: float) -> dict[str, float]:
    """How many bodies were answered 200, 429 and otherwise, and in how many seconds; by a process of its own."""
    command = [sys.executable, "-m", "tests.bench.overload", address, key, str(per_s)]
    child = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, capture_output=True, text=True, check=False)
    if child.returncode:
        raise RuntimeError(child.stderr[-2_000:])
    told: dict[str, float] = json.loads(child.stdout)
    return told


async def _quiet(address: str, key: str) -> tuple[float, float]:
    """Median and 99th percentile of one small batch every few milliseconds, in milliseconds."""
    host, _, port = address.partition(":")
    bodies = [json.dumps({"batch": json.loads(one)["batch"][:_QUIET_EVENTS]}).encode() for one in http_bodies(10)]
    reader, writer = await asyncio.open_connection(host, int(port))
    took, until_s, number = [], time.perf_counter() + _SECONDS * 0.6, 0
    while time.perf_counter() < until_s:
        started_s = time.perf_counter()
        status = await _send(reader, writer, host, key, bodies[number % len(bodies)])
        if status != "200":
            raise RuntimeError(f"the quiet workspace was answered {status}")
        took.append((time.perf_counter() - started_s) * 1000)
        number += 1
        await asyncio.sleep(max(0.0, _QUIET_EVERY_S - (time.perf_counter() - started_s)))
    writer.close()
    return round(statistics.median(took), 1), round(sorted(took)[int(len(took) * 0.99)], 1)


async def _send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, key: str, body: bytes) -> str:
    who = b64encode(f"{key}:".encode()).decode()
    head = f"POST {_PATH} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Basic {who}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    answer = await reader.readuntil(b"\r\n\r\n")
    length = int(answer.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
    await reader.readexactly(length)
    return answer.split(b" ", 2)[1].decode()


async def _child(address: str, key: str, per_s: float) -> None:
    """Send for some seconds: in a closed loop for `per_s` 0, else so many bodies a second, whatever is answered."""
    host, _, port = address.partition(":")
    bodies = http_bodies(200)
    told: Counter[str] = Counter()
    free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(_FLOOD_CONNECTIONS if per_s else _PEAK_CONNECTIONS):
        free.put_nowait(await asyncio.open_connection(host, int(port)))

    async def one(body: bytes, connection: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        status = await _send(*connection, host, key, body)
        told[status if status in ("200", "429") else "other"] += 1
        free.put_nowait(connection)

    started_s, sent, tasks = time.perf_counter(), 0, set[asyncio.Task[None]]()
    while (now_s := time.perf_counter() - started_s) < _SECONDS:
        if per_s and (sent - 1) / per_s > now_s:
            await asyncio.sleep(sent / per_s - now_s)
            continue
        task = asyncio.create_task(one(bodies[sent % len(bodies)], await free.get()))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        sent += 1
    seconds, within = time.perf_counter() - started_s, dict(told)  # what is answered later is not within the time
    await asyncio.gather(*tasks)
    print(json.dumps({"200": 0, "429": 0, "other": 0, **within, "seconds": seconds}))


if __name__ == "__main__":
    asyncio.run(_child(sys.argv[1], sys.argv[2], float(sys.argv[3])))
