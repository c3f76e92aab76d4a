"""Scenario shards among tiny real peers on port 0: a profile log, an engine and a channel, on one memory log.

The engine is the real index and the real evaluator over the facts of the profile log, behind the real wire protocol;
the profile log is served as unification serves it. Nothing of the scenario service is replaced.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import grpc
import numpy as np

from cdp.channel.v1 import channel_pb2, channel_pb2_grpc
from cdp.coupon.v1 import coupon_pb2_grpc
from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2_grpc
from cdp.profile.v1 import profile_pb2, profile_pb2_grpc
from cdp.segment.v1 import analytics_pb2, analytics_pb2_grpc, segment_pb2, segment_pb2_grpc
from core.clock import ManualClock
from core.errors import CdpError, not_found, unavailable
from core.eventlog.memory import MemoryLog
from core.eventlog.protocol import Entry, EventLog, Partition
from core.eventlog.rules import lease_name
from core.events.columns import Event, EventColumnsBuilder
from core.events.facts import ContactFact, ContactState
from core.events.vocabulary import ATTRIBUTES, COMMON_PARAMS, EVENTS, ITEM_PARAMS
from core.index.contact_set import ContactSet
from core.index.index import Index
from core.query.binding.bind import bind
from core.query.execute import evaluate
from core.query.names import BoundRule, Names
from core.query.rfm_model import DEFAULT_MODELS
from core.query.text.parse import parse
from core.scenario.definition import Definition
from core.scenario.run import Run
from core.schema import Scalar
from services.runtime.caller import Workspace
from services.runtime.context import Runtime
from services.runtime.errors import abort
from services.runtime.facts import fact_batch_from_proto, fact_batch_to_proto, scalar_from_proto
from services.runtime.feed import ConsumerPositions, serve_feed
from services.runtime.lease import LeaseKeeper
from services.runtime.partitions import partition
from services.runtime.roles import Role
from services.runtime.settings import Settings
from services.runtime.stubs import Stubs
from services.runtime.waiter import LoopWaiter
from services.runtime.workspaces import WorkspaceDirectory
from services.scenario.convert import definition_to_proto
from services.scenario.worker import ScenarioShard
from tests.unit.scenario.doors import CouponPeer, IngestPeer
from tests.unit.scenario.plays import T0

WORKSPACE = Workspace("w1", "Shop", "America/New_York", "USD", 7, 0)
NAMES = Names(ATTRIBUTES, {name: {**COMMON_PARAMS, **params} for name, params in EVENTS.items()}, ITEM_PARAMS)
DEADLINE_S = 20.0


class ProfilePeer(profile_pb2_grpc.ProfileServiceServicer):
    """Serves a profile log that tests append to."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self.partition = partition(Role.PROFILE_UNIFICATION, WORKSPACE)
        self.consumers = ConsumerPositions()
        self.away = False
        self.histories = 0

    async def Subscribe(self, requests: Any, context: Any) -> AsyncIterator[profile_pb2.SubscribeResponse]:
        def respond(entry: Entry, epoch: str, last: int) -> profile_pb2.SubscribeResponse:
            return profile_pb2.SubscribeResponse(
                position=entry.position,
                recorded_at_us=entry.recorded_at_us,
                batch=facts_pb2.FactBatch.FromString(entry.payload),
                epoch=epoch,
                last_position=last,
            )

        async for response in serve_feed(self.log, self.partition, requests, respond, self.consumers):
            yield response

    async def BatchGet(self, request: profile_pb2.BatchGetRequest, context: Any) -> profile_pb2.BatchGetResponse:
        known: dict[int, profile_pb2.Profile] = {}
        entries = await self.log.read(self.partition, 0, 100_000, 1 << 30)
        for entry in entries:
            for fact in facts_pb2.FactBatch.FromString(entry.payload).facts:
                if fact.HasField("state"):
                    known.setdefault(fact.contact, profile_pb2.Profile(contact=fact.contact, key=fact.state.key))
                elif fact.HasField("attribute") and fact.contact in known:
                    profile = known[fact.contact]
                    kept = [one for one in profile.attributes if one.name != fact.attribute.name]
                    del profile.attributes[:]
                    profile.attributes.extend(kept)
                    profile.attributes.add(
                        name=fact.attribute.name, value=fact.attribute.value, occurred_at_us=fact.occurred_at_us
                    )
        return profile_pb2.BatchGetResponse(
            profiles=[known.get(one, profile_pb2.Profile()) for one in request.contacts],
            position=entries[-1].position if entries else 0,
        )

    async def AttributeHistory(
        self, request: profile_pb2.AttributeHistoryRequest, context: Any
    ) -> profile_pb2.AttributeHistoryResponse:
        self.histories += 1
        if self.away:
            await abort(context, unavailable("NOT_READY", "unification is away"))
        found = profile_pb2.AttributeHistoryResponse()
        for entry in await self.log.read(self.partition, 0, 10_000, 1 << 30):
            for fact in facts_pb2.FactBatch.FromString(entry.payload).facts:
                if fact.contact == request.contact and fact.attribute.name == request.name:
                    found.writes.add(occurred_at_us=fact.occurred_at_us, value=fact.attribute.value)
        found.writes.sort(key=lambda write: write.occurred_at_us)
        return found


