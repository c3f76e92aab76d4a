"""Names through the whole platform: learned at the door, counted by the engine, renamed and retired under segments."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from cdp.schema.v1 import schema_pb2, schema_pb2_grpc
from cdp.segment.v1 import names_pb2, names_pb2_grpc, segment_pb2, segment_pb2_grpc
from core.clock import ManualClock
from core.errors import CdpError
from services.runtime.errors import from_rpc
from services.runtime.roles import Role
from tests.flow.platform import Platform, eventually

NOW_US = int(datetime(2026, 11, 2, 10, tzinfo=UTC).timestamp()) * 1_000_000
V = facts_pb2.Value


class Client:
    """Stubs with the key of a platform."""

    def __init__(self, platform: Platform, channel: grpc.aio.Channel) -> None:
        self.metadata = platform.metadata
        self.segments = segment_pb2_grpc.SegmentServiceStub(channel)
        self.names = names_pb2_grpc.NameServiceStub(channel)
        self.schema = schema_pb2_grpc.SchemaServiceStub(channel)
        self._ingest = ingest_pb2_grpc.IngestServiceStub(channel)

    async def send(self, *items: ingest_pb2.BatchItem) -> list[str]:
        """The reasons of refusals, empty for what was taken; returns once the engine has folded it."""
        request = ingest_pb2.IngestBatchRequest(items=items)
        answer = await self._ingest.IngestBatch(request, metadata=self.metadata)
        return [result.reason for result in answer.results]

    async def described(self, place: schema_pb2.Place) -> names_pb2.KnownName:
        """What is known of one name."""
        request = names_pb2.DescribeNamesRequest(family=place.family, owner=place.owner, name=place.name)
        [one] = (await self.names.DescribeNames(request, metadata=self.metadata)).names
        return one

    async def have(self, place: schema_pb2.Place, count: int) -> names_pb2.KnownName:
        """What is known of a name once `count` have it."""

        async def there() -> bool:
            return (await self.described(place)).having == count

        await eventually(there, f"{count} have {place.name}")
        return await self.described(place)

    async def members(self, text: str) -> int:
        """How many are in a rule."""
        request = segment_pb2.EvaluateRequest(rule=segment_pb2.RuleSource(text=text))
        return int((await self.segments.Evaluate(request, metadata=self.metadata)).count.total)

    async def save(self, name: str, text: str) -> segment_pb2.SaveSegmentResponse:
        """Save a segment."""
        request = segment_pb2.SaveSegmentRequest(name=name, rule=segment_pb2.RuleSource(text=text))
        return await self.segments.SaveSegment(request, metadata=self.metadata)

    async def uses(self, place: schema_pb2.Place) -> list[tuple[str, bool]]:
        """The segments that use a name, and whether they do so themselves."""
        answer = await self.names.ListUses(names_pb2.ListUsesRequest(place=place), metadata=self.metadata)
        return [(use.segment, use.direct) for use in answer.uses]


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    """A client of all roles in one process."""
    async with (
        Platform(tmp_path / "data", ManualClock(NOW_US)) as platform,
        platform.channel(Role.SEGMENT_ENGINE) as channel,
    ):
        yield Client(platform, channel)


def attribute(name: str) -> schema_pb2.Place:
    """An attribute's place."""
    return schema_pb2.Place(family=schema_pb2.FAMILY_ATTRIBUTE, name=name)


def place(family: schema_pb2.Family.ValueType, name: str, owner: str = "") -> schema_pb2.Place:
    """Any place."""
    return schema_pb2.Place(family=family, owner=owner, name=name)


def identified(number: int) -> list[facts_pb2.Identifier]:
    """Who it is."""
    return [facts_pb2.Identifier(kind="external_id", value=f"u{number}")]


def person(number: int, **attributes: V) -> ingest_pb2.BatchItem:
    """Traits of a person."""
    return ingest_pb2.BatchItem(
        person=ingest_pb2.Person(identifiers=identified(number), attributes=attributes, occurred_at_us=NOW_US - 5)
    )


def folded(number: int, at_us: int, **params: V) -> ingest_pb2.BatchItem:
    """A scarf folded."""
    lines = [facts_pb2.Object(fields={"size": V(integer=n)}) for n in range(number % 3)]
    return ingest_pb2.BatchItem(
        event=ingest_pb2.Event(
            type="scarf_folded", identifiers=identified(number), params=params, items=lines, occurred_at_us=at_us
        )
    )


