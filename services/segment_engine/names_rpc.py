"""NameService: what is known about names, counted from the columns; which segments use them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from cdp.facts.v1 import facts_pb2
from cdp.segment.v1 import names_pb2 as pb
from cdp.segment.v1 import names_pb2_grpc
from core.analytics.names import (
    Description,
    describe_attribute,
    describe_element,
    describe_event,
    describe_item,
    describe_parameter,
    describe_product,
    known_in,
)
from core.errors import Violation, invalid
from core.events.canonical import product_kind
from core.events.schema import Family, Place, canonical_kind
from core.events.schema_changes import canonical_name
from core.events.schema_names import key_of
from core.index.root import Root
from core.query.renaming import names_used, uses
from core.schema import Kind
from services.runtime.caller import Scope, caller
from services.runtime.facts import value_to_proto
from services.runtime.ownership import Ownership
from services.runtime.pages import number_of, page_entries
from services.runtime.schema_places import family_from_proto, owner_from_proto, place_from_proto, place_to_proto
from services.runtime.service import GrpcService
from services.segment_engine.asked import Context, freshness_of
from services.segment_engine.questions import answered
from services.segment_engine.shard import EngineShard

_EXAMPLES, _MOST_EXAMPLES = 10, 100
_SCOPES = {"DescribeNames": Scope.READ, "ListUses": Scope.READ}


class NameRpc(names_pb2_grpc.NameServiceServicer):
    """Answers from the published version of the caller's workspace."""

    def __init__(self, shards: Ownership[EngineShard]) -> None:
        self._shards = shards

    def service(self) -> GrpcService:
        """Ready to be added to a server."""
        add = partial(names_pb2_grpc.add_NameServiceServicer_to_server, self)
        return GrpcService("cdp.segment.v1.NameService", add, _SCOPES)

    async def DescribeNames(self, request: pb.DescribeNamesRequest, context: Context) -> pb.DescribeNamesResponse:
        """Names with counts and examples. Those that begin with "_" are the platform's own and are left out."""
        shard = self._shards.shard(caller().workspace.id)
        family = family_from_proto(request.family)
        owner = owner_from_proto(family, request.owner)
        if request.examples > _MOST_EXAMPLES:
            text = f"are at most {_MOST_EXAMPLES}"
            raise invalid("BAD_EXAMPLES", f"examples {text}", Violation("examples", text))
        published, schema = shard.published, await shard.schema.newest()
        root, as_of_us = published.root, published.as_of_us
        if family in (Family.PARAMETER, Family.ELEMENT):
            of = Family.EVENT if family is Family.PARAMETER else Family.ATTRIBUTE
            owner = key_of(schema, Place(of, "", owner))
        if request.name:
            names = [key_of(schema, Place(family, owner, canonical_name(family, owner, request.name)))]
        else:
            names = sorted(name for name in known_in(root, family.value, owner) if not name.startswith("_"))
        after = number_of(request.page_token) if request.page_token else 0
        page = names[after : after + page_entries(request.page_size)]
        most = request.examples or _EXAMPLES
        described = await answered(lambda: [_described(root, family, owner, name, as_of_us, most) for name in page])
        return pb.DescribeNamesResponse(
            names=[
                _to_proto(Place(family, owner, name), _kind(root, Place(family, owner, name)), one)
                for name, one in zip(page, described, strict=True)
            ],
            next_page_token=str(after + len(page)) if after + len(page) < len(names) else "",
            freshness=freshness_of(published),
        )

    async def ListUses(self, request: pb.ListUsesRequest, context: Context) -> pb.ListUsesResponse:
        """Saved segments by name."""
        shard = self._shards.shard(caller().workspace.id)
        place, schema = place_from_proto(request.place), await shard.schema.newest()
        if place.family in (Family.PARAMETER, Family.ELEMENT):
            of = Family.EVENT if place.family is Family.PARAMETER else Family.ATTRIBUTE
            place = Place(place.family, key_of(schema, Place(of, "", place.owner)), place.name)
        place = Place(place.family, place.owner, key_of(schema, place))
        rules = shard.saved.rules()
        direct = {name for name, rule in rules.items() if uses(names_used(rule), place)}
        indirect = {user for name in direct for user in shard.saved.referring_to(name)} - direct
        return pb.ListUsesResponse(
            uses=[
                pb.Use(segment=name, version=shard.saved.definitions.get(name).revision.version, direct=name in direct)
                for name in sorted(direct | indirect)
            ]
        )


def _described(root: Root, family: Family, owner: str, name: str, as_of_us: int, most: int) -> Description:
    match family:
        case Family.ATTRIBUTE:
            return describe_attribute(root, name, as_of_us, most)
        case Family.ELEMENT:
            return describe_element(root, owner, name, as_of_us, most)
        case Family.EVENT:
            return describe_event(root, name, as_of_us)
        case Family.PARAMETER:
            return describe_parameter(root, owner, name, as_of_us, most)
        case Family.ITEM:
            return describe_item(root, name, as_of_us, most)
        case Family.PRODUCT:
            return describe_product(root, name, as_of_us, most)


def _kind(root: Root, place: Place) -> Kind | None:
    canonical = canonical_kind(place)
    if canonical is not None:
        return canonical
    match place.family:
        case Family.ATTRIBUTE:
            return root.attribute_kinds().get(place.name)
        case Family.ELEMENT:
            return root.element_kinds().get((place.owner, place.name))
        case Family.PARAMETER:
            return root.event_kinds().get(place.owner, {}).get(place.name)
        case Family.ITEM:
            return root.item_kinds().get(place.name)
        case Family.PRODUCT:
            return product_kind(place.name) or _widest(root, place.name)
        case Family.EVENT:
            return None


def _widest(root: Root, name: str) -> Kind | None:
    """The kind of a product's field: decimals where there are integers too."""
    kinds = {column.kind for run in root.products.runs for column in run.fields.columns.get(name, ())}
    return Kind.DECIMAL if Kind.DECIMAL in kinds else min(kinds, default=None)


def _to_proto(place: Place, kind: Kind | None, one: Description) -> pb.KnownName:
    examples: Sequence[pb.Example] = [
        pb.Example(value=value_to_proto(value), count=count) for value, count in one.examples
    ]
    return pb.KnownName(
        place=place_to_proto(place),
        kind=facts_pb2.Kind.ValueType(kind or 0),
        having=one.having,
        total=one.total,
        distinct=one.distinct,
        examples=examples,
        first_us=one.first_us,
        last_us=one.last_us,
    )
