"""Merges taken back and changes of consent between their wire form and core."""

from __future__ import annotations

from cdp.facts.v1 import facts_pb2
from core.events.facts import ConsentWrite, Unmerge


def consent_to_proto(fact: ConsentWrite) -> facts_pb2.ContactFact:
    """A change of consent on the wire."""
    return facts_pb2.ContactFact(
        contact=fact.contact,
        occurred_at_us=fact.occurred_at_us,
        imported=fact.imported,
        before_event=fact.before_event,
        item=fact.item,
        part=fact.part,
        consent=facts_pb2.ConsentWrite(
            channel=fact.channel,
            category=fact.category,
            state=fact.state,
            source=fact.source,
            proof=fact.proof,
        ),
    )


def consent_from_proto(m: facts_pb2.ContactFact) -> ConsentWrite:
    """The change of consent that `m` holds."""
    told = m.consent
    said = (told.channel, told.category, told.state, told.source, told.proof)
    return ConsentWrite(m.contact, *said, m.occurred_at_us, m.imported, m.before_event, m.item, m.part)


def unmerge_to_proto(fact: Unmerge) -> facts_pb2.ContactFact:
    """A merge taken back on the wire."""
    return facts_pb2.ContactFact(
        contact=fact.survivor,
        occurred_at_us=fact.occurred_at_us,
        before_event=fact.before_event,
        item=fact.item,
        unmerge=facts_pb2.Unmerge(
            restored=fact.restored,
            key=fact.key,
            event_ids=fact.event_ids,
            event_instants_us=fact.event_instants_us,
            parts=fact.parts,
        ),
    )


def unmerge_from_proto(m: facts_pb2.ContactFact) -> Unmerge:
    """The merge taken back that `m` holds."""
    undone = m.unmerge
    return Unmerge(
        m.contact,
        undone.restored,
        undone.key,
        tuple(undone.event_ids),
        m.occurred_at_us,
        m.before_event,
        m.item,
        tuple(undone.event_instants_us),
        tuple(undone.parts),
    )
