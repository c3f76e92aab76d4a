"""RFM models as a client saves them: versions, refusals, and the segments that are kept by them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import grpc
import pytest
from pyroaring import BitMap

from cdp.segment.v1 import analytics_pb2 as pb
from cdp.segment.v1 import rule_pb2, segment_pb2
from core.clock import DAY_US
from services.runtime.roles import ALL_ROLES, Role
from tests.flow.bad_input import of
from tests.flow.shop import BOUGHT, Shop, opened

pytestmark = pytest.mark.slow


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with opened(tmp_path) as shop:
        yield shop


def model(**fields: object) -> pb.RfmModel:
    whole: dict[str, object] = {"name": "mine", "events": BOUGHT, "value_path": "total"}
    return of(pb.RfmModel, **{**whole, **fields})


async def test_a_saved_model_is_an_edit_of_the_segments_that_use_it(shop: Shop) -> None:
    await shop.save("Best", 'rfm purchases in cell "VIP"')
    await shop.save("Best women", 'in segment "Best" and gender = "female"')
    await shop.save("Buyers", "did order_completed")
    await shop.save("At least", 'rfm purchases in cell "VIP" and age >= :least')
    listed = await shop.ok(pb.ListRfmModelsRequest())
    assert isinstance(listed, pb.ListRfmModelsResponse)
    assert [one.name for one in listed.models] == ["engagement", "purchases"]
    # By bounds: whoever bought within 25 days (u2 20, u3 10, u4 0 days ago).
    axis = {"bins": 2, "bounds": [25 * DAY_US]}
    bounded = model(name="purchases", recency=axis, cells=[{"name": "VIP", "recency_from": 2}])
    saved = await shop.ok(pb.SaveRfmModelRequest(model=bounded, request_id="once"))
    assert isinstance(saved, pb.SaveRfmModelResponse)
    assert (saved.revision.name, saved.revision.version) == ("purchases", 1)
    again = await shop.ok(pb.SaveRfmModelRequest(model=bounded, request_id="once"))
    assert again == saved

    async def counts() -> dict[str, int]:
        found = {}
        for name in ("Best", "Best women", "Buyers"):
            counted = await shop.ok(segment_pb2.CountRequest(name=name))
            assert isinstance(counted, segment_pb2.CountResponse)
            found[name] = counted.count.total
        return found

    assert await counts() == {"Best": 3, "Best women": 1, "Buyers": 5}
    assert (await shop.evaluate('rfm purchases in cell "VIP"')).count.total == 3
    assert (await shop.evaluate('rfm purchases in cell "VIP"', members=True)).count.total == 3
    records = await edits(shop, "Best")
    assert records == [(segment_pb2.CAUSE_CREATED, 2, 0), (segment_pb2.CAUSE_EDIT, 1, 0)]
    assert [cause for cause, _, _ in await edits(shop, "Buyers")] == [segment_pb2.CAUSE_CREATED], "it does not use it"

    without = model(name="purchases", cells=[{"name": "Best of all", "recency_from": 5}])
    assert await shop.refused(pb.SaveRfmModelRequest(model=without)) == (
        grpc.StatusCode.FAILED_PRECONDITION, "RFM_MODEL_IN_USE",
    )  # fmt: skip
    stale = pb.SaveRfmModelRequest(model=bounded, etag="0" * 16)
    assert await shop.refused(stale) == (grpc.StatusCode.FAILED_PRECONDITION, "ETAG_MISMATCH")

    # Ranks again, of three: u4 alone is in the best third. The grid that was published before must not be used.
    ranked = model(name="purchases", recency={"bins": 3}, cells=[{"name": "VIP", "recency_from": 3}])
    await shop.ok(pb.SaveRfmModelRequest(model=ranked, etag=saved.revision.etag))
    assert await counts() == {"Best": 1, "Best women": 0, "Buyers": 5}
    whole = model(name="purchases", recency={"bins": 4}, cells=[{"name": "VIP", "recency_from": 3}])
    await shop.ok(pb.SaveRfmModelRequest(model=whole))
    assert await counts() == {"Best": 2, "Best women": 1, "Buyers": 5}

    platform = shop.platform
    await platform.stop(ALL_ROLES)
    await platform.start(ALL_ROLES)
    await platform.host(Role.SEGMENT_ENGINE).wait_ready(20.0)
    assert await counts() == {"Best": 2, "Best women": 1, "Buyers": 5}
    assert len(await edits(shop, "Best")) == 4, "a restart records nothing"
    listed = await shop.ok(pb.ListRfmModelsRequest())
    assert isinstance(listed, pb.ListRfmModelsResponse)
    assert listed.models[1].recency.bins == 4
    assert await shop.ok(pb.SaveRfmModelRequest(model=bounded, request_id="once")) is not None
    assert await counts() == {"Best": 2, "Best women": 1, "Buyers": 5}, "the same request again changes nothing"


async def edits(shop: Shop, name: str) -> list[tuple[int, int, int]]:
    """(cause, entered, left) of every whole record of a segment so far."""
    async with shop.platform.channel(Role.INGEST) as channel:
        watch = channel.unary_stream(
            "/cdp.segment.v1.SegmentService/Watch",
            segment_pb2.WatchRequest.SerializeToString,
            segment_pb2.WatchResponse.FromString,
        )(segment_pb2.WatchRequest(segment=name), metadata=shop.platform.metadata, timeout=1.0)
        found = []
        try:
            async for step in watch:
                for bulk in step.bulk:
                    entered, left = BitMap.deserialize(bulk.entered_roaring), BitMap.deserialize(bulk.left_roaring)
                    found.append((int(bulk.cause), len(entered), len(left)))
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        return found


BAD_MODELS: tuple[tuple[str, Mapping[str, object], str, str], ...] = (
    ("no event", {"events": {}}, "RFM_MODEL", "model.events"),
    ("a window", {"events": {**BOUGHT, "window": {"in_last_us": 1}}}, "RFM_MODEL", "model.events.window"),
    ("an unknown event", {"events": {"names": ["order_complete"]}}, "RULE_UNKNOWN_NAME", "model.events"),
    ("a parameter", {"events": {**BOUGHT, "filter": [{"comparison": {
        "name": "total", "compare": rule_pb2.COMPARE_GT, "operands": [{"parameter": "p"}]}}]}},
        "RULE_PARAMETER", "model.events"),
    ("an unknown value", {"value_path": "totl"}, "RULE_UNKNOWN_NAME", "model.value_path"),
    ("a text as value", {"value_path": "order_id"}, "RULE_TYPE", "model.value_path"),
    ("51 nodes", {"events": {**BOUGHT, "filter": [{}] * 51}}, "RFM_MODEL", "model.events.filter"),
    ("a period below 0", {"period_us": -1}, "RFM_MODEL", "model.period_us"),
    ("21 bins", {"recency": {"bins": 21}}, "RFM_MODEL", "model.recency.bins"),
    ("bounds too few", {"frequency": {"bins": 3, "bounds": [2]}}, "RFM_MODEL", "model.frequency.bounds"),
    ("bounds that fall", {"monetary": {"bounds": [2, 2]}}, "RFM_MODEL", "model.monetary.bounds[1]"),
    ("an age below 0", {"recency": {"bounds": [-1]}}, "RFM_MODEL", "model.recency.bounds[0]"),
    ("no name of a cell", {"cells": [{}]}, "RFM_MODEL", "model.cells[0].name"),
    ("a taken name", {"cells": [{"name": "a"}, {"name": "a"}]}, "RFM_MODEL", "model.cells[1].name"),
    ("a reserved name", {"cells": [{"name": "other"}]}, "RFM_MODEL", "model.cells[0].name"),
    ("outside of the grid", {"cells": [{"name": "a", "recency_to": 6}]}, "RFM_MODEL", "model.cells[0].recency_from"),
    ("upside down", {"cells": [{"name": "a", "monetary_from": 3, "monetary_to": 2}]},
        "RFM_MODEL", "model.cells[0].monetary_from"),
    ("101 cells", {"cells": [{"name": f"c{number}"} for number in range(101)]}, "RFM_MODEL", "model.cells"),
    ("no name", {"name": ""}, "BAD_NAME", ""),
)  # fmt: skip


async def test_a_model_that_cannot_be_is_refused_with_its_place(shop: Shop) -> None:
    for what, fields, reason, path in BAD_MODELS:
        answer = await shop.call(pb.SaveRfmModelRequest(model=model(**fields)))
        assert (answer.status, answer.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason), (what, answer)
        assert answer.message.startswith(f"{path}:" if path else ""), (what, answer)
    listed = await shop.ok(pb.ListRfmModelsRequest())
    assert isinstance(listed, pb.ListRfmModelsResponse)
    assert len(listed.models) == 2
