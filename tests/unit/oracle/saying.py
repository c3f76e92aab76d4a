"""Facts and conditions in the oracle's plain form, for worlds made by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.oracle import SETTING, Oracle

Plain = dict[str, Any]

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
#: Noon of 15 June 2026 in Kyiv, a Monday.
NOW = 1_781_514_000_000_000


def us(text: str) -> int:
    """An instant of an ISO text."""
    return (datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def person(number: int, known: bool = True, since: int = 0, key: str = "") -> Plain:
    """A contact."""
    fact = {"fact": "contact", "contact": number, "known": known, "reachable": 1, "occurred_at": since}
    return {**fact, "key": key or f"c{number}"}


def event(contact: int, at: int, kind: str = "viewed", items: list[Plain] | None = None, **params: Any) -> Plain:
    """An event of a human."""
    fact = {"fact": "event", "contact": contact, "id": f"{contact}-{at}", "type": kind, "occurred_at": at}
    return {**fact, "params": params, "items": items or [], "machine": False}


def attribute(contact: int, name: str, value: Any, at: int = 0) -> Plain:
    """A write."""
    return {"fact": "attribute", "contact": contact, "name": name, "value": value, "occurred_at": at}


def compare(name: str, op: str, *values: Any, **more: Any) -> Plain:
    """A comparison; a value that is a dict is an operand already."""
    operands = [value if isinstance(value, dict) else {"value": value} for value in values]
    rest: Plain = {"ignoring_case": False, "relation": "", "window": None, "moments": None, "circle": None}
    return {"is": "compare", "name": name, "op": op, "operands": operands, "zone": "workspace", **rest, **more}


def items(test: Plain, every: bool = False) -> Plain:
    """Some line, or every one."""
    return {"is": "any", "name": "items", "filter": test, "every": every}


def events(*names: str, window: Plain | None = None, test: Plain | None = None, **more: Any) -> Plain:
    """A selection."""
    rest: Plain = {"moments": None, "products": [], "with_machines": False}
    return {"names": list(names or ("viewed",)), "filter": test, "window": window, **rest, **more}


def did(op: str, count: int, window: Plain | None = None, test: Plain | None = None, **more: Any) -> Plain:
    """A count; what is not `same` belongs to the selection."""
    same = more.pop("same", None)
    selection = events(window=window, test=test, **more)
    return {"is": "count", "events": selection, "op": op, "operands": [{"value": count}], "same": same}


def own(test: Plain) -> Plain:
    """A comparison of the contact's own attribute."""
    return {"is": "attribute", "test": test}


def ask(
    facts: list[Plain], root: Plain, scope: str = "known", as_of: int = NOW, limit: Plain | None = None, **more: Any
) -> set[int]:
    """Who is in the segment; `more`: histories, or the workspace's setting."""
    oracle = Oracle(facts, "Europe/Kyiv", None, {**SETTING, **more.pop("setting", {})}, more.pop("histories", None))
    return oracle.members({"scope": scope, "root": root, "limit": limit, **more}, as_of)
