"""One message from `reserved` to its end: checks, rendering, the provider, and what is told back."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace

from cdp.profile.v1 import profile_pb2
from core.clock import SECOND_US, Clock
from core.delivery.alternatives import NOT_DELIVERED
from core.delivery.decision import Deliver, Refuse
from core.delivery.outbox import (
    Deferred,
    Outcome,
    Rejected,
    State,
    Unknown,
    begin,
    hold,
    postpone,
    refuse,
    settle,
    watch,
)
from core.errors import CdpError, Code
from services.channel import reports
from services.channel.builder import Builder
from services.channel.builder import Tracking as Tracking
from services.channel.lanes import Lane, Lanes
from services.channel.outcomes import Settled, onward, settled, undelivered
from services.channel.profiles import Profiles, contacts_of, zone_of
from services.channel.providers import NULL_KIND, null_outcome
from services.channel.record import Record
from services.channel.rules import Hold, Rules
from services.channel.senders.sender import Prepared, Sender
from services.channel.state import ChannelState
from services.runtime.caller import Workspace
from services.runtime.failpoints import failpoint
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)
_LOG_PAUSE_S = 0.2
#: A message whose profile could not be asked is tried again after this long.
PROFILE_PAUSE_US = SECOND_US // 2


class Worker:
    """Delivers messages of one workspace. Safe for many messages at once, each in one task only."""

    def __init__(
        self,
        workspace: Workspace,
        state: ChannelState,
        clock: Clock,
        profiles: Profiles,
        rules: Rules,
        builder: Builder,
        lanes: Lanes,
        senders: Mapping[str, Sender],
    ) -> None:
        self._workspace = workspace
        self._state = state
        self._clock = clock
        self._profiles = profiles
        self._rules = rules
        self._builder = builder
        self._lanes = lanes
        self._senders = senders
        self._calls: dict[str, tuple[frozenset[int], asyncio.Future[None]]] = {}
        #: Messages that providers of kind `null` took, by channel.
        self.taken_by_null: Counter[str] = Counter()

    async def deliver(self, record: Record) -> bool:
        """Take a message one step: refused, called and settled, or still reserved for later; one whose delivery was
        waited for in vain goes its next way. False: too many wait for its provider; it comes again when there is room.

        Raises UNAVAILABLE when the profile, or what the template names of the segment engine, could not be asked; the
        message is then still reserved. Other errors of the log mean that the workspace is not ours any more.
        """
        if record.delivery.state is State.ACCEPTED:
            await self._commit(Settled(undelivered(record, NOT_DELIVERED, self._clock.now_us())))
            return True
        profile, position = await self._profiles.placed(record)
        record = replace(record, contact_key=profile.key or record.contact_key)
        if record.way is None:
            record = replace(record, way=self._rules.first_way(record, profile))
        answer = self._rules.verdict(record, profile, self._clock.now_us())
        if not isinstance(answer, Deliver):
            await self._held(record, answer)
            return True
        lane = self._lanes.lane(record.channel, answer.address, record.provider)
        if lane is None:
            await self._refuse(record, "NO_PROVIDER", f"no provider of the channel {record.channel} can reach it")
            return True
        transactional = record.kind.transactional
        if not transactional and lane.stand_aside(record.id):
            return False
        try:
            prepared, variant = await self._builder.build(record, profile, position, answer.address, lane.provider)
        except CdpError as error:
            if error.code not in (Code.INVALID, Code.NOT_FOUND):
                raise
            await self._refuse(record, error.reason, error.message)
            return True
        record = replace(record, variant=variant, provider=lane.provider.name)
        await lane.enter(transactional)
        try:
            done = await self._send(record, profile, prepared, answer.address, lane)
        finally:
            lane.leave()
        if done is not None:
            await self._commit(done)
        return True

    async def delivered(self, message_id: str, ok: bool, reason: str) -> None:
        """See ChannelShard.delivered; `deliver` is not under way for the message."""
        (record,) = await self._state.get([message_id])
        if record is not None and ok and record.delivery.state is State.RESERVED and record.tries:
            # Late, but nobody was called by the next way yet: the person need not get it twice.
            record = next(reversed(record.earlier()), record)
        if record is None or record.delivery.state is not State.ACCEPTED:
            return
        now_us = self._clock.now_us()
        if ok:
            over = record.moved(watch(record.delivery, 0))
            await self._commit(Settled(over, [reports.delivered(record, now_us)]))
            return
        # Not watched: it arrived before, or has no other way. What was counted stays so, for parts may have arrived.
        watched = record.delivery.due_at_us > 0
        onto = undelivered(record, reason or NOT_DELIVERED, now_us) if watched else record
        await self._commit(Settled(onto, [reports.bounced(record, now_us, reason=reason)]))

    async def end(self, message_id: str, reason: str) -> None:
        """End a message that cannot be handled, as far as the outbox knows of it: refused by its way where no provider
        was called, of unknown fate where one may have been; what was accepted is waited for no longer."""
        (record,) = await self._state.get([message_id])
        if record is None:
            return
        now_us = self._clock.now_us()
        match record.delivery.state:
            case State.RESERVED:
                await self._refuse(record, reason, "")
            case State.SENDING:
                fate = settle(record.delivery, Unknown(reason), record.kind.transactional, now_us)
                await self._commit(onward(record.moved(fate), now_us))
            case State.ACCEPTED:
                await self._commit(Settled(record.moved(watch(record.delivery, 0))))
            case _:
                return

    async def calls_ended(self, contacts: Collection[int]) -> None:
        """Return when no provider call to any of `contacts` that has begun before is still under way."""
        under_way = [future for called, future in self._calls.values() if not called.isdisjoint(contacts)]
        if under_way:
            await asyncio.wait(under_way)

    def keys(self, record: Record, profile: profile_pb2.Profile) -> list[bytes]:
        """Under which keys a suppression of the person on the message's channel holds, known by this profile."""
        return self._rules.suppression_keys(record.channel, sorted(contacts_of(record, profile)), profile)

    async def _send(
        self, record: Record, profile: profile_pb2.Profile, prepared: Prepared, address: str, lane: Lane
    ) -> Settled | None:
        """From the decision to call until the call is over; what is to be committed then (None: nothing is left)."""
        # Nothing comes between this answer and the place in the caps, which is taken in the commit of `sending`.
        begun_us = self._clock.now_us()
        answer = self._rules.verdict(record, profile, begun_us)
        if not isinstance(answer, Deliver):
            await self._held(record, answer)
            return None
        if lane.provider not in self._lanes.providers(record.channel):  # what waited for it is built anew
            await self._held(replace(record, provider=""), Hold(begun_us, "PROVIDER_CHANGED"))
            return None
        counted = self._rules.count(record, begun_us)
        record = record.moved(begin(record.delivery, address))
        await self._surely(lambda: self._state.put([record], links=prepared.links, counted=counted))
        failpoint("channel.sending")
        # The profile, an unsubscribe or a switch may have changed while we rendered and committed: ask again, and let
        # nothing come between this answer and the call.
        try:
            profile = await self._profiles.of(record)
        except CdpError as error:
            await self._postpone(record, error.reason, self._clock.now_us() + PROFILE_PAUSE_US)
            return None
        now_us = self._clock.now_us()
        answer = self._rules.verdict(record, profile, now_us)
        match answer:
            case Refuse(reason):
                await self._refuse(record, reason, "")
            case Hold(until_us, reason):
                await self._postpone(record, reason, until_us)
            case Deliver(now_at) if now_at != address:
                await self._postpone(record, "ADDRESS_CHANGED", now_us)
            case Deliver() if lane.provider not in self._lanes.providers(record.channel):
                await self._postpone(record, "PROVIDER_CHANGED", now_us)
            case Deliver() if self._rules.is_another_day(record, begun_us, profile, now_us):
                await self._postpone(record, "DAY_CHANGED", now_us)
            case Deliver():
                counted = self._rules.count(record, now_us)  # windows begin at the call; stored with its outcome
                outcome = await self._call(record, prepared, contacts_of(record, profile))
                lane.told(outcome)
                done = self._after(record, outcome, zone_of(profile) or self._workspace.zone)
                return done if done.counted else replace(done, counted=counted)
        return None

    async def _call(self, record: Record, prepared: Prepared, contacts: frozenset[int]) -> Outcome:
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._calls[record.id] = (contacts, ended)
        try:
            if prepared.provider.kind == NULL_KIND:
                self.taken_by_null[record.channel] += 1
                return null_outcome()
            return await self._senders[record.channel].send(prepared)
        except Exception as error:  # noqa: BLE001 - a sender that fails leaves an unknown fate, which is an outcome
            _LOG.exception("sender failed", workspace=self._workspace.id, channel=record.channel)
            return Unknown(f"SENDER_FAILED: {type(error).__name__}")
        finally:
            del self._calls[record.id]
            ended.set_result(None)

    def _after(self, record: Record, outcome: Outcome, zone: str) -> Settled:
        failpoint("channel.sent")
        now_us = self._clock.now_us()
        done = settled(record, outcome, self._senders[record.channel].personal, zone, now_us)
        if isinstance(outcome, Deferred | Rejected):  # otherwise the person has it, or may have it
            done = replace(done, counted=self._rules.give_back(record))
        delivery = done.record.delivery
        if delivery.state is State.UNCERTAIN:
            _LOG.warning("fate of a message unknown", workspace=self._workspace.id, reason=delivery.reason)
        elif isinstance(outcome, Deferred) and delivery.state is State.RESERVED and self._lanes.has_other(record):
            done = replace(done, record=done.record.moved(replace(delivery, due_at_us=now_us)))
        return done

    async def _held(self, record: Record, answer: Refuse | Hold) -> None:
        """Before the provider is called."""
        if isinstance(answer, Refuse):
            await self._refuse(record, answer.reason, "")
            return
        held = record.moved(hold(record.delivery, answer.reason, answer.until_us))
        await self._commit(Settled(held))

    async def _postpone(self, record: Record, reason: str, due_at_us: int) -> None:
        # No provider failed with it, so none is avoided next time.
        postponed = replace(record, delivery=postpone(record.delivery, reason, due_at_us), provider="")
        await self._commit(Settled(postponed, counted=self._rules.give_back(record)))

    async def _refuse(self, record: Record, reason: str, detail: str) -> None:
        now_us = self._clock.now_us()
        counted = self._rules.give_back(record) if record.delivery.state is State.SENDING else []
        refused = record.moved(refuse(record.delivery, reason, detail[:500], now_us))
        await self._commit(replace(onward(refused, now_us), counted=counted))

    async def _commit(self, done: Settled) -> None:
        await self._surely(
            lambda: self._state.put([done.record], reports=done.items, suppressions=done.held, counted=done.counted)
        )

    async def _surely(self, commit: Callable[[], Awaitable[None]]) -> None:
        """Commit, waiting for a log that is away or full: what we know of a message must not be lost with it."""
        while True:
            try:
                await commit()
                return
            except CdpError as error:
                if error.code not in (Code.UNAVAILABLE, Code.EXHAUSTED):
                    raise
                _LOG.warning("outbox not written, trying again", workspace=self._workspace.id, reason=error.reason)
            await asyncio.sleep(_LOG_PAUSE_S)
