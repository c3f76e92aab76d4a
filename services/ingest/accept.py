"""One item in, one outcome out: checked, named canonically, and written to the entry in the making, or refused."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from core.clock import MAX_INSTANT_US, MIN_INSTANT_US
from core.errors import CdpError, Violation, invalid
from core.events.canonical import event_type, snake_case
from core.events.checks import BAD_NAME, Bad, clean_name, is_plain_text
from core.events.coerce import scalar
from core.events.columns import IMPORTED, MACHINE, Event, Identifier
from core.events.forms import ANSWERS, person_of_answer
from core.events.persons import Consent, Person, RawPerson, check_person, check_product
from core.events.schema_changes import Want
from core.events.schema_check import SchemaCheck
from core.events.validate import AHEAD_US as AHEAD_US
from core.events.validate import (
    MAX_ITEM_FIELDS,
    MAX_ITEMS,
    MAX_MESSAGE_ID_CHARACTERS,
    MAX_PROPERTIES,
    NO_IDENTIFIER,
    ORDER_ID_PREFIX,
    RawEvent,
    Refusal,
    Report,
    check_event,
    check_identifiers,
    check_message_id,
    check_occurred,
)
from core.money.at_home import at_home
from core.orders.ids import REFUND_ID, order_event_id
from core.schema import Kind, Scalar
from services.ingest.convert import identifiers_to_proto, occurred, person_to_fact, plain_fields, product_to_fact
from services.ingest.senders import RESERVED_EVENT, why_reserved
from services.ingest.writer import BatchWriter

TOO_LARGE = "ITEM_TOO_LARGE"
BAD_ORDER = "BAD_ORDER"
BAD_MARK = "BAD_MARK"
EMPTY_ITEM = "EMPTY_ITEM"
NEW_NAMES = "NEW_NAMES"

#: What an event or a person may weigh, on the wire or as JSON.
MAX_EVENT_BYTES = 32 << 10
#: An order or a product through gRPC may be larger: a thousand lines.
MAX_ORDER_BYTES = 256 << 10

#: Events that one mark names.
MAX_MARKED = 1_000

_MAX_ORDER_ID = 200
_MAX_STATUS = 64
_ORDER_PREFIX = "order_"
#: An order is updated any number of times: as a plain event it is no status that counts once.
_ORDER_UPDATED = "order_updated"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an item: accepted when `refusal` is None. `notes` tell what was left out. `wants`: names that the
    schema has to learn before it can be taken, which `services.ingest.entrance` sees to; it is refused until then."""

    message_id: str
    refusal: Refusal | None = None
    notes: tuple[Violation, ...] = ()
    wants: tuple[Want, ...] = ()

    def error(self) -> CdpError:
        """The refusal as the error of a call about this item alone."""
        if self.refusal is None:
            raise ValueError("the item was accepted")
        return invalid(self.refusal.reason, self.refusal.description, *self.refusal.violations)


def new_id() -> str:
    """A message id for an item that came without one."""
    return secrets.token_hex(16)


def refused(reason: str, path: str, description: str) -> Outcome:
    """An outcome with one violation."""
    return Outcome("", Refusal(reason, (Violation(path, description),)))


def take_item(writer: BatchWriter, item: ingest_pb2.BatchItem, now_us: int) -> Outcome:
    """One item of a batch."""
    match item.WhichOneof("item"):
        case "order":
            return take_order(writer, item.order, now_us)
        case "event":
            return take_event(writer, item.event, now_us)
        case "person":
            return take_person(writer, item.person, now_us)
        case "link":
            return take_link(writer, item.link, now_us)
        case "product":
            return take_product(writer, item.product, now_us)
        case "mark":
            return take_mark(writer, item.mark, now_us)
        case None:
            return refused(EMPTY_ITEM, "", "the item is empty, or of a kind that this version does not know")


