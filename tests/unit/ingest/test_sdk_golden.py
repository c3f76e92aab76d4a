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

EXPECTED = {
    "segment-analytics-python": [ORDER, ("page_viewed", COOKIE, DOCS), ("screen_viewed", ANN, {"name": "Cart"})],
    "segment-analytics-python-gzip": [ORDER, ("page_viewed", COOKIE, DOCS), ("screen_viewed", ANN, {"name": "Cart"})],
    "segment-analytics-node": [ORDER, ("page_viewed", COOKIE, HOME)],
    "rudder-sdk-python": [VIEW, ("page_viewed", ANN, DOCS)],
    "rudder-sdk-node": [VIEW, ("page_viewed", ANN, HOME)],
}


@pytest.mark.parametrize("sdk", sorted(EXPECTED))
async def test_recorded_requests(house: House, sdk: str) -> None:
    # These were recorded on 22 November 2026, after the clock's start.
    house.clock.set(NOW_US + 22 * DAY_US)
    recorded = json.loads((FOLDER / f"{sdk}.json").read_text())
    for request in recorded["requests"]:
        body = base64.b64decode(request["body_base64"])
        answer = await house.http.post(request["path"], content=body, headers=request["headers"], auth=(house.key, ""))
        assert (answer.status_code, answer.json()) == (200, {"success": True})
    events = await house.events()
    for event in events:
        # Made moments before it was sent, by whatever clock.
        assert 0 <= house.clock.now_us() - event.occurred_at_us < 2_000_000
    found = [
        (one.type, one.identifiers, {name: value for name, value in one.params.items() if not name.startswith("_")})
        for one in events
    ]
    assert found == EXPECTED[sdk]
    if events[0].type == "order_completed":
        assert events[0].items == ({"product_id": "p1", "price": DecimalUnits(127_500), "quantity": 2},)
    person = (await house.facts())[0].profile
    assert [(one.kind, one.value) for one in person.identifiers] == [
        ("external_id", "ann"),
        ("email", "ann@example.com"),
    ]
    assert person.attributes["first_name"].text == "Ann"


def test_every_recording_is_replayed() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == sorted(EXPECTED)
