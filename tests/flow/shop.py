"""A small shop on a whole platform: eight people, five of whom bought, one of them once, one twice, and so on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import grpc
from google.protobuf.message import Message

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from cdp.segment.v1 import analytics_pb2 as pb
from cdp.segment.v1 import segment_pb2
from core.clock import DAY_US, ManualClock
from services.runtime.roles import Role
from tests.flow.bad_input import Answer, call, of
from tests.flow.platform import Platform, eventually

#: A Monday.
START_US = int(datetime(2026, 11, 2, 10, tzinfo=UTC).timestamp()) * 1_000_000
#: u0 to u4 buy: u_i i + 1 times, the last time 40 - 10 * i days ago, each time for 100 * (i + 1). u5 to u7 never.
BUYERS, PEOPLE = 5, 8
BOUGHT: dict[str, object] = {"names": ["order_completed"]}


class Shop:
    """A platform with eight people and fifteen orders."""

    def __init__(self, platform: Platform, channel: grpc.aio.Channel) -> None:
        self.platform = platform
        self._channel = channel

    async def call(self, request: Message) -> Answer:
        return await call(self._channel, request, self.platform.metadata)

    async def ok(self, request: Message) -> object:
        answer = await self.call(request)
        assert answer.ok, f"{request.DESCRIPTOR.full_name}: {answer}"
        return answer.response

    async def refused(self, request: Message) -> tuple[grpc.StatusCode, str]:
        answer = await self.call(request)
        assert not answer.ok
        return answer.status, answer.reason

    async def save(self, name: str, text: str) -> segment_pb2.SaveSegmentResponse:
        response = await self.ok(of(segment_pb2.SaveSegmentRequest, name=name, rule={"text": text}))
        assert isinstance(response, segment_pb2.SaveSegmentResponse)
        return response

    async def rfm(self, **asked: object) -> pb.RfmMatrixResponse:
        response = await self.ok(of(pb.RfmMatrixRequest, **asked))
        assert isinstance(response, pb.RfmMatrixResponse)
        return response

    async def cohorts(self, **asked: object) -> pb.CohortMatrixResponse:
        response = await self.ok(of(pb.CohortMatrixRequest, **asked))
        assert isinstance(response, pb.CohortMatrixResponse)
        return response

    async def histogram(self, **asked: object) -> pb.HistogramResponse:
        response = await self.ok(of(pb.HistogramRequest, **asked))
        assert isinstance(response, pb.HistogramResponse)
        return response

    async def evaluate(self, text: str, **asked: object) -> segment_pb2.EvaluateResponse:
        response = await self.ok(of(segment_pb2.EvaluateRequest, rule={"text": text}, **asked))
        assert isinstance(response, segment_pb2.EvaluateResponse)
        return response

    async def fill(self) -> None:
        for number in range(PEOPLE):
            attributes = {
                "gender": facts_pb2.Value(text="female" if number % 2 else "male"),
                "age": facts_pb2.Value(integer=20 + number),
            }
            person = of(ingest_pb2.Person, identifiers=[who(number)], attributes=attributes)
            await self.ok(ingest_pb2.IdentifyRequest(person=person))
        for number in range(BUYERS):
            for again in range(number + 1):
                days_ago = 40 - 10 * number + 2 * again
                order = of(
                    ingest_pb2.Order,
                    order_id=f"o{number}-{again}",
                    status="completed",
                    occurred_at_us=START_US - days_ago * DAY_US,
                    identifiers=[who(number)],
                    params={"total": facts_pb2.Value(decimal=str(100 * (number + 1)))},
                )
                await self.ok(ingest_pb2.RecordOrderRequest(order=order))

        async def there() -> bool:
            people, orders = await self.evaluate("everyone"), await self.evaluate("did order_completed >= 5 times")
            return (people.count.total, orders.count.total) == (PEOPLE, 1)

        await eventually(there, "everything is folded")


def who(number: int) -> facts_pb2.Identifier:
    return facts_pb2.Identifier(kind="external_id", value=f"u{number}")


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Shop]:
    """The shop on a manual clock that stands at START_US, everything folded."""
    async with Platform(folder, ManualClock(START_US)) as platform, platform.channel(Role.INGEST) as channel:
        shop = Shop(platform, channel)
        await shop.fill()
        yield shop
