"""Families and places of names between cdp.schema.v1 and core.events.schema."""

from __future__ import annotations

from cdp.schema.v1 import schema_pb2 as pb
from core.errors import Violation, invalid
from core.events.canonical import event_type
from core.events.schema import Family, Place
from core.events.schema_changes import canonical_name
from core.schema import Kind

BAD_FAMILY = "BAD_FAMILY"
BAD_OWNER = "BAD_OWNER"

_FAMILIES: dict[int, Family] = {
    pb.FAMILY_ATTRIBUTE: Family.ATTRIBUTE,
    pb.FAMILY_ELEMENT: Family.ELEMENT,
    pb.FAMILY_EVENT: Family.EVENT,
    pb.FAMILY_PARAMETER: Family.PARAMETER,
    pb.FAMILY_ITEM: Family.ITEM,
    pb.FAMILY_PRODUCT: Family.PRODUCT,
}
_ON_THE_WIRE = {family: pb.Family.ValueType(number) for number, family in _FAMILIES.items()}
_WITH_OWNER = (Family.ELEMENT, Family.PARAMETER)


def family_from_proto(family: int) -> Family:
    """The family. Raises INVALID / BAD_FAMILY for none and for one of a later release."""
    found = _FAMILIES.get(family)
    if found is None:
        raise invalid(BAD_FAMILY, "say of which family the name is", Violation("place.family", "is not set"))
    return found


def owner_from_proto(family: Family, owner: str) -> str:
    """The owner of a name as facts spell it. Raises INVALID / BAD_OWNER where it is missing or one too many."""
    if bool(owner) != (family in _WITH_OWNER):
        needed = "needs an owner" if family in _WITH_OWNER else "has no owner"
        raise invalid(BAD_OWNER, f"a name of {family} {needed}", Violation("place.owner", needed))
    if family is Family.PARAMETER:
        return event_type(canonical_name(Family.EVENT, "", owner))
    return canonical_name(Family.ATTRIBUTE, "", owner) if family is Family.ELEMENT else owner


def place_from_proto(message: pb.Place) -> Place:
    """The place, its names spelled as facts keep them. Raises INVALID / BAD_FAMILY, BAD_NAME or BAD_OWNER."""
    family = family_from_proto(message.family)
    owner = owner_from_proto(family, message.owner)
    return Place(family, owner, canonical_name(family, owner, message.name))


def place_to_proto(place: Place) -> pb.Place:
    """The place on the wire."""
    return pb.Place(family=_ON_THE_WIRE[place.family], owner=place.owner, name=place.name)


def kind_from_proto(kind: int) -> Kind | None:
    """The kind; None for none. Raises INVALID / BAD_KIND."""
    try:
        return Kind(kind) if kind else None
    except ValueError:
        raise invalid("BAD_KIND", f"no kind has the number {kind}", Violation("kind", "is unknown")) from None