class EnginePeer(segment_pb2_grpc.SegmentServiceServicer):
    """Evaluates texts on the profile log. `away` refuses calls; `hold` stops it from folding, so that it is behind."""

    def __init__(self, profiles: ProfilePeer, clock: ManualClock) -> None:
        self.clock = clock
        self.asked: list[segment_pb2.EvaluateRequest] = []
        self.memberships: list[segment_pb2.WatchResponse] = []
        self.segments: dict[str, str] = {}
        self.away = False
        self.hold = False
        self._profiles = profiles
        self._index = Index()

    async def Evaluate(self, request: segment_pb2.EvaluateRequest, context: Any) -> segment_pb2.EvaluateResponse:
        self.asked.append(request)
        if self.away:
            await abort(context, unavailable("NOT_READY", "the engine is away"))
        await self._fold()
        if self._index.position < request.min_position:
            await abort(context, unavailable("BEHIND", "the engine is behind"))
        try:
            text = self.segments[request.name] if request.name else request.rule.text
            members = self._members(text, request.as_of_us, request.parameters, request.contacts)
        except CdpError as error:
            await abort(context, error)
        return segment_pb2.EvaluateResponse(
            count=segment_pb2.SetCount(total=len(members)),
            freshness=segment_pb2.Freshness(as_of_us=request.as_of_us, position=self._index.position),
            roaring=members.serialize() if request.members else b"",
        )

    async def Members(
        self, request: segment_pb2.MembersRequest, context: Any
    ) -> AsyncIterator[segment_pb2.MembersResponse]:
        if self.away:
            await abort(context, unavailable("NOT_READY", "the engine is away"))
        await self._fold()
        members = self._members(self.segments[request.name], self.clock.now_us(), request.parameters, ())
        freshness = segment_pb2.Freshness(position=self._index.position)
        yield segment_pb2.MembersResponse(roaring=members.serialize(), freshness=freshness)

    async def Count(self, request: segment_pb2.CountRequest, context: Any) -> segment_pb2.CountResponse:
        if request.name not in self.segments:
            await abort(context, not_found("NO_SUCH_SEGMENT", f"there is no segment {request.name!r}"))
        await self._fold()
        members = self._members(self.segments[request.name], self.clock.now_us(), {}, ())
        return segment_pb2.CountResponse(count=segment_pb2.SetCount(total=len(members)))

    async def GetSegment(self, request: segment_pb2.GetSegmentRequest, context: Any) -> segment_pb2.GetSegmentResponse:
        if request.name not in self.segments:
            await abort(context, not_found("NO_SUCH_SEGMENT", f"there is no segment {request.name!r}"))
        text = self.segments[request.name]
        parameters = [segment_pb2.ParameterInfo(name=name) for name in sorted(self._bind(text).parameters)]
        return segment_pb2.GetSegmentResponse(segment=segment_pb2.Segment(text=text, parameters=parameters))

    async def SaveSegment(
        self, request: segment_pb2.SaveSegmentRequest, context: Any
    ) -> segment_pb2.SaveSegmentResponse:
        self.segments[request.name] = request.rule.text
        return segment_pb2.SaveSegmentResponse()

    def _members(
        self, text: str, as_of_us: int, parameters: Mapping[str, facts_pb2.Value], contacts: Sequence[int]
    ) -> ContactSet:
        candidates = np.array(contacts, np.uint32) if contacts else None
        return evaluate(self._bind(text), self._index.root(), as_of_us, _scalars(parameters), candidates).members

    async def ConvertRule(
        self, request: segment_pb2.ConvertRuleRequest, context: Any
    ) -> segment_pb2.ConvertRuleResponse:
        try:
            self._bind(request.rule.text)
        except CdpError as error:
            await abort(context, error)
        return segment_pb2.ConvertRuleResponse()

    async def Watch(self, request: segment_pb2.WatchRequest, context: Any) -> AsyncIterator[segment_pb2.WatchResponse]:
        position = request.after_position
        while True:
            for response in self.memberships[position:]:
                position += 1
                response.position, response.epoch = position, "e1"
                yield response
            await asyncio.sleep(0.01)

    def _bind(self, text: str) -> BoundRule:
        segments = {name: parse(rule) for name, rule in self.segments.items()}
        return bind(parse(text), replace(NAMES, segments=segments))

    async def _fold(self) -> None:
        if self.hold:
            return
        log = self._profiles.log
        for entry in await log.read(self._profiles.partition, self._index.position, 10_000, 1 << 30):
            message = facts_pb2.FactBatch.FromString(entry.payload)
            batch = fact_batch_from_proto(message, entry.position, entry.recorded_at_us)
            self._index.apply(batch.events, batch.facts, batch.position)


