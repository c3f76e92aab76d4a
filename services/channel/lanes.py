"""The way to each provider: so many calls at once, so many a second, and a pause for one that keeps failing."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from core.clock import SECOND_US, Clock
from core.delivery.failover import Circuit, begun, choose, failed, worked
from core.delivery.outbox import Deferred, Outcome, Unknown
from core.delivery.pace import Pace
from services.channel.providers import NULL_KIND, ProviderSettings
from services.channel.record import Record
from services.channel.senders.sender import Sender
from services.channel.state import ChannelState

#: Calls to one provider under way at once: as many messages may be of unknown fate after a crash.
CALLS_AT_ONCE = 16
#: Of a provider of kind `null`, whose calls take no time.
_NULL_CALLS_AT_ONCE = 64
#: Messages that wait, rendered, for a call to one provider; the others stand aside until there is room.
_MOST_WAITING = 96


class Lane:
    """One provider of one channel."""

    def __init__(
        self, provider: ProviderSettings, clock: Clock, tick_s: float, come_again: Callable[[str], None]
    ) -> None:
        self.provider = provider
        self.circuit = Circuit()
        self._come_again = come_again
        self._aside: deque[str] = deque()
        self._clock = clock
        self._tick_s = tick_s
        self._pace = Pace(provider.per_second)
        self._at_once = _NULL_CALLS_AT_ONCE if provider.kind == NULL_KIND else CALLS_AT_ONCE
        self._under_way = 0
        self._first: deque[asyncio.Future[None]] = deque()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._woken: asyncio.TimerHandle | None = None

    def stand_aside(self, message_id: str) -> bool:
        """Whether too many wait here already; then the message is told to come again as soon as there is room."""
        if len(self._waiting) < _MOST_WAITING:
            return False
        self._aside.append(message_id)
        return True

    async def enter(self, transactional: bool) -> None:
        """Return once a call may begin; what people are owed goes first. `leave` follows."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (self._first if transactional else self._waiting).append(turn)
        self._release()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            raise
        self.circuit = begun(self.circuit, self._clock.now_us())

    def leave(self) -> None:
        """The call is over, or there was none."""
        self._under_way -= 1
        self._release()

    def told(self, outcome: Outcome) -> None:
        """How a call ended."""
        bad = isinstance(outcome, Deferred | Unknown)
        self.circuit = failed(self.circuit, self._clock.now_us()) if bad else worked(self.circuit)

    def _release(self) -> None:
        self._begin()
        for _ in range(min(_MOST_WAITING - len(self._waiting), len(self._aside))):
            self._come_again(self._aside.popleft())

    def _begin(self) -> None:
        while self._under_way < self._at_once and (queue := self._first or self._waiting):
            if queue[0].done():
                queue.popleft()  # cancelled meanwhile
                continue
            wait_us = self._pace.wait_us(self._clock.now_us())
            if wait_us:
                self._wake_in(wait_us)
                return
            self._pace.take(self._clock.now_us())
            self._under_way += 1
            queue.popleft().set_result(None)

    def _wake_in(self, wait_us: int) -> None:
        if self._woken is None:
            # The clock may be a test's, so it is looked at every tick.
            self._woken = asyncio.get_running_loop().call_later(min(wait_us / SECOND_US, self._tick_s), self._wake)

    def _wake(self) -> None:
        self._woken = None
        self._release()


class Lanes:
    """All providers of one workspace."""

    def __init__(self, state: ChannelState, senders: Mapping[str, Sender], clock: Clock, tick_s: float) -> None:
        #: Told of messages that stood aside, once there is room for them.
        self.come_again: Callable[[str], None] = _nobody
        self._state = state
        self._senders = senders
        self._clock = clock
        self._tick_s = tick_s
        self._lanes: dict[tuple[str, str], Lane] = {}

    def lane(self, channel: str, address: str, avoid: str) -> Lane | None:
        """Who is to carry a message to `address`; None: nobody can. `avoid` names the provider that has just failed
        with it."""
        sender = self._senders[channel]
        providers = self.providers(channel)
        fit = {one.name: one for one in providers if one.kind == NULL_KIND or sender.carries(one.kind, address)}
        lanes = {name: self._of(channel, one) for name, one in fit.items()}
        circuits = {name: lane.circuit for name, lane in lanes.items()}
        name = choose(list(fit), circuits, avoid, self._clock.now_us())
        return None if name is None else lanes[name]

    def has_other(self, record: Record) -> bool:
        """Whether a message that its provider has just put off can go by another one at once: each is asked once before
        the message waits."""
        channel, address = record.channel, record.delivery.address
        if record.delivery.attempts >= len(self.providers(channel)):
            return False
        lane = self.lane(channel, address, record.provider)
        if lane is None or lane.provider.name == record.provider:
            return False
        return lane.circuit.until_us <= self._clock.now_us()

    def providers(self, channel: str) -> Sequence[ProviderSettings]:
        """Those in use of the workspace; the process's own where it names none at all."""
        named = self._state.settings.providers.get(channel)
        if named is not None:
            return named
        own = self._senders[channel].default_provider()
        return () if own is None else (own,)

    def _of(self, channel: str, provider: ProviderSettings) -> Lane:
        known = self._lanes.get((channel, provider.name))
        if known is None or known.provider != provider:
            known = self._lanes[channel, provider.name] = Lane(
                provider, self._clock, self._tick_s, lambda message_id: self.come_again(message_id)
            )
        return known


def _nobody(message_id: str) -> None:
    """Before anybody sends."""
