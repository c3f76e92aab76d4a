"""Hostile texts in every field that a page may send: each call is taken or refused by itself, and nothing breaks."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.flow.test_bad_input_strings import STRINGS
from tests.unit.ingest.house import House

_HEADERS = {"content-type": "text/plain", "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0"}

Place = Callable[[str], dict[str, Any]]
#: Where a text may stand in a call.
PLACES: dict[str, Place] = {
    "event": lambda text: {"event": text},
    "web event": lambda text: {"type": "web", "event": text, "properties": {text: {text: text}}},
    "type": lambda text: {"type": text},
    "property": lambda text: {"properties": {"note": text}},
    "property name": lambda text: {"properties": {text: 1}},
    "line": lambda text: {"event": "cart_updated", "properties": {"products": [{"id": text, "price": text}]}},
    "status cart": lambda text: {"type": "web", "event": "StatusCart", "properties": {"StatusCart": [{"price": text}]}},
    "anonymous id": lambda text: {"anonymousId": text},
    "user id": lambda text: {"userId": text},
    "email": lambda text: {"type": "identify", "traits": {"email": text}},
    "trait": lambda text: {"type": "identify", "traits": {"city": text}},
    "message id": lambda text: {"messageId": text},
    "timestamp": lambda text: {"timestamp": text},
    "url": lambda text: {"context": {"page": {"url": text, "referrer": text, "title": text}}},
    "campaign": lambda text: {"context": {"campaign": {"source": text, "name": text}}},
    "link token": lambda text: {"linkToken": text},
}


@pytest.mark.parametrize("place", PLACES)
async def test_texts_in_a_call(house: House, place: str) -> None:
    calls = [{"type": "track", "event": "tried", "anonymousId": "cookie-1", **PLACES[place](text)} for text in STRINGS]
    good = {"type": "track", "event": "good", "anonymousId": "cookie-1"}
    for some in (calls[:20], calls[20:40], calls[40:]):
        body = json.dumps({"writeKey": house.key, "batch": [*some, good]})
        answer = await house.http.post("/t", content=body, headers=_HEADERS)
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert all(one["reason"] and one["index"] < len(some) for one in told.get("rejected", []))
    assert sum(event.type == "good" for event in await house.events()) == 3


@pytest.mark.parametrize("path", ["locale", "userAgentData.model", "userAgentData.platform", "screen.width"])
async def test_texts_in_the_context_of_a_batch(house: House, path: str) -> None:
    outer, _, inner = path.partition(".")
    for text in STRINGS:
        context = {outer: {inner: text} if inner else text}
        visit = {"type": "track", "event": "site_visited", "anonymousId": "cookie-1"}
        body = json.dumps({"writeKey": house.key, "context": context, "sentAt": text, "batch": [visit]})
        answer = await house.http.post("/t", content=body, headers=_HEADERS)
        assert answer.status_code == 200, answer.text
        assert answer.json().get("rejected", []) == [] or path == "locale"


async def test_texts_as_key_and_as_browser(house: House) -> None:
    call = {"type": "track", "event": "tried", "anonymousId": "cookie-1"}
    for text in STRINGS:
        body = json.dumps({"writeKey": text, "batch": [call]})
        assert (await house.http.post("/t", content=body, headers=_HEADERS)).status_code == 401
        if text.isprintable() and text.isascii() and text == text.strip():
            body = json.dumps({"writeKey": house.key, "batch": [call]})
            answer = await house.http.post("/t", content=body, headers={**_HEADERS, "user-agent": text[:8_000]})
            assert answer.status_code == 200, answer.text
