"""PopupService: definitions, what a visitor is shown, and what they answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import grpc

from cdp.channel.v1 import popup_pb2 as pb
from cdp.channel.v1 import popup_pb2_grpc
from cdp.coupon.v1 import coupon_pb2, coupon_pb2_grpc
from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from cdp.profile.v1 import profile_pb2
from cdp.segment.v1 import segment_pb2
from core.clock import Clock
from core.errors import CdpError, Code, Violation, invalid
from core.limits import RATE_LIMITED, Limits, Rate
from services.channel.inbox import POPUP, chosen
from services.channel.inbox_rpc import tell_opened
from services.channel.popups.answers import checked, event_of, person_of
from services.channel.popups.check import check_popup
from services.channel.popups.names import declare_names
from services.channel.popups.offers import may_read, may_see, offered
from services.channel.shard import ChannelShard
from services.runtime.caller import Scope, caller
from services.runtime.errors import from_rpc
from services.runtime.roles import Role
from services.runtime.stubs import Stubs
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)
_Context = grpc.aio.ServicerContext[Any, Any]
_TIMEOUT_S = 10.0
_LIMIT_IDS = 100
_LIMIT_TEXT = 2_000
_MOST_MESSAGES = 5
#: There is no coupon for this visitor, now or later; whatever else goes wrong is worth another try.
_NO_COUPON = frozenset({Code.NOT_FOUND, Code.CONFLICT, Code.INVALID})
_NO_COUPON_LEFT = frozenset({"POOL_EMPTY", "COUPON_LIMIT"})
_VISITORS = ("anonymous_id", "contact_key")
#: Answers of one workspace. Anybody can make up visitors; whoever tries to drain a pool of coupons takes long.
ANSWERS = Limits(events_per_s=50, burst=200)

SCOPES: Mapping[str, Scope] = {
    "SavePopup": Scope.FULL,
    "GetPopup": Scope.READ,
    "ListPopups": Scope.READ,
    "DeletePopup": Scope.FULL,
    "OfferPopups": Scope.INTERNAL,
    "AnswerPopup": Scope.INTERNAL,
    "MarkPopupMessages": Scope.INTERNAL,
}


class PopupRpc(popup_pb2_grpc.PopupServiceServicer):
    """Answered by the process that owns the workspace. `shards` finds its open shard or raises UNAVAILABLE."""

    def __init__(self, shards: Callable[[str], ChannelShard], stubs: Stubs, clock: Clock) -> None:
        self._shards = shards
        self._stubs = stubs
        self._clock = clock
        self._rates: dict[str, Rate] = {}

    async def SavePopup(self, request: pb.SavePopupRequest, context: _Context) -> pb.SavePopupResponse:
        """See the .proto. Raises INVALID / BAD_POPUP with every wrong field; for a segment that is not there, a pool
        that is not there or not meant for forms, and a name that facts use for another kind. The names that answers are
        kept under are declared with it."""
        check_popup(request.name, request.popup)
        await self._check_segment(request.popup.segment)
        await self._check_pool(request.popup.coupon_pool)
        popups = self._shard().popups
        await declare_names(request.popup, self._stubs, self._metadata())
        saved = await popups.save(request.name, request.popup, request.etag, caller().key_name)
        return pb.SavePopupResponse(popup=saved)

    async def GetPopup(self, request: pb.GetPopupRequest, context: _Context) -> pb.GetPopupResponse:
        """See the .proto."""
        return pb.GetPopupResponse(popup=self._shard().popups.get(request.name, request.version))

    async def ListPopups(self, request: pb.ListPopupsRequest, context: _Context) -> pb.ListPopupsResponse:
        """See the .proto. By name; the page token is the last name."""
        page, token = self._shard().popups.page(request.page_size, request.page_token)
        return pb.ListPopupsResponse(popups=page, next_page_token=token)

    async def DeletePopup(self, request: pb.DeletePopupRequest, context: _Context) -> pb.DeletePopupResponse:
        """See the .proto."""
        stored = await self._shard().popups.delete(request.name, request.etag, caller().key_name)
        return pb.DeletePopupResponse(revision=stored.revision.to_proto())

    async def OfferPopups(self, request: pb.OfferPopupsRequest, context: _Context) -> pb.OfferPopupsResponse:
        """See the .proto. What cannot be asked about now is left out; the brakes of the channel `popup` hold as for
        messages."""
        shard = self._shard()
        visitor = _visitor(request.visitor)
        answer = pb.OfferPopupsResponse()
        brakes = shard.state.settings.brakes
        profile = profile_pb2.Profile()
        try:
            profile = await shard.inbox.profile(visitor)
        except CdpError as error:
            if error.code not in (Code.NOT_FOUND, Code.INVALID, Code.UNAVAILABLE):
                raise
            answer.stranger = True
        if not may_see(brakes, profile):
            return answer
        popups = shard.popups.shown()
        answer.popups.extend(await offered(popups, request.path, profile.contact, shard.memberships))
        if profile.key and may_read(profile):
            keys = (profile.key, *profile.merged_keys)
            waiting = [one.item for one in await shard.inbox.held(keys, POPUP) if not one.item.read_at_us]
            for item in waiting[::-1][:_MOST_MESSAGES]:
                answer.messages.add(
                    id=item.id, title=item.title, text=item.body, url=item.url, image_url=item.image_url
                )
        return answer

    async def AnswerPopup(self, request: pb.AnswerPopupRequest, context: _Context) -> pb.AnswerPopupResponse:
        """See the .proto. Raises INVALID / BAD_ANSWER with every wrong field; ingest's refusal of an answer is ours.

        The facts are durable before a coupon is issued; asked again with the same answer id, both are the same.
        """
        shard = self._shard()
        visitor = _visitor(request.visitor)
        for name, text in (("answer_id", request.answer_id), ("url", request.url), ("proof", request.proof)):
            if len(text) > _LIMIT_TEXT:
                raise invalid("BAD_ANSWER", f"{name}: is too long", Violation(name, "is too long"))
        if not request.answer_id:
            raise invalid("BAD_ANSWER", "answer_id: is needed", Violation("answer_id", "is needed"))
        newest = shard.popups.get(request.popup)  # one that is gone takes no answers any more
        popup = shard.popups.get(request.popup, request.version) if request.version else newest
        answer = checked(popup, request.fields, request.consents)
        self._admit(shard.workspace.id)
        now_us = self._clock.now_us()
        person = person_of(popup, request, answer, now_us)
        if person is not None:
            await self._tell(ingest_pb2.BatchItem(person=person))
        await self._tell(ingest_pb2.BatchItem(event=event_of(popup, request, answer, now_us)))
        coupon = await self._coupon(popup, visitor) if popup.coupon_pool else None
        return pb.AnswerPopupResponse(
            thanks=popup.thanks,
            coupon=coupon.code if coupon is not None else "",
            coupon_expires_at_us=coupon.expires_at_us if coupon is not None else 0,
        )

    async def MarkPopupMessages(
        self, request: pb.MarkPopupMessagesRequest, context: _Context
    ) -> pb.MarkPopupMessagesResponse:
        """See the .proto. Whoever is not known has no messages."""
        if not 1 <= len(request.ids) <= _LIMIT_IDS:
            raise invalid("BAD_IDS", f"ids: 1 to {_LIMIT_IDS}", Violation("ids", f"1 to {_LIMIT_IDS}"))
        shard = self._shard()
        try:
            profile = await shard.inbox.profile(_visitor(request.visitor))
        except CdpError as error:
            if error.code not in (Code.NOT_FOUND, Code.INVALID):
                raise
            return pb.MarkPopupMessagesResponse()
        held = await shard.inbox.held((profile.key, *profile.merged_keys), POPUP)
        shown = chosen(held, request.ids)
        await tell_opened(shard, shown, self._clock.now_us())
        await shard.inbox.read(shown)
        return pb.MarkPopupMessagesResponse()

    def _admit(self, workspace: str) -> None:
        rate = self._rates.setdefault(workspace, Rate())
        wait_us = rate.take(1, ANSWERS, 1, self._clock.now_us())
        if wait_us:
            what = f"at most {ANSWERS.events_per_s} answers a second are taken"
            raise CdpError(Code.EXHAUSTED, RATE_LIMITED, what, retry_after_s=wait_us / 1e6)

    async def _tell(self, item: ingest_pb2.BatchItem) -> None:
        """One fact, durable at ingest when this returns."""
        try:
            answer = await self._stubs.ingest().IngestBatch(
                ingest_pb2.IngestBatchRequest(items=[item]), metadata=self._metadata(), timeout=_TIMEOUT_S
            )
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error) from error
        [result] = answer.results
        if result.reason:
            violations = [Violation(one.path, one.description) for one in result.violations]
            raise invalid(result.reason, result.description, *violations)

    async def _coupon(self, popup: pb.Popup, visitor: facts_pb2.Identifier) -> coupon_pb2.Coupon | None:
        """The visitor's own code, the same one however often it is asked; None where there is none for them."""
        name = popup.revision.name
        asked = coupon_pb2.IssueCouponRequest(
            pool=popup.coupon_pool, person=visitor, occasion=f"popup:{name}", campaign=name
        )
        try:
            answer = await self._coupons().IssueCoupon(asked, metadata=self._metadata(), timeout=_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            failure = from_rpc(error)
            if failure.code not in _NO_COUPON and failure.reason not in _NO_COUPON_LEFT:
                raise failure from error
            _LOG.warning("no coupon for an answer", workspace=caller().workspace.id, popup=name, reason=failure.reason)
            return None
        return answer.coupon

    async def _check_segment(self, segment: str) -> None:
        if not segment:
            return
        try:
            asked = segment_pb2.GetSegmentRequest(name=segment)
            await self._stubs.segment().GetSegment(asked, metadata=self._metadata(), timeout=_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise _bad_popup(error, "popup.segment", "is none that is known") from error

    async def _check_pool(self, pool: str) -> None:
        if not pool:
            return
        try:
            asked = coupon_pb2.GetPoolRequest(name=pool)
            answer = await self._coupons().GetPool(asked, metadata=self._metadata(), timeout=_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise _bad_popup(error, "popup.coupon_pool", "is none that is known") from error
        if not answer.pool.for_forms:
            what = "is not for_forms: it is not meant for anybody who comes along"
            raise invalid("BAD_POPUP", f"popup.coupon_pool {what}", Violation("popup.coupon_pool", what))

    def _coupons(self) -> coupon_pb2_grpc.CouponServiceStub:
        return coupon_pb2_grpc.CouponServiceStub(self._stubs.channel_of(Role.INGEST))

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        return self._stubs.internal_metadata(caller().workspace.id)

    def _shard(self) -> ChannelShard:
        return self._shards(caller().workspace.id)


def _visitor(told: facts_pb2.Identifier) -> facts_pb2.Identifier:
    if told.kind not in _VISITORS or not told.value:
        what = f"is one of the kinds {' and '.join(_VISITORS)}"
        raise invalid("BAD_VISITOR", f"visitor: {what}", Violation("visitor", what))
    return told


def _bad_popup(error: grpc.aio.AioRpcError, path: str, what: str) -> CdpError:
    failure = from_rpc(error)
    if failure.code not in (Code.NOT_FOUND, Code.INVALID):
        return failure
    return invalid("BAD_POPUP", f"{path} {what}", Violation(path, what))
