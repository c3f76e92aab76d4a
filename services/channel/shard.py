"""One workspace's channels while its lease is held: takes messages over, sends what is due, tells what happened."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from cdp.channel.v1 import channel_pb2
from cdp.ingest.v1 import ingest_pb2
from cdp.profile.v1 import profile_pb2
from core.clock import SECOND_US, Clock
from core.delivery.bounces import BounceClass
from core.delivery.bursts import Bursts
from core.delivery.decision import MessageKind, Suppression, SuppressionCause
from core.delivery.mail_reports import MailReport, Told
from core.delivery.outbox import State, is_open, reserve
from core.errors import CdpError, Code
from core.eventlog.protocol import EventLog, Fence, Partition
from services.channel import reports
from services.channel.builder import Builder, Tracking
from services.channel.computed import ComputedValues
from services.channel.convert import message_problem
from services.channel.inbox import Inbox, rows_of
from services.channel.known_names import KnownNames
from services.channel.lanes import Lanes
from services.channel.popups.definitions import PopupDefinitions
from services.channel.popups.offers import Memberships
from services.channel.preview import Previews
from services.channel.profiles import Profiles, contacts_of
from services.channel.record import Record
from services.channel.reporter import Reporter
from services.channel.rules import Rules
from services.channel.senders.sender import Sender
from services.channel.state import ChannelState, suppression_keys
from services.channel.trials import Trials
from services.channel.worker import PROFILE_PAUSE_US, Worker
from services.runtime.caller import Workspace
from services.runtime.stubs import Stubs
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)
#: Messages in work at once; most of them wait for a commit or a profile together.
CONCURRENT_MESSAGES = 384
#: Messages on their way in one workspace, those that quiet hours hold back included: about 800 bytes each. Beyond it
#: Send is refused, and tried again later by the caller.
LIMIT_PENDING = 200_000
#: What people are owed is taken over for longer, so that marketing that waits keeps no receipt from them.
LIMIT_TRANSACTIONAL = LIMIT_PENDING + 20_000
_ASIDE = -1


class ChannelShard:
    """See services.runtime.ownership.Shard. Made by `open`, which also sets what people hold, the pop-ups of the shop's
    pages, and who is in their segments."""

    inbox: Inbox
    popups: PopupDefinitions
    memberships: Memberships
    previews: Previews

    def __init__(
        self,
        workspace: Workspace,
        state: ChannelState,
        worker: Worker,
        profiles: Profiles,
        trials: Trials,
        reporter: Reporter,
        clock: Clock,
        senders: Mapping[str, Sender],
        tick_s: float,
        drain_s: float,
    ) -> None:
        self.workspace = workspace
        self.state = state
        self._worker = worker
        self._profiles = profiles
        self.trials = trials
        self._reporter = reporter
        self._clock = clock
        self._senders = senders
        self._tick_s = tick_s
        self._drain_s = drain_s
        self._taking_over = asyncio.Lock()
        self._changing = asyncio.Lock()
        self._changes: set[asyncio.Task[None]] = set()
        self._due: list[tuple[int, int, str]] = []  # heap of (due, sequence, message id)
        self._active: dict[str, asyncio.Task[int]] = {}
        self._failure: BaseException | None = None
        self._quiet_us = 0
        self._woken = asyncio.Event()
        #: Hits of the last moments, for patterns that a single one does not show.
        self.bursts = Bursts()
        for record in state.pending.values():
            self._schedule(record, record.delivery.due_at_us)

    @staticmethod
    async def open(
        log: EventLog,
        partition: Partition,
        fence: Fence,
        workspace: Workspace,
        clock: Clock,
        stubs: Stubs,
        senders: Mapping[str, Sender],
        tracking: Tracking,
        tick_s: float,
        drain_s: float,
    ) -> ChannelShard:
        """Load the state; what was in `sending` is settled first. Raises the log's errors."""
        state = await ChannelState.load(log, partition, fence, clock)
        profiles = Profiles(workspace.id, stubs)
        rules = Rules(workspace, state, senders)
        computed = ComputedValues(workspace.id, stubs)
        builder = Builder(workspace, state, clock, computed, senders, tracking)
        lanes = Lanes(state, senders, clock, tick_s)
        worker = Worker(workspace, state, clock, profiles, rules, builder, lanes, senders)
        reporter = Reporter(workspace.id, state, stubs)
        inbox = Inbox(log, partition, fence, clock, stubs)
        trials = Trials(workspace, state, clock, profiles, builder, lanes, senders, inbox)
        shard = ChannelShard(workspace, state, worker, profiles, trials, reporter, clock, senders, tick_s, drain_s)
        lanes.come_again = shard._come_again
        names = KnownNames(workspace.id, stubs, computed)
        shard.previews = Previews(workspace, state, clock, profiles, rules, builder, computed, names, senders)
        shard.inbox = inbox
        shard.popups = await PopupDefinitions.load(log, partition, fence, clock)
        shard.memberships = Memberships(workspace.id, stubs)
        return shard

    async def run(self) -> None:
        """Send and tell until cancelled; then finish the calls and changes under way, for the drain time at most."""
        dispatcher = asyncio.create_task(self._dispatch())
        reporter = asyncio.create_task(self._reporter.run())
        try:
            done, _ = await asyncio.wait((dispatcher, reporter), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            dispatcher.cancel()
            under_way: list[asyncio.Task[Any]] = [*self._active.values(), *self._changes]
            if under_way:
                await asyncio.wait(under_way, timeout=self._drain_s)
            rest = [dispatcher, reporter, *under_way]
            for unfinished in rest:
                unfinished.cancel()
            await asyncio.wait(rest)

    async def close(self) -> None:
        """Nothing is kept beyond `run`."""

    def ready(self) -> bool:
        """Loaded when opened."""
        return True

    async def take_over(self, messages: Sequence[channel_pb2.OutgoingMessage]) -> list[channel_pb2.SendResult]:
        """Reserve messages durably; one result each, in order. A known id is a duplicate and changes nothing.

        Raises EXHAUSTED/OUTBOX_FULL while LIMIT_PENDING messages are on their way (LIMIT_TRANSACTIONAL, when none of
        these is marketing), or the log's error; then nothing was taken over that the same call, made again, would not
        find.
        """
        owed = all(message.kind == MessageKind.TRANSACTIONAL for message in messages)
        if len(self.state.pending) >= (LIMIT_TRANSACTIONAL if owed else LIMIT_PENDING):
            raise CdpError(
                Code.EXHAUSTED, "OUTBOX_FULL", f"{LIMIT_PENDING} messages are on their way already", retry_after_s=5.0
            )
        async with self._taking_over:
            stored = await self.state.get([message.id for message in messages])
            now_us = self._clock.now_us()
            fresh: dict[str, Record] = {}
            results = []
            for message, known in zip(messages, stored, strict=True):
                result = channel_pb2.SendResult(id=message.id)
                if known is not None and message.id not in self.state.states:
                    self.state.adopt(known)
                    self._schedule(known, known.delivery.due_at_us)
                problem = message_problem(message, self._senders)
                if problem:
                    result.reason = problem
                elif message.contact in self.state.forgotten:
                    result.reason = "CONTACT_GONE"
                elif known is not None or message.id in fresh:
                    result.duplicate = True
                else:
                    sequence = self.state.last_sequence + len(fresh) + 1
                    fresh[message.id] = Record(message, reserve(now_us), sequence)
                results.append(result)
            await self.state.put(list(fresh.values()))
        for record in fresh.values():
            self._schedule(record, now_us)
        self._woken.set()
        return results

    async def exclusively(self, change: Callable[[], Awaitable[None]]) -> None:
        """Run a change of definitions with no other one between its decision and its commit. A caller that is
        cancelled stops waiting only: a commit under way is shown in memory all the same."""
        task = asyncio.create_task(self._change(change))
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(self._change_left)
            raise

    async def tell(self, items: Sequence[ingest_pb2.BatchItem]) -> None:
        """Make reports durable; ingest hears of them as soon as it can."""
        await self.state.put([], reports=items)
        self._reporter.wake()

    async def unsubscribe(self, record: Record) -> None:
        """Suppress the person on the message's channel, and on those by which it went before it took another way: which
        of them showed the link is not known. When this returns, the suppression is durable, no marketing on these
        channels begins any more, and none that had begun is still under way.

        The person may have been merged since: the suppression holds for the survivor as well. Raises UNAVAILABLE when
        the profile cannot be asked or the log is away; what is durable by then holds, and the same call completes it.
        """
        now_us, contact, senders = self._clock.now_us(), record.message.contact, self._senders
        went = [*record.earlier(), record]
        keys = [
            key
            for one in went
            for key in suppression_keys(one.channel, (contact,), (one.delivery.address,), senders[one.channel].personal)
        ]
        held = Suppression(SuppressionCause.UNSUBSCRIBED, now_us, contact)
        told = [*(reports.consent(one, "denied", now_us) for one in went), reports.unsubscribed(record, now_us)]
        await self.state.put([], reports=told, suppressions=[(key, held) for key in keys])
        self._reporter.wake()
        profile = await self._profiles.of(record)
        more = [key for one in went for key in self._worker.keys(one, profile) if key not in keys]
        theirs = replace(held, contact=profile.contact or contact)
        await self.state.put([], suppressions=[(key, theirs) for key in more])
        await self._worker.calls_ended(contacts_of(record, profile))

    async def profile_of(self, record: Record) -> profile_pb2.Profile:
        """The recipient of a message as they are now. Raises UNAVAILABLE/PROFILE_UNAVAILABLE."""
        return await self._profiles.of(record)

    async def keep_choice(
        self, record: Record, told: Sequence[ingest_pb2.BatchItem], held: Sequence[tuple[bytes, Suppression]]
    ) -> None:
        """Keep what a recipient chose: durable when this returns, and no call that it holds back is under way."""
        await self.state.put([], reports=told, suppressions=held)
        self._reporter.wake()
        if held:
            profile = await self._profiles.of(record)
            keys = [one.decode().rpartition("/") for one, _ in held]
            now = [
                (f"{front}/{profile.contact}".encode(), one) for (front, _, _), (_, one) in zip(keys, held, strict=True)
            ]
            await self.state.put([], suppressions=now if profile.key else ())
            await self._worker.calls_ended(contacts_of(record, profile))

    async def forget(self, contacts: frozenset[int]) -> tuple[int, int, int]:
        """Forget messages to `contacts`, reports and suppressions: how many of each. No call to a provider for them is
        under way when this returns, and nothing of one that was comes back."""
        async with self._taking_over:
            await self.state.forget_from_now_on(contacts)
            held = rows_of(await self.state.messages_to(contacts))
            await self.inbox.forget(held)  # while it is known which messages theirs are
            counts = await self.state.forget(contacts)
        await self._worker.calls_ended(contacts)
        await self.inbox.forget(held)  # what was on its way there
        await self.inbox.forget_tests(contacts)
        return counts

    async def returned(self, record: Record, report: MailReport) -> None:
        """Take what a mail said about a message of ours: a bounce or a complaint; nothing else changes anything. A hard
        bounce holds for the address alone, a complaint for the person on the channel. Durable when this returns."""
        now_us, channel = self._clock.now_us(), record.channel
        personal = self._senders[channel].personal
        if report.told is Told.COMPLAINED:
            told = [reports.complained(record, now_us, report.reason), reports.consent(record, "suppressed", now_us)]
            keys = suppression_keys(channel, (record.message.contact,), (record.delivery.address,), personal)
            held = Suppression(SuppressionCause.COMPLAINED, now_us, record.message.contact)
        elif report.told is Told.BOUNCED:
            told = [reports.bounced(record, now_us, report.bounce, report.reason)]
            hard = report.bounce is BounceClass.HARD
            if hard:
                told.append(reports.consent(record, "bounced", now_us))
            keys = suppression_keys(channel, (), (record.delivery.address,), personal) if hard else []
            held = Suppression(SuppressionCause.BOUNCED, now_us, record.message.contact)
        else:
            return
        await self.state.put([], reports=told, suppressions=[(key, held) for key in keys])
        self._reporter.wake()

    @property
    def busy(self) -> bool:
        """Whether any message is on its way to or from a provider at this moment."""
        return bool(self._active)

    async def delivered(self, message_id: str, ok: bool, reason: str = "") -> None:
        """Take what a provider told later of a message that it had accepted: it arrived, or it never will (`reason`).
        Durable when this returns. A message that did not arrive goes by its next way, if it has one; nothing happens to
        one that is unknown or not accepted by now."""
        while (task := self._active.get(message_id)) is not None:
            await asyncio.wait((task,))
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._keep_delivered(message_id, ok, reason, kept))
        self._active[message_id] = task
        task.add_done_callback(partial(self._ended, message_id))
        await asyncio.shield(kept)

    async def _change(self, change: Callable[[], Awaitable[None]]) -> None:
        async with self._changing:
            await change()

    def _change_left(self, task: asyncio.Task[None]) -> None:
        """Tell of the failure of a change whose caller is gone."""
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.error("change failed, its caller is gone", workspace=self.workspace.id, reason=str(error))

    async def _dispatch(self) -> None:
        while True:
            if self._failure is not None:
                raise self._failure
            self._woken.clear()
            now_us = self._clock.now_us()
            while self._due and self._due[0][0] <= now_us and len(self._active) < CONCURRENT_MESSAGES:
                _, _, message_id = heapq.heappop(self._due)
                record = self.state.pending.get(message_id)
                if record is None or record.delivery.state is State.SENDING or message_id in self._active:
                    continue
                if record.delivery.due_at_us > now_us:
                    continue  # put off since; it stands further down, too
                task = asyncio.create_task(self._deliver(record))
                self._active[message_id] = task
                task.add_done_callback(partial(self._ended, message_id))
            try:
                async with asyncio.timeout(self._tick_s if self._due else None):
                    await self._woken.wait()
            except TimeoutError:
                continue  # nobody woke us, but the clock went on

    async def _deliver(self, record: Record) -> int:
        """Deliver and return when to look at the message again, if anything is still to come of it then; _ASIDE: its
        lane says when."""
        try:
            return 0 if await self._worker.deliver(record) else _ASIDE
        except CdpError as error:
            if error.code is not Code.UNAVAILABLE:
                raise
            now_us = self._clock.now_us()
            if now_us >= self._quiet_us:  # once for all who wait
                self._quiet_us = now_us + SECOND_US
                _LOG.info("messages wait", workspace=self.workspace.id, reason=error.reason)
            return now_us + PROFILE_PAUSE_US
        except Exception as error:  # noqa: BLE001 - one message that nobody foresaw must not stop all others
            _LOG.exception("message ended by a mistake", workspace=self.workspace.id)
            await self._worker.end(record.id, f"BROKEN: {type(error).__name__}")
            return 0

    async def _keep_delivered(self, message_id: str, ok: bool, reason: str, kept: asyncio.Future[None]) -> int:
        """An error is for the one who brought the report; the message itself goes on as before."""
        try:
            await self._worker.delivered(message_id, ok, reason)
        except CdpError as error:
            if not kept.done():
                kept.set_exception(error)
                kept.exception()  # seen: perhaps nobody waits any more
            if error.code not in (Code.UNAVAILABLE, Code.EXHAUSTED):
                raise
        else:
            if not kept.done():
                kept.set_result(None)
        finally:
            if not kept.done():
                kept.cancel()  # the shard was stopped
        return 0

    def _ended(self, message_id: str, task: asyncio.Task[int]) -> None:
        self._active.pop(message_id, None)
        if not task.cancelled():
            self._failure = self._failure or task.exception()
            record = self.state.pending.get(message_id)
            if self._failure is None and record is not None and task.result() != _ASIDE:
                self._schedule(record, max(record.delivery.due_at_us, task.result()))
        if self.state.reports:
            self._reporter.wake()
        self._woken.set()

    def _come_again(self, message_id: str) -> None:
        if message_id in self._active:  # its task is about to end
            asyncio.get_running_loop().call_soon(self._come_again, message_id)
            return
        record = self.state.pending.get(message_id)
        if record is not None:
            self._schedule(record, record.delivery.due_at_us)
            self._woken.set()

    def _schedule(self, record: Record, due_at_us: int) -> None:
        if is_open(record.delivery) and record.delivery.state is not State.SENDING:
            heapq.heappush(self._due, (due_at_us, record.sequence, record.id))