async def refused(call: Any) -> CdpError:
    """The error of a call."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc(caught.value)


async def test_names_are_described_from_what_is_stored(client: Client) -> None:
    objects = V(objects=facts_pb2.ObjectList(values=[facts_pb2.Object(fields={"kind": V(text="dog")})] * 2))
    people = [person(n, hat=V(text="L" if n < 7 else "S"), spent=V(integer=n % 2)) for n in range(10)]
    people += [person(n, spent=V(decimal="0.5"), tags=V(texts=facts_pb2.TextList(values=["a", "b"]))) for n in (3, 5)]
    people += [person(4, pets=objects)]
    events = [folded(n, NOW_US - 100 + n, times=V(integer=n % 4), color=V(text=f"c{n % 2}")) for n in range(10)]
    products = [
        ingest_pb2.BatchItem(product=facts_pb2.Product(product_id=f"p{n}", fields={"weight": V(integer=n % 2)}))
        for n in range(4)
    ]
    assert not any(await client.send(*people, *events, *products))
    hat = await client.have(attribute("hat"), 10)
    assert (hat.kind, hat.total, hat.distinct, hat.first_us, hat.last_us) == (1, 10, 2, NOW_US - 5, NOW_US - 5)
    assert [(one.value.text, one.count) for one in hat.examples] == [("L", 7), ("S", 3)]
    spent = await client.described(attribute("spent"))
    assert (spent.kind, spent.having, spent.distinct) == (facts_pb2.KIND_DECIMAL, 10, 3)
    assert [(one.value.decimal_units, one.count) for one in spent.examples] == [(0, 5), (10_000, 3), (5_000, 2)]
    tags = await client.described(attribute("tags"))
    assert [(one.value.text, one.count) for one in tags.examples] == [("a", 2), ("b", 2)]
    kinds = await client.described(place(schema_pb2.FAMILY_ELEMENT, "kind", "pets"))
    assert [(one.value.text, one.count) for one in kinds.examples] == [("dog", 2)]
    times = await client.have(place(schema_pb2.FAMILY_PARAMETER, "times", "scarf_folded"), 10)
    assert (times.total, times.distinct, times.first_us, times.last_us) == (10, 4, NOW_US - 100, NOW_US - 91)
    assert [(one.value.integer, one.count) for one in times.examples] == [(0, 3), (1, 3), (2, 2), (3, 2)]
    sizes = await client.described(place(schema_pb2.FAMILY_ITEM, "size"))
    assert (sizes.having, sizes.total, [(one.value.integer, one.count) for one in sizes.examples]) == (
        9, 9, [(0, 6), (1, 3)],
    )  # fmt: skip
    event = await client.described(place(schema_pb2.FAMILY_EVENT, "scarf_folded"))
    assert (event.having, event.total) == (10, 10)
    weight = await client.have(place(schema_pb2.FAMILY_PRODUCT, "weight"), 4)
    assert (weight.kind, weight.distinct) == (facts_pb2.KIND_INTEGER, 2)
    listed = await client.names.DescribeNames(
        names_pb2.DescribeNamesRequest(family=schema_pb2.FAMILY_ATTRIBUTE, page_size=3), metadata=client.metadata
    )
    assert len(listed.names) == 3
    assert listed.next_page_token == "3"


async def test_decimals_after_integers_are_one_attribute(client: Client) -> None:
    assert not any(
        await client.send(*(person(n, spent=V(integer=10)) for n in range(3)), person(3, spent=V(integer=11)))
    )
    await client.have(attribute("spent"), 4)
    await client.save("spenders", "spent > 10")
    assert await client.members("spent = 10") == 3
    assert not any(await client.send(person(0, spent=V(decimal="10.5")), person(1, spent=V(integer=12))))

    async def there() -> bool:
        return await client.members("spent >= 10.5") == 3

    await eventually(there, "the fraction is folded")
    assert await client.members("spent = 10") == 1
    count = await client.segments.Count(segment_pb2.CountRequest(name="spenders"), metadata=client.metadata)
    assert count.count.total == 3
    assert (await client.schema.GetName(
        schema_pb2.GetNameRequest(place=attribute("spent")), metadata=client.metadata
    )).name.kind == facts_pb2.KIND_DECIMAL  # fmt: skip


async def test_segments_go_on_when_their_names_are_renamed_and_retired(client: Client) -> None:
    params = {"color": V(text="red")}
    await client.send(person(0, hat=V(text="L")), person(1, hat=V(text="S")), folded(0, NOW_US - 9, **params))
    await client.have(attribute("hat"), 2)
    await client.have(place(schema_pb2.FAMILY_PARAMETER, "color", "scarf_folded"), 1)
    await client.save("large", 'hat = "L"')
    await client.save("folders", 'did scarf_folded (color = "red")')
    await client.save("both", 'in segment "large" and in segment "folders"')
    assert await client.uses(attribute("hat")) == [("both", False), ("large", True)]
    assert await client.uses(place(schema_pb2.FAMILY_EVENT, "scarf_folded")) == [("both", False), ("folders", True)]
    assert await client.uses(place(schema_pb2.FAMILY_PARAMETER, "color", "scarf_folded")) == [
        ("both", False),
        ("folders", True),
    ]
    assert await client.uses(attribute("city")) == []

    for where, new in (
        (attribute("hat"), "hat_size"),
        (place(schema_pb2.FAMILY_EVENT, "scarf_folded"), "cloth_folded"),
        (place(schema_pb2.FAMILY_PARAMETER, "color", "scarf_folded"), "shade"),
    ):
        await client.schema.RenameName(
            schema_pb2.RenameNameRequest(place=where, new_name=new), metadata=client.metadata
        )

    async def renamed() -> bool:
        answer = await client.segments.GetSegment(
            segment_pb2.GetSegmentRequest(name="folders"), metadata=client.metadata
        )
        return answer.segment.text == 'did cloth_folded (shade = "red")'

    await eventually(renamed, "the new names are shown")
    for text in ('hat = "L"', 'hat_size = "L"', 'did cloth_folded (shade = "red")', 'did scarf_folded (color = "red")'):
        assert await client.members(text) == 1, text
    await client.save("small", 'hat_size = "S"')
    assert await client.uses(attribute("hat_size")) == [("both", False), ("large", True), ("small", True)]

    await client.schema.RetireName(schema_pb2.RetireNameRequest(place=attribute("hat_size")), metadata=client.metadata)

    error = await refused(client.save("new", 'did cloth_folded and hat_size = "M"'))
    assert (error.reason, error.message) == (
        "RETIRED_NAME",
        'attribute "hat_size" is retired: restore it, or use another name',
    )
    await client.save("large", 'hat in ("L", "XL")')
    count = await client.segments.Count(segment_pb2.CountRequest(name="large"), metadata=client.metadata)
    assert count.count.total == 1


async def test_an_unknown_base_is_refused_once_bases_are_declared(client: Client) -> None:
    await client.send(person(0, bases=V(texts=facts_pb2.TextList(values=["retail"]))))
    await client.save("old", 'among known contacts of base "anything": city is missing')
    for base in ("retail", "wholesale"):
        await client.schema.DeclareBase(schema_pb2.DeclareBaseRequest(id=base), metadata=client.metadata)
    unknown = person(1, bases=V(texts=facts_pb2.TextList(values=["course"])))
    assert await client.send(unknown) == ["UNKNOWN_BASE"]
    assert not any(
        await client.send(person(1, **{"wholesale.level": V(integer=3)}, bases=V(texts={"values": ["wholesale"]})))  # type: ignore[arg-type]
    )
    await client.have(attribute("wholesale.level"), 1)

    error = await refused(client.save("new", 'among known contacts of base "course": city is missing'))
    assert error.reason == "UNKNOWN_BASE"
    saved = await client.save("new", 'among known contacts of base "wholesale": wholesale.level >= 3')
    assert saved.count.total == 1


async def test_a_declared_name_without_facts_is_told_apart_from_a_slip(client: Client) -> None:
    request = schema_pb2.DeclareNameRequest(place=attribute("shoe_size"), kind=facts_pb2.KIND_INTEGER)
    await client.schema.DeclareName(request, metadata=client.metadata)
    error = await refused(client.save("large", "shoe_size > 40"))
    assert error.reason == "RULE_UNKNOWN_NAME"
    assert error.message.endswith("It is declared: rules can name it as soon as a fact has it.")
    error = await refused(client.save("large", "shoe_sise > 40"))
    assert "declared" not in error.message
    await client.send(person(0, shoe_size=V(text="44")))
    await client.have(attribute("shoe_size"), 1)
    assert (await client.save("large", "shoe_size > 40")).count.total == 1
