"""What the columns of a file mean: as they were listed, and of the others what their names say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cdp.bulk.v1 import bulk_pb2 as pb
from core.errors import Violation, invalid
from core.events.canonical import attribute_name, event_type, item_kind, item_name, param_kind, param_name, snake_case
from core.events.schema import Family, Place, Schema
from core.schema import Kind
from services.ingest.bulk.spec import BAD_IMPORT

CONTACTS, EVENTS, ORDERS = pb.IMPORT_KIND_CONTACTS, pb.IMPORT_KIND_EVENTS, pb.IMPORT_KIND_ORDERS

#: Targets without a name behind a dot, and the imports that know them.
_PLAIN: Mapping[str, tuple[int, ...]] = {
    "id": (CONTACTS, EVENTS),
    "time": (CONTACTS, EVENTS, ORDERS),
    "type": (EVENTS,),
    "order_id": (ORDERS,),
    "status": (ORDERS,),
    "items": (EVENTS, ORDERS),
    "list": (CONTACTS,),
}
_NAMED: Mapping[str, tuple[int, ...]] = {
    "identifier": (CONTACTS, EVENTS, ORDERS),
    "attribute": (CONTACTS,),
    "consent": (CONTACTS,),
    "param": (EVENTS, ORDERS),
    "item": (ORDERS,),
}
_IDENTIFIERS: Mapping[str, str] = {
    **dict.fromkeys(("email", "e_mail", "mail", "email_address", "user_email"), "email"),
    **dict.fromkeys(("phone", "phone_number", "mobile", "mobile_phone", "tel", "user_phone", "msisdn"), "phone"),
    **dict.fromkeys(("external_id", "customer_id", "user_id", "client_id", "external_customer_id"), "external_id"),
    **dict.fromkeys(("anonymous_id", "cookie_id", "visitor_id"), "anonymous_id"),
    **dict.fromkeys(("push_token", "device_token"), "push_token"),
    # What an export of a segment calls the platform's own key.
    "contact_key": "contact_key",
}
_TIMES = frozenset(
    {"occurred_at", "time", "timestamp", "event_time", "event_date", "datetime", "date", "order_date", "order_time"}
)
_ORDER_IDS = frozenset({"order_id", "order_number", "order_no", "external_order_id"})
_INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})", re.ASCII)
_DECIMAL = re.compile(r"-?(0|[1-9]\d{0,14})\.\d{1,4}", re.ASCII)
_TRUTH = frozenset({"true", "false"})


@dataclass(frozen=True, slots=True)
class Target:
    """A target taken apart: `family` is "identifier", "param" ... or a plain one, whose `name` is empty."""

    family: str
    name: str


def target_of(text: str) -> Target:
    """`param.price` as its two parts."""
    family, _, name = text.partition(".")
    return Target(family, name)


def is_target(text: str, kind: int) -> bool:
    """Whether imports of this kind have such a target; the empty one leaves a column out."""
    if not text:
        return True
    target = target_of(text)
    if "." in text:
        return kind in _NAMED.get(target.family, ()) and bool(target.name)
    return kind in _PLAIN.get(text, ())


def with_columns(
    spec: pb.ImportSpec, columns: Sequence[str], first: Sequence[Sequence[object]], schema: Schema
) -> pb.ImportSpec:
    """The spec with every column of the file in its order: as listed, or by its name. New names without a kind get that
    of their `first` cells. Raises INVALID / BAD_IMPORT for columns that the file lacks and for targets that there are
    not, or that nothing is told of whom or what."""
    listed = {one.column: one for one in spec.columns}
    wrong = [
        Violation(f"spec.columns[{number}]", what)
        for number, one in enumerate(spec.columns)
        if (what := _wrong(one, spec.kind, columns))
    ]
    whole = pb.ImportSpec()
    whole.CopyFrom(spec)
    del whole.columns[:]
    taken = {one.target for one in spec.columns if one.target}
    for place, name in enumerate(columns):
        column = pb.Column()
        if name in listed:
            column.CopyFrom(listed[name])
        else:
            target = _by_name(name, spec)
            column.column, column.target = name, "" if target in taken else target
            taken.add(target)
        if column.target and not column.kind and _kind(column, spec, schema) is None:
            column.kind = int(_seen_kind(row[place] for row in first if len(row) > place))  # type: ignore[assignment]
        whole.columns.append(column)
    wrong += _lacking(whole)
    if wrong:
        told = "; ".join(f"{one.path}: {one.description}" for one in wrong)
        raise invalid(BAD_IMPORT, f"the columns cannot be imported so: {told}", *wrong)
    return whole


def unknown_columns(whole: pb.ImportSpec, schema: Schema) -> list[str]:
    """Columns that are left out, or that carry a name which neither the vocabulary nor the schema has."""
    return [one.column for one in whole.columns if not one.target or not _is_known(one, whole, schema)]


def _is_known(column: pb.Column, spec: pb.ImportSpec, schema: Schema) -> bool:
    target = target_of(column.target)
    return target.family not in ("attribute", "param", "item") or _kind(column, spec, schema) is not None


def _wrong(column: pb.Column, kind: int, columns: Sequence[str]) -> str:
    if column.column not in columns:
        return f"the file has no column {column.column[:100]!r}"
    if not is_target(column.target, kind):
        return f"imports of this kind have no target {column.target[:100]!r}"
    return ""


def _lacking(whole: pb.ImportSpec) -> list[Violation]:
    targets = {one.target for one in whole.columns}
    found = []
    if not any(one.startswith("identifier.") for one in targets):
        found.append(Violation("spec.columns", "no column says whose the rows are: map one to identifier.<kind>"))
    if whole.kind == EVENTS and "type" not in targets and not event_type(whole.event_type):
        found.append(Violation("spec.event_type", "neither a column nor the spec tells the type of the events"))
    if whole.kind == ORDERS and "order_id" not in targets:
        found.append(Violation("spec.columns", "no column is mapped to order_id"))
    singles = [one.target for one in whole.columns if one.target and not one.target.startswith("identifier.")]
    twice = sorted({one for one in singles if singles.count(one) > 1 and one != "list"})
    found += [Violation("spec.columns", f"two columns are mapped to {one}") for one in twice]
    return found


def _by_name(column: str, spec: pb.ImportSpec) -> str:
    """What a column's name says; empty: nothing."""
    if is_target(column, spec.kind) and "." in column:
        return column
    name = snake_case(column)
    if not name:
        return ""
    if name in _IDENTIFIERS:
        return f"identifier.{_IDENTIFIERS[name]}"
    if spec.kind == CONTACTS:
        if name == "id":
            # A shop's number of the customer; as a message id it would make a second file a repetition of the first.
            return "identifier.external_id"
        if name == "time":
            return name
        return "id" if name == "message_id" else f"attribute.{attribute_name(name)}"
    if name in _TIMES:
        return "time"
    if spec.kind == EVENTS:
        if name in ("message_id", "event_id"):
            return "id"
        if name in ("event", "type", "event_type", "event_name") and not spec.event_type:
            return "type"
        if name in ("items", "products"):
            return "items"
        return f"param.{param_name(event_type(spec.event_type), name)}"
    if name in _ORDER_IDS:
        return "order_id"
    if name in ("status", "order_status"):
        return "status"
    if name in ("items", "products"):
        return "items"
    short = item_name(name.removeprefix("item_").removeprefix("line_"))
    return f"item.{short}" if item_kind(short) is not None else f"param.{param_name('order_completed', name)}"


