"""SegmentService: convert, ask core, convert."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdp.segment.v1 import segment_pb2 as pb
from cdp.segment.v1 import segment_pb2_grpc
from core.errors import conflict, invalid
from core.eventlog.protocol import EventLog
from core.index.contact_set import ContactSet
from core.query.ast import Rule
from core.query.execute import Counts, count_nodes, count_of
from core.query.names import BoundRule
from core.query.plan import Plan, planned
from core.query.text.format import format_rule
from core.segments.saved import Saved
from core.segments.standing import Published
from services.runtime.caller import caller
from services.runtime.definitions import Stored
from services.runtime.ownership import Ownership
from services.segment_engine.asked import (
    Context,
    bind_rule,
    bind_source,
    freshness_of,
    instant_of,
    leaf_view,
    patience_s,
    read_rule,
    saved_rule,
    standing_view,
)
from services.segment_engine.convert import (
    count_to_proto,
    parameters_from_proto,
    parameters_to_proto,
    segment_to_proto,
)
from services.segment_engine.convert_rule import rule_to_proto
from services.segment_engine.leaf_store import LeafStore
from services.segment_engine.node_text import node_texts
from services.segment_engine.questions import answered
from services.segment_engine.saved import SegmentDefinition
from services.segment_engine.shard import EngineShard
from services.segment_engine.watch import watch_memberships

_MAX_CONTACTS = 10_000
_BLOCK = 1 << 20
#: Evaluations of this few contacts are done at once; larger ones in a thread, so that the loop is not held.
_INLINE_CONTACTS = 64


class SegmentRpc(segment_pb2_grpc.SegmentServiceServicer):
    """Answers from the published version of the caller's workspace."""

    def __init__(self, shards: Ownership[EngineShard], log: EventLog) -> None:
        self._shards = shards
        self._log = log

    def _shard(self) -> EngineShard:
        return self._shards.shard(caller().workspace.id)

    # --- definitions ------------------------------------------------------------------------------------------

    async def SaveSegment(self, request: pb.SaveSegmentRequest, context: Context) -> pb.SaveSegmentResponse:
        shard = self._shard()
        rule = await shard.schema.to_save(await read_rule(request.rule), shard.saved.rules().get(request.name))
        async with shard.defining:
            root = shard.published.root
            bound = await bind_rule(shard, rule, root, as_name=request.name)
            stored = shard.saved.definitions.answered(request.name, request.request_id)
            if stored is None:
                stored = await self._save(shard, request, rule, bound)
        view = shard.published.segments.get(request.name)
        return pb.SaveSegmentResponse(
            segment=segment_to_proto(stored, bound.parameters, shard.schema.shown),
            count=count_to_proto(view.counts) if view is not None else None,
        )

    @staticmethod
    async def _save(shard: EngineShard, request: pb.SaveSegmentRequest, rule: Rule, bound: BoundRule) -> Stored:
        definitions = shard.saved.definitions
        payload = SegmentDefinition(rule, request.description).encode()
        change = definitions.save(
            request.name, payload, request.etag, caller().key_name, shard.clock.now_us(), request.request_id
        )
        dependents = [
            Saved.make(name, definitions.get(name).revision.version, dependent)
            for name, dependent in shard.saved.bind_dependents(request.name, rule, shard.published.root)
            if not dependent.parameters
        ]
        saved = None if bound.parameters else Saved.make(request.name, change.stored.revision.version, bound)
        await shard.save(change, saved, dependents)
        return change.stored

    async def GetSegment(self, request: pb.GetSegmentRequest, context: Context) -> pb.GetSegmentResponse:
        shard = self._shard()
        stored = shard.saved.definitions.get(request.name, request.version)
        rule = SegmentDefinition.decode(stored.payload).rule
        bound = shard.saved.bind(rule, shard.published.root, as_name=request.name)
        await shard.schema.newest()
        return pb.GetSegmentResponse(segment=segment_to_proto(stored, bound.parameters, shard.schema.shown))

    async def ListSegments(self, request: pb.ListSegmentsRequest, context: Context) -> pb.ListSegmentsResponse:
        shard = self._shard()
        page, next_page_token = shard.saved.definitions.page(request.page_size, request.page_token)
        await shard.schema.newest()
        root = shard.published.root
        return pb.ListSegmentsResponse(
            segments=[
                segment_to_proto(
                    stored, shard.saved.bind_saved(stored.revision.name, root).parameters, shard.schema.shown
                )
                for stored in page
            ],
            next_page_token=next_page_token,
        )

    async def DeleteSegment(self, request: pb.DeleteSegmentRequest, context: Context) -> pb.DeleteSegmentResponse:
        shard = self._shard()
        async with shard.defining:
            users = shard.saved.referring_to(request.name)
            if users:
                raise conflict("SEGMENT_IN_USE", f"segment {request.name!r} is referred to by {', '.join(users)}")
            change = shard.saved.definitions.delete(request.name, request.etag, caller().key_name, shard.clock.now_us())
            await shard.save(change, None, ())
        return pb.DeleteSegmentResponse(revision=change.stored.revision.to_proto())

    async def ListSegmentVersions(
        self, request: pb.ListSegmentVersionsRequest, context: Context
    ) -> pb.ListSegmentVersionsResponse:
        shard = self._shard()
        versions = shard.saved.definitions.versions(request.name)
        await shard.schema.newest()
        return pb.ListSegmentVersionsResponse(
            versions=[segment_to_proto(stored, {}, shard.schema.shown) for stored in versions]
        )

    async def ListAuditRecords(
        self, request: pb.ListAuditRecordsRequest, context: Context
    ) -> pb.ListAuditRecordsResponse:
        page, token = self._shard().saved.definitions.audit(request.page_size, request.page_token)
        return pb.ListAuditRecordsResponse(records=[record.to_proto() for record in page], next_page_token=token)

    async def ConvertRule(self, request: pb.ConvertRuleRequest, context: Context) -> pb.ConvertRuleResponse:
        shard = self._shard()
        rule = await read_rule(request.rule)
        bound = await bind_rule(shard, rule, shard.published.root)
        return pb.ConvertRuleResponse(
            text=format_rule(rule), tree=rule_to_proto(rule), parameters=parameters_to_proto(bound.parameters)
        )

    # --- answers ----------------------------------------------------------------------------------------------

    async def Count(self, request: pb.CountRequest, context: Context) -> pb.CountResponse:
        shard = self._shard()
        published = await shard.published_at(request.min_position, patience_s(context))
        view = standing_view(shard, published, request.name)
        response = pb.CountResponse(
            count=count_to_proto(view.counts), freshness=freshness_of(published), version=view.saved.version
        )
        if request.every_node:
            _, counts = await _every_node(shard.leaves, view.saved.bound, published, published.as_of_us, {}, None)
            response.nodes.extend(_node_counts(view.saved.bound, counts))
        return response

    async def Evaluate(self, request: pb.EvaluateRequest, context: Context) -> pb.EvaluateResponse:
        shard = self._shard()
        started = time.perf_counter()
        published = await shard.published_at(request.min_position, patience_s(context))
        bound = await self._subject(shard, request, published)
        as_of_us = instant_of(shard, request.as_of_us, published)
        if request.plan and request.every_node:
            raise invalid("PLAN_OR_NODES", "ask for the plan or for the counts of every node, not for both")
        parameters, contacts = parameters_from_proto(request.parameters), request.contacts or None
        nodes: Sequence[pb.NodeCount] = ()
        steps: Sequence[pb.PlanStep] = ()
        if request.every_node:
            members, counts = await _every_node(shard.leaves, bound, published, as_of_us, parameters, contacts)
            count, nodes = counts[-1], _node_counts(bound, counts)
            if bound.rule.limit is not None:
                count = count_of(members, published.root)
        else:
            members, plan, count = await _members(
                shard.leaves, bound, published, as_of_us, parameters, contacts, texts=request.plan
            )
            steps = _plan_to_proto(plan) if request.plan else ()
        return pb.EvaluateResponse(
            count=count_to_proto(count),
            nodes=nodes,
            freshness=pb.Freshness(as_of_us=as_of_us, position=published.position),
            roaring=members.serialize() if request.members else b"",
            elapsed_us=int((time.perf_counter() - started) * 1e6),
            plan=steps,
        )

    @staticmethod
    async def _subject(shard: EngineShard, request: pb.EvaluateRequest, published: Published) -> BoundRule:
        if request.WhichOneof("subject") == "name":
            return saved_rule(shard, published, request.name)
        return await bind_source(shard, request.rule, published.root)

    async def Members(self, request: pb.MembersRequest, context: Context) -> AsyncIterator[pb.MembersResponse]:
        shard = self._shard()
        published = await shard.published_at(request.min_position, patience_s(context))
        members = (await self._members(shard, published, request)).numbers()
        freshness = freshness_of(published)
        for first in range(0, max(len(members), 1), _BLOCK):
            block = ContactSet.from_numbers(members[first : first + _BLOCK])
            yield pb.MembersResponse(roaring=block.serialize(), freshness=freshness)

    async def _members(self, shard: EngineShard, published: Published, request: pb.MembersRequest) -> ContactSet:
        if not request.parameters:
            return standing_view(shard, published, request.name).members
        bound = shard.saved.bind_saved(request.name, published.root)
        parameters = parameters_from_proto(request.parameters)
        return (await _members(shard.leaves, bound, published, published.as_of_us, parameters, None))[0]

    async def ListMembers(self, request: pb.ListMembersRequest, context: Context) -> pb.ListMembersResponse:
        shard = self._shard()
        published = await shard.published_at(request.min_position, patience_s(context))
        numbers = standing_view(shard, published, request.name).members.numbers()
        token = request.page_token
        if token and not (token.isascii() and token.isdigit() and len(token) <= 10):
            raise invalid("BAD_PAGE_TOKEN", "this page token is none that an answer gave")
        first = int(np.searchsorted(numbers, int(token or 0)))
        size = min(request.page_size or 1_000, 10_000)
        page = numbers[first : first + size].tolist()
        return pb.ListMembersResponse(
            members=[pb.Member(contact=contact, key=published.root.key_of(contact)) for contact in page],
            next_page_token=str(page[-1] + 1) if first + size < len(numbers) else "",
            freshness=freshness_of(published),
        )

    async def IsMember(self, request: pb.IsMemberRequest, context: Context) -> pb.IsMemberResponse:
        shard = self._shard()
        if len(request.contacts) + len(request.keys) > _MAX_CONTACTS:
            raise invalid("TOO_MANY_CONTACTS", f"ask for at most {_MAX_CONTACTS} contacts at once")
        published = await shard.published_at(request.min_position, patience_s(context))
        by_key = [published.root.number_of(key) for key in request.keys]
        asked = [*request.contacts, *(-1 if number is None else number for number in by_key)]
        freshness = freshness_of(published)
        if request.parameters or request.as_of_us:
            bound = saved_rule(shard, published, request.name)
            as_of_us = instant_of(shard, request.as_of_us, published)
            real = [contact for contact in asked if contact >= 0]
            parameters = parameters_from_proto(request.parameters)
            members, _, _ = await _members(shard.leaves, bound, published, as_of_us, parameters, real)
            freshness = pb.Freshness(as_of_us=as_of_us, position=published.position)
        else:
            members = standing_view(shard, published, request.name).members
        return pb.IsMemberResponse(is_member=[contact in members for contact in asked], freshness=freshness)

    async def Watch(self, request: pb.WatchRequest, context: Context) -> AsyncIterator[pb.WatchResponse]:
        shard = self._shard()
        if request.segment:
            shard.saved.definitions.versions(request.segment)  # NOT_FOUND for a name that never was one
        async for response in watch_memberships(self._log, shard.partition, request):
            yield response


