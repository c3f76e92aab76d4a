"""A steady stream of events through the public API, in a process of its own, while something else is measured."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import secrets
import signal
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import grpc

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from services.demo.client import Client
from tests.bench.platform_process import ROOT
from tests.bench.workload import CATEGORIES, EVENT_TYPES, PRODUCT_TYPES, SHARES
from tests.load.outcome import figures, new_histogram

_DEADLINE_S = 10.0
_ORDER = EVENT_TYPES.index("order_completed")


@dataclass(frozen=True, slots=True)
class Stream:
    """`events_per_s` of contacts that were registered as `external_id(0)` to `external_id(active - 1)`."""

    address: str
    secret: str
    active: int
    events_per_s: int
    events_a_batch: int
    seed: int


def external_id(number: int) -> str:
    """The id under which an active contact is known."""
    return f"load-{number}"


class Ingesting:
    """`async with Ingesting(stream) as running:`; `running.report` is there after it has ended."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._child: asyncio.subprocess.Process | None = None
        self.report: dict[str, object] = {}

    @property
    def pid(self) -> int:
        """Of the process that sends."""
        assert self._child is not None
        return self._child.pid

    async def __aenter__(self) -> Ingesting:
        command = ("-m", "tests.load.ingesting", json.dumps(asdict(self._stream)))
        self._child = await asyncio.create_subprocess_exec(
            sys.executable, *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._child is not None
        if self._child.returncode is None:
            self._child.send_signal(signal.SIGTERM)
        out, _errors = await self._child.communicate()
        if self._child.returncode != 0:
            raise RuntimeError(f"the stream of events ended with {self._child.returncode}")
        self.report = json.loads(out)


async def stream_events(stream: Stream, stop: asyncio.Event) -> dict[str, object]:
    """Send batches when they are due until `stop`; how many events were taken, by when, and what was refused."""
    generator, run = random.Random(stream.seed), secrets.token_hex(4)
    client = Client(stream.address, stream.secret)
    acknowledged, errors = new_histogram(), Counter[str]()
    accepted = 0

    async def send(body: bytes, due_s: float) -> None:
        nonlocal accepted
        try:
            answer: Any = await client.ingest_batch(body, metadata=client.metadata, timeout=_DEADLINE_S)
        except grpc.aio.AioRpcError as error:
            errors[error.code().name] += 1
            return
        refused = [result.reason for result in answer.results if result.reason]
        errors.update(refused)
        accepted += stream.events_a_batch - len(refused)
        acknowledged.record_value(max(1, int((time.perf_counter() - due_s) * 1e6)))

    started_s = time.perf_counter()
    gc.freeze()
    async with asyncio.TaskGroup() as tasks:
        batch = 0
        while not stop.is_set():
            due_s = started_s + batch * stream.events_a_batch / stream.events_per_s
            wait_s = due_s - time.perf_counter()
            await asyncio.sleep(max(0.0, wait_s))
            tasks.create_task(send(_batch(stream, generator, f"{run}-{batch}"), due_s))
            batch += 1
    elapsed_s = time.perf_counter() - started_s
    await client.close()
    return {
        "events": accepted,
        "seconds": round(elapsed_s, 1),
        "events_per_s": round(accepted / elapsed_s),
        "refused": dict(errors),
        "acknowledged": figures(acknowledged),
        "client_share_of_a_core": round(time.process_time() / elapsed_s, 2),
    }


def _batch(stream: Stream, generator: random.Random, name: str) -> bytes:
    request = ingest_pb2.IngestBatchRequest()
    types = generator.choices(range(len(EVENT_TYPES)), SHARES, k=stream.events_a_batch)
    for number, kind in enumerate(types):
        who = external_id(generator.randrange(stream.active))
        fact_id = f"{name}-{number}"
        if kind == _ORDER:
            order = request.items.add().order
            order.order_id, order.status = fact_id, "completed"
            order.identifiers.add(kind="external_id", value=who)
            order.params["total"].decimal_units = generator.randint(10_000, 2_000_000)
            continue
        event = request.items.add().event
        event.message_id, event.type = fact_id, EVENT_TYPES[kind]
        event.identifiers.add(kind="external_id", value=who)
        if kind < PRODUCT_TYPES:
            event.params["category"].CopyFrom(facts_pb2.Value(text=generator.choice(CATEGORIES)))
            event.params["price"].CopyFrom(facts_pb2.Value(decimal_units=generator.randint(10_000, 2_000_000)))
    return request.SerializeToString()


async def _run(stream: Stream) -> dict[str, object]:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return await stream_events(stream, stop)


def main() -> None:
    """Send what stands in the arguments until told to stop, then print the report."""
    print(json.dumps(asyncio.run(_run(Stream(**json.loads(sys.argv[1]))))))


if __name__ == "__main__":
    main()
