"""Recorded requests of real SDKs give the canonical events that they mean."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from core.clock import DAY_US
from core.events.columns import Identifier
from core.schema import DecimalUnits
from tests.unit.ingest.house import NOW_US, House

FOLDER = Path(__file__).parents[2] / "golden" / "sdk"

ANN = (Identifier("external_id", "ann"),)
COOKIE = (Identifier("anonymous_id", "cookie"),)
ORDER = ("order_completed", ANN, {"order_id": "o1", "status": "completed", "total": DecimalUnits(255_000)})
VIEW = ("product_viewed", ANN, {"product_id": "p1", "price": DecimalUnits(127_500)})
HOME = {"name": "Home", "url": "https://shop.example/"}
DOCS = {**HOME, "section": "Docs"}
#: Of the browser SDKs; the page stood at another port each time.
EMAIL = Identifier("email", "ann@example.com")
SEGMENT_COOKIE = Identifier("anonymous_id", "86007580-d859-4615-b841-a1ec38d3d726")
RUDDER_COOKIE = Identifier("anonymous_id", "72362aaf-8978-4818-983b-d3c6ac80efc3")
PAGE = {**VIEW[2], "language": "en-US"}

EXPECTED = {
    "segment-analytics-python": [ORDER, ("page_viewed", COOKIE, DOCS), ("screen_viewed", ANN, {"name": "Cart"})],
    "segment-analytics-python-gzip": [ORDER, ("page_viewed", COOKIE, DOCS), ("screen_viewed", ANN, {"name": "Cart"})],
    "segment-analytics-node": [ORDER, ("page_viewed", COOKIE, HOME)],
    "rudder-sdk-python": [VIEW, ("page_viewed", ANN, DOCS)],
    "rudder-sdk-node": [VIEW, ("page_viewed", ANN, HOME)],
    "posthog-python": [ORDER, ("page_viewed", COOKIE, HOME)],
    "posthog-node": [ORDER, ("page_viewed", COOKIE, HOME)],
    "posthog-js": [(*VIEW[:2], {**PAGE, "browser": "Chrome", "os": "Linux", "device": "desktop"})],
    "segment-analytics-next": [(VIEW[0], (*ANN, SEGMENT_COOKIE), {**PAGE, "referrer": "", "title": "Shop"})],
    "rudder-analytics-js": [(VIEW[0], (*ANN, RUDDER_COOKIE, EMAIL), {**PAGE, "os": "", "title": "Shop"})],
}


@pytest.mark.parametrize("sdk", sorted(EXPECTED))
async def test_recorded_requests(house: House, sdk: str) -> None:
    # These were recorded on 22 November 2026, after the clock's start.
    house.clock.set(NOW_US + 22 * DAY_US)
    recorded = json.loads((FOLDER / f"{sdk}.json").read_text())
    for request in recorded["requests"]:
        body = base64.b64decode(request["body_base64"])
        answer = await house.http.post(request["path"], content=body, headers=request["headers"], auth=(house.key, ""))
        assert (answer.status_code, answer.json() | {"status": 1}) == (200, {"success": True, "status": 1})
    events = await house.events()
    for event in events:
        # Made moments before it was sent (posthog-js gathers for three seconds), by whatever clock.
        assert 0 <= house.clock.now_us() - event.occurred_at_us < 5_000_000
    found = [
        (one.type, one.identifiers, {name: value for name, value in one.params.items() if is_told(name, value)})
        for one in events
    ]
    assert found == EXPECTED[sdk]
    if events[0].type == "order_completed":
        assert events[0].items == ({"product_id": "p1", "price": DecimalUnits(127_500), "quantity": 2},)
    person = (await house.facts())[0].profile
    named = [(one.kind, one.value) for one in person.identifiers if one.kind != "anonymous_id"]
    assert named == [("external_id", "ann"), ("email", "ann@example.com")]
    assert person.attributes["first_name"].text == "Ann"


def is_told(name: str, value: object) -> bool:
    """Whether a parameter is the SDK's own, and no address on the machine of the recording."""
    return not name.startswith("_") and not str(value).startswith("http://127.0.0.1:")


def test_every_recording_is_replayed() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == sorted(EXPECTED)
