"""How values compare, and what a missing one means."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any
from unicodedata import normalize

import re2


def key(value: Any) -> tuple[str, Any]:
    """What a value is compared by: numbers by their exact value, texts "by UTF-8 bytes"."""
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, int | Decimal | Fraction):
        return ("number", Fraction(value))
    if isinstance(value, str):
        return ("text", value.encode())
    if isinstance(value, date):
        return ("date", value)
    if isinstance(value, dict):
        return ("object", sorted((name, key(v)) for name, v in value.items()))
    return value if isinstance(value, tuple) else ("list", [key(v) for v in value])


def fold(text: str) -> str:
    """ "ignoring case compares NFC of full case folding"."""
    return normalize("NFC", text.casefold())


#: "a negative form is the complement of its positive form".
NEGATIVE = {"!=": "=", "not in": "in", "does not contain": "contains", "has none": "has any"}


def holds(op: str, value: Any, operands: list[Any], ignoring_case: bool = False, relation: str = "") -> bool:
    """One comparison. "With a missing operand every positive form is false"; a negative form "holds then"."""
    if op in NEGATIVE:
        return not holds(NEGATIVE[op], value, operands, ignoring_case)
    if op == "is missing":
        return value is None
    if op == "is present":
        return value is not None
    if value is None or any(x is None for x in operands):
        return False
    if ignoring_case:
        value = [fold(v) for v in value] if isinstance(value, list) else fold(value)
        operands = [fold(x) for x in operands]
    match op:
        case "=":
            return key(value) == key(operands[0])
        case "<":
            return key(value) < key(operands[0])
        case "<=":
            return key(value) <= key(operands[0])
        case ">":
            return key(value) > key(operands[0])
        case ">=":
            return key(value) >= key(operands[0])
        case "between":  # "`between` on numbers and dates is inclusive at both ends."
            return key(operands[0]) <= key(value) <= key(operands[1])
        case "in":
            return any(key(value) == key(x) for x in operands)
        case "contains":
            return bool(operands[0] in value)
        case "starts with":
            return bool(value.startswith(operands[0]))
        case "ends with":
            return bool(value.endswith(operands[0]))
        case "matches":  # "Regular expressions are RE2, search, case-sensitive."
            return re2.search(operands[0], value) is not None
        case "has any":  # "On an empty list ... `any` and `has all` false."
            return any(x in value for x in operands)
        case "has all":
            return bool(value) and all(x in value for x in operands)
        case "length":
            return holds(relation, len(value), operands)
    raise ValueError(op)


def literal(value: Any) -> Any:
    """ "Strings: NFC at ingest and in literals"."""
    return normalize("NFC", value) if isinstance(value, str) else value
