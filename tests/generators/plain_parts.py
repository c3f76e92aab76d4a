"""Operands, windows, comparisons, filters and selections of core as the oracle's plain dicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from core.query.ast import (
    Absolute,
    AttributeAtEvent,
    AttributeOperand,
    BetweenAgo,
    Branch,
    Calendar,
    Circle,
    Comparison,
    ElementMatch,
    EventSelection,
    FilterTree,
    InLast,
    InNext,
    Literal,
    Moments,
    MoreThanAgo,
    OnDay,
    Operand,
    Parameter,
    ProductCondition,
    SinceLast,
    StepOperand,
    UntilFirst,
    Window,
)
from core.schema import DECIMAL_SCALE, DecimalUnits, Instant, Location

Plain = dict[str, Any]


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


def nested(nodes: tuple[Any, ...], leaf: Callable[[Any], Plain]) -> Plain:
    """A tree in post-order as a nested dict; every part carries its number as "node"."""
    made: list[Plain] = []
    for number, node in enumerate(nodes):
        if isinstance(node, Branch):
            made.append({"is": node.op.value, "of": [made[child] for child in node.children], "k": node.k})
        else:
            made.append(leaf(node))
        made[-1]["node"] = number
    return made[-1]


def plain_operand(operand: Operand) -> Plain:
    """One operand."""
    match operand:
        case Literal(value):
            return {"value": plain_value(value)}
        case Parameter(name):
            return {"parameter": name}
        case AttributeOperand(name):
            return {"attribute": name}
        case AttributeAtEvent(name):
            return {"attribute at event": name}
        case StepOperand(step, path):
            return {"step": step, "path": path}


def plain_operands(operands: tuple[Operand, ...]) -> list[Plain]:
    """All of them."""
    return [plain_operand(operand) for operand in operands]


def plain_test(node: Comparison | ElementMatch) -> Plain:
    """A leaf of a filter."""
    if isinstance(node, ElementMatch):
        return {"is": "any", "name": node.name, "filter": plain_filter(node.filter), "every": node.every}
    return {
        "is": "compare",
        "name": node.name,
        "op": node.compare.value,
        "operands": plain_operands(node.operands),
        "ignoring_case": node.ignoring_case,
        "relation": node.relation.value if node.relation else "",
        "window": plain_window(node.window),
        "moments": _moments(node.moments),
        "circle": _circle(node.circle),
        "zone": node.zone.value,
    }


def plain_filter(tree: FilterTree) -> Plain | None:
    """A filter; None for none."""
    return nested(tree, plain_test) if tree else None


def plain_selection(events: EventSelection) -> Plain:
    """Which events."""
    return {
        "names": list(events.names),
        "filter": plain_filter(events.filter),
        "window": plain_window(events.window),
        "moments": _moments(events.moments),
        "products": [_product(product) for product in events.products],
        "with_machines": events.with_machines,
    }


def plain_window(window: Window | None) -> Plain | None:
    """A window; None for all time."""
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
                "start": None if start is None else plain_operand(start),
                "until": None if until is None else plain_operand(until),
                "through": through,
                "zone": zone.value,
            }
        case Calendar(period, offset, count, zone):
            return {"is": "calendar", "period": period.value, "offset": offset, "count": count, "zone": zone.value}
        case OnDay(offset):
            return {"is": "on day", "offset": offset}
        case SinceLast(events):
            return {"is": "since last", "events": plain_selection(events)}
        case UntilFirst(events):
            return {"is": "until first", "events": plain_selection(events)}


def _moments(moments: Moments | None) -> Plain | None:
    if moments is None:
        return None
    return {"weekdays": list(moments.weekdays), "hours": moments.hours, "zone": moments.zone.value}


def _circle(circle: Circle | None) -> Plain | None:
    if circle is None:
        return None
    return {
        "latitude_e7": circle.latitude_e7,
        "longitude_e7": circle.longitude_e7,
        "radius_mm": circle.radius_mm,
    }


def _product(product: ProductCondition) -> Plain:
    drop = None if product.price_drop is None else plain_value(product.price_drop)
    return {
        "state": None if product.state is None else product.state.value,
        "at_event": product.at_event,
        "price_drop": drop,
    }
