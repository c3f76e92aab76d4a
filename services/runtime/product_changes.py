"""What a feed's import found changed about a product, between its wire form and core."""

from __future__ import annotations

from collections.abc import Iterable

from cdp.facts.v1 import facts_pb2
from core.events.facts import ProductChange, ProductChangeKind

#: Of the wire to core; a kind that a later release has brought is left out.
_KINDS = {int(kind): kind for kind in ProductChangeKind}


def changes_to_proto(changes: Iterable[ProductChange]) -> list[facts_pb2.ProductChange]:
    """Changes on the wire, in their order."""
    return [
        facts_pb2.ProductChange(
            kind=facts_pb2.ProductChangeKind.ValueType(one.kind),
            from_units=one.from_units,
            to_units=one.to_units,
            percent_units=one.percent_units,
        )
        for one in changes
    ]


def changes_from_proto(messages: Iterable[facts_pb2.ProductChange]) -> tuple[ProductChange, ...]:
    """Changes from the wire, in their order, without those of kinds that this release does not know."""
    return tuple(
        ProductChange(_KINDS[one.kind], one.from_units, one.to_units, one.percent_units)
        for one in messages
        if one.kind in _KINDS
    )
