"""ProfileService: convert, read, convert."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import numpy as np
from google.longrunning import operations_pb2

from cdp.facts.v1 import facts_pb2
from cdp.profile.v1 import profile_pb2, profile_pb2_grpc
from core.delivery.links import verify
from core.errors import invalid, unavailable
from core.eventlog.protocol import Entry
from core.events.columns import Identifier
from core.identity.rules import IdentityRules
from core.identity.settings import IdentitySettings, rules_of
from core.profile.ahead import due
from core.profile.profile import Profile
from core.profile.timeline import REF, Refs
from services.profile_unification.archived_log import ARCHIVE_FOLDER, ArchivedLog
from services.profile_unification.attribute_history import attribute_writes, write_to_proto
from services.profile_unification.convert import event_to_proto, identifiers_from_proto, profile_to_proto
from services.profile_unification.elsewhere import Elsewhere
from services.profile_unification.erasure_desk import ErasureDesk
from services.profile_unification.held_devices import keep_held_devices
from services.profile_unification.identity_desk import IdentityDesk
from services.profile_unification.person_desk import export_of, gathered, timeline_entries, view_of
from services.profile_unification.reader import ProfileReader
from services.profile_unification.worker import UnificationShard
from services.runtime.caller import caller
from services.runtime.context import Runtime
from services.runtime.feed import ConsumerPositions, serve_feed
from services.runtime.identity_rules import search_pattern
from services.runtime.ownership import Ownership
from services.runtime.pages import bad_page_token
from services.runtime.partitions import partition
from services.runtime.roles import Role

MAXIMUM_CONTACTS = 1_000
MAXIMUM_IDENTIFIERS = 1_000
DEFAULT_TIMELINE = 50
MAXIMUM_TIMELINE = 1_000

_WAIT_S = 10.0

Context = grpc.aio.ServicerContext[Any, Any]
_Named = profile_pb2.GetRequest | profile_pb2.ViewRequest | profile_pb2.ExportRequest | profile_pb2.EraseRequest


class ProfileServicer(profile_pb2_grpc.ProfileServiceServicer):
    """Answers for every workspace whose shard is open here."""

    def __init__(self, runtime: Runtime, ownership: Ownership[UnificationShard], rules: IdentityRules) -> None:
        self._runtime = runtime
        self._ownership = ownership
        self._rules = rules
        self._consumers: dict[str, ConsumerPositions] = {}
        self._compiled: dict[str, tuple[IdentitySettings, IdentityRules]] = {}
        self._desk = IdentityDesk(runtime)
        self._erasures = ErasureDesk(runtime)
        self._log = ArchivedLog(runtime.log, runtime.settings.data_dir / ARCHIVE_FOLDER)

    async def Get(self, request: profile_pb2.GetRequest, context: Context) -> profile_pb2.GetResponse:
        """One profile; the timeline is newest first."""
        size = _timeline_size(request.timeline_size)
        after = _ref_of(request.timeline_page_token)
        shard, reader = self._here()
        profile = await self._named(reader, request)
        response = profile_pb2.GetResponse(profile=(await self._views(shard, [profile]))[0])
        if size == 0:
            return response
        refs = await shard.timeline.newest_first(_numbers(profile))
        start = 0 if after is None else _start_after(refs, after)
        page = refs[start : start + size]
        response.timeline.extend(event_to_proto(event) for event in await shard.timeline.events(page))
        if start + size < len(refs):
            response.next_timeline_page_token = _token_of(page)
        return response

    async def BatchGet(
        self,
        request: profile_pb2.BatchGetRequest,
        context: Context,
    ) -> profile_pb2.BatchGetResponse:
        """Profiles in the order asked; empty ones for contacts that are in no answer."""
        if len(request.contacts) > MAXIMUM_CONTACTS:
            raise invalid("TOO_MANY_CONTACTS", f"{len(request.contacts)} contacts; at most {MAXIMUM_CONTACTS} a call")
        shard, reader = self._here()
        if not await shard.wait_folded(request.min_upstream_position, _remaining_s(context)):
            raise unavailable(
                "NOT_CAUGHT_UP",
                f"folded through position {shard.folded} of ingest's log, {request.min_upstream_position} was asked",
            )
        found = await reader.as_they_are(request.contacts)
        current = [profile for profile in found if profile is not None and profile.merged_into is None]
        views = {view.contact: view for view in await self._views(shard, current)}
        await keep_held_devices(reader, list(views.values()), self._runtime.clock.now_us())
        # Asked after the profiles were read, so that it is not before any of them.
        _, last = await self._log.bounds(shard.partition)
        return profile_pb2.BatchGetResponse(
            profiles=[views.get(contact, profile_pb2.Profile()) for contact in request.contacts], position=last
        )

    async def AttributeHistory(
        self,
        request: profile_pb2.AttributeHistoryRequest,
        context: Context,
    ) -> profile_pb2.AttributeHistoryResponse:
        """What was told of one attribute."""
        shard, reader = self._here()
        if not await shard.wait_folded(request.min_upstream_position, _remaining_s(context)):
            raise unavailable(
                "NOT_CAUGHT_UP", f"position {request.min_upstream_position} of ingest's log is not folded"
            )
        profile = await reader.one(request.contact)
        writes = await attribute_writes(shard, profile.part_numbers(), request.name, request.from_us)
        return profile_pb2.AttributeHistoryResponse(writes=[write_to_proto(write) for write in writes])

    async def Resolve(
        self,
        request: profile_pb2.ResolveRequest,
        context: Context,
    ) -> profile_pb2.ResolveResponse:
        """Whose each identifier is now, in the order asked."""
        if len(request.identifiers) > MAXIMUM_IDENTIFIERS:
            count = len(request.identifiers)
            raise invalid("TOO_MANY_IDENTIFIERS", f"{count} identifiers; at most {MAXIMUM_IDENTIFIERS} a call")
        _, reader = self._here()
        identifiers = identifiers_from_proto(request.identifiers)
        holders = await reader.holders(identifiers, self._runtime.clock.now_us())
        profiles = iter(await reader.current([one for one in holders if one is not None]))
        results = []
        for holder in holders:
            profile = None if holder is None else next(profiles)
            if profile is None:
                results.append(profile_pb2.Resolved())
            else:
                results.append(profile_pb2.Resolved(found=True, contact=profile.contact, key=profile.key))
        return profile_pb2.ResolveResponse(results=results)

    async def ResolveLink(
        self,
        request: profile_pb2.ResolveLinkRequest,
        context: Context,
    ) -> profile_pb2.ResolveLinkResponse:
        """The contact that a message was sent to, as it is now."""
        _, reader = self._here()
        claims = verify(self._runtime.settings.tracking_key, caller().workspace.id, request.token)
        profile = await reader.one(claims.contact)
        return profile_pb2.ResolveLinkResponse(contact=profile.contact, key=profile.key, message_id=claims.message_id)

    async def Subscribe(
        self,
        request_iterator: AsyncIterator[profile_pb2.SubscribeRequest],
        context: Context,
    ) -> AsyncIterator[profile_pb2.SubscribeResponse]:
        """The log of resolved facts."""
        workspace = caller().workspace
        consumers = self._consumers.setdefault(workspace.id, ConsumerPositions())
        own = partition(Role.PROFILE_UNIFICATION, workspace)
        feed = serve_feed(self._log, own, request_iterator, _respond, consumers)
        async for response in feed:
            yield response

    async def View(self, request: profile_pb2.ViewRequest, context: Context) -> profile_pb2.ViewResponse:
        """Everything about one person; the timeline is newest first."""
        size = _timeline_size(request.timeline_size)
        after = _ref_of(request.timeline_page_token)
        shard, reader = self._here()
        profile = await self._named(reader, request)
        [shown] = await self._views(shard, [profile])
        elsewhere = Elsewhere(self._runtime.stubs, shard.partition.workspace)
        response = await view_of(shard, profile, elsewhere, shown)
        if size:
            refs = await shard.timeline.refs(_numbers(profile))
            start = 0 if after is None else _start_after(refs, after)
            page = refs[start : start + size]
            response.timeline.extend(await timeline_entries(shard, page))
            if start + size < len(refs):
                response.next_timeline_page_token = _token_of(page)
        return response

    async def Export(
        self, request: profile_pb2.ExportRequest, context: Context
    ) -> AsyncIterator[profile_pb2.ExportResponse]:
        """Everything that is held of one person."""
        shard, reader = self._here()
        profile = await self._named(reader, request)
        [shown] = await self._views(shard, [profile])
        elsewhere = Elsewhere(self._runtime.stubs, shard.partition.workspace)
        async for lines in gathered(export_of(shard, profile, elsewhere, shown)):
            yield profile_pb2.ExportResponse(lines=lines)

    async def Erase(self, request: profile_pb2.EraseRequest, context: Context) -> operations_pb2.Operation:
        """Forget a person."""
        shard, reader = self._here()
        known = await self._erasures.known(shard, request)
        if known is not None:
            return known
        person = await self._named(reader, request)
        return await self._erasures.erase(shard, request, person, _remaining_s(context))

    async def GetErasure(self, request: profile_pb2.GetErasureRequest, context: Context) -> operations_pb2.Operation:
        """An erasure as it stands."""
        shard, _ = self._here()
        return await self._erasures.get(shard, request.name)

    async def ListErasures(
        self, request: profile_pb2.ListErasuresRequest, context: Context
    ) -> profile_pb2.ListErasuresResponse:
        """Erasures, the latest first."""
        shard, _ = self._here()
        return await self._erasures.page(shard, request)

    async def Unmerge(self, request: profile_pb2.UnmergeRequest, context: Context) -> profile_pb2.UnmergeResponse:
        """Take apart what was merged."""
        shard, reader = self._here()
        outcome, position = await self._desk.unmerge(shard, reader, request, _remaining_s(context))
        sides = [await reader.one(outcome.survivor), await reader.one(outcome.restored)]
        kept, restored = await self._views(shard, sides)
        return profile_pb2.UnmergeResponse(survivor=kept, restored=restored, upstream_position=position)

    async def ListMerges(
        self, request: profile_pb2.ListMergesRequest, context: Context
    ) -> profile_pb2.ListMergesResponse:
        """The record of merges."""
        shard, reader = self._here()
        return await self._desk.merges(shard, reader, request)

    async def ListSuspiciousIdentifiers(
        self, request: profile_pb2.ListSuspiciousIdentifiersRequest, context: Context
    ) -> profile_pb2.ListSuspiciousIdentifiersResponse:
        """Identifiers that seem shared."""
        shard, _ = self._here()
        return await self._desk.suspects(shard, self._rules_of(shard), request)

    async def GetIdentityRules(
        self, request: profile_pb2.GetIdentityRulesRequest, context: Context
    ) -> profile_pb2.GetIdentityRulesResponse:
        """The rules in force."""
        shard, _ = self._here()
        return await self._desk.rules(shard, request, _remaining_s(context))

    async def UpdateIdentityRules(
        self, request: profile_pb2.UpdateIdentityRulesRequest, context: Context
    ) -> profile_pb2.UpdateIdentityRulesResponse:
        """Change the rules."""
        shard, _ = self._here()
        return await self._desk.change_rules(shard, request, _remaining_s(context))

    async def _named(self, reader: ProfileReader, request: _Named) -> Profile:
        """The person whom a request names, as of now. Raises INVALID / NO_CONTACT_NAMED, NOT_FOUND /
        NO_SUCH_CONTACT."""
        now_us = self._runtime.clock.now_us()
        match request.WhichOneof("by"):
            case "contact":
                return due(await reader.one(request.contact), now_us)
            case "key":
                return due(await reader.by_key(request.key, now_us), now_us)
            case "identifier":
                identifier = Identifier(request.identifier.kind, request.identifier.value)
                return due(await reader.by_identifier(identifier, now_us), now_us)
            case None:
                raise invalid("NO_CONTACT_NAMED", "set `contact`, `key` or `identifier`")

    def _rules_of(self, shard: UnificationShard) -> IdentityRules:
        """The workspace's rules, compiled once for each change."""
        settings = shard.settings
        known = self._compiled.get(shard.partition.workspace)
        if known is None or known[0] is not settings:
            known = settings, rules_of(settings, self._rules, search_pattern)
            self._compiled[shard.partition.workspace] = known
        return known[1]

    def _here(self) -> tuple[UnificationShard, ProfileReader]:
        shard = self._ownership.shard(caller().workspace.id)
        return shard, ProfileReader(self._runtime.log, shard.partition, self._rules_of(shard))

    async def _views(self, shard: UnificationShard, profiles: Sequence[Profile]) -> list[profile_pb2.Profile]:
        """What people show now."""
        now_us = self._runtime.clock.now_us()
        numbers = [number for profile in profiles for number in _numbers(profile)]
        earliest = dict(zip(numbers, await shard.timeline.earliest_us(numbers), strict=True)) if numbers else {}
        views = []
        for profile in profiles:
            seen = [at_us for number in _numbers(profile) if (at_us := earliest[number]) is not None]
            first_seen_us = min((profile.first_seen_us, *seen))
            views.append(profile_to_proto(due(profile, now_us), profile.known(self._rules_of(shard)), first_seen_us))
        return views