def _kind(column: pb.Column, spec: pb.ImportSpec, schema: Schema) -> Kind | None:
    return kind_in(schema, target_of(column.target), _type_of(spec))


def _type_of(spec: pb.ImportSpec) -> str:
    return "order_completed" if spec.kind == ORDERS else event_type(spec.event_type)


def kind_in(schema: Schema, target: Target, type_: str) -> Kind | None:
    """The kind that the vocabulary or the schema gives to a target's values; TEXT for what is no typed value."""
    match target.family:
        case "attribute":
            return schema.kind(Place(Family.ATTRIBUTE, "", attribute_name(target.name)))
        case "param":
            name = param_name(type_, target.name)
            return param_kind(type_, name) or schema.kind(Place(Family.PARAMETER, type_, name))
        case "item":
            return schema.kind(Place(Family.ITEM, "", item_name(target.name)))
        case _:
            return Kind.TEXT


def _seen_kind(cells: Iterable[object]) -> Kind | int:
    """The kind that all of the cells have; 0 where they carry their own, TEXT where nothing else fits."""
    told = [cell for cell in cells if cell is not None and cell != ""]
    texts = [cell.strip() for cell in told if isinstance(cell, str)]
    if len(texts) < len(told):
        return 0
    if not texts:
        return Kind.TEXT
    if all(_INTEGER.fullmatch(text) for text in texts):
        return Kind.INTEGER
    if all(_INTEGER.fullmatch(text) or _DECIMAL.fullmatch(text) for text in texts):
        return Kind.DECIMAL
    if all(text.lower() in _TRUTH for text in texts):
        return Kind.BOOLEAN
    return Kind.TEXT
