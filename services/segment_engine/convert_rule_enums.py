"""Enums of the rule tree between their protobuf form and core's: the same names, with a prefix on the wire."""

from __future__ import annotations

from enum import Enum
from typing import Any, TypeVar

from cdp.segment.v1 import rule_pb2 as pb
from core.errors import invalid
from core.query import ast

E = TypeVar("E", bound=Enum)

_PREFIX: dict[type[Enum], str] = {
    ast.Op: "OP_",
    ast.Compare: "COMPARE_",
    ast.MessageVerb: "MESSAGE_VERB_",
    ast.Daypart: "DAYPART_",
    ast.Function: "FUNCTION_",
    ast.Zone: "ZONE_",
    ast.Period: "PERIOD_",
    ast.Scope: "SCOPE_",
    ast.Stock: "STOCK_",
    ast.Standard: "STANDARD_",
    ast.Group: "GROUP_",
}
_WIRE = {
    ast.Op: pb.Op,
    ast.Compare: pb.Compare,
    ast.MessageVerb: pb.MessageVerb,
    ast.Daypart: pb.Daypart,
    ast.Function: pb.Function,
    ast.Zone: pb.Zone,
    ast.Period: pb.Period,
    ast.Scope: pb.Scope,
    ast.Stock: pb.Stock,
    ast.Standard: pb.Standard,
    ast.Group: pb.Group,
}
_TO_WIRE: dict[Enum, int] = {
    value: _WIRE[kind].Value(prefix + value.name) for kind, prefix in _PREFIX.items() for value in kind
}
_FROM_WIRE: dict[type[Enum], dict[int, Enum]] = {kind: {_TO_WIRE[value]: value for value in kind} for kind in _PREFIX}


def to_wire(value: Enum | None) -> Any:
    """The number on the wire; 0 for None. (The stubs give every enum a type of its own.)"""
    return 0 if value is None else _TO_WIRE[value]


def from_wire(kind: type[E], number: int, default: E | None = None) -> E:
    """The value of core; `default` for 0. Raises INVALID RULE_TREE for 0 without a default and for an unknown one."""
    if number == 0:
        if default is not None:
            return default
        raise invalid("RULE_TREE", f"{kind.__name__.lower()} is missing in a node of the tree")
    value = _FROM_WIRE[kind].get(number)
    if not isinstance(value, kind):
        raise invalid("RULE_TREE", f"{kind.__name__.lower()} {number} is not known to this version")
    return value


def maybe_from_wire(kind: type[E], number: int) -> E | None:
    """The same, with None for 0."""
    return None if number == 0 else from_wire(kind, number)
