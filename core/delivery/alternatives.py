"""One message by several ways: another channel where the one before refused it, or did not deliver it in time."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from core.delivery.outbox import State

#: Channels whose providers tell later whether a message arrived; on all others "accepted" is the last word.
REPORTS_DELIVERY = frozenset({"sms", "messenger", "web_push"})
EXPIRED = "EXPIRED"
#: Refusals that every other way would meet as well.
_ENDS_ALL = frozenset({EXPIRED, "CONTACT_GONE", "SAME_CONTENT"})
#: The reason of a way that was accepted and then not delivered in time.
NOT_DELIVERED = "NOT_DELIVERED"


@dataclass(frozen=True, slots=True)
class Way:
    """A channel and the template it is written by."""

    channel: str
    template: str


@dataclass(frozen=True, slots=True)
class Try:
    """A way that led nowhere, and why. `way` is its index."""

    way: int
    channel: str
    template: str
    state: State
    reason: str
    reply: str
    provider: str
    address: str
    finished_at_us: int


def next_way(ways: Sequence[Way], tried: Collection[int], preferred: str) -> int | None:
    """The way to try: those by the channel `preferred` (empty: none) first, then as listed. None: all were tried."""
    left = [index for index in range(len(ways)) if index not in tried]
    return min(left, key=lambda index: ways[index].channel != preferred, default=None)


def moves_on(state: State, reason: str, in_time: bool = False) -> bool:
    """Whether what became of one way lets the next be tried: only a refusal for good, and none that holds everywhere.
    An unknown fate does not: the person may have the message. `in_time`: the message would expire later; one that is
    expired all the same was to wait for the end of quiet hours, which another channel may not have."""
    return state is State.REFUSED and (reason not in _ENDS_ALL or (reason == EXPIRED and in_time))


def waits_for_delivery(channel: str, patience_us: int, others: bool) -> bool:
    """Whether an accepted message is to be watched: there is another way, patience, and word to come."""
    return others and patience_us > 0 and channel in REPORTS_DELIVERY
