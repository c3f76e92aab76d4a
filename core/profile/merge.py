"""Two profiles become one, and one becomes two again."""

from __future__ import annotations

from dataclasses import dataclass, replace

from core.profile.parts import folded, roots
from core.profile.profile import Apart, Edge, Profile


def merge(survivor: Profile, loser: Profile, edge: Edge) -> Profile:
    """The survivor with the parts of both, joined by `edge`. Nothing but the number and the key depends on which of
    the two survives."""
    parts = (*_parts_of(survivor), *_parts_of(loser))
    return folded(
        replace(
            survivor,
            parts=tuple(sorted(parts, key=lambda part: part.contact)),
            edges=tuple(sorted((*survivor.edges, *loser.edges, edge), key=lambda one: one.ordinal)),
            apart=_united(survivor.apart, loser.apart),
            undone=tuple(sorted({*survivor.undone, *loser.undone})),
        )
    )


def absorbed(profile: Profile, survivor: int) -> Profile:
    """What stays under the number of a profile that is part of `survivor`: where it went."""
    return Profile(profile.contact, profile.key, profile.first_seen_us, merged_into=survivor)


@dataclass(frozen=True, slots=True)
class Split:
    """The two sides of a merge that is taken back: `kept` goes on under the number of the whole, `restored` is the
    other one."""

    kept: Profile
    restored: Profile


def split(profile: Profile, edge: Edge) -> Split:
    """`profile` without `edge`: each side has the parts that hang on it, and the two are apart for good."""
    edges = tuple(one for one in profile.edges if one is not edge)
    root = roots(profile.part_numbers(), edges)
    other = next(number for number in (root[edge.winner_end], root[edge.loser_end]) if number != profile.contact)
    mine, theirs = (tuple(part for part in root if root[part] == number) for number in (profile.contact, other))
    undone = tuple(sorted({*profile.undone, edge.ordinal}))
    whole = replace(profile, edges=edges, undone=undone)
    return Split(_side(whole, profile.contact, mine, theirs), _side(whole, other, theirs, mine))


def _side(whole: Profile, number: int, mine: tuple[int, ...], theirs: tuple[int, ...]) -> Profile:
    """The side of the parts `mine`, which goes under `number`."""
    inherited = [(tuple(one for one in own if one in mine), others) for own, others in whole.apart]
    apart = _united(tuple(one for one in inherited if one[0]), ((mine, theirs),))
    own = whole.part(number)
    if len(mine) == 1:
        return replace(own, apart=apart, undone=whole.undone)
    return folded(
        replace(
            own,
            parts=tuple(part for part in whole.parts if part.contact in mine),
            edges=tuple(edge for edge in whole.edges if edge.winner_end in mine),
            apart=apart,
            undone=whole.undone,
        )
    )


def _parts_of(profile: Profile) -> tuple[Profile, ...]:
    """The parts alone: what holds for the person as a whole stays with the person."""
    return profile.parts or (replace(profile, apart=(), undone=()),)


def _united(one: tuple[Apart, ...], other: tuple[Apart, ...]) -> tuple[Apart, ...]:
    return tuple(sorted({*one, *other}))
