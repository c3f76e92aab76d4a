"""SegmentService as a client sees it: definitions, exact answers, the stream of changes, restarts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from pyroaring import BitMap

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from cdp.profile.v1 import profile_pb2, profile_pb2_grpc
from cdp.segment.v1 import segment_pb2 as pb
from cdp.segment.v1 import segment_pb2_grpc
from cdp.workspace.v1 import workspace_pb2, workspace_pb2_grpc
from core.clock import DAY_US, HOUR_US, SECOND_US, ManualClock
from services.runtime.errors import from_rpc
from services.runtime.partitions import partition
from services.runtime.roles import ALL_ROLES, Role
from services.segment_engine.app import SegmentEngine
from tests.flow.platform import Platform, eventually

START_US = int(datetime(2026, 11, 2, 10, tzinfo=UTC).timestamp()) * 1_000_000
PEOPLE = 12


class Client:
    """The stubs and key of a platform."""

    def __init__(self, platform: Platform, channel: grpc.aio.Channel) -> None:
        self.platform = platform
        self.metadata = platform.metadata
        self.segments = segment_pb2_grpc.SegmentServiceStub(channel)
        self._ingest = ingest_pb2_grpc.IngestServiceStub(channel)
        self._profiles = profile_pb2_grpc.ProfileServiceStub(channel)

    async def save(self, name: str, text: str, **more: str) -> pb.SaveSegmentResponse:
        request = pb.SaveSegmentRequest(name=name, rule=pb.RuleSource(text=text), **more)
        return await self.segments.SaveSegment(request, metadata=self.metadata)

    async def person(self, number: int, **attributes: facts_pb2.Value) -> None:
        person = ingest_pb2.Person(
            identifiers=[facts_pb2.Identifier(kind="external_id", value=f"u{number}")], attributes=attributes
        )
        await self._ingest.Identify(ingest_pb2.IdentifyRequest(person=person), metadata=self.metadata)

    async def order(self, number: int, order: str, total: str, category: str) -> None:
        item = facts_pb2.Object(fields={"category": facts_pb2.Value(text=category)})
        message = ingest_pb2.Order(
            order_id=order,
            status="completed",
            identifiers=[facts_pb2.Identifier(kind="external_id", value=f"u{number}")],
            params={"total": facts_pb2.Value(decimal=total)},
            items=[item],
        )
        await self._ingest.RecordOrder(ingest_pb2.RecordOrderRequest(order=message), metadata=self.metadata)

    async def folded(self) -> int:
        """The position of the profile log, once the engine has folded everything sent so far."""
        identifier = facts_pb2.Identifier(kind="external_id", value=f"u{PEOPLE - 1}")

        async def there() -> bool:
            answer = await self._profiles.Resolve(
                profile_pb2.ResolveRequest(identifiers=[identifier]), metadata=self.metadata
            )
            return answer.results[0].found

        await eventually(there, "the last person is resolved")
        evaluated = await self.evaluate("everyone")
        return evaluated.freshness.position

    async def evaluate(self, text: str, **more: object) -> pb.EvaluateResponse:
        request = pb.EvaluateRequest(rule=pb.RuleSource(text=text), **more)  # type: ignore[arg-type]
        return await self.segments.Evaluate(request, metadata=self.metadata)

    async def count(self, name: str, **more: object) -> pb.CountResponse:
        request = pb.CountRequest(name=name, **more)  # type: ignore[arg-type]
        return await self.segments.Count(request, metadata=self.metadata)

    async def refusal(self, call: object) -> tuple[grpc.StatusCode, str, str]:
        """Status, reason and message of a call that must fail."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call  # type: ignore[misc]
        error = from_rpc(caught.value)
        return caught.value.code(), error.reason, error.message


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with Platform(tmp_path, ManualClock(START_US)) as platform, platform.channel(Role.INGEST) as channel:
        client = Client(platform, channel)
        for number in range(PEOPLE):
            await client.person(
                number,
                gender=facts_pb2.Value(text="female" if number % 2 else "male"),
                age=facts_pb2.Value(integer=20 + number),
            )
        for number in range(0, PEOPLE, 3):
            await client.order(number, f"o{number}", f"{number * 10}.50", "tea" if number % 2 else "coffee")

        async def all_there() -> bool:
            people = await client.evaluate("everyone")
            orders = await client.evaluate("did order_completed")
            return (people.count.total, orders.count.total) == (PEOPLE, 4)

        await eventually(all_there, "everything is folded")
        yield client


