"""POST /t/push: a browser's subscription, and everything else that strangers may send there."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx2

from cdp.workspace.v1 import workspace_pb2
from core.clock import DAY_US, HOUR_US
from core.delivery.inbox_tokens import InboxReader, sign_reader
from core.delivery.visits import sign_visit
from core.identity.push_tokens import device_category, web_token
from tests.unit.ingest.house import NOW_US, House

POINT, SECRET = b"\x04" + bytes(range(64)), bytes(range(16))
ENDPOINT = "https://push.example/send/abc"
PAGE = {"origin": "https://shop.example", "user-agent": "Firefox/150"}
TOKEN = web_token(ENDPOINT, POINT, SECRET)


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def subscription(endpoint: Any = ENDPOINT, **keys: Any) -> dict[str, Any]:
    """As `JSON.stringify` of a browser's PushSubscription."""
    told = {"p256dh": encoded(POINT), "auth": encoded(SECRET), **keys}
    return {"endpoint": endpoint, "expirationTime": None, "keys": told}


async def post(house: House, cookie: str = "", **fields: Any) -> httpx2.Response:
    body = {"writeKey": house.key, "subscription": subscription(), "anonymousId": "cookie-1", **fields}
    headers = {**PAGE, "content-type": "text/plain", **({"cookie": cookie} if cookie else {})}
    return await house.http.post("/t/push", content=json.dumps(body), headers=headers)


async def told(house: House) -> list[tuple[dict[str, str], dict[str, str]]]:
    """Of each fact: its identifiers by kind, and the states of consents by category."""
    return [
        (
            {one.kind: one.value for one in fact.profile.identifiers},
            {one.category: one.state for one in fact.profile.consents},
        )
        for fact in await house.facts()
    ]


async def test_who_has_agreed(house: House) -> None:
    answer = await post(house, agreed=True, page="https://shop.example/tea?secret=1#x")
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    [(names, consents)] = await told(house)
    assert names == {"push_token": TOKEN, "anonymous_id": "cookie-1"}
    assert consents == {"": "granted", device_category(TOKEN): "granted"}
    [fact] = await house.facts()
    assert {one.channel for one in fact.profile.consents} == {"web_push"}
    assert {one.proof for one in fact.profile.consents} == {"https://shop.example/tea Firefox/150"}
    assert {one.source for one in fact.profile.consents} == {"web_push"}


async def test_a_later_visit_lifts_no_refusal(house: House) -> None:
    answers: list[object] = [None, False, "true", 1, [], {}]
    for agreed in answers:
        assert (await post(house, agreed=agreed)).status_code == 200
    assert [consents for _, consents in await told(house)] == [{device_category(TOKEN): "granted"}] * len(answers)


async def test_a_device_that_is_taken_back(house: House) -> None:
    assert (await post(house, gone=True, agreed=True)).status_code == 200
    [(_, consents)] = await told(house)
    assert consents == {device_category(TOKEN): "denied"}


async def test_a_subscription_that_the_browser_replaced(house: House) -> None:
    before = web_token("https://push.example/old", POINT, SECRET)
    assert (await post(house, replaces=subscription("https://push.example/old"), anonymousId=None)).status_code == 200
    [fact] = await house.facts()
    assert [(one.kind, one.value) for one in fact.profile.identifiers] == [
        ("push_token", TOKEN),
        ("push_token", before),
    ]
    [(_, consents)] = await told(house)
    assert consents == {device_category(TOKEN): "granted", device_category(before): "bounced"}


