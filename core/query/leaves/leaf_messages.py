"""Conditions that count messages by what happened to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.clock import DAY_US, HOUR_US
from core.kernels.grouping import count_by_contact
from core.kernels.ranges import sorted_unique
from core.query.ast import Daypart, FilterTree, MessageCount, MessageVerb, Window
from core.query.execute_context import Context
from core.query.leaves.leaf_result import LeafResult
from core.query.local_time import find_zone
from core.query.rows.compare_values import compare_by_contact
from core.query.rows.selecting import Picked, pick_in
from core.query.rows.zone_offsets import local_us
from core.schema import Kind

SENT, DELIVERED, OPENED, CLICKED, BOUNCED = (
    "message_sent",
    "message_delivered",
    "message_opened",
    "message_clicked",
    "message_bounced",
)
MESSAGE_ID = "message_id"
#: The parameter of an event of sending in which the contact's zone at that time is stored.
TIME_ZONE = "time_zone"
_NO_ZONE = -1
#: Between these hours a message is sent by day.
_MORNING_US, _EVENING_US = 8 * HOUR_US, 20 * HOUR_US

#: The events that carry each verb; a click by a human shows that the message was opened.
EVENTS_OF: dict[MessageVerb, tuple[str, ...]] = {
    MessageVerb.RECEIVED: (DELIVERED, SENT),
    MessageVerb.SENT: (SENT,),
    MessageVerb.OPENED: (OPENED, CLICKED),
    MessageVerb.CLICKED: (CLICKED,),
    MessageVerb.BOUNCED: (BOUNCED,),
    MessageVerb.UNSUBSCRIBED: ("message_unsubscribed",),
    MessageVerb.COMPLAINED: ("message_complained",),
}
#: An event without a message id is a message of its own: its key has this bit and its number.
_UNNAMED = np.uint64(1 << 31)

#: (contact << 32) | message, one per event.
Keys = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What all events of a condition are asked."""

    context: Context
    sent: Daypart | None
    with_machines: bool


def message_leaf(condition: MessageCount, context: Context) -> LeafResult:
    """Contacts whose number of distinct messages with the verb compares as asked."""
    asked = _Asked(context, condition.sent, condition.with_machines)
    if condition.verb is MessageVerb.RECEIVED:
        keys = _received(condition.filter, condition.window, asked)
    else:
        keys = _keys(EVENTS_OF[condition.verb], condition.filter, condition.window, asked)
    if condition.sent is not None:
        keys = keys[_sent_at(condition.sent, keys, asked)]
    contacts = (sorted_unique(keys) >> np.uint64(32)).astype(np.uint32)
    found, counts = count_by_contact(contacts, context.root.contact_count)
    return compare_by_contact(found, counts, Kind.INTEGER, 0, condition.compare, condition.counts, context)


def _received(tree: FilterTree, window: Window | None, asked: _Asked) -> Keys:
    """Delivered in the window; or sent in it where, as of as_of, it neither bounced nor was ever reported delivered."""
    delivered = _keys((DELIVERED,), tree, window, asked)
    sent = _keys((SENT,), tree, window, asked, first_unnamed=1 << 30)
    settled = _keys((DELIVERED, BOUNCED), (), None, asked)
    settled = settled[(settled & _UNNAMED) == 0]
    return np.concatenate((delivered, sent[~np.isin(sent, settled)]))


def _keys(
    names: tuple[str, ...], tree: FilterTree, window: Window | None, asked: _Asked, first_unnamed: int = 0
) -> Keys:
    """One key an event. Where a part of the day is asked for, events without a message id are left out, but for those
    of sending, which say themselves when that was."""
    context = asked.context
    types = [name for name in names if name in context.root.events]
    parts = [np.zeros(0, np.uint64)]
    unnamed = first_unnamed
    for candidate in pick_in(types, tree, window, context, with_machines=asked.with_machines):
        picked = candidate
        if asked.sent is not None:
            named = message_codes(picked) != _UNNAMED
            if not named.all():
                own = by_day(picked, context) == (asked.sent is Daypart.DAY)
                picked = picked.only(named | (own if picked.type_name == SENT else False))
        messages = message_codes(picked)
        nameless = np.flatnonzero(messages == _UNNAMED)
        messages[nameless] += np.arange(unnamed, unnamed + len(nameless), dtype=np.uint64)
        unnamed += len(nameless)
        parts.append((picked.contacts.astype(np.uint64) << np.uint64(32)) | messages)
    return np.concatenate(parts)


