"""The schema through both doors: learned and declared names, conflicts item by item, names in and out of use."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from cdp.schema.v1 import schema_pb2 as pb
from cdp.schema.v1 import schema_pb2_grpc
from cdp.workspace.v1 import workspace_pb2
from core.clock import ManualClock
from core.errors import CdpError, Code
from core.eventlog.memory import MemoryLog
from core.events.schema import MOST_NAMES, Family
from core.schema import DecimalUnits
from services.runtime.errors import from_rpc
from services.runtime.waiter import LoopWaiter
from tests.unit.ingest.house import NOW_US, House, running

ANN = facts_pb2.Identifier(kind="external_id", value="ann")


def schema_of(house: House) -> schema_pb2_grpc.SchemaServiceStub:
    """SchemaService of a running ingest."""
    return schema_pb2_grpc.SchemaServiceStub(house.channel)


def attribute(name: str) -> pb.Place:
    """An attribute's place."""
    return pb.Place(family=pb.FAMILY_ATTRIBUTE, name=name)


def parameter(owner: str, name: str) -> pb.Place:
    """A parameter's place."""
    return pb.Place(family=pb.FAMILY_PARAMETER, owner=owner, name=name)


def event(type_: str, **params: facts_pb2.Value) -> ingest_pb2.BatchItem:
    """An event of Ann's."""
    return ingest_pb2.BatchItem(event=ingest_pb2.Event(type=type_, identifiers=[ANN], params=params))


async def send(house: House, *items: ingest_pb2.BatchItem) -> list[ingest_pb2.ItemResult]:
    """What became of each item."""
    answer = await house.ingest.IngestBatch(ingest_pb2.IngestBatchRequest(items=items), metadata=house.metadata)
    return list(answer.results)


