"""The life of a message: reserved -> sending -> accepted | refused | uncertain.

`sending` is made durable before the provider is called, so that after a crash every message whose fate is unknown
is known by name. Marketing is sent at most once: an unknown fate ends as `uncertain`, visible, never tried again by
itself. Transactional messages are sent at least once: an unknown fate is tried again under the same message id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum

from core.clock import HOUR_US, SECOND_US
from core.schema import Value

#: Calls to the provider for one message, the first included.
MAXIMUM_ATTEMPTS = 8
FIRST_RETRY_US = 5 * SECOND_US
LONGEST_RETRY_US = HOUR_US


class State(IntEnum):
    """Where a message stands; the numbers are part of stored formats and equal cdp.channel.v1.MessageState."""

    RESERVED = 1
    SENDING = 2
    ACCEPTED = 3
    REFUSED = 4
    UNCERTAIN = 5


FINAL = frozenset({State.ACCEPTED, State.REFUSED, State.UNCERTAIN})


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took the message. `answer` is what it answered beyond that, as plain values by name: text, bool, int
    or DecimalUnits (webhooks)."""

    reply: str
    answer: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rejected:
    """Refused for good by the provider, or by us at its door (`by_provider` False). `bounced`: because the address does
    not exist."""

    reason: str
    reply: str
    bounced: bool = False
    by_provider: bool = True


@dataclass(frozen=True, slots=True)
class Deferred:
    """The provider surely has nothing, and may take the message later, not before `after_us` from now if it said so."""

    reason: str
    reply: str
    after_us: int = 0


@dataclass(frozen=True, slots=True)
class Unknown:
    """The provider may or may not have the message."""

    reason: str


Outcome = Accepted | Rejected | Deferred | Unknown


@dataclass(frozen=True, slots=True)
class Delivery:
    """The changing part of a message. `due_at_us` says when a reserved one is tried, and until when an accepted one is
    watched for its delivery because another way would follow; 0 otherwise. `finished_at_us` is 0 until the provider
    took it or nothing more happens."""

    state: State
    reserved_at_us: int
    due_at_us: int
    attempts: int = 0
    address: str = ""
    reason: str = ""
    reply: str = ""
    finished_at_us: int = 0


def reserve(now_us: int) -> Delivery:
    """A message taken over and due at once."""
    return Delivery(State.RESERVED, now_us, now_us)


def begin(delivery: Delivery, address: str) -> Delivery:
    """About to call the provider for `address`: one attempt more."""
    _expect(delivery, State.RESERVED)
    return replace(delivery, state=State.SENDING, address=address, attempts=delivery.attempts + 1, due_at_us=0)


def refuse(delivery: Delivery, reason: str, detail: str, now_us: int) -> Delivery:
    """Refused by us, before the provider was called."""
    _expect(delivery, State.RESERVED, State.SENDING)
    return _final(delivery, State.REFUSED, reason, detail, now_us)


def hold(delivery: Delivery, reason: str, due_at_us: int) -> Delivery:
    """Not before `due_at_us`; nothing was tried."""
    _expect(delivery, State.RESERVED)
    return replace(delivery, due_at_us=due_at_us, reason=reason)


def postpone(delivery: Delivery, reason: str, due_at_us: int) -> Delivery:
    """Reserved again, because the provider was surely not called; the attempt does not count."""
    _expect(delivery, State.SENDING)
    return replace(
        delivery, state=State.RESERVED, due_at_us=due_at_us, attempts=delivery.attempts - 1, address="", reason=reason
    )


def watch(delivery: Delivery, until_us: int) -> Delivery:
    """Accepted, but another way follows if it is not delivered by `until_us`; 0: it is over."""
    _expect(delivery, State.ACCEPTED)
    return replace(delivery, due_at_us=until_us)


def start_over(delivery: Delivery, now_us: int) -> Delivery:
    """Reserved for another way, after one that was refused or not delivered: attempts count anew."""
    _expect(delivery, State.REFUSED, State.ACCEPTED)
    return Delivery(State.RESERVED, delivery.reserved_at_us, now_us)


def is_open(delivery: Delivery) -> bool:
    """Whether something more may happen by itself."""
    return delivery.state not in FINAL or delivery.due_at_us > 0


def settle(delivery: Delivery, outcome: Outcome, transactional: bool, now_us: int) -> Delivery:
    """What `outcome` of the call makes of a message in `sending`.

    A deferral is tried again with a growing pause until MAXIMUM_ATTEMPTS, then refused as RETRIES_EXHAUSTED. An
    unknown fate ends as uncertain; only a transactional message with attempts left goes back to reserved.
    """
    _expect(delivery, State.SENDING)
    match outcome:
        case Accepted(reply):
            return _final(delivery, State.ACCEPTED, "", reply, now_us)
        case Rejected(reason, reply):
            return _final(delivery, State.REFUSED, reason, reply, now_us)
        case Deferred(reason, reply, after_us):
            if delivery.attempts >= MAXIMUM_ATTEMPTS:
                return _final(delivery, State.REFUSED, "RETRIES_EXHAUSTED", reply or reason, now_us)
            return _again(delivery, reason, reply, now_us, after_us)
        case Unknown(reason):
            if transactional and delivery.attempts < MAXIMUM_ATTEMPTS:
                return _again(delivery, reason, "", now_us)
            return _final(delivery, State.UNCERTAIN, reason, "", now_us)


def recover(delivery: Delivery, transactional: bool, now_us: int) -> Delivery:
    """What a message is after its owner started again: `sending` is an unknown fate, all else stays."""
    if delivery.state is not State.SENDING:
        return delivery
    settled = settle(delivery, Unknown("INTERRUPTED"), transactional, now_us)
    return replace(settled, due_at_us=now_us) if settled.state is State.RESERVED else settled


def retry_pause_us(attempts: int) -> int:
    """How long to wait after the `attempts`-th call: 5 s, 10 s, 20 s ... at most an hour."""
    return min(FIRST_RETRY_US << min(attempts - 1, 16), LONGEST_RETRY_US)


def _again(delivery: Delivery, reason: str, reply: str, now_us: int, after_us: int = 0) -> Delivery:
    due_at_us = now_us + min(max(retry_pause_us(delivery.attempts), after_us), LONGEST_RETRY_US)
    return replace(delivery, state=State.RESERVED, due_at_us=due_at_us, reason=reason, reply=reply)


def _final(delivery: Delivery, state: State, reason: str, reply: str, now_us: int) -> Delivery:
    return replace(delivery, state=state, due_at_us=0, reason=reason, reply=reply, finished_at_us=now_us)


def _expect(delivery: Delivery, *states: State) -> None:
    if delivery.state not in states:
        raise ValueError(f"a message in state {delivery.state.name} takes no such step")
