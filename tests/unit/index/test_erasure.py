"""Nothing of an erased contact stays: in no column, no table, no text, no history, and in no byte of a snapshot."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from uuid import UUID

import numpy as np
import pytest

from core.events.columns import Event, EventColumnsBuilder
from core.events.facts import (
    AttributeWrite,
    ContactFact,
    ContactState,
    Erasure,
    FactBatch,
    ListChange,
    Merge,
    Unmerge,
)
from core.index.contacts import ERASED
from core.index.index import Index
from core.index.root import Root
from core.index.snapshot import decode, encode, forget_texts
from core.query.ast import Scope
from core.query.binding.bind import bind
from core.query.names import Names
from core.query.text.parse import parse
from core.schema import DecimalUnits, Instant, Kind, Location, Scalar, Value
from core.segments.changes import Cause, MembershipChange
from core.segments.saved import Saved
from core.segments.standing import Standing

T = 1_700_000_000_000_000
#: Numbers that nothing else has; their bytes, and their digits, are looked for.
WHOLE, UNITS, AT_US, ITEM_UNITS = 0x1122334455667788, 0x2A3B4C5D6E7F1, T + 0x1234567, 0x5C6B7A899887
PLACE = Location(501234567, -304567891)
DAY = date(1971, 3, 29)
EVENT_UUID = UUID("5e471e15-0000-4aaa-8bbb-123456789abc")
SECRET = "sentinel"


Told = ContactState | AttributeWrite | ListChange


def person(contact: int, mark: str, *, secret: bool) -> tuple[list[Told], list[Event]]:
    """Facts of every kind; `mark` is in every text of them."""
    whole, units, at_us = (WHOLE, UNITS, AT_US) if secret else (3, 5, T)
    child: dict[str, Scalar] = {"name": f"{mark}-child", "size": whole}
    place, day = (PLACE, DAY) if secret else (Location(1, 2), date(2000, 1, 1))
    values: dict[str, Value] = {
        "name": f"{mark}-name",
        "tags": (f"{mark}-tag", "common"),
        "children": (child,),
        "place": place,
        "born": day,
        "paid": DecimalUnits(units),
        "visits": whole,
        "seen": Instant(at_us),
    }
    key = f"{mark}-key"
    facts: list[Told] = [ContactState(contact, key, True, 3, at_us, 0)]
    facts.append(AttributeWrite(contact, "name", f"{mark}-old", at_us - 5, False, 0))
    facts += [AttributeWrite(contact, name, value, at_us, False, 0) for name, value in values.items()]
    facts.append(ListChange(contact, "staff", True, at_us, False, 0))
    event_id = str(EVENT_UUID) if secret else "5e471e15-0000-4aaa-8bbb-000000000000"
    params: dict[str, Scalar | tuple[str, ...]] = {
        "query": f"{mark}-query",
        "total": DecimalUnits(units),
        "n": whole,
        "tags": (f"{mark}-param",),
    }
    items: tuple[dict[str, Scalar], ...] = ({"sku": f"{mark}-sku", "price": DecimalUnits(ITEM_UNITS if secret else 7)},)
    events = [
        Event(event_id, "searched", at_us, at_us, (), params, items),
        Event(f"{mark}-event", "viewed", at_us, at_us, (), params, items),
        Event(f"{mark}-tie", "searched", at_us, at_us, (), {}, ()),
        Event(f"{mark}-tie", "viewed", at_us, at_us, (), {}, ()),
    ]
    return facts, events


def batch(position: int, facts: Iterable[ContactFact], events: dict[int, list[Event]] | None = None) -> FactBatch:
    builder, contacts = EventColumnsBuilder(), []
    for contact, mine in (events or {}).items():
        for event in mine:
            builder.add(event)
            contacts.append(contact)
    columns = replace(builder.build(), contacts=np.array(contacts, np.uint32))
    return FactBatch(position, T + 10**9 + position, columns, tuple(facts))


def world(*, several_entries: bool, merged: bool = False) -> list[FactBatch]:
    """Contacts 0 and 1 with facts of every kind, and what only 1 has; it is merged with 2 and taken apart again where
    `merged`."""
    facts, events = person(1, SECRET, secret=True)
    plain, plain_events = person(0, "plain", secret=False)
    others: list[Told] = [ContactState(2, "other-key", True, 1, T, 0)]
    if several_entries:
        entries = [batch(1, plain, {0: plain_events}), batch(2, facts, {1: events}), batch(3, others)]
    else:
        entries = [batch(1, [*plain, *facts, *others], {0: plain_events, 1: events})]
    if merged:
        entries.append(batch(8, [Merge(2, 1, 0)]))
        ids, instants = tuple(e.id for e in events), tuple(e.occurred_at_us for e in events)
        told = [replace(fact, item=4) for fact in (*others, *facts)]
        entries.append(batch(9, [Unmerge(2, 1, f"{SECRET}-key", ids, T, 0, 4, instants, (1,)), *told]))
    return entries


def sentinels() -> list[bytes]:
    """What is searched for: texts, and numbers as bytes of eight and as digits."""
    numbers = (WHOLE, UNITS, AT_US, ITEM_UNITS, PLACE.latitude_e7, PLACE.longitude_e7)
    days = (DAY - date(1970, 1, 1)).days
    found = [SECRET.encode(), EVENT_UUID.bytes, EVENT_UUID.bytes[:8][::-1], EVENT_UUID.bytes[8:][::-1]]
    found += [struct.pack("<q", number) for number in numbers]
    return [*found, *(str(number).encode() for number in numbers), struct.pack("<q", days)]


def leaks(root: Root) -> list[tuple[str, bytes]]:
    """The sections of a snapshot that hold a sentinel."""
    drafts = [(draft.name, draft.data) for draft in encode(root)]
    return [(name, one) for name, data in drafts for one in sentinels() if one in data]


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("several_entries", [False, True])
def test_no_byte_of_the_erased_is_in_a_snapshot(several_entries: bool, merged: bool) -> None:
    index = Index()
    for one in world(several_entries=several_entries, merged=merged):
        index.apply(one.events, one.facts, one.position)
        if several_entries:
            index.root()
    assert {one for _, one in leaks(index.root())} >= {SECRET.encode(), struct.pack("<q", WHOLE)}
    index.apply(batch(20, ()).events, (Erasure(1, 0),), 20)
    assert leaks(index.root()) == []
    again = decode(encode(index.root()))
    assert leaks(again.root()) == []
    plain, events = person(3, "later", secret=False)
    later = batch(21, plain, {3: events})
    again.apply(later.events, later.facts, 21)
    root = again.root()
    kinds, values = root.attributes["place"].valid(2**60, np.array([0, 1, 3], np.uint32), 4)
    assert [root.locations[int(v)] if k else None for k, v in zip(kinds, values, strict=True)] == [
        Location(1, 2),
        None,
        Location(1, 2),
    ]
    assert leaks(root) == []


def test_the_erased_part_of_a_merged_contact_goes_with_it() -> None:
    index = Index()
    for one in world(several_entries=True):
        index.apply(one.events, one.facts, one.position)
    index.apply(batch(8, ()).events, (Merge(2, 1, 0), ListChange(2, "staff", False, T, False, 0, part=1)), 8)
    index.root()
    index.apply(batch(9, ()).events, (Erasure(2, 0),), 9)
    root = index.root()
    assert leaks(root) == []
    assert root.contacts.forward_of(np.array([1, 2], np.uint32)).tolist() == [ERASED, ERASED]
    assert root.contacts.erased().tolist() == [1, 2]


def test_no_column_or_table_in_memory_holds_the_erased() -> None:
    index = Index()
    for one in world(several_entries=True):
        index.apply(one.events, one.facts, one.position)
    before = index.root()
    index.apply(batch(9, ()).events, (Erasure(1, 0),), 9)
    forget_texts(index)
    root = index.root()
    gone = np.array([1], np.uint32)
    assert not root.exists(2**62, gone) and not root.known(gone)
    assert root.contacts.reachable_of(gone).tolist() == [0]
    assert all(1 not in run.contacts for runs in root.events.values() for run in runs)
    assert all(1 not in view.all_writes().contacts for view in (*root.attributes.values(), *root.lists.values()))
    assert not any(SECRET in text for text in root.dictionary.texts())
    assert root.dictionary.code(f"{SECRET}-name") is None
    assert root.dictionary.text(root.dictionary.add("plain-name")) == "plain-name"
    kinds, values = before.attributes["name"].valid(2**60, gone, 3)
    assert (int(kinds[0]), before.dictionary.text(int(values[0]))) == (Kind.TEXT, ""), "nor does an earlier root"
    assert root.number_of(f"{SECRET}-key") is None
    plain, events = person(3, SECRET, secret=True)
    later = batch(21, plain, {3: events})
    index.apply(later.events, later.facts, 21)
    assert index.root().key_of(3) == f"{SECRET}-key"
    assert leaks(decode(encode(index.root())).root()) != [], "whoever comes later with the same texts keeps them"


def test_no_history_or_tracked_segment_names_the_erased() -> None:
    kinds = {"name": Kind.TEXT, "visits": Kind.INTEGER}
    params = {"query": Kind.TEXT, "n": Kind.INTEGER}
    names = Names(kinds, {"searched": params, "viewed": params}, {}, lists=frozenset({"staff"}))
    texts = {"a": "name is present", "b": "did searched", "c": 'in list "staff"'}
    saved = [Saved.make(name, 1, bind(parse(f"among all contacts: {text}"), names)) for name, text in texts.items()]
    assert all(one.bound.rule.scope is Scope.ALL for one in saved)
    standing = Standing(Index(), "UTC", T)
    recorded = [change for one in saved for change in standing.save(one, (), T)]
    for one in world(several_entries=True):
        recorded += standing.apply(one)
    recorded += standing.apply(batch(8, [Merge(2, 1, 0)]))
    assert any(2 in members.numbers() for members in map(standing.members, texts))
    left = list(standing.apply(batch(9, [Erasure(2, 0)])))
    recorded += left
    assert {(c.contact, c.entered, c.cause) for c in left if isinstance(c, MembershipChange)} == {
        (2, False, Cause.ERASED)
    }

    def held(one: Standing) -> set[int]:
        histories = one.publish().knowledge.histories
        return {int(contact) for name in texts for contact in histories[name].contacts}

    assert all(standing.members(name).numbers().tolist() == [0] for name in texts)
    assert held(standing) == {0}
    index = Index()
    for one in (*world(several_entries=True), batch(8, [Merge(2, 1, 0)]), batch(9, [Erasure(2, 0)])):
        index.apply(one.events, one.facts, one.position)
    again = Standing(index, "UTC", standing.clock_us)
    again.restore(saved, recorded=recorded)
    assert held(again) == {0}
