"""Contacts with their attributes as the bytes of a file: CSV, NDJSON, Parquet. Each takes blocks and gives bytes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from core.errors import invalid
from core.schema import DecimalUnits, Instant, Kind, Location, Value, format_units

#: The column of the contact's public key.
KEY_COLUMN = "contact_key"
#: What a spreadsheet takes for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DEGREE = Decimal(10_000_000)

#: Values of one block: a list per column, the keys first.
Block = Sequence[Sequence[Value | None]]


class FileFormat(Protocol):
    """One file in the making."""

    def head(self) -> bytes:
        """What stands before the first row."""
        ...

    def block(self, columns: Block) -> bytes:
        """The rows of a block; may be empty while the format gathers more."""
        ...

    def tail(self) -> bytes:
        """What stands behind the last row."""
        ...


class CsvFormat:
    """RFC 4180 in UTF-8, fields quoted where they have to be. A missing value is an empty field; of an empty text
    nothing else is known to CSV. Instants end with Z, lists are joined, lists of objects are JSON."""

    def __init__(self, names: Sequence[str], *, formula_safe: bool, list_separator: str) -> None:
        self._names = names
        self._formula_safe = formula_safe
        self._separator = list_separator

    def head(self) -> bytes:
        """The line of column names."""
        return self._lines([[self._cell(name) for name in self._names]])

    def block(self, columns: Block) -> bytes:
        """See FileFormat."""
        return self._lines(zip(*([self._cell(value) for value in column] for column in columns), strict=True))

    def tail(self) -> bytes:
        """Nothing."""
        return b""

    def _cell(self, value: Value | None) -> str:
        if value is None:
            return ""
        if not isinstance(value, str | tuple):
            return plain_text(value)
        if isinstance(value, str):
            text = value
        elif all(isinstance(one, str) for one in value):
            text = self._separator.join(str(one) for one in value)
        else:
            text = json_text(value)
        return f"'{text}" if self._formula_safe and text.startswith(_FORMULA) else text

    @staticmethod
    def _lines(rows: Any) -> bytes:
        out = io.StringIO()
        csv.writer(out, lineterminator="\r\n").writerows(rows)
        return out.getvalue().encode()


class NdjsonFormat:
    """A JSON object on each line; missing values are left out, numbers are exact."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = [json.dumps(name, ensure_ascii=False) for name in names]

    def head(self) -> bytes:
        """Nothing."""
        return b""

    def block(self, columns: Block) -> bytes:
        """See FileFormat."""
        lines = []
        for row in zip(*columns, strict=True):
            cells = (f"{name}:{json_text(one)}" for name, one in zip(self._names, row, strict=True) if one is not None)
            lines.append("{" + ",".join(cells) + "}\n")
        return "".join(lines).encode()

    def tail(self) -> bytes:
        """Nothing."""
        return b""


class ParquetFormat:
    """One row group a block. Decimals are decimal128(19, 4), instants timestamps in UTC, lists of objects JSON texts,
    places structures of exact decimals. A value of another kind than the column's is refused."""

    def __init__(self, names: Sequence[str], kinds: Sequence[Kind]) -> None:
        self._kinds = kinds
        self._schema = pa.schema([(name, _ARROW[kind]) for name, kind in zip(names, kinds, strict=True)])
        self._out = _Drain()
        sink: Any = pa.PythonFile(self._out, mode="w")
        self._writer: Any = pq.ParquetWriter(sink, self._schema, compression="zstd")

    def head(self) -> bytes:
        """The magic bytes."""
        return self._out.taken()

    def block(self, columns: Block) -> bytes:
        """See FileFormat. Raises INVALID / MIXED_KINDS."""
        arrays = []
        for number, (column, kind) in enumerate(zip(columns, self._kinds, strict=True)):
            try:
                values = [None if value is None else _arrow_value(value, kind) for value in column]
                make: Any = pa.array
                arrays.append(make(values, self._schema.field(number).type))
            except (pa.ArrowException, TypeError, ValueError) as error:
                name = self._schema.field(number).name
                what = f"attribute {name!r} has values of several kinds: export it as CSV or NDJSON, or leave it out"
                raise invalid("MIXED_KINDS", what) from error
        table: Any = pa.Table
        self._writer.write_table(table.from_arrays(arrays, schema=self._schema))
        return self._out.taken()

    def tail(self) -> bytes:
        """The footer."""
        self._writer.close()
        return self._out.taken()


