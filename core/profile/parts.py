"""A person as the fold of its parts.

Each part keeps what was told of it, so that a merge can be taken back. What the person shows of it:
the latest write of each attribute; the strictest consent, where a part has heard whatever was told of another one
after the two had become one (so a newer grant lifts a refusal, whichever part it came by); a list when one part is on
it, later moves being heard in the same way. Nothing but the number and the key depends on who survived.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from core.profile.profile import Consent, Edge, ListMove, Profile, with_attribute

#: How strict a refusal is: of two parts of a person, it wins over any other state.
_RANKS = {"suppressed": 2, "denied": 1}

_Dated = TypeVar("_Dated", Consent, ListMove)


def written(profile: Profile, part: int, change: Callable[[Profile], Profile]) -> Profile:
    """`profile` after `change` was made to one part. The same object if the part stayed the same."""
    if not profile.parts:
        return change(profile)
    before = profile.part(part)
    after = change(before)
    if after is before:
        return profile
    return folded(replace(profile, parts=tuple(after if one is before else one for one in profile.parts)))


def folded(profile: Profile) -> Profile:
    """`profile` with everything that its parts and edges say; for one without parts, itself."""
    parts = profile.parts
    if not parts:
        return profile
    shown = parts[0]
    for part in parts[1:]:
        for name, write in part.attributes.items():
            shown = with_attribute(shown, name, write)
    return replace(
        profile,
        first_seen_us=min(part.first_seen_us for part in parts),
        identifiers=frozenset().union(*(part.identifiers for part in parts)),
        attributes=shown.attributes,
        consents=_consents(parts, profile.edges),
        lists=_lists(parts, profile.edges),
        attributes_ahead={},
        lists_ahead={},
    )


def roots(parts: Iterable[int], edges: Iterable[Edge]) -> dict[int, int]:
    """For each part the number under which the person that it belongs to goes, by the edges alone."""
    groups = {part: [part] for part in parts}
    root = {part: part for part in groups}
    for edge in sorted(edges, key=lambda one: one.ordinal):
        winner, loser = root[edge.winner_end], root[edge.loser_end]
        groups[winner] += groups.pop(loser)
        for part in groups[winner]:
            root[part] = winner
    return root


def survivor_and_loser(parts: Iterable[int], edges: Sequence[Edge], edge: Edge) -> tuple[int, int]:
    """The numbers under which the two sides of `edge` went when it joined them."""
    before = roots(parts, [one for one in edges if one.ordinal < edge.ordinal])
    return before[edge.winner_end], before[edge.loser_end]


def _consents(parts: Sequence[Profile], edges: Sequence[Edge]) -> dict[str, Consent]:
    return {
        name: _strictest(_heard(told, edges))
        for name, told in _told([(part.contact, part.consents) for part in parts]).items()
    }


def _lists(parts: Sequence[Profile], edges: Sequence[Edge]) -> dict[str, tuple[ListMove, ...]]:
    own = [(part.contact, {name: moves[0] for name, moves in part.lists.items()}) for part in parts]
    return {
        name: tuple(sorted(set(_heard(told, edges)), key=lambda move: (move.at_us, move.order)))
        for name, told in _told(own).items()
    }


def _told(parts: Sequence[tuple[int, Mapping[str, _Dated]]]) -> dict[str, dict[int, _Dated]]:
    """Name -> part -> what was told of it."""
    found: dict[str, dict[int, _Dated]] = {}
    for number, told in parts:
        for name, one in told.items():
            found.setdefault(name, {})[number] = one
    return found


def _heard(told: Mapping[int, _Dated], edges: Sequence[Edge]) -> list[_Dated]:
    """What counts for each part: the latest of what was told of it and, since they are one, of the others."""
    if len(told) == 1:
        return list(told.values())
    latest = dict(told)
    groups: dict[int, set[int]] = {}
    for edge in sorted(edges, key=lambda one: one.ordinal):
        left = groups.get(edge.winner_end, {edge.winner_end})
        right = groups.get(edge.loser_end, {edge.loser_end})
        united = left | right
        for hearer in united & told.keys():
            other_side = right if hearer in left else left
            for teller in other_side & told.keys():
                if told[teller].order >= edge.order:
                    latest[hearer] = max(latest[hearer], told[teller], key=_when)
        groups.update(dict.fromkeys(united, united))
    return list(latest.values())


def _strictest(consents: Iterable[Consent]) -> Consent:
    first, *others = consents
    for one in others:
        first = _stricter(first, one)
    return first


def _stricter(a: Consent, b: Consent) -> Consent:
    """The stricter state, counted from the later of the two: what was granted before that lifts it no more. Neither
    the order nor the grouping of merges shows: of two refusals of one rank, whose dates earlier merges may have moved,
    the source decides, and of other states the later counts."""
    later = max(a, b, key=_when)
    if _rank(a) != _rank(b):
        stricter = max(a, b, key=_rank)
    elif _rank(a) > 0:
        stricter = max(a, b, key=lambda one: one.source)
    else:
        stricter = later
    return replace(stricter, at_us=later.at_us, order=later.order)


def _when(one: Consent | ListMove) -> tuple[int, int]:
    return one.at_us, one.order


def _rank(consent: Consent) -> int:
    return _RANKS.get(consent.state, 0)
