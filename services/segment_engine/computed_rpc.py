"""ComputedService: attributes computed of events, and interests: saving them, and reading them of contacts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from cdp.facts.v1 import facts_pb2
from cdp.segment.v1 import computed_pb2 as pb
from cdp.segment.v1 import computed_pb2_grpc
from core.analytics.contact_values import Scored, attributes_of, dated_us, interests_of
from core.errors import CdpError, Violation, conflict, invalid, not_found
from core.query.ast import AttributeMeasure, Measure, Population, Scope
from core.query.binding.bind_measure import bind_measure
from core.query.execute_context import Context as Asked
from core.query.leaves.population import members_of
from core.query.names import Names
from core.query.text.definition import definition_text, parse_definition
from core.schema import Kind, Scalar
from core.segments.standing import Published
from services.runtime.caller import Scope as Permission
from services.runtime.caller import caller
from services.runtime.definitions import Stored
from services.runtime.ownership import Ownership
from services.runtime.service import GrpcService
from services.segment_engine.asked import Context, freshness_of, instant_of, patience_s
from services.segment_engine.computed import ComputedDefinition, encode_model
from services.segment_engine.convert_computed import (
    attributes_to_proto,
    interests_to_proto,
    model_from_proto,
    model_to_proto,
)
from services.segment_engine.questions import answered
from services.segment_engine.shard import EngineShard

_MOST_CONTACTS, _MOST_INTERESTS, _INTERESTS = 1_000, 100, 10
_SCOPES = {
    "SaveComputedAttribute": Permission.FULL,
    "ListComputedAttributes": Permission.READ,
    "DeleteComputedAttribute": Permission.FULL,
    "ContactAttributes": Permission.READ,
    "SaveInterestModel": Permission.FULL,
    "ListInterestModels": Permission.READ,
    "ContactInterests": Permission.READ,
}


class ComputedRpc(computed_pb2_grpc.ComputedServiceServicer):
    """Definitions of the caller's workspace, and answers from its published version."""

    def __init__(self, shards: Ownership[EngineShard]) -> None:
        self._shards = shards

    def service(self) -> GrpcService:
        """Ready to be added to a server."""
        add = partial(computed_pb2_grpc.add_ComputedServiceServicer_to_server, self)
        return GrpcService("cdp.segment.v1.ComputedService", add, _SCOPES)

    def _shard(self) -> EngineShard:
        return self._shards.shard(caller().workspace.id)

    # --- computed attributes ----------------------------------------------------------------------------------

    async def SaveComputedAttribute(
        self, request: pb.SaveComputedAttributeRequest, context: Context
    ) -> pb.SaveComputedAttributeResponse:
        """A definition that cannot be computed is refused with what is wrong in its text."""
        shard = self._shard()
        name, measure = parse_definition(request.text)
        if name is not None and name != request.name:
            text = f"says {name!r}, the request {request.name!r}"
            raise invalid("COMPUTED_NAME", f"text: {text}", Violation("text", text))
        async with shard.defining:
            root, computed = shard.published.root, shard.saved.computed
            stored = computed.attributes.answered(request.name, request.request_id)
            if stored is None:
                computed.check_room(request.name)
                if request.name not in computed.measures() and request.name in shard.saved.names(root).attributes:
                    raise conflict("ATTRIBUTE_EXISTS", f"{request.name!r} is an attribute that facts write")
                payload = ComputedDefinition(measure, request.description).encode()
                change = computed.attributes.save(
                    *(request.name, payload, request.etag, caller().key_name, shard.clock.now_us(), request.request_id)
                )
                after = computed.having(request.name, measure)
                bind_measure(AttributeMeasure(request.name), shard.saved.names_with(after, root), "text")
                users = await asyncio.to_thread(shard.saved.changed_by, after, root, request.name)
                await shard.save_definition(change, users, partial(computed.applied, change))
                stored = change.stored
        return pb.SaveComputedAttributeResponse(attribute=_to_proto(stored, shard.saved.names(shard.published.root)))

    async def ListComputedAttributes(
        self, request: pb.ListComputedAttributesRequest, context: Context
    ) -> pb.ListComputedAttributesResponse:
        """By name."""
        shard = self._shard()
        page, token = shard.saved.computed.attributes.page(request.page_size, request.page_token)
        names = shard.saved.names(shard.published.root)
        return pb.ListComputedAttributesResponse(
            attributes=[_to_proto(stored, names) for stored in page], next_page_token=token
        )

    async def DeleteComputedAttribute(
        self, request: pb.DeleteComputedAttributeRequest, context: Context
    ) -> pb.DeleteComputedAttributeResponse:
        """A last version that says deleted."""
        shard = self._shard()
        async with shard.defining:
            computed = shard.saved.computed
            change = computed.attributes.delete(request.name, request.etag, caller().key_name, shard.clock.now_us())
            after = computed.having(request.name, None)
            users = await asyncio.to_thread(shard.saved.changed_by, after, shard.published.root, request.name)
            await shard.save_definition(change, users, partial(computed.applied, change))
        return pb.DeleteComputedAttributeResponse(revision=change.stored.revision.to_proto())

    async def ContactAttributes(
        self, request: pb.ContactAttributesRequest, context: Context
    ) -> pb.ContactAttributesResponse:
        """Computed now, so always current."""
        shard = self._shard()
        published = await shard.published_at(request.min_position, patience_s(context))
        as_of_us = instant_of(shard, request.as_of_us, published)
        asked = _asked(shard, published, as_of_us)
        contacts = _contacts(request.contacts, request.keys, published)
        names = shard.saved.names(published.root)
        measures = {name: _measure(name, names)[0] for name in request.names or sorted(names.computed)}

        def read() -> list[dict[str, Scalar]]:
            known = _known(contacts, asked)
            found = dict(zip(known, attributes_of(measures, known, asked), strict=True))
            return [found.get(contact, {}) for contact in contacts]

        found = await answered(read)
        return pb.ContactAttributesResponse(
            contacts=attributes_to_proto(found), freshness=freshness_of(published, as_of_us)
        )

    # --- interests --------------------------------------------------------------------------------------------

    async def SaveInterestModel(
        self, request: pb.SaveInterestModelRequest, context: Context
    ) -> pb.SaveInterestModelResponse:
        """Its events must be known."""
        shard = self._shard()
        model = model_from_proto(request.model)
        async with shard.defining:
            root, computed = shard.published.root, shard.saved.computed
            stored = computed.interests.answered(model.name, request.request_id)
            if stored is None:
                computed.check_room_for_model(model.name)
                change = computed.interests.save(
                    *(model.name, encode_model(model), request.etag, caller().key_name),
                    *(shard.clock.now_us(), request.request_id),
                )
                shard.saved.check_interest(model, root)
                after = computed.having_model(model)
                users = await asyncio.to_thread(shard.saved.changed_by, after, root, model.name)
                await shard.save_definition(change, users, partial(computed.model_applied, change))
                stored = change.stored
        return pb.SaveInterestModelResponse(revision=stored.revision.to_proto())

    async def ListInterestModels(
        self, request: pb.ListInterestModelsRequest, context: Context
    ) -> pb.ListInterestModelsResponse:
        """By name."""
        return pb.ListInterestModelsResponse(
            models=[model_to_proto(model) for model in self._shard().saved.computed.models()]
        )

    async def ContactInterests(
        self, request: pb.ContactInterestsRequest, context: Context
    ) -> pb.ContactInterestsResponse:
        """The scores of the day of UTC."""
        shard = self._shard()
        if request.most > _MOST_INTERESTS:
            text = f"is at most {_MOST_INTERESTS}"
            raise invalid("BAD_MOST", f"most {text}", Violation("most", text))
        published = await shard.published_at(request.min_position, patience_s(context))
        as_of_us = instant_of(shard, request.as_of_us, published)
        asked = _asked(shard, published, as_of_us)
        model = asked.setting.interests.get(request.model)
        if model is None:
            raise not_found("NO_SUCH_INTEREST_MODEL", f"there is no interest model {request.model!r}")
        bound, most = model, request.most or _INTERESTS
        contacts = _contacts(request.contacts, request.keys, published)

        def read() -> list[tuple[Scored, ...]]:
            known = _known(contacts, asked)
            found = dict(zip(known, interests_of(bound, known, asked, most), strict=True))
            return [found.get(contact, ()) for contact in contacts]

        found = await answered(read)
        return pb.ContactInterestsResponse(
            contacts=interests_to_proto(found),
            dated_us=dated_us(as_of_us),
            version=_version(shard, model.name),
            freshness=freshness_of(published, as_of_us),
        )


