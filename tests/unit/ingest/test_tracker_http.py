"""The tracker's routes: the script as browsers fetch it, and the endpoint with everything that strangers may send."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from cdp.workspace.v1 import workspace_pb2
from core.clock import SECOND_US
from core.delivery.visits import sign_visit
from core.events.columns import MACHINE, Identifier
from services.ingest.tracker.http import SCRIPT
from tests.unit.ingest.house import NOW_US, House, running
from tests.unit.ingest.test_tracker_devices import IPHONE, WINDOWS

ORIGIN = {"origin": "https://shop.example", "user-agent": IPHONE}


@pytest.fixture
async def proxied(tmp_path: Path) -> AsyncIterator[House]:
    """Behind a proxy that tells the country."""
    async with running(tmp_path, extra={"CDP_COUNTRY_HEADER": "CF-IPCountry"}) as house:
        yield house


def call(type_: object = "track", **fields: Any) -> dict[str, Any]:
    """A call as the script sends it."""
    return {"type": type_, "event": "tried", "anonymousId": "cookie-1", **fields}


async def posted(house: House, *calls: Any, headers: dict[str, str] = ORIGIN, **more: Any) -> httpx2.Response:
    """A batch with the development key, as text/plain."""
    body = json.dumps({"writeKey": house.key, "batch": list(calls), **more})
    return await house.http.post("/t", content=body, headers={**headers, "content-type": "text/plain"})


async def test_the_script_is_packed_and_cached(house: House) -> None:
    answer = await house.http.get("/t.js", headers={"accept-encoding": "gzip"})
    assert answer.status_code == 200
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "max-age=" in answer.headers["cache-control"]
    assert int(answer.headers["content-length"]) <= 6 << 10
    assert answer.content == SCRIPT.read_bytes()
    again = await house.http.get("/t.js", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    plain = await house.http.get("/t.js", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == SCRIPT.read_bytes()


async def test_a_key_that_may_only_write(house: House) -> None:
    request = workspace_pb2.CreateKeyRequest(display_name="pages", scope=workspace_pb2.SCOPE_WRITE)
    made = await house.keys.CreateKey(request, metadata=house.metadata)
    answer = await posted(house, call(), writeKey=made.secret)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert answer.headers["access-control-allow-credentials"] == "true"
    reading = workspace_pb2.CreateKeyRequest(display_name="reports", scope=workspace_pb2.SCOPE_READ)
    reader = await house.keys.CreateKey(reading, metadata=house.metadata)
    assert (await posted(house, call(), writeKey=reader.secret)).status_code == 403
    keys: list[object] = ["wrong", "", None, 7, {}]
    for key in keys:
        assert (await posted(house, call(), writeKey=key)).status_code == 401
    assert len(await house.events()) == 1


async def test_what_the_request_tells(house: House) -> None:
    context = {
        "locale": "uk-UA",
        "screen": {"width": 390, "height": 844},
        "page": {"url": "https://shop.example/tea", "title": "Tea"},
    }
    own = {"campaign": {"source": "news", "name": "spring"}, "page": {"url": "https://shop.example/cups"}}
    answer = await posted(house, call(event="site_visited"), call(context=own), context=context)
    assert answer.json() == {"success": True}
    visit, other = await house.events()
    assert visit.params == {
        **{"url": "https://shop.example/tea", "title": "Tea", "language": "uk-UA", "device": "phone"},
        **{"browser": "Mobile Safari", "browser_version": "18.1", "os": "iOS", "os_version": "18.1"},
        **{"device_brand": "Apple", "device_model": "iPhone", "screen_width": 390, "screen_height": 844},
    }
    assert other.params == {
        **{"url": "https://shop.example/cups", "language": "uk-UA", "utm_source": "news", "utm_campaign": "spring"},
        **{"device": "phone", "browser": "Mobile Safari", "os": "iOS"},
    }
    assert visit.flags == other.flags == 0


async def test_what_a_call_tells_itself_wins(house: House) -> None:
    await posted(house, call(properties={"device": "till", "os": "own"}))
    [event] = await house.events()
    assert (event.params["device"], event.params["os"], event.params["browser"]) == ("till", "own", "Mobile Safari")


async def test_the_country_is_that_of_the_trusted_header(proxied: House) -> None:
    for told in ("UA", "ua", "XX", "T1", "Ukraine", "", "7Z"):
        await posted(proxied, call(event="site_visited"), headers={**ORIGIN, "cf-ipcountry": told})
    countries = [event.params.get("country") for event in await proxied.events()]
    assert countries == ["UA", "UA", None, None, None, None, None]


async def test_no_header_is_trusted_by_default(house: House) -> None:
    await posted(
        house, call(event="site_visited"), headers={**ORIGIN, "cf-ipcountry": "UA", "x-forwarded-for": "192.0.2.7"}
    )
    [event] = await house.events()
    assert "country" not in event.params
    for batch in await house.batches():
        assert b"192.0.2.7" not in batch.SerializeToString()
        assert b"127.0.0.1" not in batch.SerializeToString()


async def test_the_clock_of_the_device_is_not_trusted(house: House) -> None:
    await posted(house, call(timestamp="2031-01-01T00:00:00Z"), sentAt="2031-01-01T00:00:30Z")
    [event] = await house.events()
    assert event.occurred_at_us == NOW_US - 30 * SECOND_US


async def test_machines_are_kept_and_marked_and_named_by_no_link(house: House) -> None:
    token = sign_visit(house.host.runtime.settings.tracking_key, "dev", "contact-1", NOW_US)
    crawler = {"user-agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"}
    await posted(house, call(linkToken=token), headers=crawler)
    await posted(house, call(linkToken=token), context={"webdriver": True})
    await posted(house, call(linkToken=token), headers={**ORIGIN, "user-agent": ""})
    events = await house.events()
    assert [event.flags for event in events] == [MACHINE] * 3
    assert {one.kind for event in events for one in event.identifiers} == {"anonymous_id"}


async def test_link_tokens(house: House) -> None:
    key = house.host.runtime.settings.tracking_key
    good = sign_visit(key, "dev", "contact-1", NOW_US)
    await posted(house, call(linkToken=good))
    [event] = await house.events()
    assert Identifier("contact_key", "contact-1") in event.identifiers
    old, foreign = sign_visit(key, "dev", "c", NOW_US - 7200 * SECOND_US), sign_visit(key, "other", "c", NOW_US)
    tokens: list[object] = [old, foreign, "x", "", 7, {}, [good], "\ud800"]
    for token in tokens:
        answer = await posted(house, call(linkToken=token))
        [note] = answer.json()["left_out"]
        assert (note["index"], note["path"]) == (0, "batch[0].linkToken")
    assert all(len(event.identifiers) == 1 for event in (await house.events())[1:])


async def test_the_cookie_of_a_click_names_the_visitor_too(house: House) -> None:
    await posted(house, call(), headers={**ORIGIN, "cookie": "cdp_aid=clicked-0123456789"})
    [event] = await house.events()
    assert {one.value for one in event.identifiers} == {"cookie-1", "clicked-0123456789"}


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"7", b'"x"', b"null", b"\xff\xfe", b"{}{}", b'{"batch": []}', b"[" * 200_000, b'{"a":NaN'],
)
async def test_bodies_that_are_none(house: House, body: bytes) -> None:
    answer = await house.http.post("/t", content=body, headers=ORIGIN)
    assert 400 <= answer.status_code < 500
    assert answer.json()["reason"]
    assert await house.events() == []


@pytest.mark.parametrize("batch", [None, 7, {}, "x", []])
async def test_batches_that_are_none(house: House, batch: object) -> None:
    answer = await house.http.post("/t", json={"writeKey": house.key, "batch": batch}, headers=ORIGIN)
    assert (answer.status_code, answer.json()["reason"]) in ((400, "BAD_SHAPE"), (400, "EMPTY_BATCH"))


async def test_one_bad_call_spoils_no_other(house: House) -> None:
    bad: list[Any] = [
        *(None, 7, [], "x", {}, call(type_="nonsense"), call(type_=7), call(event=None), call(event={})),
        *(call(properties=7), call(context=7, properties={"a": "\ud800"}), call(anonymousId=None)),
        *(call(timestamp="yesterday"), call(properties={"x": "y" * 40_000}), call(messageId="order:1:paid")),
        call(properties={f"p{number}": 1 for number in range(1_001)}),
    ]
    answer = await posted(house, *bad, call(event="good"), context={"page": 7, "screen": [], "userAgentData": "x"})
    assert answer.status_code == 200
    assert [one["index"] for one in answer.json()["rejected"]] == list(range(len(bad)))
    assert [event.type for event in await house.events()] == ["good"]


@pytest.mark.parametrize(
    "context", [7, [], "x", {"userAgentData": {"model": ["x"]}, "screen": {"width": True, "height": -1}}]
)
async def test_odd_contexts_are_no_reason_to_lose_a_call(house: House, context: object) -> None:
    answer = await posted(house, call(event="site_visited"), context=context)
    assert answer.json() == {"success": True}
    [event] = await house.events()
    assert not {"screen_width", "screen_height"} & set(event.params)


async def test_packed_bodies_are_read(house: House) -> None:
    body = gzip.compress(json.dumps({"writeKey": house.key, "batch": [call()]}).encode())
    assert (await house.http.post("/t", content=body, headers={"user-agent": WINDOWS})).status_code == 200
    bomb = gzip.compress(b"0" * (2 << 20))
    assert (await house.http.post("/t", content=bomb, headers=ORIGIN)).json()["reason"] == "BODY_TOO_LARGE"


async def test_preflight(house: House) -> None:
    answer = await house.http.request("OPTIONS", "/t", headers=ORIGIN)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (204, "https://shop.example")
