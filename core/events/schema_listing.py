"""All names that facts may use, those of the vocabulary among them, in one order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from core.events.schema import Definition, Family, Place, Schema
from core.events.schema_names import by_owner_key
from core.events.vocabulary import ATTRIBUTES, COMMON_PARAMS, ELEMENTS, EVENTS, ITEM_PARAMS, PRODUCT_FIELDS
from core.schema import Kind

#: Where a name stands in the list.
Order = tuple[str, str, str]


def order_of(one: Definition) -> Order:
    """Names are listed by family, owner and key."""
    return one.family.value, one.owner, one.key


def listed(
    schema: Schema, family: Family | None, owner: str, *, with_retired: bool, own_only: bool
) -> list[Definition]:
    """The names of one family (None: of all) and owner (empty: of all; else by any
    of its names), in the order of `order_of`. `own_only`: without
    those of the vocabulary that the workspace said nothing about."""
    found = {order_of(one): one for one in schema.definitions(family)}
    if not own_only:
        types = {one.key for one in schema.definitions(Family.EVENT)}
        for one in _vocabulary(types):
            if family is None or one.family is family:
                found.setdefault(order_of(one), one)
    keys = {family_: by_owner_key(schema, Place(family_, owner, "")).owner for family_ in Family}
    kept = (
        one
        for one in found.values()
        if (not owner or one.owner == keys[one.family]) and (with_retired or not one.retired)
    )
    return sorted(kept, key=order_of)


def _vocabulary(own_types: set[str]) -> Iterator[Definition]:
    yield from _all(Family.ATTRIBUTE, "", ATTRIBUTES)
    yield from _all(Family.ITEM, "", ITEM_PARAMS)
    yield from _all(Family.PRODUCT, "", PRODUCT_FIELDS)
    for (attribute, name), kind in ELEMENTS.items():
        yield _canonical(Family.ELEMENT, attribute, name, kind)
    for type_, params in EVENTS.items():
        yield _canonical(Family.EVENT, "", type_, None)
        yield from _all(Family.PARAMETER, type_, {**COMMON_PARAMS, **params})
    for type_ in own_types:
        yield from _all(Family.PARAMETER, type_, COMMON_PARAMS)


def _all(family: Family, owner: str, kinds: Mapping[str, Kind]) -> Iterator[Definition]:
    return (_canonical(family, owner, name, kind) for name, kind in kinds.items())


def _canonical(family: Family, owner: str, name: str, kind: Kind | None) -> Definition:
    return Definition(family, owner, name, kind, 0)
