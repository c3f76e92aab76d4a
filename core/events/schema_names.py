"""From any name to the key under which facts are kept, and back to the name that is shown."""

from __future__ import annotations

from dataclasses import replace

from core.events.schema import Definition, Family, Place, Schema

_OWNERS = {Family.PARAMETER: Family.EVENT, Family.ELEMENT: Family.ATTRIBUTE}


def definition_of(schema: Schema, place: Place) -> Definition | None:
    """The definition of a name whose owner, too, may be called by any of its names."""
    owners = _OWNERS.get(place.family)
    if owners is not None:
        owner = schema.find(Place(owners, "", place.owner))
        if owner is not None:
            place = replace(place, owner=owner.key)
    return schema.find(place)


def key_of(schema: Schema, place: Place) -> str:
    """The key of a name; the name itself where the schema does not know it."""
    found = definition_of(schema, place)
    return place.name if found is None else found.key


def shown_of(schema: Schema, place: Place) -> str:
    """The name that is shown for a name; the name itself where the schema does not know it."""
    found = definition_of(schema, place)
    return place.name if found is None else found.name