def _respond(entry: Entry, epoch: str, last: int) -> profile_pb2.SubscribeResponse:
    return profile_pb2.SubscribeResponse(
        position=entry.position,
        recorded_at_us=entry.recorded_at_us,
        batch=facts_pb2.FactBatch.FromString(entry.payload),
        epoch=epoch,
        last_position=last,
    )


def _numbers(profile: Profile) -> list[int]:
    """All contact numbers of one person."""
    return list(profile.part_numbers())


def _remaining_s(context: Context) -> float:
    remaining_s = context.time_remaining()
    return _WAIT_S if remaining_s is None else min(_WAIT_S, remaining_s)


def _timeline_size(asked: int) -> int:
    if asked == -1:
        return 0
    if not 0 <= asked <= MAXIMUM_TIMELINE:
        raise invalid("BAD_TIMELINE_SIZE", f"`timeline_size` is {asked}; -1 for none, 0 for {DEFAULT_TIMELINE}, "
                      f"at most {MAXIMUM_TIMELINE}")  # fmt: skip
    return asked or DEFAULT_TIMELINE


def _token_of(page: Refs) -> str:
    return base64.urlsafe_b64encode(page[-1:].tobytes()).decode()


def _ref_of(token: str) -> tuple[int, int, int] | None:
    if not token:
        return None
    try:
        (ref,) = np.frombuffer(base64.b64decode(token, altchars=b"-_", validate=True), REF)
    except (binascii.Error, ValueError) as error:
        raise bad_page_token() from error
    return int(ref["occurred_at_us"]), int(ref["position"]), int(ref["row"])


def _start_after(refs: Refs, after: tuple[int, int, int]) -> int:
    """How many of `refs` (newest first) are not older than `after`."""
    at_us, position, row = refs["occurred_at_us"], refs["position"], refs["row"]
    newer = at_us > after[0]
    newer |= (at_us == after[0]) & ((position > after[1]) | ((position == after[1]) & (row >= after[2])))
    return int(newer.sum())
