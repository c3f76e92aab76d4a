"""Small real peers of what templates show: products of the segment engine, names of ingest's schema."""

from __future__ import annotations

from typing import Any

import grpc

from cdp.facts.v1 import facts_pb2
from cdp.schema.v1 import schema_pb2, schema_pb2_grpc
from cdp.segment.v1 import recommend_pb2, recommend_pb2_grpc


class Goods(recommend_pb2_grpc.RecommendServiceServicer):
    """Canned products: block -> contact -> product ids; a product is named after its id. Requests are kept."""

    def __init__(self) -> None:
        self.blocks: dict[str, dict[int, list[str]]] = {}
        self.requests: list[recommend_pb2.RecommendRequest] = []
        self.away = False

    async def Recommend(self, request: recommend_pb2.RecommendRequest, context: Any) -> recommend_pb2.RecommendResponse:
        """What is canned, at most as many as asked."""
        self.requests.append(request)
        if self.away:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        answer = recommend_pb2.RecommendResponse()
        places: dict[str, int] = {}
        for asked in request.contacts:
            blocks = answer.contacts.add().blocks
            for block in request.blocks:
                name = recommend_pb2.Block.Name(block).removeprefix("BLOCK_").lower()
                held = self.blocks.get(name, {}).get(asked.contact, [])[: request.most]
                blocks.add(block=block, products=[places.setdefault(one, len(places)) for one in held])
        answer.products.extend(product(one) for one in places)
        return answer


class Schema(schema_pb2_grpc.SchemaServiceServicer):
    """Canned keys by family, given out two a page."""

    def __init__(self) -> None:
        self.keys: dict[int, list[str]] = {
            schema_pb2.FAMILY_ATTRIBUTE: ["city", "first_name", "last_name"],
            schema_pb2.FAMILY_ITEM: ["name", "price", "product_id", "url"],
            schema_pb2.FAMILY_PARAMETER: ["cart_id"],
        }

    async def ListNames(self, request: schema_pb2.ListNamesRequest, context: Any) -> schema_pb2.ListNamesResponse:
        """A page; the token is where it begins."""
        start = int(request.page_token or 0)
        keys = self.keys[request.family]
        return schema_pb2.ListNamesResponse(
            names=[schema_pb2.Name(place=schema_pb2.Place(name=one)) for one in keys[start : start + 2]],
            next_page_token=str(start + 2) if start + 2 < len(keys) else "",
        )


def product(product_id: str) -> facts_pb2.Object:
    """One of 10.00."""
    fields = {
        "product_id": facts_pb2.Value(text=product_id),
        "name": facts_pb2.Value(text=product_id.title()),
        "price": facts_pb2.Value(decimal_units=100_000),
        "url": facts_pb2.Value(text=f"https://shop.example/{product_id}"),
    }
    return facts_pb2.Object(fields=fields)
