"""Two profiles become one."""

from __future__ import annotations

from dataclasses import replace

from core.profile.profile import SUPPRESSING, Consent, Profile, with_attribute


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
    """A refusal wins and counts from the later of the two: what was granted before that lifts it no more."""
    earlier, later = sorted((a, b), key=lambda one: (one.at_us, one.order))
    if earlier.state in SUPPRESSING and later.state not in SUPPRESSING:
        return replace(earlier, at_us=later.at_us, order=later.order)
    return later