def _sent_at(daypart: Daypart, keys: Keys, asked: _Asked) -> NDArray[np.bool_]:
    """Which messages were sent at that part of the day, by their first event of sending; those without a message id are
    there only if they were."""
    context = asked.context
    wanted = sorted_unique(keys)
    parts: list[Picked] = []
    types = [SENT] if SENT in context.root.events and len(wanted) else []
    for picked in pick_in(types, (), None, context, with_machines=asked.with_machines):
        own = _message_keys(picked)
        places = np.minimum(np.searchsorted(wanted, own), len(wanted) - 1)
        parts.append(picked.only(wanted[places] == own))
    unnamed: NDArray[np.bool_] = (keys & _UNNAMED) != 0
    if not parts:
        return unnamed
    sent = np.concatenate([_message_keys(one) for one in parts])
    first = _first_sent(parts, sent)
    days = np.concatenate([by_day(one, context) for one in parts])
    matching = sent[first[days[first] == (daypart is Daypart.DAY)]]
    return unnamed | np.isin(keys, matching)


def _message_keys(picked: Picked) -> Keys:
    keys: Keys = (picked.contacts.astype(np.uint64) << np.uint64(32)) | message_codes(picked)
    return keys


def _first_sent(parts: list[Picked], keys: Keys) -> NDArray[np.int64]:
    """The place of the first event of each key by (occurred_at, id), among all of `parts` one after the other."""
    times = np.concatenate([one.run.occurred_at_us[one.rows] for one in parts])
    order = np.lexsort((times, keys))
    ordered, at = keys[order], times[order]
    heads = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if len(order) else order
    first = order[heads]
    if len(parts) == 1:
        return first
    tied = np.append((ordered[1:] == ordered[:-1]) & (at[1:] == at[:-1]), False)
    for number in np.flatnonzero(tied[heads]).tolist():
        until = int(heads[number]) + 1
        while tied[until - 1]:
            until += 1
        first[number] = min(order[heads[number] : until].tolist(), key=lambda place: _id_at(parts, place))
    return first


def _id_at(parts: list[Picked], place: int) -> bytes:
    for one in parts:
        if place < len(one):
            return one.run.ids.at(int(one.row_numbers()[place]))
        place -= len(one)
    raise IndexError(place)


def by_day(picked: Picked, context: Context) -> NDArray[np.bool_]:
    """Which events of sending lie in `[08:00, 20:00)` of the zone that they name; the workspace's where they name none,
    or none that there is."""
    zones = np.full(len(picked), _NO_ZONE, np.int64)
    for operand in picked.domain().operands(TIME_ZONE):
        if operand.kind is Kind.TEXT:
            zones[slice(None) if operand.rows is None else operand.rows] = operand.values
    times = picked.run.occurred_at_us[picked.rows]
    result = np.zeros(len(picked), np.bool_)
    for code in sorted_unique(zones).tolist():
        name = context.zone_name if code == _NO_ZONE else context.root.dictionary.text(code)
        zone = find_zone(name) or find_zone(context.zone_name)
        assert zone is not None, "the context knows its zone"
        mine = np.flatnonzero(zones == code)
        of_day = local_us(times[mine], zone) % DAY_US
        result[mine] = (of_day >= _MORNING_US) & (of_day < _EVENING_US)
    return result


def message_codes(picked: Picked) -> NDArray[np.uint64]:
    """The dictionary code of each event's message id; bit 31 alone where it has none."""
    codes = np.full(len(picked), _UNNAMED, np.uint64)
    for operand in picked.domain().operands(MESSAGE_ID):
        if operand.kind is Kind.TEXT:
            codes[slice(None) if operand.rows is None else operand.rows] = operand.values
    return codes
