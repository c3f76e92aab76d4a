"""Acknowledged, and killed at that very moment: the event is there, and it is there once.

Many callers send one event at a time, over gRPC and over HTTP, and send again what had no answer, and now and then what
had one. The instant an acknowledgement arrives, ingest or the log server is killed. The ledger of every success is then
compared with the timelines of the profiles, with the log, and with the engine's counts.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from cdp.profile.v1 import profile_pb2
from cdp.segment.v1 import segment_pb2
from services.demo.client import CALL_S, again
from services.runtime.roles import Role
from tests.fault.digests import LogCopy
from tests.fault.outcome import eventually
from tests.fault.processes import Processes, platform

PEOPLE = 12
EVENTS = 720
CALLERS = 8
KILLS = 6
AT_US = 1_700_000_000_000_000
_RETRY_S = 0.05
_PATIENCE_S = 60.0


def event_id(number: int) -> str:
    """Under what the log knows event `number`: it is of person number % PEOPLE, every fifth is an order."""
    return f"order:e{number}:completed" if number % 5 == 0 else f"e{number}"


class Callers:
    """Sends all events in any order. `acknowledged` counts the successes of each number."""

    def __init__(self, processes: Processes, rng: random.Random, http: httpx2.AsyncClient) -> None:
        self._processes = processes
        self._rng = rng
        self._http = http
        self._recovery: asyncio.Task[None] | None = None
        self.acknowledged: Counter[int] = Counter()
        self.kills = 0

    async def send_all(self) -> None:
        """Return once every event was acknowledged."""
        numbers = list(range(EVENTS))
        self._rng.shuffle(numbers)
        rest = iter(numbers)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CALLERS):
                tasks.create_task(self._work(rest))
        if self._recovery is not None:
            await self._recovery

    async def _work(self, rest: Iterator[int]) -> None:
        for number in rest:
            await self._send(number)
            if self._rng.random() < 0.1:
                await self._send(self._rng.choice(list(self.acknowledged)))

    async def _send(self, number: int) -> None:
        by_http = number % 5 != 0 and self._rng.random() < 0.4
        await (self._by_http(number) if by_http else self._by_grpc(number))
        self.acknowledged[number] += 1
        # No await between the acknowledgement and the kill.
        wanted = len(self.acknowledged) >= (self.kills + 1) * EVENTS // (KILLS + 2)
        if wanted and self.kills < KILLS and (self._recovery is None or self._recovery.done()):
            self._recovery = asyncio.create_task(self._recover(self._kill()))

    def _kill(self) -> Role | None:
        self.kills += 1
        if self.kills % 3 == 0:
            self._processes.valkey.kill()
            return None
        self._processes.kill(Role.INGEST)
        return Role.INGEST

    async def _recover(self, victim: Role | None) -> None:
        if victim is None:
            await asyncio.to_thread(self._processes.valkey.start)
        else:
            await self._processes.restart(victim)

    async def _by_grpc(self, number: int) -> None:
        client = self._processes.client(Role.INGEST)
        identifiers = [facts_pb2.Identifier(kind="external_id", value=f"person-{number % PEOPLE}")]
        if number % 5 == 0:
            order = ingest_pb2.Order(
                order_id=f"e{number}", status="completed", occurred_at_us=AT_US + number, identifiers=identifiers
            )
            record = ingest_pb2.RecordOrderRequest(order=order)
            await again(
                lambda: client.ingest.RecordOrder(record, metadata=client.metadata, timeout=CALL_S), _PATIENCE_S
            )
            return
        event = ingest_pb2.Event(
            message_id=f"e{number}",
            type="product_viewed",
            occurred_at_us=AT_US + number,
            identifiers=identifiers,
            params={"product_id": facts_pb2.Value(text=f"p{number}")},
        )
        track = ingest_pb2.TrackRequest(event=event)
        await again(lambda: client.ingest.Track(track, metadata=client.metadata, timeout=CALL_S), _PATIENCE_S)

    async def _by_http(self, number: int) -> None:
        url = f"{self._processes.http_url(Role.INGEST)}/v1/track"
        body = {
            "messageId": f"e{number}",
            "userId": f"person-{number % PEOPLE}",
            "event": "Product Viewed",
            "timestamp": "2023-11-14T22:13:20Z",
            "properties": {"product_id": f"p{number}"},
        }
        deadline_s = asyncio.get_running_loop().time() + _PATIENCE_S
        while True:
            try:
                answer = await self._http.post(url, json=body, auth=(self._processes.secret, ""))
            except httpx2.TransportError:
                pass  # no answer: nobody knows, so the same message is sent again
            else:
                if answer.status_code == 200:
                    assert answer.json()["success"] is True, answer.text
                    return
                assert answer.status_code in (429, 503), answer.text
            assert asyncio.get_running_loop().time() < deadline_s, f"e{number} was never acknowledged"
            await asyncio.sleep(_RETRY_S)


@pytest.mark.slow
async def test_nothing_acknowledged_is_lost_or_doubled_by_a_kill_at_that_moment(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    roles = (Role.INGEST, Role.PROFILE_UNIFICATION, Role.SEGMENT_ENGINE)
    async with platform(tmp_path, {}, roles) as processes, httpx2.AsyncClient() as http:
        callers = Callers(processes, random.Random(seed), http)
        await callers.send_all()
        expected = set(map(event_id, range(EVENTS)))
        assert (len(callers.acknowledged), callers.kills) == (EVENTS, KILLS)
        log = LogCopy(processes.client(Role.PROFILE_UNIFICATION))

        async def complete() -> bool:
            await log.catch_up()
            return expected <= log.ids().keys()

        await eventually(complete, "everything acknowledged is in the log")
        assert log.ids() == Counter(expected)
        assert await timelines(processes) == {
            f"person-{person}": Counter(map(event_id, range(person, EVENTS, PEOPLE))) for person in range(PEOPLE)
        }
        await check_counts(processes, log.position)
        processes.check_alive()


async def timelines(processes: Processes) -> dict[str, Counter[str]]:
    """The ids of each person's events, over all pages."""
    client = processes.client(Role.PROFILE_UNIFICATION)
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for person in (f"person-{number}" for number in range(PEOPLE)):
        request = profile_pb2.GetRequest(
            identifier=facts_pb2.Identifier(kind="external_id", value=person), timeline_size=7
        )
        while True:
            answer = await client.profile.Get(request, metadata=client.metadata, timeout=CALL_S)
            found[person].update(event.id for event in answer.timeline)
            if not answer.next_timeline_page_token:
                break
            request.timeline_page_token = answer.next_timeline_page_token
    return dict(found)


async def check_counts(processes: Processes, position: int) -> None:
    """The engine counts each person's orders and views exactly."""
    client = processes.client(Role.SEGMENT_ENGINE)
    orders = EVENTS // 5 // PEOPLE
    views = EVENTS // PEOPLE - orders
    for text in (f"did order_completed exactly {orders} times", f"did product_viewed exactly {views} times"):
        rule = segment_pb2.RuleSource(text=text)
        request = segment_pb2.EvaluateRequest(rule=rule, min_position=position)
        answer = await client.segment.Evaluate(request, metadata=client.metadata, timeout=CALL_S)
        assert answer.count.total == PEOPLE, text