def take_event(writer: BatchWriter, event: ingest_pb2.Event, now_us: int) -> Outcome:
    """An event from the wire."""
    if event.ByteSize() > MAX_EVENT_BYTES:
        return refused(TOO_LARGE, "event", f"an event has at most {MAX_EVENT_BYTES} bytes")
    flags = (IMPORTED if event.imported else 0) | (MACHINE if event.machine else 0)
    message_id = event.message_id
    if (
        _is_plain_type(event.type)
        and event.type not in writer.reserved
        and len(message_id) <= MAX_MESSAGE_ID_CHARACTERS
        and is_plain_text(message_id)
        and not message_id.startswith(ORDER_ID_PREFIX)
    ):
        message_id = message_id or new_id()
        if _quickly(writer, event, message_id, event.type, flags, {}, now_us):
            return Outcome(message_id)
    raw = RawEvent(
        type=event.type,
        type_path="event.type",
        message_id=event.message_id,
        message_id_path="event.message_id",
        occurred=occurred(event.occurred_at_us),
        occurred_path="event.occurred_at_us",
        identifiers=_identifiers(event, "event"),
        params=((plain_fields(event.params), "event.params"),),
        items=[plain_fields(line.fields) for line in event.items],
        items_path="event.items",
        flags=flags,
    )
    return take_raw_event(writer, raw, now_us, Report(), {})


def take_raw_event(
    writer: BatchWriter, raw: RawEvent, now_us: int, report: Report, told: Mapping[str, Scalar]
) -> Outcome:
    """An event of any source. `report` may hold problems already; `told` are parameters of the platform's own."""
    names = SchemaCheck(writer.schema, report)
    event = check_event(raw, new_id(), now_us, writer.usable, report, names)
    if event is None:
        return Outcome("", report.refusal())
    if event.type in writer.reserved:
        return refused(RESERVED_EVENT, raw.type_path, why_reserved(event.type))
    if names.wants:
        return _new_names(names)
    event = _as_order_status(replace(event, params={**event.params, **told}) if told else event)
    return _written(writer, event, names, report, now_us, (raw.params[0][1] if raw.params else "", raw.items_path))


def _written(
    writer: BatchWriter, event: Event, names: SchemaCheck, report: Report, now_us: int, paths: tuple[str, str]
) -> Outcome:
    """A checked event with its money in the workspace's currency, and what an answer says about its person. `paths`
    are those of its parameters and lines."""
    if writer.rates is not None:
        event = at_home(event, writer.rates, *paths, report)
    person: Person | None = None
    if event.type in ANSWERS:
        answer = person_of_answer(event, paths[0])
        if isinstance(answer, RawPerson):
            person = check_person(answer, event.id, now_us, writer.usable, report, names)
        elif answer is not None:
            report.bad(*answer)
    if (refusal := report.refusal()) is not None:
        return Outcome("", refusal)
    if names.wants:
        return _new_names(names)
    if event.occurred_at_us > now_us + AHEAD_US:
        report.note("occurred_at", "lies ahead: the event waits, and counts from then on")
    writer.add(event)
    if person is not None:
        writer.add_fact(person_to_fact(person, now_us))
    return Outcome(event.id, notes=tuple(report.notes))


def take_order(writer: BatchWriter, order: ingest_pb2.Order, now_us: int) -> Outcome:
    """A status of an order from the wire."""
    if order.ByteSize() > MAX_ORDER_BYTES:
        return refused(TOO_LARGE, "order", f"an order has at most {MAX_ORDER_BYTES} bytes")
    order_id, flags = order.order_id, IMPORTED if order.imported else 0
    if not 1 <= len(order_id) <= _MAX_ORDER_ID or not order_id.strip():
        return refused(BAD_ORDER, "order.order_id", f"an order has an id of 1 to {_MAX_ORDER_ID} characters")
    type_ = _order_type(order.status)
    if isinstance(type_, Bad):
        return refused(BAD_ORDER, "order.status", type_.description)
    if type_ in writer.reserved:
        return refused(RESERVED_EVENT, "order.status", why_reserved(type_))
    status = type_.removeprefix(_ORDER_PREFIX)
    own = {"order_id": order_id, "status": status}
    refund = {REFUND_ID: order.params[REFUND_ID].text} if REFUND_ID in order.params else {}
    message_id = order_event_id(order_id, status, refund)
    if is_plain_text(order_id) and _quickly(writer, order, message_id, type_, flags, own, now_us):
        return Outcome(message_id)
    report = Report()
    kept_id = scalar(order_id, Kind.TEXT)
    if isinstance(kept_id, Bad):
        return refused(kept_id.reason, "order.order_id", kept_id.description)
    raw = RawEvent(
        type=type_,
        type_path="order.status",
        message_id=None,
        message_id_path="",
        occurred=occurred(order.occurred_at_us),
        occurred_path="order.occurred_at_us",
        identifiers=_identifiers(order, "order"),
        params=((own, "order"), (plain_fields(order.params), "order.params")),
        items=[plain_fields(line.fields) for line in order.items],
        items_path="order.items",
        flags=flags,
    )
    names = SchemaCheck(writer.schema, report)
    event = check_event(raw, "", now_us, writer.usable, report, names)
    if event is None:
        return Outcome("", report.refusal())
    if names.wants:
        return _new_names(names)
    event = replace(event, id=order_event_id(str(kept_id), status, event.params))
    return _written(writer, event, names, report, now_us, ("order.params", "order.items"))


