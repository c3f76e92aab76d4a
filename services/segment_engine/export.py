"""A segment's members with attributes, as a file in parts: read block by block from one pinned version."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from cdp.bulk.v1 import bulk_pb2 as pb
from core.errors import invalid
from core.events.schema import Family, Place
from core.events.schema_names import key_of
from core.query.ast import Rule
from core.query.names import BoundRule
from core.query.plan import planned
from core.schema import Kind, Value
from core.segments.published import Published
from services.runtime.pages import bad_page_token
from services.segment_engine.asked import bind_rule, freshness_of, instant_of, leaf_view, read_rule, saved_rule
from services.segment_engine.convert import parameters_from_proto
from services.segment_engine.export_formats import KEY_COLUMN, CsvFormat, FileFormat, NdjsonFormat, ParquetFormat
from services.segment_engine.export_values import ValueReader
from services.segment_engine.questions import answered
from services.segment_engine.shard import EngineShard

UNKNOWN_ATTRIBUTE = "UNKNOWN_ATTRIBUTE"
BAD_EXPORT = "BAD_EXPORT"

_BLOCK = 2_000
_PARQUET_BLOCK = 20_000
_MOST_ATTRIBUTES = 1_000
_TOKEN_VERSION = "1"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a page begins: after a contact (-1: before all), as of an instant (0: of the first page)."""

    as_of_us: int
    after: int

    def token(self) -> str:
        """For a caller to give back."""
        told = f"{_TOKEN_VERSION}.{self.as_of_us}.{self.after}"
        return base64.urlsafe_b64encode(told.encode()).decode().rstrip("=")


async def exported(
    shard: EngineShard, request: pb.ExportSegmentRequest, wait_s: float
) -> AsyncIterator[pb.ExportSegmentResponse]:
    """The answers of ExportSegment.

    Raises as Evaluate does, INVALID: UNKNOWN_ATTRIBUTE, BAD_EXPORT, BAD_PAGE_TOKEN, MIXED_KINDS (of Parquet).
    """
    place = _place_of(request.page_token)
    published = await shard.published_at(request.min_position, wait_s)
    as_of_us = instant_of(shard, place.as_of_us or request.as_of_us, published)
    members = await _members(shard, request, published, as_of_us)
    members = members[np.searchsorted(members, max(place.after, -1) + 1) :]
    page = members[: request.page_size] if request.page_size else members
    keys, names = await _attributes(shard, request, published)
    file = _format(request, keys, names, published)
    reader = ValueReader(published.root, as_of_us)

    def part(first: int, size: int) -> bytes:
        contacts = page[first : first + size]
        columns: list[Sequence[Value | None]] = [published.root.keys_of(contacts)]
        columns += [reader.column(key, contacts) for key in keys]
        return file.block(columns)

    yield pb.ExportSegmentResponse(
        content=file.head(), freshness=freshness_of(published, as_of_us), contacts=len(page), next_page_token=""
    )
    size = _PARQUET_BLOCK if request.format == pb.EXPORT_FORMAT_PARQUET else _BLOCK
    for first in range(0, len(page), size):
        last = min(first + size, len(page))
        content = await answered(partial(part, first, size))
        more = last < len(members)
        token = _Place(as_of_us, int(members[last - 1])).token() if more else ""
        yield pb.ExportSegmentResponse(content=content, next_page_token=token)
    tail = file.tail()
    if tail:
        more = len(page) < len(members)
        token = _Place(as_of_us, int(page[-1])).token() if more else ""
        yield pb.ExportSegmentResponse(content=tail, next_page_token=token)


async def _members(
    shard: EngineShard, request: pb.ExportSegmentRequest, published: Published, as_of_us: int
) -> NDArray[np.uint32]:
    """Ascending numbers."""
    subject = request.WhichOneof("subject")
    if subject is None:
        raise invalid(BAD_EXPORT, "name a segment or give a rule")
    if subject == "name":
        view = published.segments.get(request.name)
        if view is not None and as_of_us == published.as_of_us and not request.parameters:
            return view.members.numbers()
        bound = saved_rule(shard, published, request.name)
    else:
        rule: Rule = await read_rule(request.rule)
        bound = await bind_rule(shard, rule, published.root)
    return await _asked(shard, bound, request, published, as_of_us)


async def _asked(
    shard: EngineShard, bound: BoundRule, request: pb.ExportSegmentRequest, published: Published, as_of_us: int
) -> NDArray[np.uint32]:
    parameters = parameters_from_proto(request.parameters)
    knowledge = published.knowledge_at(as_of_us)
    cache = leaf_view(shard.leaves, published, as_of_us)
    found, _ = await answered(lambda: planned(bound, published.root, as_of_us, parameters, None, cache, knowledge))
    return found.numbers()


async def _attributes(
    shard: EngineShard, request: pb.ExportSegmentRequest, published: Published
) -> tuple[list[str], list[str]]:
    """The keys of the attributes, and what they are called in the file."""
    known = published.root.attribute_kinds()
    schema = await shard.schema.newest()
    if not request.attributes:
        keys = sorted(name for name in known if not name.startswith("_"))
        shown = (schema.find(Place(Family.ATTRIBUTE, "", key)) for key in keys)
        return keys, [key if one is None else one.name for key, one in zip(keys, shown, strict=True)]
    if len(request.attributes) > _MOST_ATTRIBUTES or len(set(request.attributes)) < len(request.attributes):
        raise invalid(BAD_EXPORT, f"name at most {_MOST_ATTRIBUTES} attributes, each once")
    keys = [key_of(schema, Place(Family.ATTRIBUTE, "", name)) for name in request.attributes]
    lacking = [name for name, key in zip(request.attributes, keys, strict=True) if key not in known]
    if lacking:
        raise invalid(UNKNOWN_ATTRIBUTE, f"no contact has an attribute {lacking[0][:100]!r}")
    return keys, list(request.attributes)


def _format(
    request: pb.ExportSegmentRequest, keys: Sequence[str], names: Sequence[str], published: Published
) -> FileFormat:
    columns = [KEY_COLUMN, *names]
    if request.format == pb.EXPORT_FORMAT_PARQUET:
        if request.page_token and not request.page_size:
            raise invalid(BAD_EXPORT, "a Parquet file is whole: go on with pages, or begin anew")
        kinds = published.root.attribute_kinds()
        return ParquetFormat(columns, [Kind.TEXT, *(kinds[key] for key in keys)])
    if request.format == pb.EXPORT_FORMAT_NDJSON:
        return NdjsonFormat(columns)
    if request.format not in (pb.EXPORT_FORMAT_UNSPECIFIED, pb.EXPORT_FORMAT_CSV):
        raise invalid(BAD_EXPORT, "the format is none that this version knows")
    separator = request.list_separator or ";"
    return CsvFormat(columns, formula_safe=request.formula_safe, list_separator=separator)


def _place_of(token: str) -> _Place:
    if not token:
        return _Place(0, -1)
    try:
        told = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode("ascii").split(".")
        version, as_of, after = told
        if version != _TOKEN_VERSION or len(as_of) > 20 or len(after) > 10:
            raise bad_page_token()
        place = _Place(int(as_of), int(after))
    except (binascii.Error, UnicodeError, ValueError) as error:
        raise bad_page_token() from error
    if not 0 <= place.after < 2**32:
        raise bad_page_token()
    return place
