"""Test sends: a template as it would arrive, at addresses that somebody names. No outbox, no consent, no caps, no quiet
hours, no report; its links are those of no message. The brakes hold. A test of an inbox or a pop-up message goes to the
contact that the request names alone, whose key is its address."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from secrets import token_hex

from cdp.channel.v1 import channel_pb2
from cdp.profile.v1 import profile_pb2
from core.clock import Clock
from core.delivery.decision import ALL_CHANNELS, MessageKind, is_allowed
from core.delivery.outbox import Accepted, Deferred, Outcome, Rejected, Unknown, reserve
from core.errors import CdpError, Code, not_found
from services.channel.builder import Builder
from services.channel.convert import template_from_proto
from services.channel.inbox import TEST_ID, Inbox
from services.channel.lanes import Lanes
from services.channel.profiles import Profiles
from services.channel.providers import NULL_KIND, null_outcome
from services.channel.record import Record
from services.channel.render import CompiledTemplate
from services.channel.senders.sender import Sender
from services.channel.state import ChannelState
from services.channel.variants import variant_of, wording
from services.runtime.caller import Workspace

LIMIT_TEST_ADDRESSES = 20
#: What the subject of a test begins with.
MARK = "[Test] "
_Result = channel_pb2.TestSendResponse.Result


class Trials:
    """Test sends of one workspace."""

    def __init__(
        self,
        workspace: Workspace,
        state: ChannelState,
        clock: Clock,
        profiles: Profiles,
        builder: Builder,
        lanes: Lanes,
        senders: Mapping[str, Sender],
        inbox: Inbox,
    ) -> None:
        self._workspace = workspace
        self._state = state
        self._clock = clock
        self._profiles = profiles
        self._builder = builder
        self._lanes = lanes
        self._senders = senders
        self._inbox = inbox

    async def send(self, request: channel_pb2.TestSendRequest) -> list[_Result]:
        """One result for each address, in order. Raises NOT_FOUND for the template or the contact, UNAVAILABLE while
        the profile cannot be asked."""
        stored = self._state.templates.get(request.template)
        source = template_from_proto(channel_pb2.Template.FromString(stored.payload))
        profile = profile_pb2.Profile()
        if request.contact:
            profile, _ = await self._profiles.person(request.contact)
            if not profile.key:
                raise not_found("NO_SUCH_CONTACT", "there is no such contact in this workspace")
        source = wording(source, variant_of(source, stored.revision.name, self._workspace.id, profile.key))
        if source.subject:
            source = replace(source, subject=f"{MARK}{source.subject}")
        compiled = await self._builder.compiled(source)
        return await asyncio.gather(*(self._one(request, compiled, profile, one) for one in request.addresses))

    async def _one(
        self,
        request: channel_pb2.TestSendRequest,
        template: CompiledTemplate,
        profile: profile_pb2.Profile,
        address: str,
    ) -> _Result:
        channel = template.source.channel
        if held_by := self._brake(channel, address):
            return _Result(address=address, outcome=held_by)
        if self._senders[channel].own_surface:
            # What is kept here is kept for somebody, and goes when they are erased.
            if not profile.key or address != profile.key:
                return _Result(address=address, outcome="NOT_THE_CONTACT")
            await self._inbox.expect_test(profile.contact, address)
        lane = self._lanes.lane(channel, address, "")
        if lane is None:
            return _Result(address=address, outcome="NO_PROVIDER")
        message = channel_pb2.OutgoingMessage(
            id=f"{TEST_ID}{token_hex(12)}",
            contact=request.contact,
            channel=channel,
            template=request.template,
            kind=MessageKind.PROMO,
            values=request.values,
            items=request.items,
        )
        record = Record(message, reserve(self._clock.now_us()), 0, profile.key)
        try:
            prepared = await self._builder.built(template, record, profile, 0, address, lane.provider)
        except CdpError as error:
            if error.code is not Code.INVALID:
                raise
            return _Result(address=address, outcome=error.reason, provider_reply=error.message[:500])
        await lane.enter(transactional=True)
        outcome: Outcome
        try:
            if held_by := self._brake(channel, address):  # a switch may have fallen while it waited for its turn
                return _Result(address=address, outcome=held_by)
            if lane.provider not in self._lanes.providers(channel):
                return _Result(address=address, outcome="PROVIDER_CHANGED")
            null = lane.provider.kind == NULL_KIND
            outcome = null_outcome() if null else await self._senders[channel].send(prepared)
        finally:
            lane.leave()
        lane.told(outcome)
        return _told(address, outcome)

    def _brake(self, channel: str, address: str) -> str:
        """The brake that holds a test back now; empty: none."""
        brakes = self._state.settings.brakes
        if {ALL_CHANNELS, channel} & set(brakes.killed_channels):
            return "CHANNEL_KILLED"
        return "" if brakes.live or is_allowed(address, brakes.allowed_recipients) else "RECIPIENT_NOT_ALLOWED"


def _told(address: str, outcome: Outcome) -> _Result:
    match outcome:
        case Accepted(reply):
            return _Result(address=address, outcome="accepted", provider_reply=reply)
        case Rejected(reason, reply) | Deferred(reason, reply):
            return _Result(address=address, outcome=reason, provider_reply=reply)
        case Unknown(reason):
            return _Result(address=address, outcome="UNCERTAIN", provider_reply=reason)