class _Drain(io.RawIOBase):
    """A file that forgets what was taken out of it."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._at = 0

    def writable(self) -> bool:
        return True

    def write(self, part: Any) -> int:
        kept = bytes(part)
        self._parts.append(kept)
        self._at += len(kept)
        return len(kept)

    def tell(self) -> int:
        return self._at

    def taken(self) -> bytes:
        """What was written since the last time."""
        whole = b"".join(self._parts)
        self._parts.clear()
        return whole


_PLACE: Any = pa.struct([("latitude", pa.decimal128(10, 7)), ("longitude", pa.decimal128(10, 7))])
_ARROW: Mapping[Kind, Any] = {
    Kind.TEXT: pa.string(),
    Kind.INTEGER: pa.int64(),
    Kind.DECIMAL: pa.decimal128(19, 4),
    Kind.BOOLEAN: pa.bool_(),
    Kind.INSTANT: pa.timestamp("us", "UTC"),
    Kind.DATE: pa.date32(),
    Kind.TEXT_LIST: pa.list_(pa.string()),
    Kind.OBJECT_LIST: pa.string(),
    Kind.LOCATION: _PLACE,
}


def _arrow_value(value: Value, kind: Kind) -> object:
    match kind:
        case Kind.DECIMAL:
            return _decimal(value)
        case Kind.INSTANT if isinstance(value, Instant):
            return value.us
        case Kind.OBJECT_LIST if isinstance(value, tuple):
            return json_text(value)
        case Kind.LOCATION if isinstance(value, Location):
            return {"latitude": value.latitude_e7 / _DEGREE, "longitude": value.longitude_e7 / _DEGREE}
        case Kind.BOOLEAN | Kind.INTEGER if isinstance(value, bool) is not (kind is Kind.BOOLEAN):
            raise TypeError("a number is no truth")
        case Kind.TEXT_LIST if isinstance(value, tuple):
            return list(value)
        case _:
            return value


def _decimal(value: Value) -> Decimal:
    if isinstance(value, DecimalUnits):
        return Decimal(value.units).scaleb(-4)
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError("no number")
    return Decimal(value)


def plain_text(value: Value) -> str:
    """A scalar or a place as text that an import reads again."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, DecimalUnits):
        return format_units(value.units)
    if isinstance(value, Instant):
        at = _EPOCH + timedelta(microseconds=value.us)
        return at.replace(tzinfo=None).isoformat() + "Z"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Location):
        return f"{_degrees(value.latitude_e7)},{_degrees(value.longitude_e7)}"
    return str(value)


def json_text(value: Value) -> str:
    """A value as JSON: decimals are numbers with their digits, instants and dates texts."""
    if isinstance(value, bool | int | DecimalUnits):
        return plain_text(value)
    if isinstance(value, tuple):
        return "[" + ",".join(json_text(one) if isinstance(one, str) else _object(one) for one in value) + "]"
    if isinstance(value, Location):
        return f'{{"latitude":{_degrees(value.latitude_e7)},"longitude":{_degrees(value.longitude_e7)}}}'
    return json.dumps(plain_text(value), ensure_ascii=False)


def _object(fields: Mapping[str, Any]) -> str:
    return "{" + ",".join(f"{json.dumps(n, ensure_ascii=False)}:{json_text(v)}" for n, v in fields.items()) + "}"


def _degrees(e7: int) -> str:
    sign, whole, rest = "-" if e7 < 0 else "", *divmod(abs(e7), 10_000_000)
    return f"{sign}{whole}.{rest:07d}".rstrip("0").rstrip(".")