@pytest.mark.slow
async def test_a_saved_segment_answers_in_every_way(client: Client) -> None:
    saved = await client.save("Young women", 'gender = "female" and age < 26', description="for the spring letter")
    assert saved.segment.text == 'gender = "female" and age < 26'
    assert (saved.count.total, saved.count.known) == (3, 3)
    counted = await client.count("Young women", every_node=True)
    assert counted.count.total == 3
    assert [(node.text, node.count.total) for node in counted.nodes] == [
        ('gender = "female"', 6),
        ("age < 26", 6),
        ('gender = "female" and age < 26', 3),
    ]
    assert counted.freshness.as_of_us >= START_US
    members: set[int] = set()
    async for block in client.segments.Members(pb.MembersRequest(name="Young women"), metadata=client.metadata):
        members |= set(BitMap.deserialize(block.roaring))
    paged: list[int] = []
    token = ""
    while True:
        page = await client.segments.ListMembers(
            pb.ListMembersRequest(name="Young women", page_size=2, page_token=token), metadata=client.metadata
        )
        paged += [member.contact for member in page.members]
        assert all(member.key for member in page.members)
        token = page.next_page_token
        if not token:
            break
    assert paged == sorted(members)
    asked = await client.segments.IsMember(
        pb.IsMemberRequest(name="Young women", contacts=[*paged, 4_000_000], keys=[page.members[-1].key, "nobody"]),
        metadata=client.metadata,
    )
    assert list(asked.is_member) == [True] * 3 + [False, True, False]


@pytest.mark.slow
async def test_an_unsaved_text_and_a_parametric_segment(client: Client) -> None:
    text = "did order_completed (any item (category = :section))"
    saved = await client.save("Fans of a section", text)
    assert [(one.name, one.kind) for one in saved.segment.parameters] == [("section", facts_pb2.KIND_TEXT)]
    assert not saved.HasField("count")
    for section, total in {"tea": 2, "coffee": 2, "wine": 0}.items():
        answer = await client.segments.Evaluate(
            pb.EvaluateRequest(name="Fans of a section", parameters={"section": facts_pb2.Value(text=section)}),
            metadata=client.metadata,
        )
        assert answer.count.total == total, section
    refused = await client.refusal(client.count("Fans of a section"))
    assert refused[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "SEGMENT_HAS_PARAMETERS")
    refused = await client.refusal(
        client.segments.Evaluate(pb.EvaluateRequest(name="Fans of a section"), metadata=client.metadata)
    )
    assert refused[0] == grpc.StatusCode.INVALID_ARGUMENT
    assert "section" in refused[2]
    only = await client.evaluate("sum(order_completed.total) > 25", contacts=[1, 2, 3, 4], members=True)
    everyone = await client.evaluate("sum(order_completed.total) > 25", members=True)
    assert set(BitMap.deserialize(only.roaring)) == set(BitMap.deserialize(everyone.roaring)) & {1, 2, 3, 4}


