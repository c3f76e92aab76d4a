"""Computed attributes and interests as a client sees them: saved, named in rules, read of contacts, kept by time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import grpc
import pytest
from pyroaring import BitMap

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from cdp.segment.v1 import computed_pb2 as pb
from cdp.segment.v1 import segment_pb2
from core.clock import DAY_US
from services.runtime.roles import ALL_ROLES, Role
from tests.flow.bad_input import of
from tests.flow.platform import eventually
from tests.flow.shop import START_US, Shop, opened, who
from tests.flow.test_rfm_models import edits

pytestmark = pytest.mark.slow


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with opened(tmp_path) as shop:
        yield shop


async def compute(shop: Shop, name: str, text: str, **more: str) -> pb.ComputedAttribute:
    saved = await shop.ok(pb.SaveComputedAttributeRequest(name=name, text=text, **more))
    assert isinstance(saved, pb.SaveComputedAttributeResponse)
    return saved.attribute


async def count(shop: Shop, name: str) -> int:
    counted = await shop.ok(segment_pb2.CountRequest(name=name))
    assert isinstance(counted, segment_pb2.CountResponse)
    return counted.count.total


async def read(shop: Shop, number: int, *names: str) -> Mapping[str, facts_pb2.Value]:
    answer = await shop.ok(pb.ContactAttributesRequest(contacts=[number], names=names))
    assert isinstance(answer, pb.ContactAttributesResponse)
    return answer.contacts[0].attributes


async def contact(shop: Shop, number: int) -> int:
    """The number of u0 to u7."""
    answer = await shop.evaluate(f"age = {20 + number}", members=True)
    (found,) = BitMap.deserialize(answer.roaring)
    return int(found)


async def test_an_attribute_is_computed_wherever_it_is_named(shop: Shop) -> None:
    spent = await compute(shop, "spent", "spent = sum(order_completed.total) in last 35 days")
    assert (spent.text, spent.kind) == ("sum(order_completed.total) in last 35 days", facts_pb2.KIND_DECIMAL)
    await compute(shop, "orders", "number of order_completed")
    await compute(shop, "last_order", "time of last order_completed")
    await compute(shop, "dear_orders", "number of order_completed (total >= attribute spent)")
    await shop.save("Spent something", "spent > 0")
    await shop.save("Quiet", "last_order more than 15 days ago")
    # u1 30 and 32 days ago, u2 20, 22, 24, u3 10 to 16, u4 0 to 8; u0 40.
    assert await count(shop, "Spent something") == 4
    assert await count(shop, "Quiet") == 3
    assert (await shop.evaluate("orders >= 3 and spent >= 900")).count.total == 3
    assert (await shop.evaluate("age > attribute orders")).count.total == 8
    assert (await shop.evaluate("dear_orders is present and dear_orders = 1")).count.total == 1, "u0: 100 >= 0"
    assert (await shop.evaluate("orders in top 20 %")).count.total == 1
    assert (await shop.evaluate("everyone limit 2 by largest last_order")).count.total == 2
    listed = await shop.ok(pb.ListComputedAttributesRequest(page_size=3))
    assert isinstance(listed, pb.ListComputedAttributesResponse)
    assert [one.revision.name for one in listed.attributes] == ["dear_orders", "last_order", "orders"]
    assert listed.next_page_token

    values = await read(shop, await contact(shop, 2))
    assert set(values) == {"spent", "orders", "last_order", "dear_orders"}
    assert (values["spent"].decimal_units, values["orders"].integer) == (9_000_000, 3)
    assert values["last_order"].instant_us == START_US - 20 * DAY_US
    never = await read(shop, await contact(shop, 7), "spent", "last_order")
    assert {name: one.decimal_units for name, one in never.items()} == {"spent": 0}, "no order has no time"
    assert not await read(shop, 4_000_000_000), "nobody has this number"

    shop.platform.clock.advance(10 * DAY_US)

    async def later() -> bool:
        return (await count(shop, "Quiet"), await count(shop, "Spent something")) == (4, 3)

    await eventually(later, "time alone moves both: u3 has been quiet for 20 days, what u1 bought is 40 days old")
    assert (await read(shop, await contact(shop, 1), "spent"))["spent"].decimal_units == 0


async def test_an_edit_of_a_definition_is_an_edit_of_the_segments_that_name_it(shop: Shop) -> None:
    first = await compute(shop, "spent", "sum(order_completed.total)", request_id="once")
    await compute(shop, "dear", "number of order_completed (total > attribute spent)")
    await shop.save("Big", "spent >= 1000")
    await shop.save("Dear", "dear >= 1")
    await shop.save("Buyers", "did order_completed")
    assert (await count(shop, "Big"), await count(shop, "Dear")) == (2, 0)
    again = await compute(shop, "spent", "sum(order_completed.total)", request_id="once")
    assert again == first
    await compute(shop, "spent", "sum(order_completed.total) in last 5 days")
    assert (await count(shop, "Big"), await count(shop, "Dear")) == (1, 4)
    created, edited = segment_pb2.CAUSE_CREATED, segment_pb2.CAUSE_EDIT
    assert await edits(shop, "Big") == [(created, 2, 0), (edited, 0, 1)]
    assert await edits(shop, "Dear") == [(created, 0, 0), (edited, 4, 0)], "through another definition"
    assert [cause for cause, _, _ in await edits(shop, "Buyers")] == [created], "it names none of them"

    failed = grpc.StatusCode.FAILED_PRECONDITION
    for request, reason in (
        (pb.SaveComputedAttributeRequest(name="spent", text="first(order_completed.order_id)"), "COMPUTED_IN_USE"),
        (pb.DeleteComputedAttributeRequest(name="spent"), "COMPUTED_IN_USE"),
        (pb.SaveComputedAttributeRequest(name="age", text="number of order_completed"), "ATTRIBUTE_EXISTS"),
        (pb.SaveComputedAttributeRequest(name="spent", text="number of order_completed", etag="0" * 16),
            "ETAG_MISMATCH"),
    ):  # fmt: skip
        assert await shop.refused(request) == (failed, reason)
    platform = shop.platform
    await platform.stop(ALL_ROLES)
    await platform.start(ALL_ROLES)
    await platform.host(Role.SEGMENT_ENGINE).wait_ready(20.0)
    assert (await count(shop, "Big"), await count(shop, "Dear")) == (1, 4)
    assert len(await edits(shop, "Big")) == 2, "a restart records nothing"
    for name in ("Big", "Dear"):
        await shop.ok(segment_pb2.DeleteSegmentRequest(name=name))
    assert await shop.refused(pb.DeleteComputedAttributeRequest(name="spent")) == (failed, "COMPUTED_IN_USE")
    for name in ("dear", "spent"):
        await shop.ok(pb.DeleteComputedAttributeRequest(name=name))
    assert (await shop.refused(of(segment_pb2.EvaluateRequest, rule={"text": "spent > 1"})))[1] == "RULE_UNKNOWN_NAME"


BAD_DEFINITIONS = (
    ("", "RULE_SYNTAX"),
    ("age", "RULE_UNSUPPORTED"),
    ("spent", "RULE_UNSUPPORTED"),
    ("other = number of order_completed", "COMPUTED_NAME"),
    ("number of order_complete", "RULE_UNKNOWN_NAME"),
    ("sum(order_completed.order_id)", "RULE_TYPE"),
    ("number of order_completed (total > :least)", "RULE_PARAMETER"),
    ("number of order_completed (total > attribute spent)", "RULE_CYCLE"),
    ("number of order_completed since last page_viewed", "RULE_SHAPE"),
    ("number of order_completed and age > 3", "RULE_SYNTAX"),
    ('interest in categry "tea"', "RULE_UNKNOWN_NAME"),
)


async def test_a_definition_that_cannot_be_is_refused(shop: Shop) -> None:
    for text, reason in BAD_DEFINITIONS:
        answer = await shop.call(pb.SaveComputedAttributeRequest(name="spent", text=text))
        assert (answer.status, answer.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason), (text, answer)
    await compute(shop, "spent", "sum(order_completed.total)")
    for text in ("spent has been 3 for at least 2 days", "spent changed in last 3 days",
                 "did order_completed (total > attribute spent at the event)"):  # fmt: skip
        answer = await shop.call(of(segment_pb2.EvaluateRequest, rule={"text": text}))
        assert (answer.status, answer.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "RULE_UNSUPPORTED"), (text, answer)


async def viewed(shop: Shop, number: int, *categories: str) -> None:
    for place, category in enumerate(categories):
        event = of(
            ingest_pb2.Event,
            message_id=f"view-{number}-{place}",
            type="product_viewed",
            occurred_at_us=shop.platform.clock.now_us(),
            identifiers=[who(number)],
            params={"category": facts_pb2.Value(text=category)},
        )
        await shop.ok(ingest_pb2.TrackRequest(event=event))


async def interests(shop: Shop, number: int, model: str = "category", most: int = 0) -> pb.ContactInterestsResponse:
    answer = await shop.ok(pb.ContactInterestsRequest(contacts=[await contact(shop, number)], model=model, most=most))
    assert isinstance(answer, pb.ContactInterestsResponse)
    return answer


async def test_interests_fade_and_segments_follow(shop: Shop) -> None:
    await viewed(shop, 5, "tea", "tea", "coffee")
    await viewed(shop, 6, "coffee")
    await shop.save("Tea", 'interest in category "tea" >= 1.5')
    await shop.save("Coffee first", 'top interest in category = "coffee"')
    await compute(shop, "favourite", "top interest in category")

    async def there() -> bool:
        return (await count(shop, "Tea"), await count(shop, "Coffee first")) == (1, 1)

    await eventually(there, "views count at once")
    found = await interests(shop, 5)
    scored = [(one.value, one.score_units) for one in found.contacts[0].interests]
    assert scored == [("tea", 20_000), ("coffee", 10_000)]
    assert (found.dated_us, found.version) == (START_US - 10 * 3_600_000_000, 0)
    assert (await read(shop, await contact(shop, 5), "favourite"))["favourite"].text == "tea"
    assert (await shop.evaluate('favourite = "coffee"')).count.total == 1

    # 2 * 2 ** (-k / 30) is below 1.5 from the 13th day on; a day of UTC begins 14 hours after the start.
    boundary_us = START_US - 10 * 3_600_000_000 + 13 * DAY_US
    shop.platform.clock.set(boundary_us - 1)
    assert await count(shop, "Tea") == 1
    shop.platform.clock.set(boundary_us + 1_000_000)

    async def faded() -> bool:
        return await count(shop, "Tea") == 0

    await eventually(faded, "it has faded")
    scores = [one.score_units for one in (await interests(shop, 5)).contacts[0].interests]
    assert scores == [14_810, 7_405], "2 and 1 times 2 ** (-13 / 30)"

    weights = [{"event": "product_viewed", "weight": 10}]
    model = of(pb.InterestModel, name="category", parameter="category", weights=weights, half_life_days=1)
    saved = await shop.ok(pb.SaveInterestModelRequest(model=model))
    assert isinstance(saved, pb.SaveInterestModelResponse)
    found = await interests(shop, 5, most=1)
    assert found.version == saved.revision.version == 1
    assert [one.score_units for one in found.contacts[0].interests] == [24], "20 / 2 ** 13"
    assert (await edits(shop, "Coffee first"))[0][0] == segment_pb2.CAUSE_CREATED
    listed = await shop.ok(pb.ListInterestModelsRequest())
    assert isinstance(listed, pb.ListInterestModelsResponse)
    assert [(one.name, one.half_life_days) for one in listed.models] == [("brand", 30), ("category", 1), ("tag", 30)]

    for path, fields in (
        ("parameter", {"parameter": ""}),
        ("weights", {"weights": []}),
        ("weights[0].weight", {"weights": [{"event": "product_viewed"}]}),
        ("weights[0].event", {"weights": [{"event": "product_*", "weight": 1}]}),
        ("half_life_days", {"half_life_days": 4_000}),
    ):
        whole = {"name": "mine", "parameter": "category", "weights": weights, **fields}
        answer = await shop.call(pb.SaveInterestModelRequest(model=of(pb.InterestModel, **whole)))
        assert answer.reason == "INTEREST_MODEL" and answer.message.startswith(f"{path}:"), answer
    assert (await shop.refused(pb.ContactInterestsRequest(model="nothing")))[1] == "NO_SUCH_INTEREST_MODEL"
