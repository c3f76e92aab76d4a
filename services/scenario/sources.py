"""What the start of runs asks of others: who is in a segment, what an attribute was, how many need an approval."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import grpc
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from cdp.channel.v1 import channel_pb2
from cdp.profile.v1 import profile_pb2
from cdp.segment.v1 import analytics_pb2, analytics_pb2_grpc, segment_pb2
from core.errors import CdpError, Code, Violation, invalid, unavailable
from core.scenario.definition import Definition, ProductTrigger, RfmTrigger, ScheduleTrigger
from core.scenario.reentry import PRODUCT_VALUE
from core.scenario.trigger_cells import cells_needed, segment_of_cell, text_of_cell
from core.scenario.trigger_fields import Write
from core.schema import Scalar
from services.runtime.context import Runtime
from services.runtime.errors import from_rpc
from services.runtime.facts import value_from_proto, value_to_proto
from services.runtime.roles import Role

_TIMEOUT_S = 10.0
#: A question about everybody.
_LONG_S = 60.0
#: Starting more contacts at once needs an approval, unless the workspace's settings say another number.
DEFAULT_APPROVAL_CONTACTS = 10_000
_KEPT_BY_US = "Kept for scenarios that start when contacts move between the cells of this model."

A = TypeVar("A")


class Sources:
    """Calls for one workspace. Every method raises CdpError; only UNAVAILABLE and EXHAUSTED mean that asking again can
    help."""

    def __init__(self, runtime: Runtime, workspace_id: str) -> None:
        self._runtime = runtime
        self._metadata = runtime.stubs.internal_metadata(workspace_id)

    async def count(self, segment: str) -> int:
        """How many contacts are in a segment now."""
        request = segment_pb2.CountRequest(name=segment)
        answer: segment_pb2.CountResponse = await self._ask(self._runtime.stubs.segment().Count, request)
        return answer.count.total

    async def members_at(
        self, segment: str, as_of_us: int, min_position: int, parameters: Mapping[str, Scalar] | None = None
    ) -> NDArray[np.uint32]:
        """The members of a segment at an instant, ascending, by facts through `min_position` at least; of a parametric
        one with these values bound."""
        request = segment_pb2.EvaluateRequest(
            name=segment,
            as_of_us=as_of_us,
            min_position=min_position,
            members=True,
            parameters={name: value_to_proto(value) for name, value in (parameters or {}).items()},
        )
        answer: segment_pb2.EvaluateResponse = await self._ask(self._runtime.stubs.segment().Evaluate, request, _LONG_S)
        _check_position(answer.freshness.position, min_position)
        return np.array(BitMap.deserialize(answer.roaring), np.uint32)

    async def bound_members(
        self, segment: str, parameters: Mapping[str, Scalar], min_position: int
    ) -> NDArray[np.uint32]:
        """The members of a parametric segment with these values bound, ascending, by facts through `min_position` at
        least: streamed, so that no size is too much for one message."""
        request = segment_pb2.MembersRequest(
            name=segment,
            min_position=min_position,
            parameters={name: value_to_proto(value) for name, value in parameters.items()},
        )
        call = self._runtime.stubs.segment().Members(request, metadata=self._metadata, timeout=_LONG_S)
        members = BitMap()
        try:
            async for block in call:
                _check_position(block.freshness.position, min_position)
                members |= BitMap.deserialize(block.roaring)
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error) from error
        finally:
            call.cancel()
        return np.array(members, np.uint32)

    async def history(self, contact: int, name: str, from_us: int, min_upstream_position: int) -> list[Write] | None:
        """The writes of an attribute of a contact from an instant on, and the last before; None: nobody is there."""
        request = profile_pb2.AttributeHistoryRequest(
            contact=contact, name=name, from_us=from_us, min_upstream_position=min_upstream_position
        )
        try:
            answer: profile_pb2.AttributeHistoryResponse = await self._ask(
                self._runtime.stubs.profile().AttributeHistory, request
            )
        except CdpError as error:
            if error.reason == "NO_SUCH_CONTACT":
                return None
            raise
        return [Write(one.occurred_at_us, value_from_proto(one.value)) for one in answer.writes]

    async def present(self, contacts: Sequence[int]) -> frozenset[int]:
        """Those of at most 1,000 contacts that are there, by their own number."""
        if not contacts:
            return frozenset()
        request = profile_pb2.BatchGetRequest(contacts=contacts)
        answer: profile_pb2.BatchGetResponse = await self._ask(self._runtime.stubs.profile().BatchGet, request)
        return frozenset(one.contact for one in answer.profiles if one.key)

    async def approval_contacts(self) -> int:
        """Starting more contacts than this at once needs an approval."""
        request = channel_pb2.GetSettingsRequest()
        answer: channel_pb2.GetSettingsResponse = await self._ask(self._runtime.stubs.channel().GetSettings, request)
        return answer.settings.approval_contacts or DEFAULT_APPROVAL_CONTACTS

    async def check(self, definition: Definition) -> None:
        """Let the engine say whether there is what a trigger names. Raises INVALID / SCENARIO_INVALID with the path."""
        match definition.trigger:
            case ScheduleTrigger(segment):
                if await self._parameters(segment, "trigger.schedule.segment"):
                    raise _wrong("trigger.schedule.segment", f'segment "{segment}" has parameters, which nobody binds')
            case ProductTrigger(_, segment):
                if await self._parameters(segment, "trigger.product.segment") != [PRODUCT_VALUE]:
                    text = f'segment "{segment}" has the one parameter :{PRODUCT_VALUE}'
                    raise _wrong("trigger.product.segment", text)
            case RfmTrigger() as trigger:
                cells = (*await self._cells(trigger.model), "other", "none")
                for end in ("from_cells", "to_cells"):
                    for cell in getattr(trigger, end):
                        if cell not in cells:
                            raise _wrong(f"trigger.rfm.{end}", f'model "{trigger.model}" has no cell "{cell}"')

    async def keep_cells(self, trigger: RfmTrigger) -> None:
        """See to it that a standing segment is kept for every cell whose changes tell the trigger's moves. Saving one
        moves nobody."""
        for cell in cells_needed(trigger, await self._cells(trigger.model)):
            name, text = segment_of_cell(trigger.model, cell), text_of_cell(trigger.model, cell)
            if await self._text_of(name) is None:
                request = segment_pb2.SaveSegmentRequest(
                    name=name, rule=segment_pb2.RuleSource(text=text), description=_KEPT_BY_US
                )
                await self._ask(self._runtime.stubs.segment().SaveSegment, request, _LONG_S)

    async def _cells(self, model: str) -> tuple[str, ...]:
        """The named cells of an RFM model."""
        stub = analytics_pb2_grpc.AnalyticsServiceStub(self._runtime.stubs.channel_of(Role.SEGMENT_ENGINE))
        answer: analytics_pb2.ListRfmModelsResponse = await self._ask(
            stub.ListRfmModels, analytics_pb2.ListRfmModelsRequest()
        )
        for one in answer.models:
            if one.name == model:
                return tuple(cell.name for cell in one.cells)
        raise _wrong("trigger.rfm.model", f'there is no RFM model "{model}"')

    async def _parameters(self, segment: str, path: str) -> list[str]:
        request = segment_pb2.GetSegmentRequest(name=segment)
        try:
            answer: segment_pb2.GetSegmentResponse = await self._ask(self._runtime.stubs.segment().GetSegment, request)
        except CdpError as error:
            if error.code is Code.NOT_FOUND:
                raise _wrong(path, f'there is no segment "{segment}"') from error
            raise
        return [one.name for one in answer.segment.parameters]

    async def _text_of(self, segment: str) -> str | None:
        request = segment_pb2.GetSegmentRequest(name=segment)
        try:
            answer: segment_pb2.GetSegmentResponse = await self._ask(self._runtime.stubs.segment().GetSegment, request)
        except CdpError as error:
            if error.code is Code.NOT_FOUND:
                return None
            raise
        return answer.segment.text

    async def _ask(self, method: Callable[..., Awaitable[A]], request: object, timeout_s: float = _TIMEOUT_S) -> A:
        try:
            return await method(request, metadata=self._metadata, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error) from error


def _check_position(position: int, min_position: int) -> None:
    if position < min_position:
        raise unavailable("ENGINE_BEHIND", f"the engine answered for {position}, not {min_position}")


def _wrong(path: str, description: str) -> CdpError:
    return invalid("SCENARIO_INVALID", f"{path}: {description}", Violation(path, description))
