"""From any name to the key under which facts are kept, and back to the name that is shown."""

from __future__ import annotations

from dataclasses import replace

from core.events.schema import Definition, Family, Place, Schema

_OWNERS = {Family.PARAMETER: Family.EVENT, Family.ELEMENT: Family.ATTRIBUTE}


def by_owner_key(schema: Schema, place: Place) -> Place:
    """`place` with its owner under its key, whichever of the owner's names it is called by."""
    owners = _OWNERS.get(place.family)
    owner = None if owners is None else schema.find(Place(owners, "", place.owner))
    return place if owner is None else replace(place, owner=owner.key)


def definition_of(schema: Schema, place: Place) -> Definition | None:
    """The definition of a name whose owner, too, may be called by any of its names."""
    return schema.find(by_owner_key(schema, place))


def key_of(schema: Schema, place: Place) -> str:
    """The key of a name; the name itself where the schema does not know it."""
    found = definition_of(schema, place)
    return place.name if found is None else found.key


def shown_of(schema: Schema, place: Place) -> str:
    """The name that is shown for a name; the name itself where the schema does not know it."""
    found = definition_of(schema, place)
    return place.name if found is None else found.name
