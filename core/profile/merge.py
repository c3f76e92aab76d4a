"""Two profiles become one."""

from __future__ import annotations

from dataclasses import replace

from core.profile.profile import Consent, Profile, with_attribute

#: How strict a refusal is: of two profiles that become one, it wins over any other state.
_RANKS = {"suppressed": 2, "denied": 1}


def merge(survivor: Profile, loser: Profile) -> Profile:
    """The survivor on the union of both: the latest write of each attribute, suppression over consent, lists united.

    Nothing but the number and the key depends on which of the two survives.
    """
    merged = survivor
    for name, written in loser.attributes.items():
        merged = with_attribute(merged, name, written)
    consents = dict(survivor.consents)
    for channel, consent in loser.consents.items():
        before = consents.get(channel)
        consents[channel] = consent if before is None else _stricter(before, consent)
    lists = dict(survivor.lists)
    for name, parts in loser.lists.items():
        united = {*lists.get(name, ()), *parts}
        lists[name] = tuple(sorted(united, key=lambda part: (part.at_us, part.order)))
    return replace(
        merged,
        first_seen_us=min(survivor.first_seen_us, loser.first_seen_us),
        identifiers=survivor.identifiers | loser.identifiers,
        consents=consents,
        lists=lists,
        merged=(*survivor.merged, *loser.merged, (loser.contact, loser.key)),
    )


def absorbed(loser: Profile, survivor: int) -> Profile:
    """What stays under the loser's number: its last state, and where it went."""
    return replace(loser, merged_into=survivor)


def _stricter(a: Consent, b: Consent) -> Consent:
    """The stricter state, counted from the later of the two: what was granted before that lifts it no more. Neither
    the order nor the grouping of merges shows: of two refusals of one rank, whose dates earlier merges may have moved,
    the source decides, and of other states the later counts."""
    later = max(a, b, key=lambda one: (one.at_us, one.order))
    if _rank(a) != _rank(b):
        stricter = max(a, b, key=_rank)
    elif _rank(a) > 0:
        stricter = max(a, b, key=lambda one: one.source)
    else:
        stricter = later
    return replace(stricter, at_us=later.at_us, order=later.order)


def _rank(consent: Consent) -> int:
    return _RANKS.get(consent.state, 0)
