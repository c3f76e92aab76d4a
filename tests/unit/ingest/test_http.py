"""The HTTP door: what SDKs send is accepted, what strangers send is refused with a stable reason."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from typing import Any

import pytest

from core.clock import SECOND_US
from core.events.columns import Identifier
from core.schema import DecimalUnits, Instant
from services.ingest.app import Ingest
from services.ingest.body import MAX_BODY_BYTES
from services.ingest.door import Door
from services.ingest.segment_spec import Sending, take_call
from services.ingest.strict_json import parse
from services.ingest.writer import BatchWriter
from services.runtime.roles import Role
from tests.unit.ingest.house import NOW_US, House, eventually

ORDER = {
    "type": "track",
    "userId": 97980,
    "anonymousId": "cookie-1",
    "event": "Order Completed",
    "messageId": "ajs-1",
    "timestamp": "2026-11-01T11:00:00.000Z",
    "properties": {
        "order_id": "50314b8e",
        "affiliation": "Google Store",
        "revenue": 25.00,
        "currency": "USD",
        "giftWrap": {"color": "red"},
        "tags": ["a", "b"],
        "products": [{"product_id": "507f", "sku": "45790-32", "price": 19, "quantity": 1.0, "Image": "https://i/1"}],
    },
    "context": {
        "page": {"url": "https://shop.example/thanks", "referrer": "https://shop.example/cart"},
        "campaign": {"name": "autumn", "source": "newsletter"},
        "os": {"name": "iOS"},
        "locale": "uk-UA",
        "ip": "203.0.113.9",
    },
}


async def test_a_track_call_becomes_a_canonical_event(house: House) -> None:
    answer = await house.post("/v1/track", {**ORDER, "sentAt": "2026-11-01T11:59:50Z"})
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    [event] = await house.events()
    assert event.id == "order:50314b8e:completed"
    assert event.type == "order_completed"
    assert event.identifiers == (Identifier("external_id", "97980"), Identifier("anonymous_id", "cookie-1"))
    # The device's clock is ten seconds behind ours; what it measured is kept.
    assert event.occurred_at_us == NOW_US - (3600 - 10) * SECOND_US
    assert event.received_at_us == NOW_US
    assert event.params == {
        "order_id": "50314b8e",
        "status": "completed",
        "store": "Google Store",
        "revenue": DecimalUnits(250_000),
        "total": DecimalUnits(250_000),
        "currency": "USD",
        "gift_wrap.color": "red",
        "tags": ("a", "b"),
        "url": "https://shop.example/thanks",
        "referrer": "https://shop.example/cart",
        "utm_campaign": "autumn",
        "utm_source": "newsletter",
        "os": "iOS",
        "language": "uk-UA",
        "_original_at": Instant(NOW_US - 3600 * SECOND_US),
        "_sent_at": Instant(NOW_US - 10 * SECOND_US),
    }
    [line] = event.items
    assert line["price"] == DecimalUnits(190_000)
    assert (line["quantity"], line["image_url"]) == (1, "https://i/1")


@pytest.mark.parametrize("path", ["/v1/identify", "/v1/i"])
async def test_identify(house: House, path: str) -> None:
    traits = {
        "email": "Ann@Example.com",
        "firstName": "Ann",
        "birthday": "1990-02-28T00:00:00Z",
        "address": {"city": "Kyiv", "zip": 1001},
        "children": [{"name": "Ivan", "age": 3}],
        "old": None,
        "external_id": "other",
    }
    body = {"userId": "ann", "traits": traits, "context": {"traits": {"firstName": "Anna", "plan": "gold"}}}
    answer = await house.post(path, body)
    assert answer.json() == {
        "success": True,
        "left_out": [
            {"path": "traits.external_id", "description": "left out: an external id is told as an identifier"}
        ],
    }
    [fact] = await house.facts()
    profile = fact.profile
    assert [(one.kind, one.value) for one in profile.identifiers] == [
        ("external_id", "ann"),
        ("email", "Ann@Example.com"),
    ]
    kept = profile.attributes
    assert (kept["first_name"].text, kept["city"].text, kept["plan"].text) == ("Ann", "Kyiv", "gold")
    assert kept["birth_date"].date_days == 7_363
    assert kept["address.zip"].integer == 1001
    assert kept["children"].objects.values[0].fields["age"].integer == 3
    assert kept["old"].WhichOneof("kind") is None
    assert "email" not in kept


async def test_page_screen_group_and_alias(house: House) -> None:
    who = {"userId": "ann"}
    page = {**who, "name": "Home", "category": "strollers", "properties": {"path": "/"}}
    assert (await house.post("/v1/p", page)).status_code == 200
    assert (await house.post("/v1/screen", {**who, "name": "Cart"})).status_code == 200
    assert (await house.post("/v1/g", {**who, "groupId": "g1", "traits": {"name": "ACME"}})).status_code == 200
    assert (await house.post("/v1/alias", {**who, "previousId": "cookie"})).status_code == 200
    assert [(event.type, event.params) for event in await house.events()] == [
        ("page_viewed", {"path": "/", "name": "Home", "section": "strollers"}),
        ("screen_viewed", {"name": "Cart"}),
    ]
    group, alias = await house.facts()
    assert {name: value.text for name, value in group.profile.attributes.items()} == {
        "group_id": "g1",
        "group.name": "ACME",
    }
    assert [(one.kind, one.value) for one in alias.profile.identifiers] == [
        ("external_id", "ann"),
        ("anonymous_id", "cookie"),
    ]


def track(**fields: Any) -> dict[str, Any]:
    """A plain good call, changed by `fields`."""
    return {"type": "track", "event": "e", "userId": "ann", **fields}


BAD_ITEMS: list[tuple[str, Any, str, str]] = [
    ("not an object", 7, "WRONG_TYPE", ""),
    ("null", None, "WRONG_TYPE", ""),
    ("no kind", track(type="purchase"), "NO_TYPE", "type"),
    ("no event", track(event=None), "NO_TYPE", "event"),
    ("event of a wrong type", track(event=["x"]), "WRONG_TYPE", "event"),
    ("event without letters", track(event="?!"), "BAD_NAME", "event"),
    ("event too long", track(event="x" * 129), "BAD_NAME", "event"),
    ("nobody", track(userId=None), "NO_IDENTIFIER", "identifiers"),
    *(
        (f"nobody {value!r}", track(userId=value), "NO_IDENTIFIER", "userId")
        for value in ("", " ", "null", "undefined", "0", 0, "anonymous", "[object Object]")
    ),
    (
        "email that is none",
        track(userId=None, context={"traits": {"email": "ann"}}),
        "NO_IDENTIFIER",
        "context.traits.email",
    ),
    ("NUL in an id", track(userId="a\0b"), "BAD_TEXT", "userId"),
    ("lone surrogate", track(properties={"a": "\ud800"}), "BAD_TEXT", "properties.a"),
    ("lone surrogate in a name", track(properties={"a\udfff": 1}), "BAD_NAME", "properties.a\\udfff"),
    ("control character", track(properties={"a": "\x1b[2J"}), "BAD_TEXT", "properties.a"),
    ("direction override", track(properties={"a": "\u202egpj.exe"}), "BAD_TEXT", "properties.a"),
    ("byte order mark", track(properties={"a": "\ufeffx"}), "BAD_TEXT", "properties.a"),
    ("long name", track(properties={"k" * 10_000: 1}), "BAD_NAME", f"properties.{'k' * 40}…"),
    ("empty name", track(properties={"": 1}), "BAD_NAME", "properties."),
    ("NaN", track(properties={"a": float("nan")}), "BAD_NUMBER", "properties.a"),
    ("Infinity", track(properties={"a": {"b": float("inf")}}), "BAD_NUMBER", "properties.a.b"),
    ("2^64", track(properties={"a": 2**64}), "BAD_NUMBER", "properties.a"),
    ("five decimals", track(properties={"price": 0.00001}), "BAD_NUMBER", "properties.price"),
    ("price of words", track(event="Product Viewed", properties={"price": "cheap"}), "BAD_NUMBER", "properties.price"),
    ("price of truth", track(event="Product Viewed", properties={"price": True}), "WRONG_TYPE", "properties.price"),
    ("properties of a wrong type", track(properties=[1]), "WRONG_TYPE", "properties"),
    ("lines of a wrong type", track(properties={"products": "x"}), "WRONG_TYPE", "properties.products"),
    ("line of a wrong type", track(properties={"products": [{}, 1]}), "WRONG_TYPE", "properties.products[1]"),
    (
        "wrong field of a line",
        track(properties={"products": [{"quantity": "1.5"}]}),
        "WRONG_TYPE",
        "properties.products[0].quantity",
    ),
    ("no zone", track(timestamp="2026-11-01T10:00:00"), "BAD_TIME", "timestamp"),
    ("year 0", track(timestamp="0000-01-01T00:00:00Z"), "BAD_TIME", "timestamp"),
    ("year 10000", track(timestamp="10000-01-01T00:00:00Z"), "BAD_TIME", "timestamp"),
    ("leap second", track(timestamp="2016-12-31T23:59:60Z"), "BAD_TIME", "timestamp"),
    ("30 February", track(timestamp="2026-02-30T10:00:00Z"), "BAD_TIME", "timestamp"),
    ("number as a time", track(timestamp=1_700_000_000), "BAD_TIME", "timestamp"),
    ("an order's id as message id", track(messageId="order:1:completed"), "BAD_MESSAGE_ID", "messageId"),
    ("message id too long", track(messageId="m" * 257), "BAD_MESSAGE_ID", "messageId"),
    ("alias without the other", {"type": "alias", "userId": "ann"}, "NO_IDENTIFIER", "previousId"),
    ("trait of a wrong type", {"type": "identify", "userId": "a", "traits": {"age": "x"}}, "BAD_NUMBER", "traits.age"),
]


@pytest.mark.parametrize(("what", "item", "reason", "path"), BAD_ITEMS, ids=[case[0] for case in BAD_ITEMS])
def test_a_bad_item_is_refused(what: str, item: Any, reason: str, path: str) -> None:
    writer = BatchWriter()
    outcome = take_call(writer, parse(json.dumps(item).encode()), None, "", Sending(NOW_US))
    assert outcome.refusal is not None, what
    assert (outcome.refusal.reason, outcome.refusal.violations[0].path) == (reason, path)
    assert len(writer) == 0
    assert writer.columns().params == ()


@pytest.mark.parametrize("key", ["properties", "traits"])
def test_what_has_to_be_an_object_is_told(key: str) -> None:
    item = {"type": "track" if key == "properties" else "identify", "event": "x", "userId": "ann", key: [1]}
    outcome = take_call(BatchWriter(), item, None, "", Sending(NOW_US))
    assert outcome.refusal is not None
    assert [(one.path, one.description) for one in outcome.refusal.violations] == [(key, "must be an object")]


async def test_bad_items_fail_nothing_else(house: House) -> None:
    rejected = []
    for first in range(0, len(BAD_ITEMS), 10):
        cases = BAD_ITEMS[first : first + 10]
        batch = [track(messageId=f"{first}"), *(case[1] for case in cases), track(messageId=f"{first}-end")]
        answer = await house.http.post("/v1/batch", content=json.dumps({"batch": batch}), auth=(house.key, ""))
        assert answer.status_code == 200
        told = answer.json()["rejected"]
        assert [one["index"] for one in told] == list(range(1, len(cases) + 1))
        rejected += [one["reason"] for one in told]
    assert rejected == [case[2] for case in BAD_ITEMS]
    ids = [event.id for event in await house.events()]
    assert ids == [name for first in range(0, len(BAD_ITEMS), 10) for name in (f"{first}", f"{first}-end")]


async def test_a_bad_single_call_is_400(house: House) -> None:
    answer = await house.post("/v1/t", track(properties={"a": "\x00"}))
    assert answer.status_code == 400
    told = answer.json()
    assert (told["success"], told["reason"]) == (False, "BAD_TEXT")
    assert told["violations"] == [
        {"path": "properties.a", "description": "holds the character U+0000, which is not allowed"}
    ]
    assert await house.events() == []


GOOD = json.dumps({"batch": [track()]}).encode()
BAD_BODIES = [
    ("empty", b"", "BAD_JSON"),
    ("no JSON", b"hello", "BAD_JSON"),
    ("bytes after the end", GOOD + b"x", "BAD_JSON"),
    ("two documents", GOOD + GOOD, "BAD_JSON"),
    ("byte order mark", b"\xef\xbb\xbf" + GOOD, "BAD_JSON"),
    ("a list", b"[]", "BAD_SHAPE"),
    ("batch of a wrong type", b'{"batch": {}}', "BAD_SHAPE"),
    ("batch twice", b'{"batch": [], "batch": []}', "BAD_SHAPE"),
    ("empty batch", b'{"batch": []}', "EMPTY_BATCH"),
    ("depth 200,000", b'{"batch":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "TOO_DEEP"),
    ("depth 200,000, cut", b'{"batch":' + b'{"a":' * 99_000, "TOO_DEEP"),
    ("depth 101", b"[" * 101 + b"]" * 101, "TOO_DEEP"),
    ("one byte too large", b" " * (MAX_BODY_BYTES - len(GOOD) + 1) + GOOD, "BODY_TOO_LARGE"),
    ("gzip that is none", b"\x1f\x8bhello", "BAD_GZIP"),
    ("gzip cut", gzip.compress(GOOD)[:-4], "BAD_GZIP"),
    ("gzip and more", gzip.compress(GOOD) + b"x", "BAD_GZIP"),
    ("gzip bomb 1,029 : 1", gzip.compress(b" " * (100 << 20)), "BODY_TOO_LARGE"),
]


async def test_a_bad_body_is_400(house: House) -> None:
    for what, body, reason in BAD_BODIES:
        answer = await house.http.post("/v1/batch", content=body, auth=(house.key, ""))
        assert (answer.status_code, answer.json()["reason"]) == (400, reason), what
    assert await house.events() == []


async def test_values_that_spoil_their_own_item_only(house: House) -> None:
    """Numbers of 5,000 digits, repeated keys, broken UTF-8, depth 50: read, and refused where they stand."""
    items = [
        b'{"type":"track","event":"e","userId":"a","properties":{"n":%s}}' % (b"9" * 5_000),
        b'{"type":"track","event":"e","userId":"a","properties":{"n":1e999999999999}}',
        b'{"type":"track","event":"e","userId":"a","properties":{"n":1,"n":2}}',
        b'{"type":"track","event":"e","userId":"a","properties":{"n":"\xff\xfe"}}',
        b'{"type":"track","event":"e","userId":"a","properties":' + b'{"n":' * 50 + b"1" + b"}" * 50 + b"}",
        b'{"type":"track","event":"e","userId":"a","messageId":"good","properties":{"n":12.99}}',
    ]
    body = b'{"batch":[' + b",".join(items) + b"]}"
    answer = await house.http.post("/v1/batch", content=body, auth=(house.key, ""))
    assert [one["reason"] for one in answer.json()["rejected"]] == [
        "BAD_NUMBER",
        "BAD_NUMBER",
        "DUPLICATE_KEY",
        "BAD_TEXT",
        "TOO_DEEP",
    ]
    [event] = await house.events()
    assert (event.id, event.params) == ("good", {"n": DecimalUnits(129_900)})


async def test_limits_are_exact(house: House) -> None:
    for size, status in ((MAX_BODY_BYTES, 200), (MAX_BODY_BYTES + 1, 400)):
        body = GOOD + b" " * (size - len(GOOD))
        for content in (body, gzip.compress(body)):
            answer = await house.http.post("/v1/batch", content=content, auth=(house.key, ""))
            assert answer.status_code == status
    small = len(json.dumps({"event": "e", "userId": "ann", "properties": {"a": ""}}, separators=(",", ":")))
    for extra, status in ((0, 200), (1, 400)):
        text = "x" * ((32 << 10) - small + extra)
        call = {"event": "e", "userId": "ann", "properties": {"a": text}}
        batch = f'{{"batch":[{json.dumps({"type": "track", **call}, separators=(",", ":"))}]}}'
        inside = await house.http.post("/v1/batch", content=batch, auth=(house.key, ""))
        assert (inside.status_code, "rejected" in inside.json()) == (200, True)
        answer = await house.http.post(
            "/v1/track", content=json.dumps(call, separators=(",", ":")), auth=(house.key, "")
        )
        assert answer.status_code == status


async def test_every_way_to_show_the_key(house: House) -> None:
    call = track()
    body = json.dumps({**call, "writeKey": house.key})
    assert (await house.http.post("/v1/t", content=body)).status_code == 200
    bearer = {"Authorization": f"Bearer {house.key}"}
    assert (await house.http.post("/v1/t", json=call, headers=bearer)).status_code == 200
    for headers in ({}, {"Authorization": "Basic ???"}, {"Authorization": f"Basic {base64.b64encode(b'x:').decode()}"}):
        answer = await house.http.post("/v1/t", json=call, headers=headers)
        assert answer.status_code == 401
        assert answer.json()["code"] == "unauthenticated"


async def test_content_types_and_gzip_without_a_header(house: House) -> None:
    for headers in ({"content-type": "text/plain"}, {"content-type": "application/x-www-form-urlencoded"}):
        for content in (GOOD, gzip.compress(GOOD)):
            answer = await house.http.post("/v1/b", content=content, headers=headers, auth=(house.key, ""))
            assert answer.status_code == 200
    assert len(await house.events()) == 4


async def test_browsers(house: House) -> None:
    origin = {"Origin": "https://shop.example"}
    asked = await house.http.options("/v1/t", headers={**origin, "Access-Control-Request-Method": "POST"})
    assert asked.status_code == 204
    assert asked.headers["access-control-allow-origin"] == "https://shop.example"
    allowed = asked.headers["access-control-allow-headers"]
    assert allowed.startswith("authorization, content-type, anonymousid, sentat, x-retry-count, rsa-")
    settings = await house.http.get(f"/v1/projects/{house.key}/settings", headers=origin)
    assert settings.json() == {
        "integrations": {"Segment.io": {"apiKey": house.key}},
        "plan": {"track": {"__default": {"enabled": True, "integrations": {}}}},
    }
    refused = await house.http.get("/v1/projects/nobody/settings", headers=origin)
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "https://shop.example"
    told = {**origin, "anonymousid": "cookie", "sentat": "2026-11-01T12:00:01Z"}
    answer = await house.http.post(
        "/v1/t", json={"event": "e", "timestamp": "2026-11-01T12:00:00Z"}, headers=told, auth=(house.key, "")
    )
    assert answer.status_code == 200
    [event] = await house.events()
    assert event.identifiers == (Identifier("anonymous_id", "cookie"),)
    assert event.occurred_at_us == NOW_US - SECOND_US


async def test_overload_is_429_with_a_time_to_come_back(house: House) -> None:
    service = house.host.service(Role.INGEST)
    assert isinstance(service, Ingest)
    door: Door = service._door
    door.requests.most = 1
    reader, writer = await asyncio.open_connection("127.0.0.1", house.host.http_port)
    head = f"POST /v1/t HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {house.key}\r\nContent-Length: 10\r\n\r\n"
    writer.write(head.encode())
    await writer.drain()
    await eventually(lambda: door.requests.total == 1)
    answer = await house.post("/v1/t", track())
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    writer.close()
    await eventually(lambda: door.requests.total == 0)
    await house.log.close()
    answer = await house.post("/v1/t", track())
    assert (answer.status_code, answer.json()["reason"]) == (429, "LOG_UNAVAILABLE")
    assert reader is not None
