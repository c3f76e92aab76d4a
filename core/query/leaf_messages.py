"""Conditions that count messages by what happened to them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.kernels.grouping import count_by_contact
from core.kernels.ranges import sorted_unique
from core.query.ast import FilterTree, MessageCount, MessageVerb, Window
from core.query.compare_values import compare_by_contact
from core.query.execute_context import Context
from core.query.leaf_result import LeafResult
from core.query.selecting import Picked, pick_in
from core.schema import Kind

SENT, DELIVERED, OPENED, CLICKED, BOUNCED = (
    "message_sent",
    "message_delivered",
    "message_opened",
    "message_clicked",
    "message_bounced",
)
MESSAGE_ID = "message_id"

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


def message_leaf(condition: MessageCount, context: Context) -> LeafResult:
    """Contacts whose number of distinct messages with the verb compares as asked."""
    if condition.verb is MessageVerb.RECEIVED:
        keys = _received(condition.filter, condition.window, context)
    else:
        keys = _keys(EVENTS_OF[condition.verb], condition.filter, condition.window, context)
    contacts = (sorted_unique(keys) >> np.uint64(32)).astype(np.uint32)
    found, counts = count_by_contact(contacts, context.root.contact_count)
    return compare_by_contact(found, counts, Kind.INTEGER, 0, condition.compare, condition.counts, context)


def _received(tree: FilterTree, window: Window | None, context: Context) -> Keys:
    """Delivered in the window; or sent in it where, as of as_of, it neither bounced nor was ever reported delivered."""
    delivered = _keys((DELIVERED,), tree, window, context)
    sent = _keys((SENT,), tree, window, context, first_unnamed=1 << 30)
    settled = _keys((DELIVERED, BOUNCED), (), None, context)
    settled = settled[(settled & _UNNAMED) == 0]
    return np.concatenate((delivered, sent[~np.isin(sent, settled)]))


def _keys(
    names: tuple[str, ...], tree: FilterTree, window: Window | None, context: Context, first_unnamed: int = 0
) -> Keys:
    types = [name for name in names if name in context.root.events]
    parts = [np.zeros(0, np.uint64)]
    unnamed = first_unnamed
    for picked in pick_in(types, tree, window, context):
        messages = message_codes(picked)
        nameless = np.flatnonzero(messages == _UNNAMED)
        messages[nameless] += np.arange(unnamed, unnamed + len(nameless), dtype=np.uint64)
        unnamed += len(nameless)
        parts.append((picked.contacts.astype(np.uint64) << np.uint64(32)) | messages)
    return np.concatenate(parts)


def message_codes(picked: Picked) -> NDArray[np.uint64]:
    """The dictionary code of each event's message id; bit 31 alone where it has none."""
    codes = np.full(len(picked), _UNNAMED, np.uint64)
    for operand in picked.domain().operands(MESSAGE_ID):
        if operand.kind is Kind.TEXT:
            codes[slice(None) if operand.rows is None else operand.rows] = operand.values
    return codes
