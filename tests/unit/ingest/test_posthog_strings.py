"""Hostile texts in every field of PostHog's endpoints: each event is taken or refused by itself, and nothing breaks."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.flow.test_bad_input_strings import STRINGS
from tests.unit.ingest.house import House

Place = Callable[[str], dict[str, Any]]
#: Where a text may stand in an event.
PLACES: dict[str, Place] = {
    "event": lambda text: {"event": text},
    "distinct id": lambda text: {"distinct_id": text},
    "distinct id among the properties": lambda text: {"distinct_id": None, "properties": {"distinct_id": text}},
    "device id": lambda text: {"properties": {"$device_id": text, "$anon_distinct_id": text}},
    "message id": lambda text: {"uuid": text},
    "insert id": lambda text: {"properties": {"$insert_id": text}},
    "timestamp": lambda text: {"timestamp": text},
    "property": lambda text: {
        "properties": {"note": text, "$current_url": text, "$device_type": text, "$groups": text}
    },
    "property name": lambda text: {"properties": {text: 1}},
    "line": lambda text: {"event": "cart_updated", "properties": {"products": [{"id": text, "price": text}]}},
    "properties": lambda text: {"properties": text},
    "trait": lambda text: {"event": "$identify", "$set": {"city": text, "$name": text}},
    "trait name": lambda text: {"event": "$set", "$set": {text: "x"}},
    "traits": lambda text: {"event": "$set", "$set": text, "$set_once": text},
    "email": lambda text: {"event": "$identify", "properties": {"$set": {"email": text}}},
    "a trait of an event": lambda text: {"$set": {"city": text}},
    "set once": lambda text: {"$set_once": {text: text}},
    "alias": lambda text: {"event": "$create_alias", "properties": {"alias": text, "distinct_id": "ann"}},
    "group": lambda text: {
        "event": "$groupidentify",
        "properties": {"$group_type": text, "$group_key": text, "$group_set": {"name": text}},
    },
}


@pytest.mark.parametrize("place", PLACES)
async def test_texts_in_an_event(house: House, place: str) -> None:
    events = [{"event": "tried", "distinct_id": "ann", **PLACES[place](text)} for text in STRINGS]
    good = {"event": "good", "distinct_id": "ann"}
    for some in (events[:20], events[20:40], events[40:]):
        body = json.dumps({"api_key": house.key, "batch": [*some, good]})
        answer = await house.http.post("/batch/", content=body)
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert all(one["reason"] and one["index"] < len(some) for one in told.get("rejected", []))
    assert sum(event.type == "good" for event in await house.events()) == 3


async def test_texts_as_key_and_as_time_of_sending(house: House) -> None:
    event = {"event": "tried", "distinct_id": "ann", "timestamp": "2026-11-01T11:00:00Z"}
    for text in STRINGS:
        for path in ("/batch/", "/flags/"):
            body = json.dumps({"api_key": text, "batch": [event]})
            assert (await house.http.post(path, content=body)).status_code == 401
        body = json.dumps({"api_key": house.key, "sent_at": text, "batch": [event]})
        answer = await house.http.post("/batch/", content=body)
        assert (answer.status_code, answer.json().get("rejected", [])) == (200, [])


async def test_bytes_that_are_no_json(house: House) -> None:
    for text in STRINGS:
        packed = text.encode("utf-8", "surrogatepass")
        for body in (packed, b"data=" + packed):
            answer = await house.http.post("/e/", content=body)
            assert answer.status_code in (400, 401), text
