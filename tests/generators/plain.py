"""Core's facts and rules as the oracle's plain dicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import singledispatch
from typing import Any

from core.events.columns import MACHINE
from core.events.facts import AttributeWrite, ContactState, Erasure, ListChange, Merge
from core.query.ast import (
    Absolute,
    AttributeCondition,
    AttributeOperand,
    BetweenAgo,
    Branch,
    Calendar,
    Comparison,
    ElementMatch,
    EventAggregate,
    EventCount,
    Everyone,
    FilterTree,
    InLast,
    InList,
    InNext,
    Literal,
    MessageCount,
    MoreThanAgo,
    Node,
    Operand,
    Rule,
    SegmentReference,
    Window,
)
from core.schema import DECIMAL_SCALE, DecimalUnits, Instant, Location
from tests.generators.world import Happened, Logged, params_of

Plain = dict[str, Any]


def plain_facts(log: Iterable[Logged]) -> list[Plain]:
    """The log, line by line."""
    return [_fact(line) for line in log]


def plain_value(value: Any) -> Any:
    """A value of core, or None, as the oracle writes it."""
    if isinstance(value, DecimalUnits):
        return Decimal(value.units) / DECIMAL_SCALE
    if isinstance(value, Instant):
        return ("instant", value.us)
    if isinstance(value, Location):
        return ("location", (value.latitude_e7, value.longitude_e7))
    if isinstance(value, tuple):
        return [plain_value(v) for v in value]
    if isinstance(value, Mapping):
        return {name: plain_value(v) for name, v in value.items()}
    return value


def plain_rule(rule: Rule) -> Plain:
    """The rule as a nested dict; every condition carries its number as "node"."""
    return {"scope": rule.scope.value, "root": _nest(rule.nodes)}


@singledispatch
def _fact(line: Logged) -> Plain:
    raise TypeError(type(line).__name__)


@_fact.register
def _(line: Happened) -> Plain:
    event = line.event
    # Columns cannot tell an empty list from a missing one, so events carry none.
    assert () not in event.params.values()
    return {
        "fact": "event",
        "contact": line.contact,
        "id": event.id,
        "type": event.type,
        "occurred_at": event.occurred_at_us,
        "params": plain_value(event.params),
        "items": plain_value(event.items),
        "machine": bool(event.flags & MACHINE),
    }


@_fact.register
def _(line: ContactState) -> Plain:
    return {
        "fact": "contact",
        "contact": line.contact,
        "known": line.known,
        "reachable": line.reachable,
        "occurred_at": line.occurred_at_us,
    }


@_fact.register
def _(line: AttributeWrite) -> Plain:
    return {
        "fact": "attribute",
        "contact": line.contact,
        "name": line.name,
        "value": plain_value(line.value),
        "occurred_at": line.occurred_at_us,
    }


@_fact.register
def _(line: ListChange) -> Plain:
    return {
        "fact": "list",
        "contact": line.contact,
        "name": line.list_name,
        "member": line.member,
        "occurred_at": line.occurred_at_us,
    }


@_fact.register
def _(line: Merge) -> Plain:
    return {"fact": "merge", "survivor": line.survivor, "loser": line.loser}


@_fact.register
def _(line: Erasure) -> Plain:
    return {"fact": "erase", "contact": line.contact}


def _nest(nodes: tuple[Node, ...] | FilterTree) -> Plain:
    made: list[Plain] = []
    for number, node in enumerate(nodes):
        if isinstance(node, Branch):
            made.append({"is": node.op.value, "of": [made[child] for child in node.children], "k": node.k})
        else:
            made.append(_leaf(node))
        made[-1]["node"] = number
    return made[-1]


def _filter(tree: FilterTree) -> Plain | None:
    return _nest(tree) if tree else None


def _operand(operand: Operand) -> Plain:
    match operand:
        case Literal(value):
            return {"value": plain_value(value)}
        case AttributeOperand(name):
            return {"attribute": name}
    return {"parameter": operand.name}


def _operands(operands: tuple[Operand, ...]) -> list[Plain]:
    return [_operand(operand) for operand in operands]


@singledispatch
def _leaf(node: object) -> Plain:
    raise TypeError(type(node).__name__)


@_leaf.register
def _(node: Comparison) -> Plain:
    return {
        "is": "compare",
        "name": node.name,
        "op": node.compare.value,
        "operands": _operands(node.operands),
        "ignoring_case": node.ignoring_case,
        "relation": node.relation.value if node.relation else "",
        "window": _window(node.window),
    }


@_leaf.register
def _(node: ElementMatch) -> Plain:
    return {"is": "any", "name": node.name, "filter": _filter(node.filter)}


@_leaf.register
def _(_node: Everyone) -> Plain:
    return {"is": "everyone"}


@_leaf.register
def _(node: AttributeCondition) -> Plain:
    return {"is": "attribute", "test": _leaf(node.test)}


@_leaf.register
def _(node: InList) -> Plain:
    return {"is": "list", "name": node.name}


@_leaf.register
def _(node: SegmentReference) -> Plain:
    return {"is": "segment", "name": node.name, "arguments": {name: _operand(o) for name, o in node.arguments}}


@_leaf.register
def _(node: EventCount) -> Plain:
    return {
        "is": "count",
        "names": list(node.events.names),
        "filter": _filter(node.events.filter),
        "window": _window(node.events.window),
        "op": node.compare.value,
        "operands": _operands(node.counts),
        "same": _same(node),
    }


@_leaf.register
def _(node: MessageCount) -> Plain:
    return {
        "is": "messages",
        "verb": node.verb.value,
        "filter": _filter(node.filter),
        "window": _window(node.window),
        "op": node.compare.value,
        "operands": _operands(node.counts),
    }


@_leaf.register
def _(node: EventAggregate) -> Plain:
    return {
        "is": "aggregate",
        "function": node.function.value,
        "path": node.path,
        "names": list(node.events.names),
        "filter": _filter(node.events.filter),
        "window": _window(node.events.window),
        "op": node.compare.value,
        "operands": _operands(node.operands),
    }


def _same(node: EventCount) -> str | None:
    """A parameter of the events, or "items.p" where only their lines have it."""
    if node.same is None or node.same in params_of(node.events.names):
        return node.same
    return f"items.{node.same.removeprefix('items.')}"


def _window(window: Window | None) -> Plain | None:
    match window:
        case None:
            return None
        case InLast(us):
            return {"is": "in last", "us": us}
        case InNext(us):
            return {"is": "in next", "us": us}
        case BetweenAgo(near_us, far_us):
            return {"is": "between ago", "near_us": near_us, "far_us": far_us}
        case MoreThanAgo(us):
            return {"is": "more than ago", "us": us}
        case Absolute(start, until, through, zone):
            return {
                "is": "absolute",
                "start": None if start is None else _operand(start),
                "until": None if until is None else _operand(until),
                "through": through,
                "zone": zone.value,
            }
        case Calendar(period, offset, count, zone):
            return {
                "is": "calendar",
                "period": period.value,
                "offset": offset,
                "count": count,
                "zone": zone.value,
            }
