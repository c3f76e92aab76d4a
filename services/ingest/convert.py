"""Items on the wire -> plain values for core.events.validate, and accepted facts -> the wire."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from core.errors import Violation
from core.events.checks import BAD_NUMBER, BAD_TIME, Bad, decimal_from_text
from core.events.columns import Identifier
from core.events.persons import Person, Product
from core.schema import DecimalUnits, Instant, Location
from services.runtime.facts import value_to_proto

_EPOCH = date(1970, 1, 1)


def plain(message: facts_pb2.Value) -> object:
    """The value as core.events.coerce takes it; None when nothing is set."""
    match message.WhichOneof("kind"):
        case None:
            return None
        case "text":
            return message.text
        case "integer":
            return message.integer
        case "decimal":
            return decimal_from_text(message.decimal)
        case "decimal_units":
            return DecimalUnits(message.decimal_units)
        case "boolean":
            return message.boolean
        case "instant_us":
            return Instant(message.instant_us)
        case "date_days":
            try:
                return _EPOCH + timedelta(days=message.date_days)
            except OverflowError:
                return Bad(BAD_TIME, "lies outside of the years 1 to 9999")
        case "texts":
            return list(message.texts.values)
        case "objects":
            return [plain_fields(one.fields) for one in message.objects.values]
        case "location":
            if abs(message.location.latitude_e7) > 900_000_000 or abs(message.location.longitude_e7) > 1_800_000_000:
                return Bad(BAD_NUMBER, "is no place on earth")
            return Location(message.location.latitude_e7, message.location.longitude_e7)


def plain_fields(fields: Mapping[str, facts_pb2.Value]) -> dict[str, object]:
    """A map of values; order is that of the names, so that answers do not depend on the wire."""
    return {name: plain(fields[name]) for name in sorted(fields)}


def occurred(at_us: int) -> Instant | None:
    """0 is: now."""
    return Instant(at_us) if at_us else None


def identifiers_to_proto(identifiers: tuple[Identifier, ...]) -> list[facts_pb2.Identifier]:
    """Identifiers on the wire."""
    return [facts_pb2.Identifier(kind=one.kind, value=one.value) for one in identifiers]


def person_to_fact(person: Person, received_at_us: int) -> facts_pb2.AcceptedFact:
    """An accepted person as an entry of ingest's log; an attribute of None stands there with nothing set."""
    return facts_pb2.AcceptedFact(
        id=person.id,
        occurred_at_us=person.occurred_at_us,
        received_at_us=received_at_us,
        imported=person.imported,
        profile=facts_pb2.ProfileUpdate(
            identifiers=identifiers_to_proto(person.identifiers),
            attributes={name: value_to_proto(value) for name, value in person.attributes.items()},
            consents=[
                facts_pb2.ConsentChange(
                    channel=one.channel,
                    state=one.state,
                    source=one.source,
                    category=one.category,
                    proof=one.proof,
                )
                for one in person.consents
            ],
            lists=[facts_pb2.ListMove(list=name, member=member) for name, member in person.lists],
        ),
    )


def product_to_fact(product: Product, fact_id: str, received_at_us: int) -> facts_pb2.AcceptedFact:
    """An accepted product as an entry of ingest's log."""
    return facts_pb2.AcceptedFact(
        id=fact_id,
        occurred_at_us=received_at_us,
        received_at_us=received_at_us,
        product=facts_pb2.Product(
            product_id=product.product_id,
            fields={name: value_to_proto(value) for name, value in product.fields.items()},
            deleted=product.deleted,
        ),
    )


def violations_to_proto(violations: tuple[Violation, ...]) -> list[ingest_pb2.FieldViolation]:
    """Violations on the wire."""
    return [ingest_pb2.FieldViolation(path=one.path, description=one.description) for one in violations]
