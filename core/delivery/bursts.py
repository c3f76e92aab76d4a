"""Clicks that only their company gives away: a scanner that follows every link of a message within seconds.

A single hit of such a scanner looks like a person's; only the last of them shows the pattern. What was reported by
then is marked afterwards, and a later mark applies to the past.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from core.clock import SECOND_US
from core.events.facts import MarkedEvent

#: Every link followed within this is no reader.
BURST_US = 10 * SECOND_US
#: Of a message with a single link or two, only so soon after it was delivered: a reader may well click both.
SOON_US = 60 * SECOND_US
FEW_LINKS = 2

EVERY_LINK = "every_link"
_MESSAGES = 20_000


@dataclass(slots=True)
class _Hits:
    clicks: list[tuple[int, int, MarkedEvent]] = field(default_factory=list)
    opens: list[tuple[int, MarkedEvent]] = field(default_factory=list)


class Bursts:
    """The latest hits of the messages that were hit last (20,000). Lost at a restart: hits of that moment stay as they
    were reported."""

    def __init__(self, messages: int = _MESSAGES) -> None:
        self._messages = messages
        self._hits: OrderedDict[str, _Hits] = OrderedDict()

    def opened(self, message: str, event: MarkedEvent) -> None:
        """An open that looked human was reported."""
        hits = self._of(message)
        hits.opens = [one for one in hits.opens if event.occurred_at_us - one[0] <= BURST_US]
        if all(one.id != event.id for _, one in hits.opens):
            hits.opens.append((event.occurred_at_us, event))

    def clicked(
        self, message: str, link: int, links: int, delivered_at_us: int, event: MarkedEvent
    ) -> tuple[MarkedEvent, ...]:
        """A click on link number `link` of `links` that looked human was reported; the events that turn out to be a
        machine's by it, none otherwise. A message with a single link shows no pattern."""
        at_us, hits = event.occurred_at_us, self._of(message)
        hits.clicks = [one for one in hits.clicks if at_us - one[0] <= BURST_US]
        hits.opens = [one for one in hits.opens if at_us - one[0] <= BURST_US]
        if all(one.id != event.id for _, _, one in hits.clicks):
            hits.clicks.append((at_us, link, event))
        everything = len({number for _, number, _ in hits.clicks}) >= links > 1
        if not everything or (links <= FEW_LINKS and at_us - delivered_at_us > SOON_US):
            return ()
        found = tuple(one for _, _, one in hits.clicks) + tuple(one for _, one in hits.opens)
        del self._hits[message]
        return found

    def _of(self, message: str) -> _Hits:
        hits = self._hits.get(message)
        if hits is None:
            hits = self._hits[message] = _Hits()
            if len(self._hits) > self._messages:
                self._hits.popitem(last=False)
        else:
            self._hits.move_to_end(message)
        return hits
