"""What the schema says about the names in rules: ingest keeps it, the engine asks and remembers for a second.

Saved rules are kept under keys, which never change, so nothing that is kept current waits for ingest. Only who writes a
rule by a newer name, or a new rule, needs the schema.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import grpc

from cdp.schema.v1 import schema_pb2, schema_pb2_grpc
from core.errors import CdpError, Violation, invalid
from core.events.schema import Base, Definition, Place, Row, Schema
from core.events.schema_names import definition_of, key_of, shown_of
from core.query.ast import Rule
from core.query.renaming import names_used, renamed_rule
from core.schema import Kind
from services.runtime.errors import from_rpc
from services.runtime.roles import Role
from services.runtime.schema_places import place_from_proto
from services.runtime.stubs import Stubs
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)

RETIRED_NAME = "RETIRED_NAME"
UNKNOWN_BASE = "UNKNOWN_BASE"

_FRESH_S = 1.0
_PATIENCE_S = 2.0
_PAGE = 1_000


class SchemaNames:
    """The schema of one workspace, as ingest answered last. Before its first answer nothing is renamed or retired."""

    def __init__(self, stubs: Stubs, workspace: str) -> None:
        self._stubs = stubs
        self._workspace = workspace
        self._schema = Schema()
        self._etag = ""
        self._renamed = self._retired = self._declared = False
        self._asked_s = float("-inf")
        self._seconds: Callable[[], float] = asyncio.get_running_loop().time

    @property
    def known(self) -> Schema:
        """What was answered last."""
        return self._schema

    async def newest(self) -> Schema:
        """The schema, a second old at most; an older one, which the log says, while ingest does not answer."""
        if self._seconds() - self._asked_s < _FRESH_S:
            return self._schema
        return await self._asked()

    async def _asked(self) -> Schema:
        began_s = self._seconds()
        try:
            self._schema = await self._read()
        except grpc.aio.AioRpcError as error:
            _LOG.info("schema not read, the last one is used", reason=from_rpc(error).reason)
        self._asked_s = began_s
        return self._schema

    async def by_keys(self, rule: Rule) -> Rule:
        """The rule under the keys of its names; the same object where it has them already."""
        schema = await self.newest()
        if not self._renamed:
            return rule
        renamed = await asyncio.to_thread(renamed_rule, rule, partial(key_of, schema))
        return rule if renamed == rule else renamed

    async def to_save(self, rule: Rule, before: Rule | None) -> Rule:
        """`by_keys`, for a rule that is saved in the place of `before`.

        Raises INVALID / RETIRED_NAME for a retired name and INVALID / UNKNOWN_BASE for a base that is not declared,
        once any is, unless `before` has them already."""
        schema = await self._asked()
        rule = await self.by_keys(rule)
        new = await asyncio.to_thread(_new_names, rule, before) if self._retired else ()
        for place in new:
            found = definition_of(schema, place)
            if found is not None and found.retired:
                text = f"{replace(place, name=found.name)} is retired: restore it, or use another name"
                raise invalid(RETIRED_NAME, text, Violation("rule", text))
        base = rule.base
        if base is not None and schema.bases and base not in schema.bases and (before is None or before.base != base):
            text = f"there is no base {base!r}; there are {', '.join(sorted(schema.bases))}"
            raise invalid(UNKNOWN_BASE, text, Violation("rule", text))
        return rule

    def explained(self, rule: Rule, error: CdpError) -> CdpError:
        """An error about an unknown name, which says so where the name is declared and only its facts are missing."""
        for place in names_used(rule) if self._declared else ():
            found = definition_of(self._schema, place)
            if found is not None and found.declared and f'"{place.name}"' in error.message:
                text = f"{error.message} It is declared: rules can name it as soon as a fact has it."
                return invalid(error.reason, text, *error.violations)
        return error

    def shown(self, rule: Rule) -> Rule:
        """The rule under the names that people see, as far as the schema was read."""
        return renamed_rule(rule, partial(shown_of, self._schema)) if self._renamed else rule

    async def _read(self) -> Schema:
        stub = schema_pb2_grpc.SchemaServiceStub(self._stubs.channel_of(Role.INGEST))
        metadata = self._stubs.internal_metadata(self._workspace)
        request = schema_pb2.ListNamesRequest(own_only=True, with_retired=True, page_size=_PAGE)
        answer = await stub.ListNames(request, metadata=metadata, timeout=_PATIENCE_S)
        if answer.etag == self._etag:
            return self._schema
        names, etag = list(answer.names), answer.etag
        while answer.next_page_token:
            request.page_token = answer.next_page_token
            answer = await stub.ListNames(request, metadata=metadata, timeout=_PATIENCE_S)
            names += answer.names
        bases = (await stub.ListBases(schema_pb2.ListBasesRequest(), metadata=metadata, timeout=_PATIENCE_S)).bases
        rows: list[Row] = [_definition(name) for name in names]
        rows += [Base(one.id, one.title, one.since_us) for one in bases]
        self._etag = etag
        self._renamed = any(len(name.names) > 1 for name in names)
        self._retired = any(name.retired for name in names)
        self._declared = any(name.declared for name in names)
        return Schema().with_rows(rows, int(etag))


def _new_names(rule: Rule, before: Rule | None) -> list[Place]:
    """The names that `before` does not use yet."""
    old = frozenset() if before is None else names_used(before)
    return sorted(names_used(rule) - old, key=str)


def _definition(name: schema_pb2.Name) -> Definition:
    place: Place = place_from_proto(name.place)
    return Definition(
        place.family,
        place.owner,
        place.name,
        Kind(name.kind) if name.kind else None,
        name.since_us,
        name.declared,
        name.shown,
        tuple(name.names[1:]),
        name.title,
        name.base,
        name.retired,
    )
