"""What calls of the segment engine ask about: their rule, their instant, and the version that answers."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc

from cdp.segment.v1 import segment_pb2 as pb
from core.errors import CdpError, invalid
from core.index.root import Root
from core.query.ast import Rule
from core.query.names import BoundRule
from core.query.problems import UNKNOWN_NAME
from core.segments.standing import Published, StandingView
from services.segment_engine.convert import source_to_rule
from services.segment_engine.leaf_store import LeafStore, LeafView
from services.segment_engine.shard import EngineShard

Context = grpc.aio.ServicerContext[Any, Any]

#: Rules of up to so many bytes, and of so many nodes, take about a millisecond; larger ones are read in a thread.
_INLINE_BYTES, _INLINE_NODES = 2_000, 50
_FUTURE_TOLERANCE_US = 60_000_000


async def read_rule(source: pb.RuleSource) -> Rule:
    """The rule of a request; a large one is read in a thread, so that the loop is not held."""
    if source.ByteSize() <= _INLINE_BYTES:
        return source_to_rule(source)
    return await asyncio.to_thread(source_to_rule, source)


async def bind_source(shard: EngineShard, source: pb.RuleSource, root: Root) -> BoundRule:
    """The rule of a request, bound. A short text goes by what is remembered of its shape."""
    if source.WhichOneof("form") == "text" and source.ByteSize() <= _INLINE_BYTES:
        try:
            return shard.saved.bind_text(source.text, root)
        except CdpError as error:
            if error.reason != UNKNOWN_NAME:
                raise  # and those of unknown names are looked at again, by `bind_rule`
    return await bind_rule(shard, await read_rule(source), root)


async def bind_rule(shard: EngineShard, rule: Rule, root: Root, as_name: str | None = None) -> BoundRule:
    """The rule, bound; a large one in a thread. Names that facts do not have may be newer names of those they have."""
    try:
        return await _bound(shard, rule, root, as_name)
    except CdpError as error:
        if error.reason != UNKNOWN_NAME:
            raise
        by_keys = await shard.schema.by_keys(rule)
        if by_keys is rule:
            raise shard.schema.explained(rule, error) from None
    return await _bound(shard, by_keys, root, as_name)


async def _bound(shard: EngineShard, rule: Rule, root: Root, as_name: str | None) -> BoundRule:
    if len(rule.nodes) <= _INLINE_NODES:
        return shard.saved.bind(rule, root, as_name)
    return await asyncio.to_thread(shard.saved.bind, rule, root, as_name)


def saved_rule(shard: EngineShard, published: Published, name: str) -> BoundRule:
    """The rule of a saved segment: as it is kept current, or bound now where it has parameters."""
    view = published.segments.get(name)
    return view.saved.bound if view is not None else shard.saved.bind_saved(name, published.root)


def standing_view(shard: EngineShard, published: Published, name: str) -> StandingView:
    """A segment that is kept current. NOT_FOUND, or INVALID / SEGMENT_HAS_PARAMETERS."""
    view = published.segments.get(name)
    if view is None:
        shard.saved.definitions.get(name)  # NOT_FOUND if there is none
        raise invalid("SEGMENT_HAS_PARAMETERS", f"segment {name!r} has parameters: ask with Evaluate and bind them")
    return view


def freshness_of(published: Published, as_of_us: int | None = None) -> pb.Freshness:
    """Of which instant (None: the published one) and position an answer is."""
    return pb.Freshness(as_of_us=published.as_of_us if as_of_us is None else as_of_us, position=published.position)


def patience_s(context: Context) -> float:
    """How long a call may wait for its position: a little less than its deadline, so that it hears why."""
    left_s = context.time_remaining()
    return 10.0 if left_s is None else max(0.0, min(left_s * 0.9, 60.0))


def instant_of(shard: EngineShard, as_of_us: int, published: Published) -> int:
    """The instant that a call asks for. INVALID / AS_OF_IN_FUTURE for one that lies ahead."""
    if as_of_us == 0:
        # The instant of what is kept current, a tick ago at most: references to segments cost nothing then.
        return published.as_of_us
    if as_of_us > shard.clock.now_us() + _FUTURE_TOLERANCE_US:
        raise invalid("AS_OF_IN_FUTURE", "as_of lies in the future; nobody knows yet who will belong")
    return as_of_us


def leaf_view(leaves: LeafStore, published: Published, as_of_us: int) -> LeafView:
    """What conditions answered before, for a call that asks about everyone at an instant."""
    return leaves.at(published.root, as_of_us, passing=as_of_us == published.as_of_us)
