"""A channel shard among tiny real peers: profile, ingest and segment services on port 0, an SMTP server, a log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from aiosmtpd import smtp as smtpd
from google.protobuf.message import Message

from cdp.channel.v1 import channel_pb2
from cdp.definition.v1 import definition_pb2
from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from cdp.profile.v1 import profile_pb2, profile_pb2_grpc
from cdp.schema.v1 import schema_pb2_grpc
from cdp.segment.v1 import computed_pb2, computed_pb2_grpc, recommend_pb2_grpc
from core.clock import ManualClock
from core.errors import unavailable
from core.eventlog.memory import MemoryLog
from core.eventlog.protocol import Commit, Committed, Fence, Partition
from core.eventlog.rules import lease_name
from services.channel.rpc import ChannelRpc
from services.channel.senders.email import EmailSender
from services.channel.senders.sender import Sender
from services.channel.senders.webhook import WebhookSender
from services.channel.shard import ChannelShard
from services.channel.worker import Tracking
from services.runtime.caller import CALLER, Caller, Scope, Workspace
from services.runtime.partitions import partition
from services.runtime.roles import Role
from services.runtime.stubs import Stubs
from services.runtime.waiter import LoopWaiter
from tests.unit.channel.content_peers import Goods, Schema

NOW_US = 1_800_000_000_000_000
WORKSPACE = Workspace("w1", "Shop", "America/New_York", "USD", 7, 0)
KEY = b"t" * 32
PUBLIC = "https://t.shop.example"
#: Our handlers ask nothing of the context.
NO_CONTEXT: Any = None


class Engine(computed_pb2_grpc.ComputedServiceServicer):
    """Canned computed values: name -> contact -> value, model -> contact -> scores; calls are recorded. Unknown names
    are refused, as the real one does. While `held`, answers of values wait."""

    def __init__(self) -> None:
        self.attributes: dict[str, dict[int, facts_pb2.Value]] = {}
        self.interests: dict[str, dict[int, list[tuple[str, int]]]] = {}
        self.calls: list[Message] = []
        self.away = False
        self.held: asyncio.Event | None = None

    async def ListComputedAttributes(
        self, request: computed_pb2.ListComputedAttributesRequest, context: Any
    ) -> computed_pb2.ListComputedAttributesResponse:
        """All names."""
        await self._called(request, context)
        revisions = [definition_pb2.Revision(name=name) for name in self.attributes]
        return computed_pb2.ListComputedAttributesResponse(
            attributes=[computed_pb2.ComputedAttribute(revision=one) for one in revisions]
        )

    async def ContactAttributes(
        self, request: computed_pb2.ContactAttributesRequest, context: Any
    ) -> computed_pb2.ContactAttributesResponse:
        """Values of those who have them."""
        await self._called(request, context)
        if not set(request.names) <= set(self.attributes):
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown")
        answer = computed_pb2.ContactAttributesResponse()
        for contact in request.contacts:
            held = {name: self.attributes[name].get(contact) for name in request.names}
            told = {name: value for name, value in held.items() if value is not None}
            answer.contacts.append(computed_pb2.ContactAttributes(attributes=told))
        return answer

    async def ContactInterests(
        self, request: computed_pb2.ContactInterestsRequest, context: Any
    ) -> computed_pb2.ContactInterestsResponse:
        """The best of each."""
        await self._called(request, context)
        answer = computed_pb2.ContactInterestsResponse()
        for contact in request.contacts:
            scores = self.interests.get(request.model, {}).get(contact, [])[: request.most]
            told = [computed_pb2.ScoredInterest(value=value, score_units=units) for value, units in scores]
            answer.contacts.append(computed_pb2.ContactInterests(interests=told))
        return answer

    async def _called(self, request: Message, context: Any) -> None:
        self.calls.append(request)
        if self.away:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        if self.held is not None:
            await self.held.wait()


class Peers(profile_pb2_grpc.ProfileServiceServicer, ingest_pb2_grpc.IngestServiceServicer):  # type: ignore[misc]
    """Canned profiles, recorded items. `closed` makes ingest answer UNAVAILABLE."""

    def __init__(self) -> None:
        self.engine = Engine()  # type: ignore[abstract]
        self.goods, self.schema = Goods(), Schema()  # type: ignore[abstract]
        self.position = 0
        self.profiles: dict[int, profile_pb2.Profile] = {}
        self.survivors: dict[int, int] = {}
        self.items: list[ingest_pb2.BatchItem] = []
        self.positions: list[int] = []
        self.closed = False
        self.refused = ""
        self.refused_types: dict[str, str] = {}
        self.profiles_away = False
        self.asked = asyncio.Event()
        self.changed = asyncio.Condition()

    async def BatchGet(self, request: profile_pb2.BatchGetRequest, context: Any) -> profile_pb2.BatchGetResponse:
        """Profiles as they are now."""
        self.asked.set()
        if self.profiles_away:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        self.positions.append(request.min_upstream_position)
        async with self.changed:
            self.changed.notify_all()
        none = profile_pb2.Profile()
        found = [self.profiles.get(one, none) for one in request.contacts]
        return profile_pb2.BatchGetResponse(profiles=found, position=self.position)

    async def Get(self, request: profile_pb2.GetRequest, context: Any) -> profile_pb2.GetResponse:
        """Where a contact was merged to."""
        found = self.profiles.get(self.survivors.get(request.contact, 0))
        if found is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "nobody")
        return profile_pb2.GetResponse(profile=found)

    async def GetIdentityRules(
        self, request: profile_pb2.GetIdentityRulesRequest, context: Any
    ) -> profile_pb2.GetIdentityRulesResponse:
        """One kind of identifiers of the workspace's own."""
        rules = facts_pb2.IdentityRules(kinds=[facts_pb2.IdentifierKind(name="card_number")])
        return profile_pb2.GetIdentityRulesResponse(rules=rules)

    async def IngestBatch(self, request: ingest_pb2.IngestBatchRequest, context: Any) -> ingest_pb2.IngestBatchResponse:
        """Keep the items."""
        if self.closed:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "closed")
        self.items += request.items
        async with self.changed:
            self.changed.notify_all()
        reasons = [self.refused_types.get(item.event.type, self.refused) for item in request.items]
        results = [ingest_pb2.ItemResult(reason=reason) for reason in reasons]
        return ingest_pb2.IngestBatchResponse(results=results, position=1)

    def serve(self, server: grpc.aio.Server) -> None:
        """Answer for all services."""
        profile_pb2_grpc.add_ProfileServiceServicer_to_server(self, server)
        ingest_pb2_grpc.add_IngestServiceServicer_to_server(self, server)
        computed_pb2_grpc.add_ComputedServiceServicer_to_server(self.engine, server)
        recommend_pb2_grpc.add_RecommendServiceServicer_to_server(self.goods, server)
        schema_pb2_grpc.add_SchemaServiceServicer_to_server(self.schema, server)

    def add(self, contact: int, email: str, consent: str = "granted", at_us: int = 1, channel: str = "email") -> None:
        """A profile with an email and one consent."""
        self.profiles[contact] = profile_pb2.Profile(
            contact=contact,
            key=f"key-{contact}",
            known=True,
            identifiers=[facts_pb2.Identifier(kind="email", value=email)] if email else [],
            attributes=[profile_pb2.Attribute(name="first_name", value=facts_pb2.Value(text=f"Ann{contact}"))],
            consents=[profile_pb2.Consent(channel=channel, state=consent, occurred_at_us=at_us)],
        )

    def merge(self, loser: int, survivor: int) -> None:
        """`loser` is part of `survivor` from now on."""
        gone, into = self.profiles.pop(loser), self.profiles[survivor]
        into.merged_keys.extend([gone.key, *gone.merged_keys])
        self.survivors[loser] = survivor

    def place(self, contact: int, zone: str) -> None:
        """A profile's time zone."""
        self.profiles[contact].attributes.append(
            profile_pb2.Attribute(name="time_zone", value=facts_pb2.Value(text=zone))
        )

    def events(self, event_type: str) -> list[ingest_pb2.Event]:
        """Recorded events of one type."""
        return [item.event for item in self.items if item.event.type == event_type]


