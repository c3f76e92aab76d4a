"""The people of a batch: what facts tell of them is written, one fact after the other."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass

from core.events.columns import Identifier
from core.events.facts import EVENT_ITEM, AttributeWrite, ConsentWrite, ContactState, ListChange
from core.identity.links import Holder, holder
from core.identity.normalise import normalised
from core.identity.rules import MIRRORED_KINDS, IdentityRules
from core.profile.accepted import AcceptedFact, ProfileUpdate
from core.profile.ahead import MAXIMUM_AHEAD, due, has_room, waiting
from core.profile.parts import written
from core.profile.profile import (
    Attribute,
    Consent,
    ListMove,
    Profile,
    consent_key,
    seen_at,
    with_attribute,
    with_attributes,
    with_consent,
    with_move,
)
from core.profile.resolving import Origin, Resolved, Resolver, Summary
from core.profile.working_set import Wanted, WorkingSet
from core.schema import Value

KIND_MISMATCH = "KIND_MISMATCH"
TOO_MANY_AHEAD = "TOO_MANY_AHEAD"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A part of a fact that was not written: a stable reason, a sentence."""

    reason: str
    detail: str


class People(Resolver):
    """Applies the facts of one batch to the working set. `facts` are the changes so far, in order, `told` those among
    them that were told for the first time.

    Every fact gives, in this order: merges, the contact's state if it changed, attribute writes, list changes,
    consents.
    """

    def __init__(self, workspace: str, position: int, state: WorkingSet, rules: IdentityRules) -> None:
        super().__init__(workspace, position, state, rules)
        self.told: list[AttributeWrite | ListChange] = []

    def of_event(
        self,
        names: tuple[Identifier, ...],
        received_at_us: int,
        at_us: int,
        order: int,
        before_event: int,
        imported: bool,
    ) -> Generator[Wanted, None, Holder | None]:
        """The holder of an event whose identifiers do not all name the same one yet; None: nobody's.

        An external id, email or phone that is new to the part becomes an attribute where it has none yet; dated ahead
        of the reception it waits, as in `update`.
        """
        origin = Origin(at_us, imported, before_event, EVENT_ITEM, order)
        resolved = yield from self.resolve(names, origin)
        if resolved is None:
            return None
        writes: list[tuple[str, Value | None]] = []

        def change(part: Profile) -> Profile:
            changed = resolved.linked(part)
            for one in resolved.links:
                present = changed.attributes.get(one.kind)
                if one.kind not in MIRRORED_KINDS or (present is not None and present.value is not None):
                    continue
                if at_us <= received_at_us:
                    changed = with_attribute(changed, one.kind, Attribute(one.value, at_us, order))
                elif has_room(changed.attributes_ahead, one.kind, at_us):
                    changed = waiting(changed, {one.kind: one.value}, (), at_us, order)
                else:
                    continue  # the identifier is the part's all the same
                writes.append((one.kind, one.value))
            return changed

        profile = written(due(resolved.profile, received_at_us), resolved.part, change)
        self._put(resolved.before, profile, origin)
        self._tell(_written(resolved, name, value, origin) for name, value in writes)
        return holder(resolved.part, profile.contact)

    def update(
        self,
        names: tuple[Identifier, ...],
        update: ProfileUpdate,
        fact: AcceptedFact,
        order: int,
        before_event: int,
        item: int = 0,
    ) -> Generator[Wanted, None, tuple[LeftOut, ...] | None]:
        """Write what `fact`, number `item` of the batch's facts, told. Dated ahead of its reception, attributes and
        moves between lists wait until then; a consent counts from its reception at the latest (what is no refusal is
        not let in dated ahead: core.events.persons). Returns what had to be left out; None: nobody's."""
        at_us = fact.occurred_at_us
        origin = Origin(at_us, fact.imported, before_event, item, order)
        resolved = yield from self.resolve(names, origin)
        if resolved is None:
            return None
        ahead = at_us > fact.received_at_us
        whole = due(resolved.profile, fact.received_at_us)
        told, left_out = self._attributes(update, names, resolved)
        lists = update.lists
        if ahead:
            part_before = whole.part(resolved.part)
            full = [name for name in told if not has_room(part_before.attributes_ahead, name, at_us)]
            full_lists = {name for name, _ in lists if not has_room(part_before.lists_ahead, name, at_us)}
            for name in full:
                del told[name]
            lists = tuple(move for move in lists if move[0] not in full_lists)
            # An address that names the person already is nothing that the fact told beside.
            left_out += [_too_many(f"attribute {name!r}") for name in full if name in update.attributes]
            left_out += [_too_many(f"list {name!r}") for name in sorted(full_lists)]
        # Dated ahead, a grant would outlast every refusal until that instant.
        consent_at_us = min(at_us, fact.received_at_us)

        def change(part: Profile) -> Profile:
            changed = seen_at(resolved.linked(part), at_us)
            if ahead:
                changed = waiting(changed, told, lists, at_us, order)
            else:
                changed = with_attributes(changed, told, at_us, order)
                for list_name, member in lists:
                    changed = with_move(changed, list_name, ListMove(member, at_us, order))
            for one in update.consents:
                consent = Consent(one.state, one.source, consent_at_us, order, one.proof)
                changed = with_consent(changed, consent_key(one.channel, one.category), consent)
            return changed

        profile = written(whole, resolved.part, change)
        self._put(resolved.before, profile, origin)
        contact, part, imported = profile.contact, resolved.other_part, fact.imported
        self._tell(_written(resolved, name, value, origin) for name, value in told.items())
        self._tell(
            ListChange(contact, list_name, member, at_us, imported, before_event, item, part)
            for list_name, member in lists
        )
        for one in update.consents:
            said = (one.channel, one.category, one.state, one.source, one.proof)
            self.facts.append(ConsentWrite(contact, *said, consent_at_us, imported, before_event, item, part))
        return tuple(left_out)

    def _attributes(
        self, update: ProfileUpdate, names: tuple[Identifier, ...], resolved: Resolved
    ) -> tuple[dict[str, Value | None], list[LeftOut]]:
        """The attributes to write, and those that do not fit their kind."""
        mine = resolved.profile.part(resolved.part).identifiers.union(resolved.links)
        told: dict[str, Value | None] = {
            one.kind: one.value for one in reversed(names) if one.kind in MIRRORED_KINDS and one in mine
        }
        wrong = []
        for name, value in update.attributes.items():
            try:
                told[name] = self._fitted(name, value)
            except ValueError as error:
                wrong.append(LeftOut(KIND_MISMATCH, str(error)))
        return told, wrong

    def _tell(self, facts: Iterable[AttributeWrite | ListChange]) -> None:
        for fact in facts:
            self.facts.append(fact)
            self.told.append(fact)

    def _fitted(self, name: str, value: Value | None) -> Value | None:
        if value is None:
            return None
        if name in MIRRORED_KINDS and isinstance(value, str):
            one = normalised(Identifier(name, value), self.rules)
            return value if one is None else one.value
        fitted = self.state.kinds.fitted(name, value)
        self.state.kinds = self.state.kinds.learned(name, fitted)
        return fitted

    def _put(self, before: Summary | None, profile: Profile, origin: Origin) -> None:
        if before is None or profile is not self.state.profile(profile.contact):
            self.state.put_profile(profile)
        if before != self.summary(profile):
            self.facts.append(self.state_of(profile, origin))

    def state_of(self, profile: Profile, origin: Origin) -> ContactState:
        """The fact that tells what `profile` is now."""
        known, reachable, first_seen_us = self.summary(profile)
        return ContactState(
            profile.contact,
            profile.key,
            known,
            reachable,
            first_seen_us,
            origin.before_event,
            origin.imported,
            origin.at_us,
            origin.item,
        )


def _written(resolved: Resolved, name: str, value: Value | None, origin: Origin) -> AttributeWrite:
    contact, part = resolved.profile.contact, resolved.other_part
    return AttributeWrite(contact, name, value, origin.at_us, origin.imported, origin.before_event, origin.item, part)


def _too_many(what: str) -> LeftOut:
    return LeftOut(TOO_MANY_AHEAD, f"{what} waits for {MAXIMUM_AHEAD} instants ahead already, which is the most")
