"""What was told for an instant ahead of its reception: it waits beside what is in force, and comes into force then.

A fold knows no later instant than the reception of the fact that it folds, so it brings into force what is due by then;
whoever shows a profile asks with the instant of the question. Both agree with the engine, which sees every write with
its date: what is in force at an instant does not depend on how often it was looked at before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import takewhile
from typing import TypeVar

from core.profile.parts import folded
from core.profile.profile import Attribute, ListMove, Profile, with_attribute, with_move
from core.schema import Value

#: For so many instants one attribute or list of a part may wait. What would be more is refused as a whole and told to
#: nobody, so that all who follow the log agree; what waits already stays, as nobody took it back.
MAXIMUM_AHEAD = 20

_Dated = TypeVar("_Dated", Attribute, ListMove)


def due(profile: Profile, now_us: int) -> Profile:
    """`profile` as it is at `now_us`, no earlier than the last reception of what it holds. The same object if nothing
    came into force."""
    if not profile.parts:
        return _part_due(profile, now_us)
    parts = tuple(_part_due(part, now_us) for part in profile.parts)
    if all(after is before for after, before in zip(parts, profile.parts, strict=True)):
        return profile
    return folded(replace(profile, parts=parts))


def has_room(ahead: Mapping[str, tuple[_Dated, ...]], name: str, at_us: int) -> bool:
    """Whether one more write of `name` for the instant `at_us` may wait."""
    held = ahead.get(name, ())
    return len(held) < MAXIMUM_AHEAD or any(one.at_us == at_us for one in held)


def waiting(
    part: Profile,
    attributes: Mapping[str, Value | None],
    lists: Iterable[tuple[str, bool]],
    at_us: int,
    order: int,
) -> Profile:
    """`part` with writes that wait for `at_us`; each must have room. Of one instant the later in the log counts."""
    told = {name: Attribute(value, at_us, order) for name, value in attributes.items()}
    moves = {name: ListMove(member, at_us, order) for name, member in dict(lists).items()}
    return replace(
        part,
        attributes_ahead=_with(part.attributes_ahead, told),
        lists_ahead=_with(part.lists_ahead, moves),
    )


def _with(ahead: Mapping[str, tuple[_Dated, ...]], more: Mapping[str, _Dated]) -> Mapping[str, tuple[_Dated, ...]]:
    return {**ahead, **{name: _among(ahead.get(name, ()), one) for name, one in more.items()}}


def _among(held: tuple[_Dated, ...], one: _Dated) -> tuple[_Dated, ...]:
    by_instant: dict[int, _Dated] = {other.at_us: other for other in held}
    before = by_instant.get(one.at_us)
    if before is None or before.order <= one.order:
        by_instant[one.at_us] = one
    return tuple(by_instant[at_us] for at_us in sorted(by_instant))


def _part_due(part: Profile, now_us: int) -> Profile:
    if not part.attributes_ahead and not part.lists_ahead:
        return part  # nearly always
    attributes = _split(part.attributes_ahead, now_us)
    moves = _split(part.lists_ahead, now_us)
    if not attributes and not moves:
        return part
    after = replace(
        part,
        attributes_ahead=_left(part.attributes_ahead, attributes),
        lists_ahead=_left(part.lists_ahead, moves),
    )
    for name, written in attributes.items():
        after = with_attribute(after, name, written[-1])
    for name, moved in moves.items():
        after = with_move(after, name, moved[-1])
    return after


def _split(ahead: Mapping[str, tuple[_Dated, ...]], now_us: int) -> dict[str, tuple[_Dated, ...]]:
    """Name -> what is due of it, for names of which anything is."""
    found = {}
    for name, held in ahead.items():
        if held[0].at_us <= now_us:
            found[name] = tuple(takewhile(lambda one: one.at_us <= now_us, held))
    return found


def _left(
    ahead: Mapping[str, tuple[_Dated, ...]], gone: Mapping[str, tuple[_Dated, ...]]
) -> dict[str, tuple[_Dated, ...]]:
    return {name: rest for name, held in ahead.items() if (rest := held[len(gone.get(name, ())) :])}