async def _every_node(
    leaves: LeafStore,
    bound: BoundRule,
    published: Published,
    as_of_us: int,
    parameters: dict[str, Any],
    contacts: Sequence[int] | None,
) -> tuple[ContactSet, tuple[Counts, ...]]:
    """The members, and the counts of every node."""
    candidates = None if contacts is None else np.array(contacts, np.uint32)
    cache = leaf_view(leaves, published, as_of_us) if candidates is None else None
    knowledge = published.knowledge_at(as_of_us)
    ask = partial(count_nodes, bound, published.root, as_of_us, parameters, candidates, cache, knowledge)
    return ask() if _is_small(candidates) else await answered(ask)


async def _members(
    leaves: LeafStore,
    bound: BoundRule,
    published: Published,
    as_of_us: int,
    parameters: dict[str, Any],
    contacts: Sequence[int] | None,
    *,
    texts: bool = False,
) -> tuple[ContactSet, Plan, Counts]:
    """The members alone, by the cheapest way, how they were found, and how many they are."""
    candidates = None if contacts is None else np.array(contacts, np.uint32)
    knowledge = published.knowledge_at(as_of_us)
    cache = leaf_view(leaves, published, as_of_us) if candidates is None else None

    def ask() -> tuple[ContactSet, Plan, Counts]:
        members, plan = planned(
            *(bound, published.root, as_of_us, parameters, candidates, cache, knowledge),
            texts=texts,
            stopwatch=time.perf_counter,
        )
        return members, plan, count_of(members, published.root)

    return ask() if _is_small(candidates) else await answered(ask)


def _is_small(candidates: NDArray[np.uint32] | None) -> bool:
    return candidates is not None and len(candidates) <= _INLINE_CONTACTS


def _plan_to_proto(plan: Plan) -> list[pb.PlanStep]:
    return [
        pb.PlanStep(
            node=step.node,
            text=step.text,
            negated=step.negated,
            expected=step.expected.expected,
            most=step.expected.most,
            actual=step.actual,
            asked=step.asked or 0,
            ms=step.ms,
        )
        for step in plan.steps
    ]


def _node_counts(bound: BoundRule, counts: Sequence[Counts]) -> list[pb.NodeCount]:
    return [
        pb.NodeCount(node=number, text=text, count=count_to_proto(count))
        for number, (text, count) in enumerate(zip(node_texts(bound.rule), counts, strict=True))
    ]
