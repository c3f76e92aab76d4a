"""Values, event columns and fact batches between their wire form and core."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdp.facts.v1 import facts_pb2
from core.errors import invalid
from core.events.columns import EventColumns, Identifier, ParamColumn
from core.events.facts import (
    AttributeWrite,
    ConsentWrite,
    ContactFact,
    ContactState,
    Erasure,
    FactBatch,
    ListChange,
    MachineMark,
    MarkedEvent,
    Merge,
    ProductState,
    Unmerge,
)
from core.schema import (
    MAX_DECIMAL_UNITS,
    DecimalUnits,
    Instant,
    Kind,
    Location,
    Scalar,
    Value,
    parse_decimal,
)
from services.runtime.identity_facts import (
    consent_from_proto,
    consent_to_proto,
    unmerge_from_proto,
    unmerge_to_proto,
)
from services.runtime.product_changes import changes_from_proto, changes_to_proto

_EPOCH = date(1970, 1, 1)
#: Elements of columns on the wire.
_U1, _U4, _I8 = "<u1", "<u4", "<i8"


def value_to_proto(value: Value | None) -> facts_pb2.Value:
    """The wire form; None is a message with nothing set."""
    if value is None:
        return facts_pb2.Value()
    if isinstance(value, str):
        return facts_pb2.Value(text=value)
    if isinstance(value, bool):
        return facts_pb2.Value(boolean=value)
    if isinstance(value, int):
        return facts_pb2.Value(integer=value)
    if isinstance(value, DecimalUnits):
        return facts_pb2.Value(decimal_units=value.units)
    if isinstance(value, Instant):
        return facts_pb2.Value(instant_us=value.us)
    if isinstance(value, date):
        return facts_pb2.Value(date_days=(value - _EPOCH).days)
    if isinstance(value, Location):
        return facts_pb2.Value(
            location=facts_pb2.Location(latitude_e7=value.latitude_e7, longitude_e7=value.longitude_e7)
        )
    texts = [element for element in value if isinstance(element, str)]
    objects = [element for element in value if not isinstance(element, str)]
    if objects:
        return facts_pb2.Value(objects=facts_pb2.ObjectList(values=[object_to_proto(fields) for fields in objects]))
    return facts_pb2.Value(texts=facts_pb2.TextList(values=texts))


def object_to_proto(fields: Mapping[str, Scalar]) -> facts_pb2.Object:
    """An object's fields on the wire."""
    return facts_pb2.Object(fields={name: value_to_proto(value) for name, value in fields.items()})


def value_from_proto(message: facts_pb2.Value) -> Value | None:
    """The value, or None when nothing is set. Raises INVALID / BAD_VALUE for a decimal or date out of range."""
    match message.WhichOneof("kind"):
        case None:
            return None
        case "text":
            return message.text
        case "integer":
            return message.integer
        case "decimal":
            try:
                return parse_decimal(message.decimal)
            except ValueError as error:
                raise invalid("BAD_VALUE", str(error)) from error
        case "decimal_units":
            if abs(message.decimal_units) > MAX_DECIMAL_UNITS:
                raise invalid("BAD_VALUE", f"{message.decimal_units} units are more than 9e14")
            return DecimalUnits(message.decimal_units)
        case "boolean":
            return message.boolean
        case "instant_us":
            return Instant(message.instant_us)
        case "date_days":
            try:
                return _EPOCH + timedelta(days=message.date_days)
            except OverflowError as error:
                raise invalid("BAD_VALUE", f"day {message.date_days} is no date") from error
        case "texts":
            return tuple(message.texts.values)
        case "objects":
            return tuple(_object_from_proto(one) for one in message.objects.values)
        case "location":
            return Location(message.location.latitude_e7, message.location.longitude_e7)


def scalar_from_proto(message: facts_pb2.Value) -> Scalar | None:
    """Like `value_from_proto`, but lists, objects and locations raise INVALID / NOT_A_SCALAR."""
    value = value_from_proto(message)
    if isinstance(value, tuple | Location):
        raise invalid("NOT_A_SCALAR", "a single value is needed here, not a list or a location")
    return value


def _object_from_proto(message: facts_pb2.Object) -> dict[str, Scalar]:
    fields = {name: scalar_from_proto(value) for name, value in message.fields.items()}
    return {name: value for name, value in fields.items() if value is not None}


def _pack(array: NDArray[Any], dtype: str) -> bytes:
    """The array's elements as `dtype`, which is little-endian on every machine."""
    return np.asarray(array, dtype).tobytes()


def _unpack(raw: bytes, dtype: str, length: int, name: str) -> NDArray[Any]:
    """A read-only view of `raw`. Raises INVALID / BAD_COLUMNS unless it holds `length` elements."""
    if len(raw) != length * np.dtype(dtype).itemsize:
        raise invalid("BAD_COLUMNS", f"{name} has {len(raw)} bytes, which is not {length} x {dtype}")
    return np.frombuffer(raw, dtype)


