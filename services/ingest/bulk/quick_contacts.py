"""Contacts without a detour: a row of cells that were each checked before is put together from what they became.

Each distinct cell passes the door's checks once, alone; a row of cells that passed without a remark is accepted as it
is. Whatever needs a closer look (a refusal, a note, a new name, an id of the row's own) is left to the door as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from zoneinfo import ZoneInfo

from cdp.bulk.v1 import bulk_pb2 as pb
from cdp.facts.v1 import facts_pb2
from core.clock import MAX_INSTANT_US, MIN_INSTANT_US
from core.events.canonical import attribute_name
from core.events.checks import Bad, is_plain_text
from core.events.columns import Identifier
from core.events.persons import check_attributes
from core.events.report import Report
from core.events.schema import Schema
from core.events.schema_check import SchemaCheck
from core.schema import Kind
from services.ingest.accept import MAX_EVENT_BYTES
from services.ingest.bulk.cells import Reading, value_of
from services.ingest.bulk.door_rules import Usable
from services.ingest.bulk.mapping import kind_in, target_of
from services.ingest.bulk.rows import Row
from services.ingest.bulk.times import instant_of
from services.ingest.convert import plain
from services.ingest.feeds.encode import varint
from services.runtime.facts import value_to_proto

_MOST_CACHED = 50_000
#: An item's own fields besides its cells, at most.
_ROOM_BYTES = 512
_QUICK = frozenset({"identifier", "attribute", "time"})
#: Attributes that are taken as identifiers, or checked against more than their kind.
_SPECIAL = frozenset({"email", "phone", "external_id", "bases"})

# Tags of cdp.facts.v1.AcceptedFact: id, occurred_at_us, imported, profile.
_ID, _OCCURRED, _IMPORTED, _PROFILE = b"\x0a", b"\x10", b"\x20\x01", b"\x32"

#: What a cell becomes: a serialised ProfileUpdate, or an instant; None: the door has to look at the row.
_Made = bytes | int | None


class _Column:
    __slots__ = ("cache", "family", "make", "place")

    def __init__(self, place: int, family: str, make: Callable[[str], _Made]) -> None:
        self.place = place
        self.family = family
        self.make = make
        self.cache: dict[str, _Made] = {}


class QuickContacts:
    """The quick way of one import of contacts; `fact` answers None for whatever is not for it."""

    def __init__(self, spec: pb.ImportSpec, told_at_us: int, id_prefix: str) -> None:
        self._spec = spec
        self._told_at_us = told_at_us
        self._id_prefix = id_prefix
        self._known: tuple[Schema, Usable] | None = None
        self._columns: list[_Column] = []
        targets = [target_of(one.target) for one in spec.columns if one.target]
        names = [attribute_name(one.name) for one in targets if one.family == "attribute"]
        kinds = [one.name for one in targets if one.family == "identifier"]
        self._possible = (
            all(one.family in _QUICK for one in targets)
            and len(set(names)) == len(names)
            and len(set(kinds)) == len(kinds)
            and not _SPECIAL.intersection(names)
            and not spec.empty_erases
        )

    def use(self, schema: Schema, usable: Usable) -> None:
        """Check what follows by these rules."""
        if self._known is None or self._known[0] is not schema or self._known[1] is not usable:
            self._known = (schema, usable)
            self._columns = self._made(schema, usable) if self._possible else []

    def fact(self, row: Row) -> bytes | None:
        """The row as a serialised AcceptedFact without `received_at_us`; None: the door decides."""
        if row.wrong is not None or not self._columns:
            return None
        cells, pieces, named, at_us = row.cells, [], False, self._told_at_us
        for column in self._columns:
            cell = cells[column.place]
            if cell is None or cell == "":
                continue
            if type(cell) is not str:
                return None
            cache = column.cache
            if cell in cache:
                made = cache[cell]
            else:
                if len(cache) >= _MOST_CACHED:
                    cache.clear()
                made = cache[cell] = column.make(cell)
            if made is None:
                return None
            if isinstance(made, int):
                at_us = made
            else:
                pieces.append(made)
                named = named or column.family == "identifier"
        profile = b"".join(pieces)
        if not named or len(profile) > MAX_EVENT_BYTES - _ROOM_BYTES:
            return None
        name = f"{self._id_prefix}{row.number}".encode()
        occurred = varint(at_us) if at_us >= 0 else varint(at_us + (1 << 64))
        head = (_ID, varint(len(name)), name, _OCCURRED, occurred, _IMPORTED, _PROFILE, varint(len(profile)))
        return b"".join((*head, profile))

    def _made(self, schema: Schema, usable: Usable) -> list[_Column]:
        spec, zone, found = self._spec, ZoneInfo(self._spec.zone), []
        for place, one in enumerate(spec.columns):
            if not one.target:
                continue
            target = target_of(one.target)
            reading = Reading(one.time_format or spec.time_format, zone, spec.decimal_comma, spec.list_separator)
            make: Callable[[str], _Made]
            if target.family == "identifier":
                make = partial(_identifier, usable, target.name)
            elif target.family == "time":
                make = partial(_time, reading)
            else:
                kind = kind_in(schema, target, "") or (Kind(one.kind) if one.kind else None)
                make = partial(_attribute, schema, target.name, kind, reading)
            found.append(_Column(place, target.family, make))
        return found


def _identifier(usable: Usable, kind: str, cell: str) -> _Made:
    if not is_plain_text(cell) or not usable(Identifier(kind, cell)):
        return None
    told = facts_pb2.Identifier(kind=kind, value=cell)
    return facts_pb2.ProfileUpdate(identifiers=[told]).SerializeToString()


def _time(reading: Reading, cell: str) -> _Made:
    at = instant_of(cell, reading.time_format, reading.zone)
    return at.us if not isinstance(at, Bad) and at.us and MIN_INSTANT_US <= at.us < MAX_INSTANT_US else None


def _attribute(schema: Schema, name: str, kind: Kind | None, reading: Reading, cell: str) -> _Made:
    if not cell.isascii() and not is_plain_text(cell):
        return None
    value = value_of(cell, kind, reading)
    if isinstance(value, Bad):
        return None
    report = Report()
    names = SchemaCheck(schema, report)
    found = check_attributes((({name: plain(value)}, ""),), report, names)
    if report.problems or report.notes or names.wants or len(found) != 1:
        return None
    attributes = {key: value_to_proto(kept) for key, kept in found.items()}
    return facts_pb2.ProfileUpdate(attributes=attributes).SerializeToString()
