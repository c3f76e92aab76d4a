"""The first life of the platform: active contacts are registered through the public API, and what the snapshot must
agree with is read off: their numbers and ids, and the end and the epoch of unification's log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdp.ingest.v1 import ingest_pb2
from cdp.profile.v1 import profile_pb2
from cdp.segment.v1 import segment_pb2
from cdp.workspace.v1 import workspace_pb2
from services.demo.client import CALL_S, Client, again
from services.demo.folded import wait_folded
from tests.bench.platform_process import PlatformProcess
from tests.load.ingesting import external_id

_PERSONS_A_REQUEST = 500
_IN_FLIGHT = 6
_PAGE = 10_000
_EVERYONE = "registered"


@dataclass(frozen=True, slots=True)
class Registered:
    """What the log knows. `keys`: the ids of contacts `first` to `first` + n - 1. `before_us`: an
    instant before the first of them came, so that everything in the snapshot is earlier."""

    workspace_id: str
    position: int
    epoch: str
    first: int
    keys: tuple[str, ...]
    before_us: int
    seconds: float


async def register(folder: Path, active: int) -> Registered:
    """Start the platform on `folder`, register `active` contacts, and stop it. Raises RuntimeError when their
    numbers are not dense."""
    before_us = time.time_ns() // 1_000
    async with PlatformProcess(folder) as platform:
        client = platform.client
        started_s = time.perf_counter()
        position = await _send(client, active)
        await wait_folded(client, position)
        seconds = time.perf_counter() - started_s
        first, keys = await _keys(client, active)
        end, epoch = await _end_of_profile_log(client)
        workspace = await client.workspace.GetWorkspace(
            workspace_pb2.GetWorkspaceRequest(), metadata=client.metadata, timeout=CALL_S
        )
    return Registered(workspace.workspace.id, end, epoch, first, keys, before_us, seconds)


async def _send(client: Client, active: int) -> int:
    """The last position of ingest's log."""
    position = 0
    bodies = _requests(active)

    async def work() -> None:
        nonlocal position
        for body in bodies:

            async def once(body: bytes = body) -> Any:
                return await client.ingest_batch(body, metadata=client.metadata, timeout=CALL_S)

            answer = await again(once)
            refused = next((result for result in answer.results if result.reason), None)
            if refused is not None:
                raise RuntimeError(f"a contact was refused: {refused.reason}: {refused.description}")
            position = max(position, answer.position)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(_IN_FLIGHT):
            tasks.create_task(work())
    return position


def _requests(active: int) -> Iterator[bytes]:
    for first in range(0, active, _PERSONS_A_REQUEST):
        request = ingest_pb2.IngestBatchRequest()
        for number in range(first, min(first + _PERSONS_A_REQUEST, active)):
            person = request.items.add().person
            person.message_id = f"registered-{number}"
            person.identifiers.add(kind="external_id", value=external_id(number))
        yield request.SerializeToString()


async def _keys(client: Client, active: int) -> tuple[int, tuple[str, ...]]:
    """The lowest number and the ids. Read through a saved segment that is deleted again."""
    rule = segment_pb2.RuleSource(text="among all contacts: everyone")
    save = segment_pb2.SaveSegmentRequest(name=_EVERYONE, rule=rule)
    await client.segment.SaveSegment(save, metadata=client.metadata, timeout=CALL_S)
    numbers: list[int] = []
    found: list[str] = []
    token = ""
    while True:
        request = segment_pb2.ListMembersRequest(name=_EVERYONE, page_size=_PAGE, page_token=token)
        page = await client.segment.ListMembers(request, metadata=client.metadata, timeout=CALL_S)
        for member in page.members:
            numbers.append(member.contact)
            found.append(member.key)
        token = page.next_page_token
        if not token:
            break
    delete = segment_pb2.DeleteSegmentRequest(name=_EVERYONE)
    await client.segment.DeleteSegment(delete, metadata=client.metadata, timeout=CALL_S)
    if len(found) != active or numbers != list(range(numbers[0], numbers[0] + active)):
        raise RuntimeError(f"{active} contacts were registered, the engine knows {len(found)}, or numbers have gaps")
    return numbers[0], tuple(found)


async def _end_of_profile_log(client: Client) -> tuple[int, str]:
    """Its last position and its epoch, as the greeting of its stream tells them."""
    closing = asyncio.Event()

    async def asked() -> AsyncIterator[profile_pb2.SubscribeRequest]:
        yield profile_pb2.SubscribeRequest(start=profile_pb2.SubscribeRequest.Start(max_in_flight=1))
        await closing.wait()  # an end of the requests would end the answers

    stream = client.profile.Subscribe(asked(), metadata=client.metadata, timeout=CALL_S)
    try:
        async for greeting in stream:
            return greeting.last_position, greeting.epoch
        raise RuntimeError("the stream of profiles ended without a greeting")
    finally:
        closing.set()
        stream.cancel()
