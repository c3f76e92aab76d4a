"""Which names contacts and the lines of events may have: the workspace's schema, and what the engine computes."""

from __future__ import annotations

from collections.abc import Collection

import grpc

from cdp.profile.v1 import profile_pb2
from cdp.schema.v1 import schema_pb2, schema_pb2_grpc
from core.errors import CdpError, unavailable
from core.events.vocabulary import COMMON_PARAMS
from core.identity.rules import DEFAULT_KINDS
from services.channel.computed import ComputedValues
from services.channel.names_used import Vocabulary
from services.runtime.errors import from_rpc
from services.runtime.roles import Role
from services.runtime.stubs import Stubs

_TIMEOUT_S = 5.0
_PAGE = 1_000


class KnownNames:
    """Asks for one workspace, anew each time: who checks a template has often just declared a name."""

    def __init__(self, workspace: str, stubs: Stubs, computed: ComputedValues) -> None:
        self._workspace = workspace
        self._stubs = stubs
        self._computed = computed

    async def vocabulary(self, values: Collection[str] | None, event_type: str = "") -> Vocabulary:
        """The vocabulary of templates whose messages bring these values (None: any), and the parameters of a type of
        events. Raises UNAVAILABLE/SCHEMA_UNAVAILABLE, and COMPUTED_UNAVAILABLE."""
        attributes = await self._names(schema_pb2.FAMILY_ATTRIBUTE)
        items = await self._names(schema_pb2.FAMILY_ITEM)
        computed = await self._computed.names()
        contact = attributes | computed | await self._kinds()
        if values is None:
            return Vocabulary(contact, items, None)
        of_event = await self._names(schema_pb2.FAMILY_PARAMETER, event_type) if event_type else frozenset()
        return Vocabulary(contact, items, frozenset((*values, *of_event, *(COMMON_PARAMS if event_type else ()))))

    async def _kinds(self) -> frozenset[str]:
        """Of identifiers: those that everybody has, and the workspace's own."""
        try:
            answer = await self._stubs.profile().GetIdentityRules(
                profile_pb2.GetIdentityRulesRequest(),
                metadata=self._stubs.internal_metadata(self._workspace),
                timeout=_TIMEOUT_S,
            )
        except grpc.aio.AioRpcError as error:
            raise _unavailable(error) from error
        return frozenset((*DEFAULT_KINDS, *(one.name for one in answer.rules.kinds)))

    async def _names(self, family: schema_pb2.Family.ValueType, owner: str = "") -> frozenset[str]:
        """The keys, under which facts are kept; retired names have values still."""
        stub = schema_pb2_grpc.SchemaServiceStub(self._stubs.channel_of(Role.INGEST))
        request = schema_pb2.ListNamesRequest(family=family, owner=owner, with_retired=True, page_size=_PAGE)
        found: set[str] = set()
        while True:
            try:
                answer = await stub.ListNames(
                    request, metadata=self._stubs.internal_metadata(self._workspace), timeout=_TIMEOUT_S
                )
            except grpc.aio.AioRpcError as error:
                raise _unavailable(error) from error
            found |= {one.place.name for one in answer.names}
            if not answer.next_page_token:
                return frozenset(found)
            request.page_token = answer.next_page_token


def _unavailable(error: grpc.aio.AioRpcError) -> CdpError:
    failure = from_rpc(error)
    return unavailable("SCHEMA_UNAVAILABLE", f"{failure.reason}: {failure.message}")