async def test_whose_it_is_says_a_signed_token_or_the_cookie(house: House) -> None:
    key = house.host.runtime.settings.tracking_key
    visit = sign_visit(key, "dev", "key-of-ann", NOW_US - HOUR_US // 2)
    reader = sign_reader(key, InboxReader("dev", "key-of-bo"), NOW_US + DAY_US)
    await post(house, linkToken=visit)
    await post(house, contactToken=reader, linkToken=visit, messageId="m2")
    await post(house, cookie="cdp_aid=clicked", anonymousId=None, userId="somebody-elses", email="e@x.example")
    first, second, third = [names for names, _ in await told(house)]
    assert first["contact_key"] == "key-of-ann"
    assert second["contact_key"] == "key-of-bo"
    assert third == {"push_token": TOKEN, "anonymous_id": "clicked"}
    other = sign_reader(key, InboxReader("other", "key-of-bo"), NOW_US + DAY_US)
    for bad in (other, "", "x", 7, sign_reader(b"k" * 32, InboxReader("dev", "k"), NOW_US + DAY_US), visit):
        answer = await post(house, contactToken=bad)
        assert answer.json()["left_out"][0]["path"] == "contactToken"
    assert all("contact_key" not in names for names, _ in (await told(house))[3:])


async def test_a_repetition_counts_once(house: House) -> None:
    for _ in range(2):
        assert (await post(house, messageId="told-1")).status_code == 200
    assert {fact.id for fact in await house.facts()} == {"told-1"}


NO_SUBSCRIPTIONS: list[tuple[object, str]] = [
    (None, "subscription.endpoint"),
    ([], "subscription.endpoint"),
    ("x", "subscription.endpoint"),
    ({}, "subscription.endpoint"),
    (subscription("http://push.example/x"), "subscription.endpoint"),
    (subscription("https://a:b@push.example/x"), "subscription.endpoint"),
    (subscription("https://"), "subscription.endpoint"),
    (subscription("https:///x"), "subscription.endpoint"),
    (subscription("https://push.example/x y"), "subscription.endpoint"),
    (subscription("https://push.example/\r\nX: y"), "subscription.endpoint"),
    (subscription("https://push.exämple/x"), "subscription.endpoint"),
    (subscription("https://push.example/" + "x" * 500), "subscription.endpoint"),
    (subscription(7), "subscription.endpoint"),
    ({"endpoint": ENDPOINT}, "subscription.keys"),
    ({"endpoint": ENDPOINT, "keys": 7}, "subscription.keys"),
    (subscription(p256dh=None), "subscription.keys"),
    (subscription(p256dh="!"), "subscription.keys"),
    (subscription(p256dh=encoded(POINT[:-1])), "subscription.keys"),
    (subscription(p256dh=encoded(b"\x02" + POINT[1:])), "subscription.keys"),
    (subscription(auth=encoded(SECRET + b"x")), "subscription.keys"),
    (subscription(auth=["x"]), "subscription.keys"),
    (subscription(auth="A" * 100_000), "subscription.keys"),
]


async def test_what_is_no_subscription(house: House) -> None:
    for bad, path in NO_SUBSCRIPTIONS:
        answer = await post(house, subscription=bad)
        assert answer.status_code == 400, bad
        assert answer.json()["reason"] == "BAD_SUBSCRIPTION", bad
        assert [one["path"] for one in answer.json()["violations"]] == [path], bad
    assert await house.facts() == []


async def test_keys_with_padding_are_the_same_subscription(house: House) -> None:
    padded = subscription(p256dh=base64.urlsafe_b64encode(POINT).decode(), auth=encoded(SECRET) + "==")
    await post(house, subscription=padded)
    [(names, _)] = await told(house)
    assert names["push_token"] == TOKEN


async def test_the_longest_endpoint_is_an_identifier_still(house: House) -> None:
    endpoint = "https://push.example/".ljust(430, "x")
    assert (await post(house, subscription=subscription(endpoint))).json() == {"success": True}
    [(names, _)] = await told(house)
    assert names["push_token"].endswith(endpoint)


async def test_who_may_tell(house: House) -> None:
    keys: list[object] = ["wrong", "", None, 7, {}]
    for key in keys:
        assert (await post(house, writeKey=key)).status_code == 401
    reading = workspace_pb2.CreateKeyRequest(display_name="reports", scope=workspace_pb2.SCOPE_READ)
    reader = await house.keys.CreateKey(reading, metadata=house.metadata)
    assert (await post(house, writeKey=reader.secret)).status_code == 403
    theirs = workspace_pb2.CreateKeyRequest(
        display_name="pages", scope=workspace_pb2.SCOPE_WRITE, origins=["https://other.example"]
    )
    pages = await house.keys.CreateKey(theirs, metadata=house.metadata)
    assert (await post(house, writeKey=pages.secret)).status_code == 403
    for body in (b"", b"[]", b"{", b"\xff", b"7"):
        assert (await house.http.post("/t/push", content=body, headers=PAGE)).status_code == 400
    assert (await house.http.request("OPTIONS", "/t/push", headers=PAGE)).status_code == 204
    assert await house.facts() == []


async def test_an_odd_page_is_no_reason_to_refuse(house: House) -> None:
    pages: list[object] = [7, None, "x" * 5_000, "a\x00b", "\u202e", {"a": 1}]
    for page in pages:
        assert (await post(house, page=page, agreed=True)).status_code == 200
    facts = await house.facts()
    assert len(facts) == len(pages)
    assert all(len(one.proof) <= 500 for fact in facts for one in fact.profile.consents)
