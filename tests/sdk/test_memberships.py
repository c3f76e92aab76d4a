"""The same shop story, told by each SDK, gives the same segment memberships. The whole platform, all SDKs at once."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path

from pyroaring import BitMap

from cdp.facts.v1 import facts_pb2
from cdp.profile.v1 import profile_pb2, profile_pb2_grpc
from cdp.segment.v1 import segment_pb2 as pb
from cdp.segment.v1 import segment_pb2_grpc
from core.clock import ManualClock
from services.runtime.roles import Role
from tests.browser.chromium import browsing
from tests.flow.platform import Platform, eventually
from tests.sdk.serving import site
from tests.sdk.story import SEGMENTS, Story
from tests.sdk.tellers import SDKS, Ground, Sdk, tell, tell_in_browser

START_US = int(datetime(2026, 11, 2, 10, tzinfo=UTC).timestamp()) * 1_000_000


class GoingClock(ManualClock):
    """It goes on from `now_us` by itself, as the clocks of the SDKs do: against one that stands still, the time that
    passed between two calls would be lost."""

    def __init__(self, now_us: int) -> None:
        super().__init__(now_us)
        self._started_ns = time.monotonic_ns()

    def now_us(self) -> int:
        """The instant last set, and what has passed since the start."""
        return super().now_us() + (time.monotonic_ns() - self._started_ns) // 1_000


async def test_the_same_story_gives_the_same_segments(tmp_path: Path, node_folder: Path, chromium: str) -> None:
    async with Platform(tmp_path / "data", GoingClock(START_US)) as platform:
        url = platform.http_url(Role.INGEST)

        async def said(sdk: Sdk) -> None:
            steps = Story(sdk.user).steps(in_browser=sdk.in_browser)
            await tell(sdk, node_folder if sdk.ground is Ground.NODE else tmp_path, url, platform.key, steps)

        async with browsing(chromium, tmp_path / "profile") as browser:
            with site(node_folder / "node_modules") as pages:
                for sdk in SDKS:
                    if sdk.in_browser:
                        steps = Story(sdk.user).steps(in_browser=True)
                        await tell_in_browser(browser, sdk, pages, url, platform.key, steps)
                await asyncio.gather(*(said(sdk) for sdk in SDKS if not sdk.in_browser))
                await eventually(lambda: all_known(platform), "every SDK's person has all her events", 60.0)
        contacts = await contacts_of(platform)
        assert len(set(contacts.values())) == len(SDKS)
        for rule, is_member in SEGMENTS.items():
            expected = BitMap(contacts.values() if is_member else ())

            async def as_expected(rule: str = rule, expected: BitMap = expected) -> bool:
                return await evaluated(platform, rule) == expected

            await eventually(as_expected, f"{rule} holds for {'all' if is_member else 'none'} of {contacts}")
        # What the visitors did is what the persons did: no visitor is left over.
        everybody = await evaluated(platform, "among all contacts: did products_searched")
        assert everybody == BitMap(contacts.values())


async def all_known(platform: Platform) -> bool:
    """Whether each person's last steps have arrived and were joined to her first ones."""
    wanted = {"order_completed", "wishlist_added", "product_viewed", "products_searched", "product_added_to_cart"}
    async with platform.channel(Role.PROFILE_UNIFICATION) as channel:
        profiles = profile_pb2_grpc.ProfileServiceStub(channel)
        for sdk in SDKS:
            asked = profile_pb2.GetRequest(identifier=_name(sdk), timeline_size=100)
            answer = await profiles.Get(asked, metadata=platform.metadata)
            told = {one.name for one in answer.profile.attributes}
            if not wanted <= {event.type for event in answer.timeline} or not {"group_id", "city"} <= told:
                return False
    return True


async def contacts_of(platform: Platform) -> dict[str, int]:
    """SDK -> the contact of its story."""
    async with platform.channel(Role.PROFILE_UNIFICATION) as channel:
        profiles = profile_pb2_grpc.ProfileServiceStub(channel)
        asked = profile_pb2.ResolveRequest(identifiers=[_name(sdk) for sdk in SDKS])
        results = (await profiles.Resolve(asked, metadata=platform.metadata)).results
        return {sdk.package: result.contact for sdk, result in zip(SDKS, results, strict=True)}


async def evaluated(platform: Platform, rule: str) -> BitMap:
    """The members of a rule, over everything that was sent."""
    async with platform.channel(Role.SEGMENT_ENGINE) as channel:
        segments = segment_pb2_grpc.SegmentServiceStub(channel)
        asked = pb.EvaluateRequest(rule=pb.RuleSource(text=rule), members=True)
        answer = await segments.Evaluate(asked, metadata=platform.metadata)
        return BitMap.deserialize(answer.roaring)


def _name(sdk: Sdk) -> facts_pb2.Identifier:
    return facts_pb2.Identifier(kind="external_id", value=sdk.user)