@pytest.mark.slow
async def test_errors_name_the_place_and_help(client: Client) -> None:
    code, reason, message = await client.refusal(client.evaluate('gendr = "female"'))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "RULE_UNKNOWN_NAME")
    assert message == 'line 1, column 1: unknown attribute "gendr". Did you mean "gender"?'
    assert (await client.refusal(client.count("nobody's")))[:2] == (grpc.StatusCode.NOT_FOUND, "NO_SUCH_SEGMENT")
    late = client.evaluate("everyone", as_of_us=START_US + 400 * DAY_US)
    assert (await client.refusal(late))[1] == "AS_OF_IN_FUTURE"
    beyond = pb.EvaluateRequest(rule=pb.RuleSource(text="everyone"), min_position=10**6)
    answer = client.segments.Evaluate(beyond, metadata=client.metadata, timeout=0.5)
    assert (await client.refusal(answer))[:2] == (grpc.StatusCode.UNAVAILABLE, "POSITION_NOT_REACHED")


@pytest.mark.slow
async def test_segments_refer_to_segments_and_cycles_are_refused(client: Client) -> None:
    await client.save("Women", 'gender = "female"')
    await client.save("Young", "age < 26")
    await client.save("Both", 'in segment "Women" and in segment "Young"')
    assert (await client.count("Both")).count.total == 3
    await client.save("Young", "age < 24")
    assert (await client.count("Both")).count.total == 2, "an edit reaches those that refer to it"
    assert (await client.refusal(client.save("Young", 'in segment "Both"')))[1] == "RULE_CYCLE"
    delete = client.segments.DeleteSegment(pb.DeleteSegmentRequest(name="Women"), metadata=client.metadata)
    code, reason, message = await client.refusal(delete)
    assert (code, reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SEGMENT_IN_USE")
    assert "Both" in message
    for name in ("Both", "Women"):
        await client.segments.DeleteSegment(pb.DeleteSegmentRequest(name=name), metadata=client.metadata)
    listed = await client.segments.ListSegments(pb.ListSegmentsRequest(), metadata=client.metadata)
    assert [segment.revision.name for segment in listed.segments] == ["Young"]
    versions = await client.segments.ListSegmentVersions(
        pb.ListSegmentVersionsRequest(name="Young"), metadata=client.metadata
    )
    assert [(one.revision.version, one.text) for one in versions.versions] == [(2, "age < 24"), (1, "age < 26")]
    audit = await client.segments.ListAuditRecords(pb.ListAuditRecordsRequest(), metadata=client.metadata)
    assert [(one.action, one.name) for one in audit.records][:2] == [("deleted", "Women"), ("deleted", "Both")]


@pytest.mark.slow
async def test_a_request_id_saves_once_and_saves_at_once_make_versions_of_their_own(client: Client) -> None:
    answers = [await client.save("Young", "age < 26", request_id="r1") for _ in range(2)]
    assert [answer.segment.revision.version for answer in answers] == [1, 1]
    together = await asyncio.gather(*(client.save("Young", f"age < {age}") for age in range(21, 29)))
    assert sorted(answer.segment.revision.version for answer in together) == list(range(2, 10))
    newest = max(together, key=lambda answer: answer.segment.revision.version)
    assert (await client.count("Young")).count == newest.count


@pytest.mark.slow
async def test_watch_tells_why_and_resumes(client: Client) -> None:
    await client.save("Bought in the last hour", "did order_completed in last 1 hours")
    clock = client.platform.clock
    before = (await client.count("Bought in the last hour")).count.total
    clock.advance(SECOND_US)
    await client.order(1, "late-one", "5.00", "tea")

    async def entered() -> bool:
        return (await client.count("Bought in the last hour")).count.total == before + 1

    await eventually(entered, "the order counts")
    clock.advance(HOUR_US)

    async def empty() -> bool:
        return (await client.count("Bought in the last hour")).count.total == 0

    await eventually(empty, "everybody has left")
    request = pb.WatchRequest(segment="Bought in the last hour")
    steps: list[pb.WatchResponse] = []
    async for response in client.segments.Watch(request, metadata=client.metadata):
        steps.append(response)
        if sum(len(step.memberships) for step in steps) == before + 2:
            break
    assert steps[0].bulk[0].cause == pb.CAUSE_CREATED
    assert len(BitMap.deserialize(steps[0].bulk[0].entered_roaring)) == before
    records = [record for step in steps for record in step.memberships]
    assert (records[0].change, records[0].cause) == (pb.CHANGE_ENTERED, pb.CAUSE_EVENT)
    assert list(records[0].witness_event_ids) == ["order:late-one:completed"]
    assert all((one.change, one.cause) == (pb.CHANGE_LEFT, pb.CAUSE_TIME) for one in records[1:])
    assert records[-1].effective_at_us == records[0].effective_at_us + HOUR_US
    resumed = pb.WatchRequest(after_position=steps[0].position, epoch=steps[0].epoch)
    async for response in client.segments.Watch(resumed, metadata=client.metadata):
        assert response.memberships[0] == records[0]
        break
    wrong = client.segments.Watch(pb.WatchRequest(epoch="another life"), metadata=client.metadata)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await anext(aiter(wrong))
    assert from_rpc(caught.value).reason == "EPOCH_CHANGED"


@pytest.mark.slow
async def test_a_restart_changes_nothing(client: Client) -> None:
    await client.save("Women", 'gender = "female"')
    await client.save("Spenders", "sum(order_completed.total) > 25")
    before = [await client.count(name) for name in ("Women", "Spenders")]
    platform = client.platform
    await platform.stop(ALL_ROLES)
    platform.clock.advance(HOUR_US)
    await platform.start(ALL_ROLES)
    await platform.host(Role.SEGMENT_ENGINE).wait_ready(20.0)

    async def same() -> bool:
        after = [await client.count(name) for name in ("Women", "Spenders")]
        return [one.count for one in after] == [one.count for one in before]

    await eventually(same, "the same counts after a restart")
    records = 0
    async with platform.channel(Role.SEGMENT_ENGINE) as channel:
        watch = segment_pb2_grpc.SegmentServiceStub(channel).Watch(pb.WatchRequest(), metadata=client.metadata)
        async for response in watch:
            records += len(response.bulk) + len(response.memberships)
            if records >= 2:
                break
    assert records == 2, "a restart records nothing"


@pytest.mark.slow
async def test_another_zone_is_an_edit_of_every_calendar_segment(client: Client) -> None:
    await client.save("Bought today", "did order_completed this calendar day")
    await client.save("Women", 'gender = "female"')
    assert (await client.count("Bought today")).count.total == 4
    client.platform.clock.advance(15 * HOUR_US)  # 1 o'clock on 3 November in UTC, the evening before in New York

    async def sized(total: int) -> bool:
        try:
            return (await client.count("Bought today")).count.total == total
        except grpc.aio.AioRpcError as error:
            assert from_rpc(error).reason == "NOT_READY"
            return False

    await eventually(lambda: sized(0), "the day is over")
    async with client.platform.channel(Role.INGEST) as channel:
        workspaces = workspace_pb2_grpc.WorkspaceServiceStub(channel)
        got = await workspaces.GetWorkspace(workspace_pb2.GetWorkspaceRequest(), metadata=client.metadata)
        got.workspace.zone = "America/New_York"
        update = workspace_pb2.UpdateWorkspaceRequest(workspace=got.workspace)
        await workspaces.UpdateWorkspace(update, metadata=client.metadata)
    await eventually(lambda: sized(4), "the day goes on in New York")
    records: list[pb.BulkMembership] = []
    async for step in client.segments.Watch(pb.WatchRequest(), metadata=client.metadata):
        records += step.bulk
        if len(records) == 3:
            break
    edit = records[-1]
    assert (edit.segment, edit.cause) == ("Bought today", pb.CAUSE_EDIT)
    assert len(BitMap.deserialize(edit.entered_roaring)) == 4


@pytest.mark.slow
async def test_a_tree_says_the_same_as_its_text(client: Client) -> None:
    converted = await client.segments.ConvertRule(
        pb.ConvertRuleRequest(rule=pb.RuleSource(text="did order_completed at least 1 times and age>20")),
        metadata=client.metadata,
    )
    by_tree = await client.segments.Evaluate(
        pb.EvaluateRequest(rule=pb.RuleSource(tree=converted.tree)), metadata=client.metadata
    )
    by_text = await client.evaluate(converted.text)
    assert by_tree.count == by_text.count
    assert by_text.count.total == 3


@pytest.mark.slow
async def test_editing_a_parametric_segment_changes_those_that_refer_to_it(client: Client) -> None:
    await client.save("Older", "age >= :least")
    await client.save("Older than 25", 'in segment "Older" with least = 25')
    assert (await client.count("Older than 25")).count.total == 7
    await client.save("Older", "age < :least")
    assert (await client.count("Older than 25")).count.total == 5


@pytest.mark.slow
async def test_a_caller_that_hangs_up_leaves_no_half_of_a_save(client: Client) -> None:
    engine = client.platform.host(Role.SEGMENT_ENGINE).service(Role.SEGMENT_ENGINE)
    assert isinstance(engine, SegmentEngine)
    (workspace,) = client.platform.host(Role.SEGMENT_ENGINE).runtime.workspaces.all()
    shard = engine.shards.shard(workspace.id)
    async with shard._lock:  # the save waits for its turn, and its caller goes away meanwhile
        call = client.save("Everyone", "everyone")
        waiting = asyncio.create_task(call)

        async def waits() -> bool:
            return bool(shard._steps)

        await eventually(waits, "the save has begun")
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    async def saved() -> bool:
        return "Everyone" in shard.published.segments

    await eventually(saved, "the save runs to its end")
    assert (await client.count("Everyone")).count.total == PEOPLE
    records = client.segments.Watch(pb.WatchRequest(segment="Everyone"), metadata=client.metadata)
    async for step in records:
        assert len(BitMap.deserialize(step.bulk[0].entered_roaring)) == PEOPLE
        break


@pytest.mark.slow
async def test_a_restart_from_a_snapshot_newer_than_any_record_records_nothing(client: Client) -> None:
    await client.save("Bought in the last hour", "did order_completed in last 1 hours")
    platform = client.platform

    async def records() -> list[tuple[int, int, int]]:
        (workspace,) = platform.host(Role.SEGMENT_ENGINE).runtime.workspaces.all()
        entries = await platform.log.read(partition(Role.SEGMENT_ENGINE, workspace), 0, 1_000, 1 << 24)
        steps = [pb.WatchResponse.FromString(entry.payload) for entry in entries]
        return [(one.contact, one.change, one.recorded_at_us) for step in steps for one in step.memberships]

    platform.clock.advance(2 * HOUR_US)

    async def all_left() -> bool:
        return len(await records()) == 4

    await eventually(all_left, "the four buyers left")
    platform.clock.advance(2 * HOUR_US)
    before = (await client.evaluate("everyone")).freshness.position
    late = ingest_pb2.Order(
        order_id="late",
        status="completed",
        occurred_at_us=START_US + 3 * HOUR_US // 2,  # in the window only at an instant that is long past
        identifiers=[facts_pb2.Identifier(kind="external_id", value="u1")],
    )
    await client._ingest.RecordOrder(ingest_pb2.RecordOrderRequest(order=late), metadata=client.metadata)
    folder = platform.host(Role.SEGMENT_ENGINE).runtime.settings.data_dir / "snapshots"

    async def kept() -> bool:
        return any(int(path.stem) > before for path in folder.glob("*/*.snapshot"))

    await eventually(kept, "a snapshot holds the late order")
    told = await records()
    await platform.stop(ALL_ROLES)
    await platform.start(ALL_ROLES)
    await platform.host(Role.SEGMENT_ENGINE).wait_ready(20.0)
    platform.clock.advance(SECOND_US)
    wanted_us = platform.clock.now_us()

    async def ticked() -> bool:
        return (await client.count("Bought in the last hour")).freshness.as_of_us >= wanted_us

    await eventually(ticked, "time goes on")
    assert await records() == told