class AnalyticsPeer(analytics_pb2_grpc.AnalyticsServiceServicer):
    """The RFM models that every workspace has."""

    async def ListRfmModels(
        self, request: analytics_pb2.ListRfmModelsRequest, context: Any
    ) -> analytics_pb2.ListRfmModelsResponse:
        models = [
            analytics_pb2.RfmModel(name=name, cells=[analytics_pb2.RfmCell(name=cell.name) for cell in model.cells])
            for name, model in DEFAULT_MODELS.items()
        ]
        return analytics_pb2.ListRfmModelsResponse(models=models)


class ChannelPeer(channel_pb2_grpc.ChannelServiceServicer):
    """Takes messages over. `calls` has every message of every call, `taken` each message once; `told` is called with
    each as it comes."""

    def __init__(self) -> None:
        self.told: Callable[[channel_pb2.OutgoingMessage], object] = lambda message: None
        self.calls: list[channel_pb2.OutgoingMessage] = []
        self.taken: dict[str, channel_pb2.OutgoingMessage] = {}
        self.away = False
        self.refusal = ""
        self.approval_contacts = 0

    async def Send(self, request: channel_pb2.SendRequest, context: Any) -> channel_pb2.SendResponse:
        self.calls += request.messages
        if self.away:
            await abort(context, unavailable("NOT_READY", "the channel is away"))
        results = []
        for message in request.messages:
            known = message.id in self.taken
            self.told(message)
            if not self.refusal:
                self.taken.setdefault(message.id, message)
            results.append(channel_pb2.SendResult(id=message.id, duplicate=known, reason=self.refusal))
        return channel_pb2.SendResponse(results=results)

    async def GetSettings(
        self, request: channel_pb2.GetSettingsRequest, context: Any
    ) -> channel_pb2.GetSettingsResponse:
        settings = channel_pb2.Settings(approval_contacts=self.approval_contacts)
        return channel_pb2.GetSettingsResponse(settings=settings)

    def templates(self) -> list[str]:
        """Templates of the messages taken over, in order."""
        return [message.template for message in self.taken.values()]


@dataclass(slots=True)
class World:
    """`shard` is the running one; `restart` opens another on what is stored, as a new owner does."""

    clock: ManualClock
    log: EventLog
    runtime: Runtime
    profiles: ProfilePeer
    engine: EnginePeer
    channel: ChannelPeer
    port: int
    ingest: IngestPeer
    coupons: CouponPeer
    shard: ScenarioShard = field(init=False)
    _work: asyncio.Task[None] | None = None
    _owners: int = 0
    _upstream: int = 0

    @property
    def partition(self) -> Partition:
        """Where runs are kept."""
        return partition(Role.SCENARIO, WORKSPACE)

    async def open(self) -> ScenarioShard:
        """Take the lease over and read what is stored."""
        lease = lease_name(Role.SCENARIO.value, WORKSPACE.bucket)
        if self._owners:
            await self.log.release(lease, f"owner-{self._owners}")
        self._owners += 1
        fence = await self.log.acquire(lease, f"owner-{self._owners}", 3600.0)
        assert fence is not None
        self.shard = await ScenarioShard.open(self.runtime, WORKSPACE, self.partition, fence)
        return self.shard

    async def start(self) -> None:
        """Open a shard and let it run."""
        self._work = asyncio.create_task((await self.open()).run())

    async def stop(self) -> None:
        """Cancel the running shard wherever it is. What it had in memory is gone."""
        work, self._work = self._work, None
        if work is not None:
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work
            await self.shard.close()

    async def restart(self) -> None:
        """`stop` and `start`."""
        await self.stop()
        await self.start()

    async def save(self, name: str, definition: Definition) -> None:
        """Save a scenario."""
        await self.shard.save(name, definition_to_proto(definition), "", "tester", "")

    async def append(
        self,
        *events: tuple[int, Event],
        facts: Sequence[ContactFact] = (),
        seen: bool = True,
        parts: Sequence[int] | None = None,
    ) -> int:
        """Append (contact, event) pairs to the profile log as one batch, told of `parts` (None: of the contacts);
        `seen`: wait until it is folded."""
        builder = EventColumnsBuilder()
        for _, event in events:
            builder.add(event)
        columns = replace(builder.build(), contacts=np.array([contact for contact, _ in events], np.uint32))
        self._upstream += 1
        told_of = None if parts is None else np.array(parts, np.uint32)
        payload = fact_batch_to_proto(columns, tuple(facts), 100 + self._upstream, told_of).SerializeToString()
        done = await self.log.append(self.profiles.partition, [payload], self.clock.now_us())
        if seen:
            await until(lambda: self.shard.position >= done.last)
            await self.idle()
        return done.last

    async def contacts(self, *numbers: int, known: bool = True) -> None:
        """Let contacts exist."""
        states = [ContactState(one, f"key-{one}", known, 1, self.clock.now_us(), 0) for one in numbers]
        await self.append(facts=states)

    async def contacts_only(self, *numbers: int) -> None:
        """Let contacts exist, before there is a shard that could see it."""
        states = [ContactState(one, f"key-{one}", True, 1, self.clock.now_us(), 0) for one in numbers]
        await self.append(facts=states, seen=False)

    async def advance(self, by_us: int) -> None:
        """Let time pass, and all that is due then be done."""
        self.clock.advance(by_us)
        await self.idle()

    async def idle(self) -> None:
        """Return once nothing is due: the running shard may be in the middle of it, so its tick is awaited."""
        await self.shard.tick()

    async def runs(self, contact: int | None = None) -> list[Run]:
        """All runs, active and ended, newest first."""
        page = self.shard.runs.page("", contact, 1000, None)
        return await self.shard.runs.read(self.log, self.partition, [run_id for _, run_id in page])

    async def run(self) -> Run:
        """The one run there is."""
        (run,) = await self.runs()
        return run


