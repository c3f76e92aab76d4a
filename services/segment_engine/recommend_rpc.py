"""RecommendService: products for contacts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from weakref import WeakKeyDictionary

from cdp.facts.v1 import facts_pb2
from cdp.segment.v1 import recommend_pb2 as pb
from cdp.segment.v1 import recommend_pb2_grpc
from core.errors import CdpError, Violation, invalid
from core.query.ast import Population, Scope
from core.query.execute_context import Context as Asked
from core.query.leaves.population import members_of
from core.recommend.asked import MOST_QUESTIONS, Entry
from core.recommend.goods import Good
from core.recommend.recommend import Block, Recommended, recommend
from services.runtime.caller import Scope as Permission
from services.runtime.caller import caller
from services.runtime.facts import value_to_proto
from services.runtime.ownership import Ownership
from services.runtime.service import GrpcService
from services.segment_engine.asked import Context, freshness_of, instant_of, patience_s
from services.segment_engine.kept_counts import KeptCounts
from services.segment_engine.questions import answered
from services.segment_engine.shard import EngineShard

_MOST_CONTACTS, _MOST_PRODUCTS, _PRODUCTS = 1_000, 50, 10
_SCOPES = {"Recommend": Permission.READ}
_BLOCKS: Mapping[int, Block] = {
    pb.BLOCK_VIEWED: Block.VIEWED,
    pb.BLOCK_RECOMMENDED: Block.RECOMMENDED,
    pb.BLOCK_ANALOGUES: Block.ANALOGUES,
    pb.BLOCK_ACCESSORIES: Block.ACCESSORIES,
    pb.BLOCK_CART: Block.CART,
    pb.BLOCK_WISHLIST: Block.WISHLIST,
    pb.BLOCK_FAVOURITE: Block.FAVOURITE,
}


class RecommendRpc(recommend_pb2_grpc.RecommendServiceServicer):
    """Answers from the published version of the caller's workspace, and from its counts."""

    def __init__(self, shards: Ownership[EngineShard]) -> None:
        self._shards = shards
        self._counts: WeakKeyDictionary[EngineShard, KeptCounts] = WeakKeyDictionary()

    def service(self) -> GrpcService:
        """Ready to be added to a server."""
        add = partial(recommend_pb2_grpc.add_RecommendServiceServicer_to_server, self)
        return GrpcService("cdp.segment.v1.RecommendService", add, _SCOPES)

    async def Recommend(self, request: pb.RecommendRequest, context: Context) -> pb.RecommendResponse:
        """See the .proto."""
        blocks, most = _checked(request)
        shard = self._shards.shard(caller().workspace.id)
        published = await shard.published_at(request.min_position, patience_s(context))
        as_of_us = instant_of(shard, request.as_of_us, published)
        names = shard.saved.names(published.root)
        everyone = Asked(published.root, as_of_us, names.zone, None, names.setting, published.knowledge_at(as_of_us))
        counts = await self._kept(shard).of(everyone)

        def read() -> pb.RecommendResponse:
            alive = members_of(Population(Scope.ALL), everyone)
            known = [place for place, one in enumerate(request.contacts) if one.contact in alive]
            asked = [request.contacts[place] for place in known]
            entries = [Entry(one.contact, tuple(one.products)) for one in asked]
            answer = _answer(request, known, recommend(entries, blocks, most, everyone, counts))
            answer.counted_at_us, answer.counted_position = counts.as_of_us, counts.position
            return answer

        answer = await answered(read)
        answer.freshness.CopyFrom(freshness_of(published, as_of_us))
        return answer

    def _kept(self, shard: EngineShard) -> KeptCounts:
        kept = self._counts.get(shard)
        if kept is None:
            kept = self._counts[shard] = KeptCounts(asyncio.get_running_loop().time)
        return kept


def _checked(request: pb.RecommendRequest) -> tuple[Sequence[Block], int]:
    if len(request.contacts) > _MOST_CONTACTS:
        raise _wrong("contacts", f"has more than {_MOST_CONTACTS} contacts")
    for place, one in enumerate(request.contacts):
        if len(one.products) > MOST_QUESTIONS:
            raise _wrong(f"contacts[{place}].products", f"has more than {MOST_QUESTIONS} products")
    if request.most > _MOST_PRODUCTS:
        raise _wrong("most", f"is at most {_MOST_PRODUCTS}")
    if not request.blocks or len(set(request.blocks)) < len(request.blocks):
        raise _wrong("blocks", "names blocks, each once")
    for place, block in enumerate(request.blocks):
        if block not in _BLOCKS:
            raise _wrong(f"blocks[{place}]", "is no block known to this version")
    return [_BLOCKS[block] for block in request.blocks], request.most or _PRODUCTS


def _answer(request: pb.RecommendRequest, known: Sequence[int], found: Recommended) -> pb.RecommendResponse:
    """`known`: the places in the request of the entries that were answered."""
    answer = pb.RecommendResponse(products=[_good_to_proto(good) for good in found.goods])
    for _ in request.contacts:
        answer.contacts.append(pb.ContactBlocks(blocks=[pb.BlockProducts(block=one) for one in request.blocks]))
    for place, lists in zip(known, found.blocks, strict=True):
        for block, products in zip(answer.contacts[place].blocks, lists, strict=True):
            block.products.extend(products)
    return answer


def _good_to_proto(good: Good) -> facts_pb2.Object:
    fields = {name: value_to_proto(value) for name, value in good.fields.items()}
    return facts_pb2.Object(fields={**fields, "product_id": facts_pb2.Value(text=good.product_id)})


def _wrong(path: str, text: str) -> CdpError:
    return invalid("BAD_RECOMMEND", f"{path}: {text}", Violation(path, text))
