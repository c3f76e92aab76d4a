"""The catalogue: what a product update makes of a product."""

from __future__ import annotations

from collections.abc import Mapping

from core.events.vocabulary import PRODUCT_FIELDS
from core.schema import DECIMAL_SCALE, MAX_DECIMAL_UNITS, DecimalUnits, Kind, Scalar, kind_of


def fitted_fields(fields: Mapping[str, Scalar]) -> tuple[dict[str, Scalar], tuple[str, ...]]:
    """The fields by the kinds of the vocabulary, and what had to be left out, as sentences.

    An integer becomes a decimal where the field is one (a price); any other mismatch leaves the field out.
    """
    kept: dict[str, Scalar] = {}
    wrong = []
    for name, value in fields.items():
        wanted = PRODUCT_FIELDS.get(name)
        kind = kind_of(value)
        if wanted is Kind.DECIMAL and isinstance(value, int) and kind is Kind.INTEGER:
            if abs(value * DECIMAL_SCALE) <= MAX_DECIMAL_UNITS:
                kept[name] = DecimalUnits(value * DECIMAL_SCALE)
            else:
                wrong.append(f"product field {name!r}: {value} is larger than 9e14")
        elif wanted is None or kind is wanted:
            kept[name] = value
        else:
            wrong.append(f"product field {name!r} is of kind {wanted.name}, this value of kind {kind.name}")
    return kept, tuple(wrong)