async def refused(call: Any) -> CdpError:
    """The error of a call."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc(caught.value)


def text(value: str) -> facts_pb2.Value:
    """A text on the wire."""
    return facts_pb2.Value(text=value)


async def test_http_learns_a_name_and_refuses_another_type_with_its_path(house: House) -> None:
    call = {"userId": "ann", "event": "Scarf Folded", "type": "track"}
    batch = [
        {**call, "properties": {"times": 3, "color": "red"}},
        {**call, "properties": {"times": "many"}},
        {**call, "properties": {"times": "4", "color": 7}},
        {**call, "properties": {"color": True}},
    ]
    answer = (await house.post("/v1/batch", {"batch": batch})).json()
    assert [(one["index"], one["reason"], one["path"]) for one in answer["rejected"]] == [
        (1, "BAD_NUMBER", "batch[1].properties.times"),
        (3, "WRONG_TYPE", "batch[3].properties.color"),
    ]
    assert [one.params for one in await house.events()] == [{"times": 3, "color": "red"}, {"times": 4, "color": "7"}]
    found = await schema_of(house).ListNames(
        pb.ListNamesRequest(family=pb.FAMILY_PARAMETER, owner="scarf_folded", own_only=True), metadata=house.metadata
    )
    assert [(one.shown, one.kind, one.declared, one.since_us) for one in found.names] == [
        ("color", facts_pb2.KIND_TEXT, False, NOW_US),
        ("times", facts_pb2.KIND_INTEGER, False, NOW_US),
    ]


async def test_grpc_refuses_an_item_on_the_quick_path_too(house: House) -> None:
    results = await send(
        house,
        event("scarf_folded", times=facts_pb2.Value(integer=3)),
        event("scarf_folded", times=text("many")),
        event("scarf_folded", times=facts_pb2.Value(decimal="2.5")),
        event("scarf_folded", times=facts_pb2.Value(integer=4)),
    )
    assert [result.reason for result in results] == ["", "BAD_NUMBER", "", ""]
    assert [one.params["times"] for one in await house.events()] == [3, DecimalUnits(25_000), DecimalUnits(40_000)]
    [changed, widened] = (await schema_of(house).ListChanges(pb.ListChangesRequest(), metadata=house.metadata)).changes
    assert [name.place.name for name in changed.names] == ["scarf_folded", "times"]
    assert [(name.place.name, name.kind) for name in widened.names] == [("times", facts_pb2.KIND_DECIMAL)]


@pytest.mark.parametrize("count", [2, 40])
async def test_a_declared_date_is_read_from_text(house: House, count: int) -> None:
    await schema_of(house).DeclareName(
        pb.DeclareNameRequest(place=attribute("joined"), kind=facts_pb2.KIND_DATE, title="Joined"),
        metadata=house.metadata,
    )
    items = [
        ingest_pb2.BatchItem(
            person=ingest_pb2.Person(identifiers=[ANN], attributes={"Joined": text("2020-01-31" if n else "soon")})
        )
        for n in range(count)
    ]
    results = await send(house, *items)
    assert [result.reason for result in results] == ["BAD_TIME", *[""] * (count - 1)]
    facts = await house.facts()
    assert [fact.profile.attributes["joined"].date_days for fact in facts] == [18_292] * (count - 1)


async def test_renamed_and_retired_names_at_both_doors(house: House) -> None:
    schema, metadata = schema_of(house), house.metadata
    await house.post("/v1/identify", {"userId": "ann", "traits": {"hat": "L"}})
    named = await schema.RenameName(
        pb.RenameNameRequest(place=attribute("hat"), new_name="Hat Size"), metadata=metadata
    )
    assert (named.name.place.name, named.name.shown, list(named.name.names)) == (
        "hat", "hat_size", ["hat", "hat_size"],
    )  # fmt: skip
    for trait in ("hat", "hatSize"):
        await house.post("/v1/identify", {"userId": "ann", "traits": {trait: "M"}})
    assert [dict(fact.profile.attributes) for fact in await house.facts()] == [
        {"hat": text("L")},
        {"hat": text("M")},
        {"hat": text("M")},
    ]
    error = await refused(
        schema.RenameName(pb.RenameNameRequest(place=attribute("hat"), new_name="city"), metadata=metadata)
    )
    assert (error.code, error.reason) == (Code.CONFLICT, "NAME_TAKEN")
    await schema.RetireName(pb.RetireNameRequest(place=attribute("hat_size")), metadata=metadata)
    answer = await house.post("/v1/identify", {"userId": "ann", "traits": {"hat": "S", "city": "Kyiv"}})
    assert answer.json()["left_out"] == [{"path": "traits.hat", "description": "left out: 'hat_size' is retired"}]
    assert dict((await house.facts())[-1].profile.attributes) == {"city": text("Kyiv")}
    listed = await schema.ListNames(pb.ListNamesRequest(own_only=True), metadata=metadata)
    assert not listed.names
    await schema.RestoreName(pb.RestoreNameRequest(place=attribute("hat")), metadata=metadata)
    assert "left_out" not in (await house.post("/v1/identify", {"userId": "ann", "traits": {"hat": "S"}})).json()


async def test_a_retired_event_is_refused_on_the_quick_path_too(house: House) -> None:
    place = pb.Place(family=pb.FAMILY_EVENT, name="scarf_folded")
    assert [one.reason for one in await send(house, event("scarf_folded"))] == [""]
    await schema_of(house).RetireName(pb.RetireNameRequest(place=place), metadata=house.metadata)
    [result, other] = await send(house, event("scarf_folded"), event("page_viewed"))
    assert (result.reason, [v.path for v in result.violations], other.reason) == ("RETIRED_NAME", ["event.type"], "")
    renamed = pb.RenameNameRequest(place=place, new_name="cloth_folded")
    await schema_of(house).RenameName(renamed, metadata=house.metadata)
    await schema_of(house).RestoreName(pb.RestoreNameRequest(place=place), metadata=house.metadata)
    assert [one.reason for one in await send(house, event("cloth_folded"), event("scarf_folded"))] == ["", ""]
    assert [one.type for one in await house.events()] == ["scarf_folded", "page_viewed", "scarf_folded", "scarf_folded"]


async def test_a_workspace_full_of_names_refuses_new_ones_and_goes_on(house: House) -> None:
    most = MOST_NAMES[Family.PARAMETER]
    call = {"userId": "ann", "event": "filled", "type": "track"}
    body = {"batch": [{**call, "properties": {f"p{n}": 1 for n in range(most - 1)}}]}
    assert "rejected" not in (await house.post("/v1/batch", body)).json()
    answer = await house.post("/v1/track", {**call, "properties": {"last": 1, "one_more": 1}})
    assert answer.status_code == 400
    assert answer.json()["reason"] == "TOO_MANY_NAMES"
    assert (await house.post("/v1/track", {**call, "properties": {"last": 1, "p3": 4}})).status_code == 200


@pytest.mark.parametrize("properties", [{f"p{n}": 1 for n in range(10_001)}, {"n" * 10_240: 1}])
async def test_what_is_refused_teaches_nothing(house: House, properties: dict[str, int]) -> None:
    call = {"userId": "ann", "event": "page", "properties": properties}
    assert (await house.post("/v1/track", call)).status_code == 400
    assert not (await schema_of(house).ListChanges(pb.ListChangesRequest(), metadata=house.metadata)).changes


async def test_lists_come_in_pages_and_with_the_vocabulary(house: House) -> None:
    schema, found, token = schema_of(house), [], ""
    while True:
        answer = await schema.ListNames(pb.ListNamesRequest(page_size=100, page_token=token), metadata=house.metadata)
        found += [(one.place.family, one.place.owner, one.place.name) for one in answer.names]
        token = answer.next_page_token
        if not token:
            break
    assert len(found) == len(set(found)) > 300
    assert (pb.FAMILY_ATTRIBUTE, "", "city") in found
    assert (pb.FAMILY_PARAMETER, "order_completed", "total") in found
    got = await schema.GetName(pb.GetNameRequest(place=attribute("firstName")), metadata=house.metadata)
    assert (got.name.place.name, got.name.canonical, got.name.kind) == ("first_name", True, facts_pb2.KIND_TEXT)
    for bad in ("x", "é", "W10=", "eyJ4IjoxfQ=="):
        error = await refused(schema.ListNames(pb.ListNamesRequest(page_token=bad), metadata=house.metadata))
        assert error.reason == "BAD_PAGE_TOKEN", bad


async def test_bad_places_kinds_and_etags_are_refused(house: House) -> None:
    schema, metadata = schema_of(house), house.metadata
    place = attribute("hat")
    cases = [
        (pb.DeclareNameRequest(place=pb.Place(name="hat")), "BAD_FAMILY"),
        (pb.DeclareNameRequest(place=place), "BAD_KIND"),
        (pb.DeclareNameRequest(place=place, kind=99), "BAD_KIND"),  # type: ignore[arg-type]
        (pb.DeclareNameRequest(place=parameter("", "x"), kind=facts_pb2.KIND_TEXT), "BAD_OWNER"),
        (pb.DeclareNameRequest(place=parameter("nothing_yet", "x"), kind=facts_pb2.KIND_TEXT), "NO_SUCH_NAME"),
        (pb.DeclareNameRequest(place=attribute("a\nb"), kind=facts_pb2.KIND_TEXT), "BAD_NAME"),
        (pb.DeclareNameRequest(place=attribute("!!!"), kind=facts_pb2.KIND_TEXT), "BAD_NAME"),
        (pb.DeclareNameRequest(place=place, kind=facts_pb2.KIND_TEXT, title="t" * 201), "BAD_TITLE"),
        (pb.DeclareNameRequest(place=place, kind=facts_pb2.KIND_TEXT, base="nowhere"), "NO_SUCH_BASE"),
        (pb.DeclareNameRequest(place=place, kind=facts_pb2.KIND_TEXT, etag="7"), "ETAG_MISMATCH"),
    ]
    for request, why in cases:
        assert (await refused(schema.DeclareName(request, metadata=metadata))).reason == why
    assert (await refused(schema.RetireName(pb.RetireNameRequest(place=place), metadata=metadata))).reason == (
        "NO_SUCH_NAME"
    )


async def test_bases_and_their_attributes(house: House) -> None:
    schema, metadata = schema_of(house), house.metadata
    await schema.DeclareBase(pb.DeclareBaseRequest(id="wholesale", title="Wholesale"), metadata=metadata)
    answer = await schema.DeclareName(
        pb.DeclareNameRequest(place=attribute("discount_level"), kind=facts_pb2.KIND_INTEGER, base="wholesale"),
        metadata=metadata,
    )
    assert (answer.name.place.name, answer.name.base) == ("wholesale.discount_level", "wholesale")
    traits = {"bases": ["wholesale"], "wholesale": {"discountLevel": 3}}
    assert (await house.post("/v1/identify", {"userId": "ann", "traits": traits})).status_code == 200
    refusal = await house.post("/v1/identify", {"userId": "ann", "traits": {"bases": ["retail"]}})
    assert refusal.json()["reason"] == "UNKNOWN_BASE"
    [base] = (await schema.ListBases(pb.ListBasesRequest(), metadata=metadata)).bases
    assert (base.id, base.title, base.since_us) == ("wholesale", "Wholesale", NOW_US)


async def test_a_restart_and_another_process_know_what_was_learned(tmp_path: Path) -> None:
    clock = ManualClock(NOW_US)
    log = MemoryLog(clock, LoopWaiter())
    async with running(tmp_path, log, clock) as first, running(tmp_path, log, clock) as second:
        assert (await first.post("/v1/identify", {"userId": "ann", "traits": {"hat": "L"}})).status_code == 200
        assert (await second.post("/v1/identify", {"userId": "bob", "traits": {"hat": True}})).status_code == 400
    async with running(tmp_path, log, clock) as third:
        assert (await third.post("/v1/identify", {"userId": "bob", "traits": {"hat": True}})).status_code == 400
        [change] = (await schema_of(third).ListChanges(pb.ListChangesRequest(), metadata=third.metadata)).changes
        assert (change.actor, change.action) == ("first seen", "learned")
    await log.close()


async def test_of_two_processes_that_learn_a_name_at_once_one_decides(tmp_path: Path) -> None:
    clock = ManualClock(NOW_US)
    log = MemoryLog(clock, LoopWaiter())
    async with running(tmp_path, log, clock) as first, running(tmp_path, log, clock) as second:
        for number in range(20):
            traits = [{f"hat{number}": "L"}, {f"hat{number}": True}]
            answers = await asyncio.gather(
                first.post("/v1/identify", {"userId": "ann", "traits": traits[0]}),
                second.post("/v1/identify", {"userId": "bob", "traits": traits[1]}),
            )
            assert sorted(answer.status_code for answer in answers) == [200, 400]
    await log.close()


async def test_a_follower_waits_for_what_is_new(house: House) -> None:
    schema = schema_of(house)
    etag = (await schema.ListNames(pb.ListNamesRequest(own_only=True), metadata=house.metadata)).etag
    waiting = asyncio.ensure_future(
        schema.ListNames(pb.ListNamesRequest(own_only=True, wait_etag=etag), metadata=house.metadata)
    )
    await house.post("/v1/identify", {"userId": "ann", "traits": {"hat": "L"}})
    assert [one.shown for one in (await asyncio.wait_for(waiting, 5)).names] == ["hat"]


async def test_a_write_key_may_not_declare(house: House) -> None:
    made = await house.keys.CreateKey(
        workspace_pb2.CreateKeyRequest(display_name="browser", scope=workspace_pb2.SCOPE_WRITE), metadata=house.metadata
    )
    metadata = (("authorization", f"Bearer {made.secret}"),)
    request = pb.DeclareNameRequest(place=attribute("hat"), kind=facts_pb2.KIND_TEXT)
    assert (await refused(schema_of(house).DeclareName(request, metadata=metadata))).code is Code.FORBIDDEN
