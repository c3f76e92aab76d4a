"""PostHog's endpoints: what each kind of event comes to, in every shape of a body, and what is refused."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any
from urllib.parse import quote

import pytest

from core.events.columns import Identifier
from core.schema import DecimalUnits, Instant
from tests.unit.ingest.house import NOW_US, House

ANN = Identifier("external_id", "ann")
COOKIE = Identifier("anonymous_id", "cookie")


def event(name: str = "Product Viewed", **more: Any) -> dict[str, Any]:
    return {"event": name, "distinct_id": "ann", "uuid": "u1", **more}


async def send(house: House, *events: object, **more: object) -> dict[str, Any]:
    answer = await house.http.post("/batch/", json={"api_key": house.key, "batch": list(events), **more})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def people(house: House) -> list[tuple[str, list[tuple[str, str]], dict[str, str]]]:
    """Message id, identifiers, attributes of every person."""
    return [
        (
            fact.id,
            [(one.kind, one.value) for one in fact.profile.identifiers],
            {name: value.text for name, value in fact.profile.attributes.items()},
        )
        for fact in await house.facts()
    ]


async def test_an_event(house: House) -> None:
    properties = {
        "$current_url": "https://shop.example/tea",
        "$referrer": "$direct",
        "$device_type": "Mobile",
        "$lib": "web",
        "$ip": "10.0.0.1",
        "token": house.key,
        "utm_source": "letter",
        "product_id": "p1",
        "price": 12.75,
    }
    told = event(properties=properties, timestamp="2026-11-01T09:00:00Z")
    assert await send(house, told, sent_at="2026-11-01T11:00:00Z") == {"status": 1, "success": True}
    (found,) = await house.events()
    assert (found.id, found.type, found.identifiers) == ("u1", "product_viewed", (ANN,))
    # Its clock was an hour behind ours.
    assert found.occurred_at_us == NOW_US - 2 * 3_600_000_000
    assert found.params == {
        "url": "https://shop.example/tea",
        "device": "phone",
        "utm_source": "letter",
        "product_id": "p1",
        "price": DecimalUnits(127_500),
        "_original_at": Instant(NOW_US - 3 * 3_600_000_000),
        "_sent_at": Instant(NOW_US - 3_600_000_000),
    }
    assert await house.facts() == []


@pytest.mark.parametrize(
    ("name", "type_"),
    [("$pageview", "page_viewed"), ("$screen", "screen_viewed"), ("$pageleave", "pageleave"), ("my own", "my_own")],
)
async def test_names(house: House, name: str, type_: str) -> None:
    await send(house, event(name))
    assert [one.type for one in await house.events()] == [type_]


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({}, (ANN,)),
        ({"$is_identified": True, "$device_id": "d1"}, (ANN,)),
        ({"$is_identified": False}, (Identifier("anonymous_id", "ann"),)),
        ({"$process_person_profile": False}, (Identifier("anonymous_id", "ann"),)),
        ({"$device_id": "ann"}, (Identifier("anonymous_id", "ann"),)),
        ({"$anon_distinct_id": "cookie"}, (ANN, COOKIE)),
    ],
)
async def test_whose_it_is(house: House, properties: dict[str, Any], expected: tuple[Identifier, ...]) -> None:
    await send(house, event(properties=properties))
    assert [one.identifiers for one in await house.events()] == [expected]


async def test_an_id_among_the_properties(house: House) -> None:
    await send(house, {"event": "x", "properties": {"distinct_id": "ann", "$insert_id": "i1"}})
    assert [(one.id, one.identifiers) for one in await house.events()] == [("i1", (ANN,))]


@pytest.mark.parametrize("name", ["$identify", "$set"])
@pytest.mark.parametrize("inside", [True, False])
async def test_persons(house: House, name: str, inside: bool) -> None:
    traits = {"email": "ann@example.com", "firstName": "Ann", "$browser": "Chrome", "$name": "Ann B"}
    where = {"properties": {"$set": traits}} if inside else {"$set": traits}
    assert await send(house, event(name, **where)) == {"status": 1, "success": True}
    identifiers = [("external_id", "ann"), ("email", "ann@example.com")]
    assert await people(house) == [("u1", identifiers, {"first_name": "Ann", "name": "Ann B"})]
    assert await house.events() == []


async def test_an_event_that_tells_about_the_person(house: House) -> None:
    await send(house, event(properties={"$set": {"city": "Kyiv"}, "product_id": "p1"}))
    (found,) = await house.events()
    assert (found.id, dict(found.params)) == ("u1", {"product_id": "p1"})
    assert await people(house) == [("u1:set", [("external_id", "ann")], {"city": "Kyiv"})]


async def test_a_wrong_trait_spares_the_event(house: House) -> None:
    told = await send(house, event(properties={"$set": {"birthday": "soon"}}))
    assert [one["path"] for one in told["rejected"]] == ["batch[0].properties.$set.birthday"]
    assert (len(await house.events()), await house.facts()) == (1, [])


async def test_what_is_set_once_is_left_out_and_told(house: House) -> None:
    told = await send(house, event("$identify", **{"$set": {"city": "Kyiv"}, "$set_once": {"source": "x"}}))
    assert [one["path"] for one in told["left_out"]] == ["batch[0].$set_once"]
    told = await send(house, event("$set_once", **{"$set_once": {"source": "x"}}))
    assert [one["path"] for one in told["left_out"]] == ["batch[0]"]
    assert [attributes for _, _, attributes in await people(house)] == [{"city": "Kyiv"}]


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"distinct_id": "ann", "alias": "cookie"}, ["ann", "cookie"]),
        ({"distinct_id": "cookie", "alias": "ann", "$lib": "posthog-python"}, ["ann", "cookie"]),
        ({"distinct_id": "cookie", "alias": "ann", "$is_identified": False}, ["ann", "cookie"]),
    ],
)
async def test_aliases(house: House, properties: dict[str, Any], expected: list[str]) -> None:
    await send(house, event("$create_alias", properties=properties))
    ((_, identifiers, _),) = await people(house)
    assert identifiers == list(zip(["external_id", "anonymous_id"], expected, strict=True))


async def test_half_an_alias_is_refused(house: House) -> None:
    told = await send(house, event("$create_alias", properties={"distinct_id": "ann"}))
    assert [(one["reason"], one["path"]) for one in told["rejected"]] == [
        ("NO_IDENTIFIER", "batch[0].properties.alias")
    ]


async def test_groups(house: House) -> None:
    group = {"$group_type": "company", "$group_key": "acme", "$group_set": {"name": "ACME"}}
    told = await send(house, event("$groupidentify", properties=group))
    assert told == {"status": 1, "success": True}
    ((_, identifiers, attributes),) = await people(house)
    assert identifiers == [("external_id", "ann")]
    assert attributes == {"group_id": "acme", "group.name": "ACME"}
    nobody = {**event("$groupidentify", properties=group), "distinct_id": "$company_acme"}
    assert [one["path"] for one in (await send(house, nobody))["left_out"]] == ["batch[0]"]
    assert len(await house.facts()) == 1


async def test_its_own_telemetry_is_left_out(house: House) -> None:
    told = await send(house, event("$feature_flag_called"), event())
    assert [one["index"] for one in told["left_out"]] == [0]
    assert [one.type for one in await house.events()] == ["product_viewed"]


async def test_shapes_of_a_body(house: House) -> None:
    one = {**event(), "properties": {"token": house.key}}
    plain = json.dumps(one).encode()
    form = b"data=" + quote(base64.b64encode(plain)).encode() + b"&compression=base64"
    bodies = {
        "/e/": plain,
        "/capture": gzip.compress(plain),
        "/i/v0/e/": form,
        "/track/": b"data=" + quote(plain).encode(),
    }
    for path, body in bodies.items():
        answer = await house.http.post(path, content=body, headers={"content-type": "text/plain"})
        assert (answer.status_code, answer.json()) == (200, {"status": 1, "success": True}), path
    listed = await house.http.post("/engage/", json=[one, one])
    assert listed.status_code == 200
    assert len(await house.events()) == 6


@pytest.mark.parametrize(
    ("body", "code", "reason"),
    [
        (b"7", 400, "BAD_SHAPE"),
        (b"{", 400, "BAD_JSON"),
        (b"data=%%%", 400, "BAD_JSON"),
        (b"[]", 401, "NO_KEY"),
        (b'{"batch": [{}]}', 401, "NO_KEY"),
        (b'{"api_key": "KEY", "batch": []}', 400, "EMPTY_BATCH"),
        (b'{"api_key": "KEY", "batch": 7}', 400, "BAD_SHAPE"),
    ],
)
async def test_bad_bodies(house: House, body: bytes, code: int, reason: str) -> None:
    answer = await house.http.post("/batch/", content=body.replace(b"KEY", house.key.encode()))
    assert (answer.status_code, answer.json()["reason"]) == (code, reason)


@pytest.mark.parametrize(
    ("item", "path"),
    [
        (7, "batch[0]"),
        ({"distinct_id": "ann"}, "batch[0].event"),
        ({"event": 7, "distinct_id": "ann"}, "batch[0].event"),
        ({"event": "x"}, "identifiers"),
        ({"event": "x", "distinct_id": {"a": 1}}, "batch[0].distinct_id"),
        ({"event": "x", "distinct_id": "ann", "timestamp": 7}, "batch[0].timestamp"),
        ({"event": "x", "distinct_id": "ann", "properties": 7}, "batch[0].properties"),
        ({"event": "$identify", "distinct_id": "ann", "$set": 7}, "batch[0].$set"),
        ({"event": "$set", "distinct_id": "ann", "properties": {"$set": []}}, "batch[0].properties.$set"),
    ],
)
async def test_bad_events_spare_the_others(house: House, item: object, path: str) -> None:
    told = await send(house, item, event())
    assert [(one["index"], one["path"]) for one in told["rejected"]] == [(0, path)]
    assert len(await house.events()) == 1


async def test_flags_and_settings(house: House) -> None:
    for path in ("/flags/?v=2", "/decide?v=3"):
        answer = await house.http.post(path, json={"token": house.key, "distinct_id": "ann"})
        assert (answer.status_code, answer.json()["featureFlags"]) == (200, {})
    config = (await house.http.get(f"/array/{house.key}/config")).json()
    assert (config["token"], config["sessionRecording"], config["surveys"]) == (house.key, False, False)
    assert (await house.http.get("/array/wrong/config")).status_code == 401


async def test_the_source_of_rudderstack(house: House) -> None:
    for options in ({"auth": (house.key, "")}, {"params": {"writeKey": house.key}}):
        source = (await house.http.get("/sourceConfig/", **options)).json()["source"]
        assert (source["enabled"], source["destinations"]) == (True, [])
    assert (await house.http.get("/sourceConfig/")).status_code == 401