def take_person(writer: BatchWriter, person: ingest_pb2.Person, now_us: int) -> Outcome:
    """Traits, consents and list moves from the wire."""
    if person.ByteSize() > MAX_EVENT_BYTES:
        return refused(TOO_LARGE, "person", f"a person has at most {MAX_EVENT_BYTES} bytes")
    raw = RawPerson(
        message_id=person.message_id,
        message_id_path="person.message_id",
        occurred=occurred(person.occurred_at_us),
        occurred_path="person.occurred_at_us",
        identifiers=_identifiers(person, "person"),
        attributes=((plain_fields(person.attributes), "person.attributes"),),
        consents=tuple(
            (f"person.consents[{i}]", Consent(one.channel, one.state, one.source, one.category, one.proof))
            for i, one in enumerate(person.consents)
        ),
        lists=tuple((f"person.lists[{i}].list", one.list, one.member) for i, one in enumerate(person.lists)),
        imported=person.imported,
    )
    return take_raw_person(writer, raw, now_us, Report())


def take_raw_person(writer: BatchWriter, raw: RawPerson, now_us: int, report: Report) -> Outcome:
    """A person of any source. `report` may hold problems already."""
    names = SchemaCheck(writer.schema, report)
    person = check_person(raw, new_id(), now_us, writer.usable, report, names)
    if person is None:
        return Outcome("", report.refusal())
    if names.wants:
        return _new_names(names)
    writer.add_fact(person_to_fact(person, now_us))
    return Outcome(person.id, notes=tuple(report.notes))


def take_link(writer: BatchWriter, link: ingest_pb2.Link, now_us: int) -> Outcome:
    """Two identifiers of one person: a change of a person that says nothing else."""
    for path, one in (("link.first", link.first), ("link.second", link.second)):
        if not writer.usable(Identifier(one.kind, one.value)):
            return refused(NO_IDENTIFIER, path, f"names nobody: it is no usable {one.kind or 'identifier'}")
    raw = RawPerson(
        message_id=link.message_id,
        message_id_path="link.message_id",
        occurred=occurred(link.occurred_at_us),
        occurred_path="link.occurred_at_us",
        identifiers=(
            ("link.first", link.first.kind, link.first.value),
            ("link.second", link.second.kind, link.second.value),
        ),
        attributes=(),
    )
    return take_raw_person(writer, raw, now_us, Report())


def take_product(writer: BatchWriter, product: facts_pb2.Product, now_us: int, path: str = "product.") -> Outcome:
    """A product of the catalogue from the wire."""
    if product.ByteSize() > MAX_ORDER_BYTES:
        return refused(TOO_LARGE, path.rstrip("."), f"a product has at most {MAX_ORDER_BYTES} bytes")
    report = Report()
    names = SchemaCheck(writer.schema, report)
    found = check_product(product.product_id, plain_fields(product.fields), product.deleted, path, report, names)
    if found is None:
        return Outcome("", report.refusal())
    if names.wants:
        return _new_names(names)
    fact_id = new_id()
    writer.add_fact(product_to_fact(found, fact_id, now_us))
    return Outcome(fact_id, notes=tuple(report.notes))