@asynccontextmanager
async def a_world(log: EventLog | None = None, clock: ManualClock | None = None) -> AsyncIterator[World]:
    """A world with a running shard and contacts 1 to 5, at T0."""
    async with peers(log or MemoryLog(clock or ManualClock(T0), LoopWaiter()), clock or ManualClock(T0)) as world:
        await world.start()
        try:
            await world.contacts(1, 2, 3, 4, 5)
            yield world
        finally:
            await world.stop()


@asynccontextmanager
async def peers(log: EventLog, clock: ManualClock) -> AsyncIterator[World]:
    """The peers alone, and a world without a shard."""
    profiles, channel = ProfilePeer(log), ChannelPeer()  # type: ignore[abstract]
    engine = EnginePeer(profiles, clock)  # type: ignore[abstract]
    ingest, coupons = IngestPeer(log, profiles.partition, clock), CouponPeer()  # type: ignore[abstract]
    server = grpc.aio.server()
    ingest_pb2_grpc.add_IngestServiceServicer_to_server(ingest, server)
    coupon_pb2_grpc.add_CouponServiceServicer_to_server(coupons, server)
    profile_pb2_grpc.add_ProfileServiceServicer_to_server(profiles, server)
    segment_pb2_grpc.add_SegmentServiceServicer_to_server(engine, server)
    analytics_pb2_grpc.add_AnalyticsServiceServicer_to_server(AnalyticsPeer(), server)  # type: ignore[abstract]
    channel_pb2_grpc.add_ChannelServiceServicer_to_server(channel, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    runtime = runtime_of(log, clock, port)
    try:
        yield World(clock, log, runtime, profiles, engine, channel, port, ingest, coupons)
    finally:
        await runtime.stubs.close()
        await server.stop(0)


def runtime_of(log: EventLog, clock: Any, port: int) -> Runtime:
    """A runtime whose peers all answer at `port`."""
    environment: Mapping[str, str] = {"CDP_INTERNAL_TOKEN": "token", "CDP_TRACKING_KEY": "t" * 32}
    settings = Settings.from_environment(environment)
    address = f"127.0.0.1:{port}"
    stubs = Stubs(lambda role: address, "token", settings.maximum_message_bytes)
    directory = WorkspaceDirectory(stubs, "token")
    return Runtime(settings, clock, log, stubs, directory, LeaseKeeper(log, address), address)


def _scalars(parameters: Mapping[str, facts_pb2.Value]) -> dict[str, Scalar]:
    values = {name: scalar_from_proto(wire) for name, wire in parameters.items()}
    return {name: value for name, value in values.items() if value is not None}


async def until(holds: Callable[[], bool], within_s: float = DEADLINE_S) -> None:
    """Return once `holds()`; fail after the time."""
    deadline_s = asyncio.get_running_loop().time() + within_s
    while not holds():
        assert asyncio.get_running_loop().time() < deadline_s, f"not within {within_s} s"
        await asyncio.sleep(0.005)
