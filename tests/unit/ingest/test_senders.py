"""The platform's own events are its own word: what pages and programs may not tell, by every door."""

from __future__ import annotations

import grpc
import pytest

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2 as pb
from core.events.schema import Schema
from core.events.vocabulary import EVENTS
from services.ingest.accept import take_event, take_order
from services.ingest.bulk.entry_writer import EntryWriter
from services.ingest.senders import OF_THE_BOOKS, OF_THE_PLATFORM
from services.runtime.errors import from_rpc
from tests.unit.ingest.house import NOW_US, House
from tests.unit.ingest.test_allowances import bearer, key_of

ANN = facts_pb2.Identifier(kind="external_id", value="ann")
ORIGIN = "https://shop.example"


def _items(n: int = 1) -> list[pb.BatchItem]:
    types = sorted(OF_THE_PLATFORM)
    items = [pb.BatchItem(event=pb.Event(type=type_, identifiers=[ANN])) for type_ in types * n]
    return [*items, pb.BatchItem(order=pb.Order(order_id="o", status="Corrected", identifiers=[ANN]))]


def test_all_names_are_those_of_the_vocabulary() -> None:
    assert set(EVENTS) >= OF_THE_PLATFORM > OF_THE_BOOKS
    theirs = ("message_", "scenario_", "coupon_")
    assert {name for name in EVENTS if name.startswith(theirs)} | {"order_corrected"} == OF_THE_PLATFORM


async def test_a_page_is_refused_call_by_call_with_a_reason(house: House) -> None:
    _, secret = await key_of(house, origins=[ORIGIN])
    names = ["message_opened", "Message Opened", "Coupon Redeemed", "scenario_left", "Order Corrected"]
    calls: list[dict[str, object]] = [{"type": "track", "event": name, "userId": "ann"} for name in names]
    calls.append({"type": "track", "event": "Order Completed", "userId": "ann", "properties": {"order_id": "o"}})
    document = {"batch": [*calls, {"type": "track", "event": "message_read", "userId": "ann"}], "writeKey": secret}
    answer = await house.http.post("/v1/batch", json=document, headers={"origin": ORIGIN})
    assert answer.status_code == 200
    refused = answer.json()["rejected"]
    assert [(one["index"], one["reason"]) for one in refused] == [(n, "RESERVED_EVENT") for n in range(5)]
    assert "key without origins" in refused[0]["description"]
    assert refused[0]["path"] == "batch[0].event"
    assert [event.type for event in await house.events()][:2] == ["order_completed", "message_read"]


@pytest.mark.parametrize("times", [1, 5])
async def test_a_program_brings_history_but_not_the_books(house: House, times: int) -> None:
    _, secret = await key_of(house)
    request = pb.IngestBatchRequest(items=_items(times))
    for metadata in (bearer(secret), house.metadata):
        answer = await house.ingest.IngestBatch(request, metadata=metadata)
        told = dict(zip([*sorted(OF_THE_PLATFORM) * times, "order"], answer.results, strict=True))
        reserved = {name for name, result in told.items() if result.reason == "RESERVED_EVENT"}
        assert reserved == {*OF_THE_BOOKS, "order"}
        assert all(not result.reason for name, result in told.items() if name not in reserved)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        track = pb.TrackRequest(event=pb.Event(type="coupon_issued", identifiers=[ANN]))
        await house.ingest.Track(track, metadata=bearer(secret))
    assert from_rpc(refused.value).reason == "RESERVED_EVENT"
    answer = (await house.post("/v1/track", {"event": "coupon_issued", "userId": "ann"})).json()
    assert answer["reason"] == "RESERVED_EVENT"


@pytest.mark.parametrize("times", [1, 5])
async def test_services_tell_everything(house: House, times: int) -> None:
    answer = await house.ingest.IngestBatch(pb.IngestBatchRequest(items=_items(times)), metadata=house.internal)
    assert not [result for result in answer.results if result.reason]


def test_a_file_is_brought_by_a_program() -> None:
    writer = EntryWriter(Schema())
    writer.usable = lambda _: True
    for type_, taken in (("coupon_issued", False), ("order_corrected", False), ("message_sent", True)):
        outcome = take_event(writer, pb.Event(type=type_, identifiers=[ANN]), NOW_US)
        assert (outcome.refusal is None) == taken, type_
    assert take_order(writer, pb.Order(order_id="o", status="corrected", identifiers=[ANN]), NOW_US).refusal
