"""One message from `reserved` to its end: checks, rendering, the provider, and what is told back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from cdp.channel.v1 import channel_pb2
from cdp.profile.v1 import profile_pb2
from core.clock import SECOND_US, Clock
from core.delivery import links
from core.delivery.bounces import BounceClass
from core.delivery.decision import (
    Consent,
    Deliver,
    Recipient,
    Refuse,
    Suppression,
    SuppressionCause,
    decide,
)
from core.delivery.outbox import Outcome, Rejected, State, Unknown, begin, postpone, refuse, settle
from core.errors import CdpError, Code, invalid
from services.channel import reports
from services.channel.computed import ComputedValues
from services.channel.convert import template_from_proto
from services.channel.profiles import Profiles, contacts_of, zone_of
from services.channel.record import Record
from services.channel.render import CompiledTemplate, TrackedLinks
from services.channel.senders.sender import Envelope, Prepared, Sender
from services.channel.state import ChannelState, category_keys, suppression_keys
from services.channel.values import template_values
from services.runtime.caller import Workspace
from services.runtime.definitions import Stored
from services.runtime.failpoints import failpoint
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)
_LOG_PAUSE_S = 0.2
_COMPILED_TEMPLATES = 256
_BUILDING_THREADS = 2
_Built = TypeVar("_Built")


@dataclass(frozen=True, slots=True)
class Tracking:
    """How links of this process are signed, and where they lead back to (no trailing slash)."""

    key: bytes
    public_url: str
    #: Hosts to which a click takes the token of the visit along.
    visit_hosts: tuple[str, ...] = ()


class Worker:
    """Delivers messages of one workspace. Safe for many messages at once, each in one task only."""

    def __init__(
        self,
        workspace: Workspace,
        state: ChannelState,
        clock: Clock,
        profiles: Profiles,
        computed: ComputedValues,
        senders: Mapping[str, Sender],
        tracking: Tracking,
    ) -> None:
        self._workspace = workspace
        self._state = state
        self._clock = clock
        self._profiles = profiles
        self._computed = computed
        self._senders = senders
        self._tracking = tracking
        self._compiled: dict[tuple[str, int], CompiledTemplate] = {}
        # Few threads: they take turns with the event loop for the interpreter.
        self._building = asyncio.Semaphore(_BUILDING_THREADS)
        self._calls: dict[str, tuple[frozenset[int], asyncio.Future[None]]] = {}

    async def deliver(self, record: Record) -> None:
        """Take a reserved message one step: refused, called and settled, or still reserved for later.

        Raises UNAVAILABLE when the profile, or what the template names of the segment engine, could not be asked; the
        message is then still reserved. Other errors of the log mean that the workspace is not ours any more.
        """
        profile, position = await self._profiles.placed(record)
        record = replace(record, contact_key=profile.key or record.contact_key)
        answer = self._decide(record, profile)
        if isinstance(answer, Refuse):
            await self._refuse(record, answer.reason, "")
            return
        try:
            prepared = await self._prepare(record, profile, position, answer.address)
        except CdpError as error:
            if error.code not in (Code.INVALID, Code.NOT_FOUND):
                raise
            await self._refuse(record, error.reason, error.message)
            return
        record = record.moved(begin(record.delivery, answer.address))
        await self._surely(lambda: self._state.put([record], links=prepared.links))
        failpoint("channel.sending")
        # The profile, an unsubscribe or a switch may have changed while we rendered and committed: ask again, and let
        # nothing come between this answer and the call.
        try:
            profile = await self._profiles.of(record)
        except CdpError as error:
            await self._postpone(record, error.reason)
            raise
        answer = self._decide(record, profile)
        if isinstance(answer, Refuse):
            await self._refuse(record, answer.reason, "")
        elif answer.address != record.delivery.address:
            await self._postpone(record, "ADDRESS_CHANGED")
        else:
            await self._call(record, prepared, contacts_of(record, profile), zone_of(profile) or self._workspace.zone)

    async def calls_ended(self, contacts: Collection[int]) -> None:
        """Return when no provider call to any of `contacts` that has begun before is still under way."""
        under_way = [future for called, future in self._calls.values() if not called.isdisjoint(contacts)]
        if under_way:
            await asyncio.wait(under_way)

    def keys(self, record: Record, profile: profile_pb2.Profile) -> list[bytes]:
        """Under which keys a suppression of the person on the message's channel holds, known by this profile."""
        message = record.message
        sender = self._senders[message.channel]
        address = sender.address(profile, self._state.settings) if profile.key else None
        return suppression_keys(
            message.channel, sorted(contacts_of(record, profile)), (address or "",), sender.personal
        )

    async def _call(self, record: Record, prepared: Prepared, contacts: frozenset[int], zone: str) -> None:
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._calls[record.id] = (contacts, ended)
        outcome: Outcome
        try:
            outcome = await self._senders[record.message.channel].send(prepared)
        except Exception as error:  # noqa: BLE001 - a sender that fails leaves an unknown fate, which is an outcome
            _LOG.exception("sender failed", workspace=self._workspace.id, channel=record.message.channel)
            outcome = Unknown(f"SENDER_FAILED: {type(error).__name__}")
        finally:
            del self._calls[record.id]
            ended.set_result(None)
        failpoint("channel.sent")
        now_us = self._clock.now_us()
        record = record.moved(settle(record.delivery, outcome, record.kind.transactional, now_us))
        items = []
        held: list[tuple[bytes, Suppression]] = []
        match outcome:
            case Rejected(bounced=True):
                items = [
                    reports.bounced(record, now_us, BounceClass.HARD),
                    reports.consent(record, "bounced", now_us),
                ]
                held = [(key, Suppression(SuppressionCause.BOUNCED, now_us)) for key in self._address_keys(record)]
            case Rejected(by_provider=True):
                items = [reports.bounced(record, now_us)]
            case _ if record.delivery.state is State.ACCEPTED:
                items = [reports.sent(record, zone, now_us)]
        if record.delivery.state is State.UNCERTAIN:
            _LOG.warning("fate of a message unknown", workspace=self._workspace.id, reason=record.delivery.reason)
        await self._surely(lambda: self._state.put([record], reports=items, suppressions=held))

    def _address_keys(self, record: Record) -> list[bytes]:
        """The address alone: a new address of the same person is another matter."""
        channel = record.message.channel
        return suppression_keys(channel, (), (record.delivery.address,), self._senders[channel].personal)

    def _decide(self, record: Record, profile: profile_pb2.Profile) -> Deliver | Refuse:
        message = record.message
        settings = self._state.settings
        recipient = None
        category = self._state.category_of(message.template)
        if profile.key:
            told = {one.category: one for one in profile.consents if one.channel == message.channel}
            recipient = Recipient(
                self._senders[message.channel].address(profile, settings),
                _consent(told.get("")),
                _consent(told.get(category)) if category else None,
            )
        keys = self.keys(record, profile)
        if category:
            keys += category_keys(message.channel, category, sorted(contacts_of(record, profile)))
        held = self._state.suppressions(keys)
        return decide(record.kind, message.channel, recipient, held, settings.brakes)

    async def _prepare(self, record: Record, profile: profile_pb2.Profile, position: int, address: str) -> Prepared:
        message = record.message
        sender = self._senders[message.channel]
        stored = self._state.templates.get(message.template)
        template = await self._compiled_of(stored, sender)
        transactional = record.kind.transactional
        computed = await self._computed.of(template.needs, profile, position, transactional=transactional)
        settings, now_us = self._state.settings, self._clock.now_us()

        def build() -> Prepared:
            envelope = Envelope(
                self._workspace.id,
                message.id,
                transactional,
                address,
                template,
                template_values(message, profile, self._workspace.zone, now_us, computed),
                self._tracked(message),
                settings,
                now_us,
            )
            return sender.prepare(envelope)

        return await self._built(build)

    async def _compiled_of(self, stored: Stored, sender: Sender) -> CompiledTemplate:
        key = (stored.revision.name, stored.revision.version)
        if key in self._compiled:
            return self._compiled[key]
        source = template_from_proto(channel_pb2.Template.FromString(stored.payload))
        compiled = await self._built(lambda: sender.compile(source))
        if len(self._compiled) >= _COMPILED_TEMPLATES:
            self._compiled.clear()
        self._compiled[key] = compiled
        return compiled

    async def _built(self, build: Callable[[], _Built]) -> _Built:
        """What `build` makes, in a thread. Raises INVALID/PREPARE_FAILED for whatever is no error of ours."""
        try:
            async with self._building:
                return await asyncio.to_thread(build)
        except CdpError:
            raise
        except Exception as error:
            # A message that cannot be built is refused, so that it stops no other; why is logged and kept with it.
            _LOG.exception("message not built", workspace=self._workspace.id)
            raise invalid("PREPARE_FAILED", f"{type(error).__name__}: {error}") from error

    def _tracked(self, message: channel_pb2.OutgoingMessage) -> TrackedLinks:
        def url(path: str, index: int) -> str:
            token = links.sign(self._tracking.key, self._workspace.id, message.id, message.contact, index)
            return f"{self._tracking.public_url}/{path}/{token}"

        return TrackedLinks(
            lambda index: url("c", index),
            url("o", links.OPEN_INDEX),
            url("u", links.UNSUBSCRIBE_INDEX),
            url("p", links.PREFERENCES_INDEX),
        )

    async def _postpone(self, record: Record, reason: str) -> None:
        postponed = record.moved(postpone(record.delivery, reason, self._clock.now_us()))
        await self._surely(lambda: self._state.put([postponed]))

    async def _refuse(self, record: Record, reason: str, detail: str) -> None:
        refused = record.moved(refuse(record.delivery, reason, detail[:500], self._clock.now_us()))
        await self._surely(lambda: self._state.put([refused]))

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


def _consent(told: profile_pb2.Consent | None) -> Consent | None:
    return None if told is None else Consent(told.state, told.occurred_at_us)


#: A message whose profile could not be asked is tried again after this long.
PROFILE_PAUSE_US = SECOND_US // 2