def _params_to_proto(columns: tuple[ParamColumn, ...]) -> list[facts_pb2.ParamColumn]:
    return [
        facts_pb2.ParamColumn(
            name=c.name, kind=facts_pb2.Kind.ValueType(c.kind), rows=_pack(c.rows, _U4), values=_pack(c.values, _I8)
        )
        for c in columns
    ]


def _params_from_proto(messages: Sequence[facts_pb2.ParamColumn]) -> tuple[ParamColumn, ...]:
    return tuple(
        ParamColumn(
            m.name,
            Kind(m.kind),
            _unpack(m.rows, _U4, len(m.rows) // 4, m.name),
            _unpack(m.values, _I8, len(m.rows) // 4, m.name),
        )
        for m in messages
    )


def columns_to_proto(columns: EventColumns) -> facts_pb2.EventColumns:
    """Event columns on the wire; arrays are little-endian bytes."""
    message = facts_pb2.EventColumns(
        ids=columns.ids,
        strings=columns.strings,
        types=_pack(columns.types, _U4),
        occurred_at_us=_pack(columns.occurred_at_us, _I8),
        received_at_us=_pack(columns.received_at_us, _I8),
        flags=_pack(columns.flags, _U1),
        params=_params_to_proto(columns.params),
        item_offsets=_pack(columns.item_offsets, _U4),
        item_params=_params_to_proto(columns.item_params),
        contacts=b"" if columns.contacts is None else _pack(columns.contacts, _U4),
    )
    if columns.identifiers:
        kinds: dict[str, int] = {}
        codes = bytearray()
        offsets = [0]
        for row in columns.identifiers:
            for identifier in row:
                codes.append(kinds.setdefault(identifier.kind, len(kinds)))
                message.identifier_values.append(identifier.value)
            offsets.append(len(codes))
        message.identifier_offsets = _pack(np.array(offsets), _U4)
        message.identifier_kinds.extend(kinds)
        message.identifier_kind_codes = bytes(codes)
    return message


def columns_from_proto(message: facts_pb2.EventColumns) -> EventColumns:
    """Event columns from the wire; arrays are read-only views of the message's bytes.

    `contacts` of a batch without events is empty, resolved or not. Raises INVALID / BAD_COLUMNS when lengths do not
    agree.
    """
    n = len(message.ids)
    identifiers: tuple[tuple[Identifier, ...], ...] = ()
    if message.identifier_offsets:
        offsets = _unpack(message.identifier_offsets, _U4, n + 1, "identifier_offsets").tolist()
        codes, values, kinds = message.identifier_kind_codes, message.identifier_values, list(message.identifier_kinds)
        if not len(codes) == len(values) == offsets[-1] or max(codes, default=-1) >= len(kinds):
            raise invalid("BAD_COLUMNS", "identifiers and their offsets do not agree")
        flat = [Identifier(kinds[code], value) for code, value in zip(codes, values, strict=True)]
        identifiers = tuple(tuple(flat[offsets[i] : offsets[i + 1]]) for i in range(n))
    return EventColumns(
        ids=tuple(message.ids),
        types=_unpack(message.types, _U4, n, "types"),
        occurred_at_us=_unpack(message.occurred_at_us, _I8, n, "occurred_at_us"),
        received_at_us=_unpack(message.received_at_us, _I8, n, "received_at_us"),
        flags=_unpack(message.flags, _U1, n, "flags"),
        params=_params_from_proto(message.params),
        item_offsets=_unpack(message.item_offsets or bytes(4 * (n + 1)), _U4, n + 1, "item_offsets"),
        item_params=_params_from_proto(message.item_params),
        strings=tuple(message.strings),
        identifiers=identifiers,
        contacts=_unpack(message.contacts, _U4, n, "contacts") if message.contacts or n == 0 else None,
    )


def contact_fact_to_proto(fact: ContactFact) -> facts_pb2.ContactFact:
    """One change of a contact on the wire. A ProductState has contact 0."""
    match fact:
        case ContactState():
            return facts_pb2.ContactFact(
                contact=fact.contact,
                occurred_at_us=fact.occurred_at_us,
                imported=fact.imported,
                before_event=fact.before_event,
                item=fact.item,
                part=fact.part,
                state=facts_pb2.ContactState(
                    key=fact.key, known=fact.known, reachable=fact.reachable, told_at_us=fact.told_at_us or 0
                ),
            )
        case AttributeWrite():
            return facts_pb2.ContactFact(
                contact=fact.contact,
                occurred_at_us=fact.occurred_at_us,
                imported=fact.imported,
                before_event=fact.before_event,
                item=fact.item,
                part=fact.part,
                attribute=facts_pb2.AttributeWrite(name=fact.name, value=value_to_proto(fact.value)),
            )
        case ListChange():
            return facts_pb2.ContactFact(
                contact=fact.contact,
                occurred_at_us=fact.occurred_at_us,
                imported=fact.imported,
                before_event=fact.before_event,
                item=fact.item,
                part=fact.part,
                list=facts_pb2.ListMove(list=fact.list_name, member=fact.member),
            )
        case ConsentWrite():
            return consent_to_proto(fact)
        case Unmerge():
            return unmerge_to_proto(fact)
        case MachineMark():
            marked = [facts_pb2.MarkedEvent(id=one.id, occurred_at_us=one.occurred_at_us) for one in fact.events]
            return facts_pb2.ContactFact(
                contact=fact.contact,
                occurred_at_us=fact.occurred_at_us,
                imported=fact.imported,
                before_event=fact.before_event,
                item=fact.item,
                part=fact.part,
                machine_mark=facts_pb2.MachineMark(events=marked, reason=fact.reason),
            )
        case Merge():
            return facts_pb2.ContactFact(
                contact=fact.survivor,
                before_event=fact.before_event,
                item=fact.item,
                merge=facts_pb2.Merge(loser=fact.loser),
            )
        case Erasure():
            return facts_pb2.ContactFact(
                contact=fact.contact, before_event=fact.before_event, item=fact.item, erasure=facts_pb2.Erasure()
            )
        case ProductState():
            return facts_pb2.ContactFact(
                occurred_at_us=fact.occurred_at_us,
                before_event=fact.before_event,
                product=facts_pb2.Product(
                    product_id=fact.product_id,
                    fields=object_to_proto(fact.fields).fields,
                    deleted=not fact.fields,
                    changes=changes_to_proto(fact.changes),
                ),
            )


def contact_fact_from_proto(m: facts_pb2.ContactFact) -> ContactFact:
    """The change as core sees it. Raises INVALID / UNKNOWN_FACT for a kind this version does not know."""
    match m.WhichOneof("fact"):
        case "state":
            state = m.state
            return ContactState(
                m.contact,
                state.key,
                state.known,
                state.reachable,
                m.occurred_at_us,
                m.before_event,
                m.imported,
                state.told_at_us or None,
                m.item,
                m.part,
            )
        case "attribute":
            value, name = value_from_proto(m.attribute.value), m.attribute.name
            at_us, item = m.occurred_at_us, m.item
            return AttributeWrite(m.contact, name, value, at_us, m.imported, m.before_event, item, m.part)
        case "list":
            move = m.list
            at_us, item = m.occurred_at_us, m.item
            return ListChange(m.contact, move.list, move.member, at_us, m.imported, m.before_event, item, m.part)
        case "consent":
            return consent_from_proto(m)
        case "unmerge":
            return unmerge_from_proto(m)
        case "machine_mark":
            marked, reason, at_us = marked_from_proto(m.machine_mark.events), m.machine_mark.reason, m.occurred_at_us
            return MachineMark(m.contact, marked, reason, at_us, m.imported, m.before_event, m.item, m.part)
        case "merge":
            return Merge(m.contact, m.merge.loser, m.before_event, m.item)
        case "erasure":
            return Erasure(m.contact, m.before_event, m.item)
        case "product":
            fields = {} if m.product.deleted else _object_from_proto(facts_pb2.Object(fields=m.product.fields))
            changes = changes_from_proto(m.product.changes)
            return ProductState(m.product.product_id, fields, m.occurred_at_us, m.before_event, changes)
        case None:
            raise invalid("UNKNOWN_FACT", "a contact fact of no kind that this version knows")


def marked_from_proto(messages: Iterable[facts_pb2.MarkedEvent]) -> tuple[MarkedEvent, ...]:
    """The events that a mark names."""
    return tuple(MarkedEvent(one.id, one.occurred_at_us) for one in messages)


def fact_batch_to_proto(
    events: EventColumns,
    facts: tuple[ContactFact, ...],
    upstream_position: int,
    parts: NDArray[np.uint32] | None = None,
) -> facts_pb2.FactBatch:
    """One entry of unification's log on the wire; `parts` as in `core.events.facts.FactBatch`."""
    return facts_pb2.FactBatch(
        events=columns_to_proto(events),
        facts=[contact_fact_to_proto(fact) for fact in facts],
        upstream_position=upstream_position,
        parts=b"" if parts is None else _pack(parts, _U4),
    )


def fact_batch_from_proto(message: facts_pb2.FactBatch, position: int, recorded_at_us: int) -> FactBatch:
    """One entry of unification's log as core sees it."""
    return FactBatch(
        position,
        recorded_at_us,
        columns_from_proto(message.events),
        tuple(contact_fact_from_proto(fact) for fact in message.facts),
        _unpack(message.parts, _U4, len(message.events.ids), "parts") if message.parts else None,
    )
