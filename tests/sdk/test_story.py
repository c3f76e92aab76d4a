"""Every SDK tells the same shop story, and the same canonical events and persons arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from cdp.facts.v1 import facts_pb2
from cdp.workspace.v1 import workspace_pb2
from core.events.columns import Event
from core.schema import DecimalUnits
from services.runtime.clock import SystemClock
from tests.browser.chromium import browsing
from tests.sdk.serving import site
from tests.sdk.story import Story
from tests.sdk.tellers import SDKS, Ground, Sdk, tell, tell_in_browser
from tests.unit.ingest.house import House, running

_PATIENCE_S = 12.0
_LINE = {"product_id": "yirga", "category": "tea", "price": DecimalUnits(127_500), "quantity": 2}


@pytest.mark.parametrize("sdk", SDKS, ids=lambda sdk: sdk.package)
async def test_the_story_arrives(sdk: Sdk, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    story = Story(sdk.user)
    async with running(tmp_path / "house", clock=SystemClock()) as house:
        url = f"http://127.0.0.1:{house.host.http_port}"
        steps = story.steps(in_browser=sdk.in_browser)
        if sdk.in_browser:
            packages = request.getfixturevalue("node_folder") / "node_modules"
            path = request.getfixturevalue("chromium")
            async with browsing(path, tmp_path / "profile") as browser:
                with site(packages) as pages:
                    key = await key_for_pages(house, pages.rstrip("/"))
                    await tell_in_browser(browser, sdk, pages, url, key, steps)
                    await arrived(house, story)
        else:
            folder = request.getfixturevalue("node_folder") if sdk.ground is Ground.NODE else tmp_path
            await tell(sdk, folder, url, house.key, steps)
        await arrived(house, story, sdk.in_browser)
        check_events(await once(house), story, sdk.in_browser)
        check_people(await house.facts(), story, sdk)


async def key_for_pages(house: House, origin: str) -> str:
    """A key as it stands in pages: it only writes, and only from this origin."""
    asked = workspace_pb2.CreateKeyRequest(scope=workspace_pb2.SCOPE_WRITE, origins=[origin])
    return (await house.keys.CreateKey(asked, metadata=house.metadata)).secret


async def arrived(house: House, story: Story, in_browser: bool = True) -> None:
    """Wait until all events and persons of the story are durable."""
    wanted = len(story.events(in_browser=in_browser))
    deadline_s = asyncio.get_running_loop().time() + _PATIENCE_S
    while len(await once(house)) < wanted or len(await house.facts()) < 2:
        told = [event.type for event in await house.events()]
        assert asyncio.get_running_loop().time() < deadline_s, f"only these arrived: {told}, {await house.facts()}"
        await asyncio.sleep(0.05)


async def once(house: House) -> list[Event]:
    """The events, each message id once."""
    return list({event.id: event for event in await house.events()}.values())


def check_events(events: list[Event], story: Story, in_browser: bool) -> None:
    """They are those of the story, with what it told, made now."""
    found = sorted(events, key=lambda event: event.type)
    expected = story.events(in_browser=in_browser)
    assert [event.type for event in found] == [type_ for type_, _ in expected]
    for event, (type_, params) in zip(found, expected, strict=True):
        assert {**event.params, **params} == event.params, type_
        assert 0 <= event.received_at_us - event.occurred_at_us < 30_000_000, type_
    (order,) = (event for event in found if event.type == "order_completed")
    assert order.items == (_LINE,)
    assert order.id == f"order:{story.order_id}:completed"
    assert ("external_id", story.user) in {(one.kind, one.value) for one in order.identifiers}


def check_people(facts: list[facts_pb2.AcceptedFact], story: Story, sdk: Sdk) -> None:
    """Who she is, her group, and that she is the visitor."""
    told: dict[str, facts_pb2.Value] = {}
    links: set[frozenset[str]] = set()
    for fact in facts:
        told.update(fact.profile.attributes)
        links.add(frozenset(one.kind for one in fact.profile.identifiers))
    assert text_of(told) == {"first_name": "Ann", "city": "Kyiv", "group_id": "acme"}
    assert told["birth_date"].date_days == 7_363
    assert any({"external_id", "email"} <= link for link in links)
    assert any({"external_id", "anonymous_id"} <= link for link in links), sdk


def text_of(attributes: Mapping[str, facts_pb2.Value]) -> dict[str, str]:
    """The texts among three attributes."""
    return {name: attributes[name].text for name in ("first_name", "city", "group_id")}
