"""SchemaService: convert, decide in core.events.schema_changes, convert."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import grpc

from cdp.schema.v1 import schema_pb2 as pb
from cdp.schema.v1 import schema_pb2_grpc
from core.errors import conflict, not_found
from core.events.schema import Definition, Place, Row, Schema, is_canonical
from core.events.schema_changes import NO_SUCH_NAME, base_declared, checked_base_id, declared, renamed, retired
from core.events.schema_listing import listed, order_of
from core.events.schema_names import by_owner_key
from services.ingest.schema_convert import (
    base_to_proto,
    change_to_proto,
    name_to_proto,
    order_from_token,
    token_of,
)
from services.ingest.schema_store import SchemaStore
from services.ingest.ways import Ways
from services.runtime.caller import Scope, caller
from services.runtime.pages import number_of, page_entries
from services.runtime.schema_places import family_from_proto, kind_from_proto, place_from_proto
from services.runtime.service import GrpcService

Context = grpc.aio.ServicerContext[Any, Any]

_LONG_POLL_S = 30.0
_SCOPES = {
    "DeclareName": Scope.FULL,
    "GetName": Scope.READ,
    "ListNames": Scope.READ,
    "RenameName": Scope.FULL,
    "RetireName": Scope.FULL,
    "RestoreName": Scope.FULL,
    "DeclareBase": Scope.FULL,
    "ListBases": Scope.READ,
    "ListChanges": Scope.READ,
}


class SchemaRpc(schema_pb2_grpc.SchemaServiceServicer):
    """The schema of the caller's workspace. Every process answers, from the newest there is."""

    def __init__(self, ways: Ways) -> None:
        self._ways = ways

    def service(self) -> GrpcService:
        """Ready to be added to a server."""
        add = partial(schema_pb2_grpc.add_SchemaServiceServicer_to_server, self)
        return GrpcService("cdp.schema.v1.SchemaService", add, _SCOPES)

    async def DeclareName(self, request: pb.DeclareNameRequest, context: Context) -> pb.DeclareNameResponse:
        """A name with its kind."""
        place, kind = place_from_proto(request.place), kind_from_proto(request.kind)

        def decide(schema: Schema, now_us: int) -> Sequence[Row]:
            return declared(schema, place, kind, request.title, request.base, now_us)

        schema = await self._change(decide, request.etag, "declared")
        of_base = Place(place.family, place.owner, f"{request.base}.{place.name}") if request.base else place
        there = place if schema.find(of_base) is None else of_base
        return pb.DeclareNameResponse(name=name_to_proto(_definition(schema, there)), etag=_etag(schema))

    async def GetName(self, request: pb.GetNameRequest, context: Context) -> pb.GetNameResponse:
        """One name, by any of its names."""
        place = place_from_proto(request.place)
        schema = await self._store().refreshed()
        return pb.GetNameResponse(name=name_to_proto(_definition(schema, place)), etag=_etag(schema))

    async def ListNames(self, request: pb.ListNamesRequest, context: Context) -> pb.ListNamesResponse:
        """Names, page by page; waits while `wait_etag` is the newest."""
        store = self._store()
        schema = await store.refreshed()
        if request.wait_etag and request.wait_etag == _etag(schema):
            await store.wait_changed(schema.version, _LONG_POLL_S)
            schema = await store.refreshed()
        family = family_from_proto(request.family) if request.family else None
        names = listed(schema, family, request.owner, with_retired=request.with_retired, own_only=request.own_only)
        if request.page_token:
            after = order_from_token(request.page_token)
            names = [one for one in names if order_of(one) > after]
        page = names[: page_entries(request.page_size)]
        more = len(names) > len(page)
        return pb.ListNamesResponse(
            names=[name_to_proto(one) for one in page],
            next_page_token=token_of(order_of(page[-1])) if more else "",
            etag=_etag(schema),
        )

    async def RenameName(self, request: pb.RenameNameRequest, context: Context) -> pb.RenameNameResponse:
        """Another name to show."""
        place = place_from_proto(request.place)
        schema = await self._change(lambda schema, _: renamed(schema, place, request.new_name), request.etag, "renamed")
        return pb.RenameNameResponse(name=name_to_proto(_definition(schema, place)), etag=_etag(schema))

    async def RetireName(self, request: pb.RetireNameRequest, context: Context) -> pb.RetireNameResponse:
        """Out of use."""
        place = place_from_proto(request.place)
        schema = await self._change(lambda schema, _: retired(schema, place, True), request.etag, "retired")
        return pb.RetireNameResponse(name=name_to_proto(_definition(schema, place)), etag=_etag(schema))

    async def RestoreName(self, request: pb.RestoreNameRequest, context: Context) -> pb.RestoreNameResponse:
        """Back into use."""
        place = place_from_proto(request.place)
        schema = await self._change(lambda schema, _: retired(schema, place, False), request.etag, "restored")
        return pb.RestoreNameResponse(name=name_to_proto(_definition(schema, place)), etag=_etag(schema))

    async def DeclareBase(self, request: pb.DeclareBaseRequest, context: Context) -> pb.DeclareBaseResponse:
        """A base of contacts."""
        schema = await self._change(
            lambda schema, now_us: base_declared(schema, request.id, request.title, now_us), request.etag, "declared"
        )
        return pb.DeclareBaseResponse(base=base_to_proto(schema.bases[checked_base_id(request.id)]), etag=_etag(schema))

    async def ListBases(self, request: pb.ListBasesRequest, context: Context) -> pb.ListBasesResponse:
        """All bases, by id."""
        schema = await self._store().refreshed()
        bases = [base_to_proto(schema.bases[key]) for key in sorted(schema.bases)]
        return pb.ListBasesResponse(bases=bases, etag=_etag(schema))

    async def ListChanges(self, request: pb.ListChangesRequest, context: Context) -> pb.ListChangesResponse:
        """What was changed by whom, oldest first."""
        after = number_of(request.page_token) if request.page_token else 0
        found = await self._store().changes(after, page_entries(request.page_size) + 1)
        page = found[: page_entries(request.page_size)]
        return pb.ListChangesResponse(
            changes=[change_to_proto(change) for _, change in page],
            next_page_token=str(page[-1][0]) if len(found) > len(page) else "",
        )

    def _store(self) -> SchemaStore:
        return self._ways.of(caller().workspace).schema

    async def _change(self, decide: Callable[[Schema, int], Sequence[Row]], etag: str, action: str) -> Schema:
        def unless_changed(schema: Schema, now_us: int) -> Sequence[Row]:
            if etag and etag != _etag(schema):
                raise conflict("ETAG_MISMATCH", "the schema was changed meanwhile; read it again")
            return decide(schema, now_us)

        who = caller()
        return await self._store().change(unless_changed, who.key_name or who.key_id, action)


def _etag(schema: Schema) -> str:
    return str(schema.version)


def _definition(schema: Schema, place: Place) -> Definition:
    place = by_owner_key(schema, place)
    found = schema.find(place)
    if found is not None:
        return found
    if is_canonical(place):
        return Definition(place.family, place.owner, place.name, schema.kind(place), 0)
    raise not_found(NO_SUCH_NAME, f"there is no {place}")