def _measure(name: str, names: Names) -> tuple[Measure, Kind]:
    if name not in names.computed:
        raise not_found("NO_SUCH_COMPUTED_ATTRIBUTE", f"there is no computed attribute {name!r}")
    return bind_measure(AttributeMeasure(name), names, name)


def _version(shard: EngineShard, name: str) -> int:
    try:
        return shard.saved.computed.interests.get(name).revision.version
    except CdpError:
        return 0  # one of those that every workspace has


def _to_proto(stored: Stored, names: Names) -> pb.ComputedAttribute:
    definition = ComputedDefinition.decode(stored.payload)
    kind = bind_measure(definition.measure, names, stored.revision.name)[1]
    return pb.ComputedAttribute(
        revision=stored.revision.to_proto(),
        text=definition_text(definition.measure),
        description=definition.description,
        kind=facts_pb2.Kind.ValueType(kind),
    )


def _asked(shard: EngineShard, published: Published, as_of_us: int) -> Asked:
    names = shard.saved.names(published.root)
    return Asked(published.root, as_of_us, names.zone, None, names.setting, published.knowledge_at(as_of_us))


def _contacts(contacts: Sequence[int], keys: Sequence[str], published: Published) -> list[int]:
    """As asked; -1 for a key that nobody has."""
    if len(contacts) + len(keys) > _MOST_CONTACTS:
        raise invalid("TOO_MANY_CONTACTS", f"ask for at most {_MOST_CONTACTS} contacts at once")
    by_key = (published.root.number_of(key) for key in keys)
    return [*contacts, *(-1 if number is None else number for number in by_key)]


def _known(contacts: Sequence[int], asked: Asked) -> list[int]:
    """Those that exist as of the instant, each once."""
    alive = members_of(Population(Scope.ALL), asked)
    return sorted({contact for contact in contacts if contact >= 0 and contact in alive})
