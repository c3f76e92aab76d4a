"""A merge is taken back: both sides are as if it had never been."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace

from core.events.columns import Identifier
from core.events.facts import AttributeWrite, ListChange, Unmerge
from core.identity.links import contact_of, part_of
from core.identity.rules import CONTACT_KEY
from core.profile.accepted import Separation
from core.profile.merge import absorbed, split
from core.profile.merge_log import Outcome, Undone
from core.profile.parts import survivor_and_loser
from core.profile.people import People
from core.profile.profile import Edge, Profile
from core.profile.resolving import Origin
from core.profile.working_set import Wanted

NO_SUCH_CONTACT = "NO_SUCH_CONTACT"
NOT_MERGED = "NOT_MERGED"
ALREADY_UNMERGED = "ALREADY_UNMERGED"
NOT_MERGED_AWAY = "NOT_MERGED_AWAY"


def separation_of(survivor: Profile, survivor_part: int, merged: Profile, merged_part: int) -> Edge | Outcome:
    """The merge by which the contact `merged_part` of `merged` became part of `survivor`, or why there is none."""
    if merged.contact != survivor.contact:
        theirs = survivor.part_numbers()
        if any(other in theirs for _, others in merged.apart for other in others):
            return Outcome(ALREADY_UNMERGED, "the two were taken apart before")
        return Outcome(NOT_MERGED, "the two are not one person")
    if survivor_part == merged_part:
        return Outcome(NOT_MERGED, "a contact cannot be taken out of itself: name the one that was merged into it")
    for edge in merged.edges:
        if survivor_and_loser(merged.part_numbers(), merged.edges, edge)[1] == merged_part:
            return edge
    return Outcome(NOT_MERGED_AWAY, "this contact survived every merge: name the one that was merged into it")


def separate(
    people: People, order: Separation, origin: Origin, batch_events: Sequence[tuple[int, str, int]]
) -> Generator[Wanted, None, Outcome]:
    """Carry out `order`. `batch_events` are (part, id, instant) of the batch's events so far. The outcome says why not
    where nothing was done."""
    state = people.state
    keys = (Identifier(CONTACT_KEY, order.survivor), Identifier(CONTACT_KEY, order.merged))
    absent = tuple(one for one in keys if one not in state.links)
    if absent:
        yield Wanted(identifiers=absent)
    holders = []
    for key in keys:
        link = state.links[key]
        if not isinstance(link, int):
            return Outcome(NO_SUCH_CONTACT, f"there is no contact with the key {key.value!r}")
        holders.append(link)
    survivor, merged = holders
    yield from people.need_profiles({contact_of(one) for one in holders})
    whole = state.profile(contact_of(merged))
    edge = separation_of(state.profile(contact_of(survivor)), part_of(survivor), whole, part_of(merged))
    if isinstance(edge, Outcome):
        return edge
    sides = split(whole, edge)
    kept, restored = sides.kept, sides.restored
    yield Wanted(histories=whole.part_numbers(), restored=restored.part_numbers())
    if state.merge_record(edge.ordinal) is None:
        yield Wanted(merges=(edge.ordinal,))

    yield from people.rehome(restored, restored.contact)
    for side in (kept, restored):
        state.put_profile(side)
        keys_of = {part.contact: part for part in (side.parts or (side,))}
        for number, part in keys_of.items():
            if number != side.contact:
                state.put_profile(absorbed(part, side.contact))
    record = state.merge_record(edge.ordinal)
    if record is not None:
        undone = Undone(origin.at_us, people.position, order.asked_by, order.reason)
        state.put_merge(replace(record, undone=undone))

    gone = frozenset(restored.part_numbers())
    histories = [state.histories[part] for part in sorted(gone)]
    ids = [one for history in histories for one in history.event_ids]
    ids += [one for part, one, _ in batch_events if part in gone]
    instants = [one for history in histories for one in history.event_instants_us]
    instants += [one for part, _, one in batch_events if part in gone]
    people.facts.append(
        Unmerge(
            kept.contact,
            restored.contact,
            restored.key,
            tuple(ids),
            origin.at_us,
            origin.before_event,
            origin.item,
            tuple(instants),
            restored.part_numbers(),
        )
    )
    for side in (kept, restored):
        people.facts.append(people.state_of(side, origin))
        people.facts += _history(people, side, origin)
    return Outcome(survivor=kept.contact, restored=restored.contact)


def _history(people: People, side: Profile, origin: Origin) -> list[AttributeWrite | ListChange]:
    """All attribute writes and list changes of one side, in the order of the log, told as of this item."""
    parts = side.part_numbers()
    durable = sorted((one for part in parts for one in people.state.histories[part].facts), key=lambda one: one[0])
    recent = [fact for fact in people.told if (fact.part or fact.contact) in parts]
    found = []
    for fact in (*(fact for _, fact in durable), *recent):
        part = fact.part or fact.contact
        found.append(
            replace(
                fact,
                contact=side.contact,
                part=0 if part == side.contact else part,
                before_event=origin.before_event,
                item=origin.item,
            )
        )
    return found
