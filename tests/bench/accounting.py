"""What the index itself says that it holds, apart by what it is for."""

from __future__ import annotations

from core.index.index import Index


def accounting(index: Index) -> dict[str, object]:
    """Bytes per contact and per event by the index's own count. Orders of events by contact are counted where questions
    have made them; what is kept only to answer sooner stands apart."""
    root = index.root()
    contacts = max(root.contact_count, 1)
    events = max(sum(len(run) for runs in root.events.values() for run in runs), 1)
    attributes = sum(sum(view.tables()) for view in root.attributes.values())
    return {
        "attributes_bytes_a_contact": round(attributes / contacts, 1),
        "goal_attributes_bytes_a_contact": 150,
        "keys_bytes_a_contact": round(root.contacts.keys.nbytes / contacts, 1),
        "existence_bytes_a_contact": round(root.contacts.nbytes / contacts, 1),
        "events_bytes_an_event": round(index.events.nbytes / events, 1),
        "goal_events_bytes_an_event": 40,
        "event_caches_mb": index.events.cache_nbytes >> 20,
        "runs": sum(len(runs) for runs in root.events.values()),
    }
