"""Sequences, by trying every assignment of events to the positive steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tests.oracle.events import bound_to, distinct, values_at
from tests.oracle.facts import Plain
from tests.oracle.values import key
from tests.oracle.windows import interval, within

if TYPE_CHECKING:
    from tests.oracle.row import Row

#: The event matched by each positive step so far.
Matched = list[Plain]


def happened(row: Row, condition: Plain) -> bool:
    """ "true if some assignment of distinct events to the positive steps satisfies everything; never greedy"."""
    if interval(row, condition["window"]) is None:
        return False
    path = condition["same"]
    if path is None:
        return _happened(row, condition, None)
    # "`same key` binds a parameter across steps": some one value, which the events of all steps hold.
    held = distinct(v for event in row.events for v in _held(event, path)[0])
    return any(_happened(row, condition, (path, value)) for value in held)


def _happened(row: Row, condition: Plain, same: tuple[str, Any] | None) -> bool:
    steps = condition["steps"]
    positive = [step for step in steps if not step["negative"]]
    return any(
        _nothing_forbidden(row, steps, matched, same) for matched in _assignments(row, condition, positive, [], same)
    )


def _assignments(
    row: Row, condition: Plain, positive: list[Plain], matched: Matched, same: tuple[str, Any] | None
) -> Iterator[Matched]:
    """Every way to give the positive steps events whose order and distances fit."""
    if len(matched) == len(positive):
        yield matched
        return
    step = positive[len(matched)]
    for event in row.events:
        us = event["occurred_at"]
        if matched:
            # "Positive steps are strictly later (by instant) than the one before, `within T` is inclusive and measures
            # from the last positive step (or from the first, if said)."
            if us <= matched[-1]["occurred_at"]:
                continue
            since = matched[0 if step["from_first"] else -1]["occurred_at"]
            if step["within_us"] is not None and us > since + step["within_us"]:
                continue
        # "The window restricts the first step; later ones are bounded by `within` and as_of."
        elif not within(row, condition["window"], us):
            continue
        if _fits(row, step, event, _names(positive, matched), same):
            yield from _assignments(row, condition, positive, [*matched, event], same)


def _nothing_forbidden(row: Row, steps: list[Plain], matched: Matched, same: tuple[str, Any] | None) -> bool:
    positive = [step for step in steps if not step["negative"]]
    taken = 0
    for step in steps:
        if not step["negative"]:
            taken += 1
            continue
        p = matched[taken - 1]["occurred_at"]
        end = None if step["within_us"] is None else (matched[0] if step["from_first"] else matched[taken - 1])
        limit = None if end is None else end["occurred_at"] + step["within_us"]
        if taken < len(matched):
            # "A negative step between p and q forbids its event in `[p, min(p+T, q))`, without T in `[p, q)`"
            q = matched[taken]["occurred_at"]
            until = q if limit is None else min(limit, q)
        else:
            # "A trailing negative with T forbids `[p, p+T]` and needs `p+T <= as_of`; without T, `[p, as_of]`."
            if limit is not None and limit > row.as_of:
                return False
            until = row.as_of + 1 if limit is None else limit + 1
        names = _names(positive, matched[:taken])
        for event in row.events:
            # "the matched events themselves excepted, in every negative step"
            if any(event is one for one in matched):
                continue
            if p <= event["occurred_at"] < until and _fits(row, step, event, names, same):
                return False
    return True


def _fits(row: Row, step: Plain, event: Plain, names: dict[str, Plain], same: tuple[str, Any] | None) -> bool:
    if same is None:
        return row.selects(step["events"], event, steps=names)
    path, value = same
    values, found_at = _held(event, path)
    return key(value) in map(key, values) and row.selects(step["events"], event, bound_to(found_at, value), names)


def _held(event: Plain, path: str) -> tuple[list[Any], str]:
    """What the event holds of the key, and where: an event that has no such parameter itself has its lines'."""
    own = values_at(event, path)
    if own or path.startswith("items."):
        return own, path
    return values_at(event, f"items.{path}"), f"items.{path}"


def _names(positive: list[Plain], matched: Matched) -> dict[str, Plain]:
    pairs = zip(positive, matched, strict=False)
    return {step["name"]: event for step, event in pairs if step["name"] is not None}
