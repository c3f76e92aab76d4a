"""SDKs on a bad road: a lost answer counts nothing twice, what is put off comes again, and no sooner than it was told.

The clock of the device may be wrong by hours; the time that passed on it is believed.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cdp.workspace.v1 import workspace_pb2 as pb
from core.clock import HOUR_US, SECOND_US
from services.runtime.clock import SystemClock
from tests.browser.chromium import browsing
from tests.sdk.road import Fault, road
from tests.sdk.serving import site
from tests.sdk.story import Step, Story
from tests.sdk.tellers import SDKS, Ground, Sdk, tell, tell_in_browser
from tests.unit.ingest.house import House, running

_PATIENCE_S = 30.0
LOST = Fault(arrives=True, status=500)
PUT_OFF = Fault(arrives=False, status=429, retry_after_s=2)
#: This one comes again at its own pace: it does not look at Retry-After. In a page, calls that were not put off go on
#: meanwhile, so that nothing is measured there.
AT_ITS_OWN_PACE = "rudder-sdk-python"

by_package = pytest.mark.parametrize("sdk", SDKS, ids=lambda sdk: sdk.package)


@by_package
async def test_a_lost_answer_counts_nothing_twice(sdk: Sdk, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    async with running(tmp_path / "house", clock=SystemClock()) as house:
        await over(house, sdk, [LOST], tmp_path, request)
        # What came twice came under the same id, and unification counts an id once.
        once = {event.id: event.type for event in await house.events()}
        expected = Story(sdk.user).events(in_browser=sdk.in_browser)
        assert sorted(once.values()) == [type_ for type_, _ in expected]


@by_package
async def test_what_is_put_off_comes_again(sdk: Sdk, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    async with running(tmp_path / "house", clock=SystemClock()) as house:
        passings = await over(house, sdk, [PUT_OFF], tmp_path, request)
        assert passings[0][1] == 429
        waited_s = next(at_s for at_s, status in passings[1:] if status == 200) - passings[0][0]
        if sdk.package != AT_ITS_OWN_PACE and not sdk.in_browser:
            assert waited_s >= PUT_OFF.retry_after_s - 0.1
        ids = [event.id for event in await house.events()]
        assert len(ids) == len(set(ids))


async def over(
    house: House, sdk: Sdk, faults: list[Fault], folder: Path, request: pytest.FixtureRequest
) -> list[tuple[float, int]]:
    """Tell the story over a road with `faults`; returns when each call came and what it was answered, once all events
    are there."""
    story, twice = Story(sdk.user), LOST in faults
    steps = story.steps(in_browser=sdk.in_browser)
    wanted = {type_ for type_, _ in story.events(in_browser=sdk.in_browser)}
    with road(house.host.http_port, faults) as way:
        if sdk.in_browser:
            packages = request.getfixturevalue("node_folder") / "node_modules"
            async with browsing(request.getfixturevalue("chromium"), folder / "profile") as browser:
                with site(packages) as pages:
                    await tell_in_browser(browser, sdk, pages, way.url, house.key, steps)
                    await arrived(house, wanted, twice)
        else:
            drivers = request.getfixturevalue("node_folder") if sdk.ground is Ground.NODE else folder
            await tell(sdk, drivers, way.url, house.key, steps, flushed=True)
            await arrived(house, wanted, twice)
        return [(one.at_s, one.status) for one in way.passings]


async def arrived(house: House, wanted: set[str], twice: bool) -> None:
    """Wait until events of all these types are durable and, where an answer was lost, something came `twice`."""
    deadline_s = asyncio.get_running_loop().time() + _PATIENCE_S
    while True:
        types = {event.type for event in await house.events()}
        ids = await all_ids(house)
        if wanted <= types and (len(ids) > len(set(ids)) or not twice):
            return
        what = f"missing: {sorted(wanted - types)}" if wanted - types else "nothing was sent again"
        assert asyncio.get_running_loop().time() < deadline_s, what
        await asyncio.sleep(0.05)


async def all_ids(house: House) -> list[str]:
    """The message ids of all that arrived, in the order of the log."""
    return [event.id for event in await house.events()] + [fact.id for fact in await house.facts()]


@pytest.mark.parametrize("sdk", [one for one in SDKS if one.ground is Ground.NODE], ids=lambda sdk: sdk.package)
async def test_a_clock_that_is_hours_ahead(sdk: Sdk, tmp_path: Path, node_folder: Path) -> None:
    async with running(tmp_path / "house", clock=SystemClock()) as house:
        url = f"http://127.0.0.1:{house.host.http_port}"
        story = Story(sdk.user)
        await tell(sdk, node_folder, url, house.key, story.steps(in_browser=False), clock_ahead=True)
        events = await house.events()
        assert len(events) == len(story.events(in_browser=False))
        for event in events:
            assert 0 <= event.received_at_us - event.occurred_at_us < 30 * SECOND_US
            sent_at = event.params["_sent_at"]
            assert abs(sent_at.us - event.received_at_us - 3 * HOUR_US) < 30 * SECOND_US  # type: ignore[union-attr]


async def test_a_key_at_its_limit_puts_off_and_takes_all_in_the_end(tmp_path: Path) -> None:
    """Here ingest itself says 429: the key may send ten items a second."""
    sdk = SDKS[0]
    async with running(tmp_path / "house", clock=SystemClock()) as house:
        limits = pb.Limits(events_per_s=10, burst=10)
        asked = pb.CreateKeyRequest(scope=pb.SCOPE_WRITE, limits=limits)
        secret = (await house.keys.CreateKey(asked, metadata=house.metadata)).secret
        with road(house.host.http_port, []) as way:
            steps: list[Step] = Story(sdk.user).steps(in_browser=False)[:3]
            # Three programs at once, ten items each within a second: some have to come again.
            told = [tell(sdk, tmp_path, way.url, secret, [steps[2]] * 10, flushed=True) for _ in range(3)]
            await asyncio.gather(*told)
            statuses = [one.status for one in way.passings]
        assert statuses.count(429) >= 1
        assert set(statuses) == {200, 429}
        ids = [event.id for event in await house.events()]
        assert len(ids) == len(set(ids)) == 30