def take_mark(writer: BatchWriter, mark: ingest_pb2.Mark, now_us: int) -> Outcome:
    """Word that a machine made events which were accepted before."""
    if mark.ByteSize() > MAX_ORDER_BYTES:
        return refused(TOO_LARGE, "mark", f"a mark has at most {MAX_ORDER_BYTES} bytes")
    if not 1 <= len(mark.events) <= MAX_MARKED:
        return refused(BAD_MARK, "mark.events", f"a mark names 1 to {MAX_MARKED} events")
    report = Report()
    message_id = check_message_id(mark.message_id, "mark.message_id", new_id(), report)
    occurred_at_us = check_occurred(occurred(mark.occurred_at_us), "mark.occurred_at_us", now_us, report)
    identifiers = check_identifiers(_identifiers(mark, "mark"), writer.usable, report)
    for path, text in (
        ("mark.reason", mark.reason),
        *((f"mark.events[{i}].id", e.id) for i, e in enumerate(mark.events)),
    ):
        if not is_plain_text(text) or len(text) > MAX_MESSAGE_ID_CHARACTERS:
            report.bad(path, Bad(BAD_MARK, f"is a plain text of at most {MAX_MESSAGE_ID_CHARACTERS} characters"))
    if (refusal := report.refusal()) is not None:
        return Outcome("", refusal)
    writer.add_fact(
        facts_pb2.AcceptedFact(
            id=message_id,
            occurred_at_us=occurred_at_us,
            received_at_us=now_us,
            machine_mark=facts_pb2.MachineMark(
                identifiers=identifiers_to_proto(identifiers), events=mark.events, reason=mark.reason
            ),
        )
    )
    return Outcome(message_id, notes=tuple(report.notes))


def _new_names(names: SchemaCheck) -> Outcome:
    return replace(refused(NEW_NAMES, "", f"{names.wants[0].place} is new and not learned yet"), wants=names.wants)


def _quickly(
    writer: BatchWriter,
    item: ingest_pb2.Event | ingest_pb2.Order,
    message_id: str,
    type_: str,
    flags: int,
    own: Mapping[str, str],
    now_us: int,
) -> bool:
    at_us = item.occurred_at_us or now_us
    identifiers = tuple([Identifier(one.kind, one.value) for one in item.identifiers])
    lines = [line.fields for line in item.items]
    if not (
        identifiers
        and (len(identifiers) == 1 or len(set(identifiers)) == len(identifiers))
        and MIN_INSTANT_US <= at_us < min(MAX_INSTANT_US, now_us + AHEAD_US)
        and len(item.params) <= MAX_PROPERTIES
        and len(lines) <= MAX_ITEMS
        and all([len(line) <= MAX_ITEM_FIELDS for line in lines])  # noqa: C419 - a list is quicker here
        and all([writer.usable(one) and is_plain_text(one.value) for one in identifiers])  # noqa: C419
    ):
        return False
    return writer.add_quickly(message_id, type_, at_us, now_us, identifiers, flags, own, item.params, lines)


def _identifiers(
    item: ingest_pb2.Event | ingest_pb2.Order | ingest_pb2.Person | ingest_pb2.Mark, path: str
) -> list[tuple[str, str, object]]:
    return [(f"{path}.identifiers[{i}]", one.kind, one.value) for i, one in enumerate(item.identifiers)]


@lru_cache(4_096)
def _is_plain_type(type_: str) -> bool:
    return bool(type_) and event_type(type_) == type_ == clean_name(type_) and not status_of(type_)


def counts_once(type_: str) -> bool:
    """Whether events of this type tell a status of an order, which counts once for ever."""
    return bool(status_of(type_))


def status_of(type_: str) -> str:
    """The status that an event's name tells of an order: it counts once per (order id, status). Empty: none."""
    if not type_.startswith(_ORDER_PREFIX) or type_ == _ORDER_UPDATED:
        return ""
    status = type_.removeprefix(_ORDER_PREFIX)
    return status if len(status) <= _MAX_STATUS else ""


@lru_cache(1_024)
def _order_type(status: str) -> str | Bad:
    name = clean_name(status)
    snake = snake_case(name) if not isinstance(name, Bad) else ""
    if not snake or len(snake) > _MAX_STATUS:
        return Bad(BAD_NAME, "an order has a status, such as completed")
    return event_type(f"{_ORDER_PREFIX}{snake.removeprefix(_ORDER_PREFIX)}")


def _as_order_status(event: Event) -> Event:
    """An order that came as a plain event gets the id that `RecordOrder` gives, so that it counts once."""
    status = status_of(event.type)
    order_id = event.params.get("order_id")
    if not status or not isinstance(order_id, str) or not 1 <= len(order_id) <= _MAX_ORDER_ID:
        return event
    event_id = order_event_id(order_id, status, event.params)
    return replace(event, id=event_id, params={"status": status, **event.params})
