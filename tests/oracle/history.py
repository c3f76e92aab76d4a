"""How long something has been so, and what was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.oracle.facts import Plain
from tests.oracle.filters import Around, passes
from tests.oracle.values import key
from tests.oracle.windows import interval, within

if TYPE_CHECKING:
    from tests.oracle.row import Row


def was_so(row: Row, condition: Plain) -> bool:
    """A condition on the past."""
    match condition["is"]:
        case "has been":
            return _has_been(row, condition)
        case "changed":
            return _changed(row, condition)
        case "was in":
            return _was_in(row, condition)
        case "has been in":
            # The same as of a state that is the group: on all of `[as_of-T, as_of]`.
            start = row.as_of - condition["us"]
            instants = [start, *(us for us in _turns(row, condition) if start < us <= row.as_of)]
            return all(_is_in(row, condition, us) for us in instants)
    raise ValueError(condition["is"])


def _has_been(row: Row, condition: Plain) -> bool:
    """ "`has been X for >= T`: X on all of `[as_of-T, as_of]`.": at its start, and from every write in it on."""
    start, name = row.as_of - condition["us"], condition["test"]["name"]
    writes = {w["occurred_at"] for w in row.contact.writes if w["name"] == name}

    def held(us: int) -> bool:
        return passes(row, condition["test"], Around(lambda name: row.contact.attribute(name, us)))

    return all(held(us) for us in [start, *(us for us in writes if start < us <= row.as_of)])


def _changed(row: Row, condition: Plain) -> bool:
    """ "`changed` joins consecutive different values, missing included."; the first value is a change from missing."""
    value: Any = None
    for us, after in row.contact.attribute_steps(condition["name"], row.as_of):
        before, value = value, after
        if _same(before, after):
            continue
        wanted = _among(row, condition["before"], before) and _among(row, condition["after"], after)
        if wanted and within(row, condition["window"], us):
            return True
    return False


def _same(one: Any, other: Any) -> bool:
    return (one is None) == (other is None) and (one is None or key(one) == key(other))


def _among(row: Row, operands: list[Plain] | None, value: Any) -> bool:
    """None: anything; no operands: missing."""
    if operands is None:
        return True
    if not operands:
        return value is None
    return value is not None and any(_same(value, row.operand(o)) for o in operands)


def _was_in(row: Row, condition: Plain) -> bool:
    """In the group at the first instant of the window, or at some turn in it; what is to come has not been."""
    found = interval(row, condition["window"])
    assert found is not None
    start, until = found[0], min(found[1], row.as_of + 1)
    instants = [start, *_turns(row, condition)]
    return any(start <= us < until and _is_in(row, condition, us) for us in instants)


def _turns(row: Row, condition: Plain) -> list[int]:
    """The instants at which the contact comes into the group, or leaves it, or says so again."""
    name = condition["name"]
    match condition["group"]:
        case "segment":
            return [us for us, _ in _records(row, name)]
        case "list":
            return [c["occurred_at"] for part in row.contact.parts.values() for c in part if c["name"] == name]
    return [e["occurred_at"] for e in _runs(row, name)]


def _is_in(row: Row, condition: Plain, us: int) -> bool:
    name = condition["name"]
    match condition["group"]:
        case "segment":
            # "`was in S`, `in S for >= T` read the recorded history since S was first saved, all versions."
            past = [entered for at, entered in _records(row, name) if at <= us]
            return bool(past) and past[-1]
        case "list":
            return row.contact.on_list(name, us)
    # In a scenario while more of its runs were entered than left: all at one instant count at once, and leaving what
    # was never entered counts for nothing.
    steps: dict[int, int] = {}
    for run in _runs(row, name):
        at = run["occurred_at"]
        steps[at] = steps.get(at, 0) + (1 if run["type"] == "scenario_entered" else -1)
    running = 0
    for at in sorted(at for at in steps if at <= us):
        running = max(0, running + steps[at])
    return running > 0


def _records(row: Row, name: str) -> list[tuple[int, bool]]:
    return row.oracle.histories.get(name, {}).get(row.contact.number, [])


def _runs(row: Row, scenario: str) -> list[Plain]:
    """A scenario's runs are events of the contact, in their total order."""
    names = ["scenario_entered", "scenario_left"]
    selection = {"names": names, "filter": None, "window": None, "moments": None, "products": []}
    found = row.selected({**selection, "with_machines": False})
    return [e for e in found if e["params"].get("scenario") == scenario]
