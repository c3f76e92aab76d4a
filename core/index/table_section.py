"""Tables as arrays of a section."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.index.packing import Packed
from core.index.table import TEXT_KINDS, Column, Table
from core.schema import Kind


def pack_table(prefix: str, table: Table) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Arrays and JSON facts; names of both start with `prefix`."""
    arrays: dict[str, NDArray[Any]] = {}
    described: list[list[object]] = []
    for name, columns in table.columns.items():
        for column in columns:
            number = len(described)
            packed = column.packed
            described.append([name, int(column.kind), column.rows is None, packed.base, packed.factor])
            arrays[f"{prefix}/{number}/codes"] = packed.codes
            if column.rows is not None:
                arrays[f"{prefix}/{number}/rows"] = column.rows
    return arrays, {prefix: {"n": table.n, "columns": described}}


def unpack_table(prefix: str, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Table:
    """The inverse of `pack_table`."""
    columns: dict[str, tuple[Column, ...]] = {}
    for number, (name, kind, full, base, factor) in enumerate(facts[prefix]["columns"]):
        rows = None if full else arrays[f"{prefix}/{number}/rows"]
        column = Column(Kind(kind), rows, Packed(arrays[f"{prefix}/{number}/codes"], base, factor))
        columns[name] = (*columns.get(name, ()), column)
    return Table(facts[prefix]["n"], columns)


def text_codes(table: Table) -> list[NDArray[np.uint32]]:
    """The dictionary codes that stand in a table."""
    return [column.values for columns in table.columns.values() for column in columns if column.kind in TEXT_KINDS]
