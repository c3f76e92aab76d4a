"""A merge taken back from the public call to the segments: ingest, unification and the engine, real gRPC, one log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import pytest
from pyroaring import BitMap

from cdp.segment.v1 import segment_pb2, segment_pb2_grpc
from core.clock import SECOND_US, ManualClock
from core.events.columns import Identifier
from services.runtime.roles import Role
from tests.flow.platform import Platform, eventually
from tests.flow.test_identity_flow import Shop, T

ROLES = (Role.INGEST, Role.PROFILE_UNIFICATION, Role.SEGMENT_ENGINE, Role.CHANNEL)
ELSEWHERE = {"CDP_SCENARIO_ADDRESS": "127.0.0.1:1"}
X, E = Identifier("external_id", "x"), Identifier("email", "e@example.com")
RULES = {
    "kyiv": 'city = "Kyiv"',
    "lviv": 'city = "Lviv"',
    "often": "did app_opened at least 3 times",
    "twice": "did app_opened at least 2 times",
}


class Engine:
    """A client of the segment engine."""

    def __init__(self, channel: grpc.aio.Channel, metadata: tuple[tuple[str, str], ...]) -> None:
        self._stub = segment_pb2_grpc.SegmentServiceStub(channel)
        self._metadata = metadata

    async def save(self, name: str, text: str) -> None:
        """A standing segment."""
        rule = segment_pb2.RuleSource(text=text)
        await self._stub.SaveSegment(segment_pb2.SaveSegmentRequest(name=name, rule=rule), metadata=self._metadata)

    async def members(self) -> dict[str, set[int]]:
        """Who is in each of the segments, as they stand, which is also what asking anew says."""
        found = {}
        for name, text in RULES.items():
            standing = segment_pb2.EvaluateRequest(name=name, members=True)
            anew = segment_pb2.EvaluateRequest(rule=segment_pb2.RuleSource(text=text), members=True)
            while True:
                said = [await self._stub.Evaluate(one, metadata=self._metadata) for one in (standing, anew)]
                if said[0].freshness == said[1].freshness:
                    break  # of one state: nothing was applied between the two calls
            kept, asked = (set(BitMap.deserialize(one.roaring)) for one in said)
            assert kept == asked, name
            found[name] = kept
        return found

    async def records(self, cause: segment_pb2.Cause.ValueType, count: int) -> set[tuple[int, str, bool]]:
        """The first `count` records of a cause: contact, segment, whether it came in."""
        found: set[tuple[int, str, bool]] = set()
        call = self._stub.Watch(segment_pb2.WatchRequest(), metadata=self._metadata, timeout=20)
        async for response in call:
            for one in response.memberships:
                if one.cause == cause:
                    found.add((one.contact, one.segment, one.change == segment_pb2.CHANGE_ENTERED))
            if len(found) >= count:
                break
        call.cancel()
        return found


@pytest.mark.slow
async def test_segments_follow_a_merge_that_is_taken_back(tmp_path: Path) -> None:
    clock = ManualClock(T)
    async with (
        Platform(tmp_path, clock, (ROLES,), ELSEWHERE) as platform,
        platform.channel(Role.INGEST) as ingest,
        platform.channel(Role.PROFILE_UNIFICATION) as profile,
        platform.channel(Role.SEGMENT_ENGINE) as segments,
    ):
        shop, engine = Shop(platform, ingest, profile), Engine(segments, platform.metadata)
        for name, text in RULES.items():
            await engine.save(name, text)
        await shop.identify(X, city="Kyiv")
        await shop.identify(E, city="Lviv")
        for one in (X, E, E):
            await shop.folded(await shop.track(one))
        apart = {"kyiv": {1}, "lviv": {2}, "often": set(), "twice": {2}}
        clock.advance(SECOND_US)
        await eventually(_says(engine, apart), "two people")
        await shop.folded(await shop.track(X, E))
        clock.advance(SECOND_US)
        await eventually(_says(engine, {"kyiv": set(), "lviv": {1}, "often": {1}, "twice": {1}}), "one person")

        survivor, record = await shop.get(X), await shop.merges()
        loser = record.merges[0].loser_key
        await shop.unmerge(survivor.profile.key, loser)
        clock.advance(SECOND_US)
        # The event that named both came by the external id.
        after = {"kyiv": {1}, "lviv": {2}, "often": set(), "twice": {1, 2}}
        await eventually(_says(engine, after), "two people again")
        told = {(1, "kyiv", True), (1, "lviv", False), (1, "often", False), (2, "lviv", True), (2, "twice", True)}
        assert await engine.records(segment_pb2.CAUSE_UNMERGE, len(told)) == told

        await platform.stop(ROLES)
        await platform.start(ROLES)
        await platform.host(Role.SEGMENT_ENGINE).wait_ready(20.0)
        await eventually(_says(engine, after), "the same after a restart")
        await shop.folded(await shop.track(E))
        clock.advance(SECOND_US)
        await eventually(_says(engine, {**after, "often": {2}}), "what follows is of its own person")


def _says(engine: Engine, expected: dict[str, set[int]]) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        return await engine.members() == expected

    return holds
