"""Values of a JSON document straight into columns, where nothing about them needs a closer look.

The quick half of `core.events.validate`: names whose key and kind are known, values of exactly that kind (or whole
numbers where decimals are wanted), sound texts. Everything else makes `take` answer False; the caller then takes the
row back and goes the thorough way, so that the two can differ in time only.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

from core.events.canonical import FALLBACKS, item_kind, item_name, param_kind, param_name
from core.events.checks import clean_decimal, clean_name, is_plain_text
from core.events.schema import Family, Schema
from core.schema import DECIMAL_SCALE, MAX_DECIMAL_UNITS, MAX_INTEGER, MIN_INTEGER, DecimalUnits, Kind
from services.ingest.writer_columns import Column, Columns, column_of

_MAX_WHOLE_OF_DECIMAL = MAX_DECIMAL_UNITS // DECIMAL_SCALE
_KINDS = frozenset({Kind.TEXT, Kind.INTEGER, Kind.DECIMAL, Kind.BOOLEAN})

#: Sums that come with a currency are converted.
_CURRENCY = "currency"
#: Lines of an order or a cart have no type of their own.
LINES = ""


class PlainValues:
    """The columns that one entry's plain values go to, found once for each (event type, name as sent)."""

    def __init__(self, params: Columns, line_params: Columns, codes: dict[str, int], schema: Schema | None) -> None:
        """`codes` numbers the entry's texts in the order in which they were met."""
        self._params = params
        self._line_params = line_params
        self._codes = codes
        self._schema = schema
        self._known: dict[str, dict[str, Column]] = {}

    def take(self, fields: Mapping[str, Any], row: int, type_: str, *, earlier_wins: bool = False) -> bool:
        """Put `fields` into `row` of events of `type_` (LINES: of lines). A name that the row has already is passed
        over where an earlier object wins, and needs a closer look where it stands in one object under two names.
        False: some are in, and the row is to be taken back."""
        columns = self._known.get(type_)
        if columns is None:
            columns = self._known[type_] = {}
        codes = self._codes
        for name, value in fields.items():
            column = columns.get(name)
            if column is None:
                found = self._column(type_, name)
                if found is None:
                    return False
                column = columns[name] = found
            if value is None:
                continue
            rows = column.rows
            if rows and rows[-1] == row:
                if earlier_wins:
                    continue
                return False
            kind, held = column.kind, type(value)
            if held is str:
                if kind is not Kind.TEXT:
                    return False
                raw = codes.get(value, -1)
                if raw < 0:
                    if not is_plain_text(value):
                        return False
                    raw = codes[value] = len(codes)
            elif held is int:
                if kind is Kind.INTEGER and MIN_INTEGER <= value <= MAX_INTEGER:
                    raw = value
                elif kind is Kind.DECIMAL and -_MAX_WHOLE_OF_DECIMAL <= value <= _MAX_WHOLE_OF_DECIMAL:
                    raw = value * DECIMAL_SCALE
                else:
                    return False
            elif held is Decimal:
                units = _units(value) if kind is Kind.DECIMAL else None
                if units is None:
                    return False
                raw = units
            elif held is bool and kind is Kind.BOOLEAN:
                raw = int(value)
            else:
                return False
            rows.append(row)
            column.values.append(raw)
        return True

    def _column(self, type_: str, name: str) -> Column | None:
        """Where values of `name` go; None: it is new, retired, renamed, of another kind, or no sound name."""
        if clean_name(name) != name:
            return None
        canonical = item_name(name) if type_ == LINES else param_name(type_, name)
        if not canonical or canonical == _CURRENCY or (canonical != name and type_ in FALLBACKS):
            return None
        kind = item_kind(canonical) if type_ == LINES else param_kind(type_, canonical)
        if kind is None and self._schema is not None:
            family = Family.ITEM if type_ == LINES else Family.PARAMETER
            found = self._schema.look(family, type_, canonical)
            if found is None or found.retired or found.key != canonical:
                return None
            kind = found.kind
        if kind not in _KINDS:
            return None
        return column_of(self._line_params if type_ == LINES else self._params, canonical, kind)


@lru_cache(16_384)
def _units(number: Decimal) -> int | None:
    units = clean_decimal(number)
    return units.units if isinstance(units, DecimalUnits) else None
