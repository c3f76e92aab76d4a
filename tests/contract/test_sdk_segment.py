"""segment-analytics-python, unmodified, against a running ingest."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import segment.analytics as sdk

from core.clock import SECOND_US
from core.schema import DecimalUnits
from services.runtime.clock import SystemClock
from tests.unit.ingest.house import House, running


def send(host: str, key: str, gzip: bool, failures: list[Any]) -> None:
    """Every kind of call, and one whose property is no number; blocks until all are sent."""
    client = sdk.Client(key, host=host, gzip=gzip, on_error=lambda error, items: failures.append((error, items)))
    client.identify(user_id="ann", traits={"email": "ann@example.com", "birthday": datetime(1990, 2, 28, tzinfo=UTC)})
    client.alias(previous_id="cookie", user_id="ann")
    client.group(user_id="ann", group_id="g1", traits={"name": "ACME"})
    client.page(anonymous_id="cookie", category="Docs", name="Home", properties={"url": "https://shop.example/"})
    client.screen(user_id="ann", name="Cart")
    client.track(
        user_id="ann",
        event="Order Completed",
        properties={"order_id": "o1", "total": 25.5, "products": [{"product_id": "p1", "price": 12.75}]},
        timestamp=datetime.now(UTC) - timedelta(hours=1),
    )
    client.track(user_id="ann", event="Broken", properties={"value": float("nan")})
    for number in range(250):
        client.track(user_id="ann", event="Product Viewed", properties={"product_id": number}, message_id=f"m{number}")
    client.flush()
    client.join()


@pytest.mark.parametrize("gzip", [False, True])
async def test_the_sdk_as_it_is(tmp_path: Path, gzip: bool) -> None:
    failures: list[Any] = []
    async with running(tmp_path, clock=SystemClock()) as house:
        url = f"http://127.0.0.1:{house.host.http_port}"
        await asyncio.to_thread(send, url, house.key, gzip, failures)
        assert failures == []
        await check(house)


async def check(house: House) -> None:
    """What must have arrived."""
    events = {event.id: event for event in await house.events()}
    assert len(events) == 253
    assert {f"m{number}" for number in range(250)} <= events.keys()
    order = events["order:o1:completed"]
    assert order.params["total"] == DecimalUnits(255_000)
    assert order.items == ({"product_id": "p1", "price": DecimalUnits(127_500)},)
    assert abs(order.received_at_us - order.occurred_at_us - 3600 * SECOND_US) < 30 * SECOND_US
    types = [event.type for event in events.values()]
    assert "broken" not in types
    assert {"page_viewed", "screen_viewed"} <= set(types)
    person, alias, group = (fact.profile for fact in await house.facts())
    assert [one.value for one in person.identifiers] == ["ann", "ann@example.com"]
    assert person.attributes["birth_date"].date_days == 7_363
    assert [one.value for one in alias.identifiers] == ["ann", "cookie"]
    assert group.attributes["group_id"].text == "g1"


async def test_a_wrong_key_is_told_and_not_retried(tmp_path: Path) -> None:
    failures: list[Any] = []
    async with running(tmp_path, clock=SystemClock()) as house:
        url = f"http://127.0.0.1:{house.host.http_port}"
        await asyncio.to_thread(send, url, "wrong", False, failures)
        assert failures
        assert {error.status for error, _ in failures} == {401}
        assert await house.events() == []