class Mailbox:
    """An SMTP handler that keeps mails. `script` answers DATA in order: a reply, or "drop" to hang up after it."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], bytes]] = []
        self.script: list[str] = []
        self.rcpt_reply = ""
        self.hold: asyncio.Event | None = None
        self.entered = asyncio.Event()
        self.changed = asyncio.Condition()

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        """Take or refuse a recipient."""
        if self.rcpt_reply:
            return self.rcpt_reply
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Keep the mail, then answer by the script."""
        self.entered.set()
        if self.hold is not None:
            await self.hold.wait()
        answer = self.script.pop(0) if self.script else "250 queued"
        if answer.startswith(("2", "drop")):
            self.mails.append((list(envelope.rcpt_tos), envelope.content))
            async with self.changed:
                self.changed.notify_all()
        if answer == "drop":
            server.transport.abort()
            return "421 gone"
        return answer


async def listen(mailbox: Mailbox) -> tuple[asyncio.Server, int]:
    """A real SMTP server on a free port."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: smtpd.SMTP(mailbox, hostname="mx.test.example"), "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    return server, port


class WatchedLog(MemoryLog):
    """A memory log that wakes who waits after every commit, that fails commits while `away`, and that runs `before`
    in front of the next one."""

    def __init__(self, clock: ManualClock, waiter: LoopWaiter) -> None:
        super().__init__(clock, waiter)
        self.waiter = waiter
        self.away = False
        self.before: Callable[[Commit], Awaitable[None]] | None = None

    async def commit(self, partition: Partition, fence: Fence, commit: Commit) -> Committed:
        """See EventLog."""
        if self.before is not None:
            await self.before(commit)
        if self.away:
            self.waiter.wake()
            raise unavailable("LOG_UNAVAILABLE", "away", 0.01)
        done = await super().commit(partition, fence, commit)
        self.waiter.wake()
        return done


@dataclass
class World:
    """Everything of one test. `start` opens the shard on what the log holds; `stop` is an orderly end."""

    clock: ManualClock
    log: WatchedLog
    peers: Peers
    mailbox: Mailbox
    stubs: Stubs
    senders: dict[str, Sender]
    shards: list[ChannelShard] = field(default_factory=list)
    task: asyncio.Task[None] | None = None
    owners: int = 0
    #: 0: `stop` is a crash, in the midst of whatever is under way.
    drain_s: float = 5.0

    @property
    def shard(self) -> ChannelShard:
        """The open shard."""
        return self.shards[-1]

    @property
    def partition(self) -> Partition:
        """Where the shard keeps its state."""
        return partition(Role.CHANNEL, WORKSPACE)

    @property
    def rpc(self) -> ChannelRpc:
        """The service over the open shard."""
        return ChannelRpc(lambda _workspace: self.shard, self.senders, self.clock)

    async def open(self) -> ChannelShard:
        """A new owner loads the state; nothing runs yet."""
        lease = lease_name(Role.CHANNEL, WORKSPACE.bucket)
        if self.owners:
            await self.log.release(lease, f"owner-{self.owners}")
        self.owners += 1
        fence = await self.log.acquire(lease, f"owner-{self.owners}", 1e6)
        assert fence is not None
        shard = await ChannelShard.open(
            self.log,
            self.partition,
            fence,
            WORKSPACE,
            self.clock,
            self.stubs,
            self.senders,
            Tracking(KEY, PUBLIC),
            0.01,
            self.drain_s,
        )
        self.shards.append(shard)
        return shard

    async def start(self) -> None:
        """Open and run."""
        shard = await self.open()
        self.task = asyncio.create_task(shard.run())

    async def stop(self) -> None:
        """Cancel and wait, as a lost lease or the end of the process does."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait((self.task,))
            self.task = None

    async def save_template(self, name: str = "hello", **fields: str) -> None:
        """A template, email unless said otherwise."""
        known: dict[str, Any] = {
            "channel": "email",
            "subject": "Hi {{ contact.first_name }}",
            "body_text": "Hello",
            **fields,
        }
        await self.rpc.SaveTemplate(
            channel_pb2.SaveTemplateRequest(name=name, template=channel_pb2.Template(**known)), NO_CONTEXT
        )

    async def set(self, **fields: Any) -> None:
        """Settings, live and with a sender unless said otherwise."""
        known = {"live": True, "from": "Shop <shop@shop.example>", **fields}
        await self.rpc.UpdateSettings(
            channel_pb2.UpdateSettingsRequest(settings=channel_pb2.Settings(**known)), NO_CONTEXT
        )

    async def send(self, *messages: channel_pb2.OutgoingMessage) -> list[channel_pb2.SendResult]:
        """Hand messages over."""
        return list((await self.rpc.Send(channel_pb2.SendRequest(messages=messages), NO_CONTEXT)).results)

    async def message(self, message_id: str) -> channel_pb2.Message:
        """What the outbox says of a message."""
        return (await self.rpc.GetMessage(channel_pb2.GetMessageRequest(id=message_id), NO_CONTEXT)).message

    async def until(self, message_id: str, *states: str, timeout_s: float = 10.0) -> channel_pb2.Message:
        """The message once it is in one of the states."""
        wanted = {channel_pb2.MessageState.Value(f"MESSAGE_STATE_{state.upper()}") for state in states}
        found = await self.message(message_id)
        async with asyncio.timeout(timeout_s):
            while found.state not in wanted:
                await self.log.waiter.wait_wake(timeout_s)
                found = await self.message(message_id)
        return found

    async def committed(self, holds: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Return once `holds()`, asked after every commit; AssertionError otherwise."""
        assert await self.log.waiter.wait_for(holds, timeout_s)

    async def told(self, count: int) -> list[ingest_pb2.BatchItem]:
        """What ingest was told, once it has at least `count` items."""
        await soon(self.peers.changed, lambda: len(self.peers.items) >= count)
        return self.peers.items


async def soon(condition: asyncio.Condition, holds: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Return once `holds()`; TimeoutError otherwise."""
    async with asyncio.timeout(timeout_s), condition:
        await condition.wait_for(holds)


def outgoing(message_id: str, contact: int = 1, **fields: Any) -> channel_pb2.OutgoingMessage:
    """A trigger email of template "hello" unless said otherwise."""
    known = {"channel": "email", "template": "hello", "kind": "trigger", **fields}
    return channel_pb2.OutgoingMessage(id=message_id, contact=contact, **known)


@asynccontextmanager
async def a_world() -> AsyncIterator[World]:
    """A world with a running shard, template "hello", live settings and contact 1 who agreed to email."""
    CALLER.set(Caller(WORKSPACE, Scope.ADMIN, "k1", "tester"))
    peers = Peers()  # type: ignore[abstract]
    server = grpc.aio.server()
    peers.serve(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    mailbox = Mailbox()
    smtp, smtp_port = await listen(mailbox)
    clock = ManualClock(NOW_US)
    stubs = Stubs(lambda _role: f"127.0.0.1:{port}", "token", 1 << 22)
    senders: dict[str, Sender] = {
        "email": EmailSender(f"smtp://127.0.0.1:{smtp_port}"),
        "webhook": WebhookSender(),
    }
    world = World(clock, WatchedLog(clock, LoopWaiter()), peers, mailbox, stubs, senders)
    peers.add(1, "ann@mail.example")
    try:
        await world.start()
        await world.set()
        await world.save_template()
        yield world
    finally:
        await world.stop()
        for sender in senders.values():
            await sender.close()
        await stubs.close()
        smtp.close()
        await server.stop(None)
