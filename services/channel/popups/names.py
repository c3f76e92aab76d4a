"""The names that a pop-up's answers are kept under, declared when it is saved: so its author learns of a name that
is taken by another kind, and no answer is refused for it. Rules can name them from the first answer on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import grpc

from cdp.channel.v1 import popup_pb2
from cdp.facts.v1 import facts_pb2
from cdp.schema.v1 import schema_pb2, schema_pb2_grpc
from core.errors import Code, Violation, invalid
from services.channel.popups.answers import ANSWERED, HIDDEN
from services.runtime.errors import from_rpc
from services.runtime.roles import Role
from services.runtime.stubs import Metadata, Stubs

_TIMEOUT_S = 10.0
_EVENTS = (ANSWERED, "popup_shown", "popup_closed")
_KINDS: Mapping[int, facts_pb2.Kind.ValueType] = {
    popup_pb2.POPUP_FIELD_KIND_NUMBER: facts_pb2.KIND_INTEGER,
    popup_pb2.POPUP_FIELD_KIND_DATE: facts_pb2.KIND_DATE,
}
#: What a whole number can be kept as, where facts have decided before.
_FITS_NUMBER = frozenset({facts_pb2.KIND_DECIMAL, facts_pb2.KIND_TEXT})


@dataclass(frozen=True, slots=True)
class _Name:
    """One name. `path` is the field of the pop-up that brings it; empty for those of every pop-up."""

    family: schema_pb2.Family.ValueType
    owner: str
    name: str
    kind: facts_pb2.Kind.ValueType
    path: str = ""


async def declare_names(popup: popup_pb2.Popup, stubs: Stubs, metadata: Metadata) -> None:
    """Declare what answers to `popup` are kept under. Raises INVALID / BAD_POPUP where a name is taken by another kind,
    ingest's own error otherwise."""
    schema = schema_pb2_grpc.SchemaServiceStub(stubs.channel_of(Role.INGEST))
    problems: list[Violation] = []
    for one in _names(popup):
        place = schema_pb2.Place(family=one.family, owner=one.owner, name=one.name)
        try:
            request = schema_pb2.DeclareNameRequest(place=place, kind=one.kind)
            await schema.DeclareName(request, metadata=metadata, timeout=_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            failure = from_rpc(error)
            if failure.code not in (Code.CONFLICT, Code.INVALID) or not one.path:
                raise failure from error
            if one.kind != facts_pb2.KIND_INTEGER or await _kind_of(schema, place, metadata) not in _FITS_NUMBER:
                problems.append(Violation(one.path, failure.message))
    if problems:
        raise invalid("BAD_POPUP", "; ".join(f"{v.path} {v.description}" for v in problems)[:1_000], *problems)


async def _kind_of(schema: schema_pb2_grpc.SchemaServiceStub, place: schema_pb2.Place, metadata: Metadata) -> int:
    request = schema_pb2.GetNameRequest(place=place)
    try:
        return (await schema.GetName(request, metadata=metadata, timeout=_TIMEOUT_S)).name.kind
    except grpc.aio.AioRpcError as error:
        failure = from_rpc(error)
        if failure.code is Code.NOT_FOUND:
            return facts_pb2.KIND_UNSPECIFIED
        raise failure from error


def _names(popup: popup_pb2.Popup) -> Iterator[_Name]:
    event, parameter = schema_pb2.FAMILY_EVENT, schema_pb2.FAMILY_PARAMETER
    for type_ in _EVENTS:
        yield _Name(event, "", type_, facts_pb2.KIND_UNSPECIFIED)
        yield _Name(parameter, type_, "popup", facts_pb2.KIND_TEXT)
        yield _Name(parameter, type_, "popup_version", facts_pb2.KIND_INTEGER)
    for index, one in enumerate(popup.fields):
        kind = _KINDS.get(one.kind, facts_pb2.KIND_TEXT)
        if one.kind not in HIDDEN:
            yield _Name(parameter, ANSWERED, f"answer_{one.name}", kind, f"popup.fields[{index}].name")
        if one.attribute:
            yield _Name(schema_pb2.FAMILY_ATTRIBUTE, "", one.attribute, kind, f"popup.fields[{index}].attribute")
