"""Kinds of attributes: the first value seen fixes the kind of an attribute in its workspace.

The door has checked them already, by the schema. What comes past it all the same (an older log, a foreign writer) is
refused here, and set aside.
"""

from __future__ import annotations

from collections.abc import Mapping

from core.events.vocabulary import ATTRIBUTES
from core.schema import DECIMAL_SCALE, MAX_DECIMAL_UNITS, DecimalUnits, Kind, Value, kind_of


class AttributeKinds:
    """The kinds learned so far, canonical attributes from the start. Immutable: `learned` makes a new one."""

    def __init__(self, learned: Mapping[str, Kind] | None = None) -> None:
        self._own: dict[str, Kind] = dict(learned or {})

    @property
    def own(self) -> Mapping[str, Kind]:
        """Name -> kind of the attributes that are not canonical."""
        return self._own

    def get(self, name: str) -> Kind | None:
        """The kind of `name`; None while no value was seen."""
        return ATTRIBUTES.get(name) or self._own.get(name)

    def learned(self, name: str, value: Value) -> AttributeKinds:
        """These kinds after `value` was seen. An empty list teaches nothing: its elements are unknown. The first
        fraction under a name that held integers makes decimals of it, as the door does (core.events.schema)."""
        known = self.get(name)
        widened = known is Kind.INTEGER and isinstance(value, DecimalUnits) and name not in ATTRIBUTES
        if value == () or (known is not None and not widened):
            return self
        return AttributeKinds({**self._own, name: kind_of(value)})

    def fitted(self, name: str, value: Value) -> Value:
        """`value` as the attribute keeps it: an integer becomes a decimal where the attribute is one. A decimal where
        it held integers stays what it is, and widens it.

        Raises ValueError, saying why, for a value of another kind.
        """
        wanted = self.get(name)
        kind = kind_of(value)
        if wanted is None or kind is wanted:
            return value
        if wanted is Kind.INTEGER and kind is Kind.DECIMAL and name not in ATTRIBUTES:
            return value
        if value == () and wanted is Kind.OBJECT_LIST:
            return value
        if wanted is Kind.DECIMAL and isinstance(value, int):
            units = value * DECIMAL_SCALE
            if abs(units) > MAX_DECIMAL_UNITS:
                raise ValueError(f"attribute {name!r}: {value} is larger than 9e14")
            return DecimalUnits(units)
        raise ValueError(f"attribute {name!r} is of kind {wanted.name}, this value of kind {kind.name}")
