"""Random sequences, mostly such that some contact of a small world has been through them."""

from __future__ import annotations

from random import Random

from core.clock import DAY_US
from core.query.ast import Sequence, Step
from tests.generators.event_rules import EventRules
from tests.generators.moments import DURATIONS_US
from tests.generators.vocabulary import params_of

#: Events that many contacts have.
_FREQUENT = (
    ("product_viewed",),
    ("product_viewed",),
    ("cart_updated",),
    ("order_completed",),
    ("product_*",),
    ("product_viewed", "cart_updated"),
    ("order_*", "cart_updated"),
    ("message_*",),
)
_WITHIN_US = (*DURATIONS_US, 30 * DAY_US, 90 * DAY_US, 90 * DAY_US)


class SequenceRules:
    """Makes sequences."""

    def __init__(self, random: Random, events: EventRules) -> None:
        self.random = random
        self.events = events

    def sequence(self) -> Sequence:
        """Two to four steps, some of what did not happen."""
        random, comparisons = self.random, self.events.comparisons
        same = random.choice(("product_id", "category", "items.product_id")) if random.random() < 0.25 else None
        steps: list[Step] = []
        for number in range(random.choice((2, 2, 2, 3, 3, 4))):
            steps.append(self._step(number, same))
            name = steps[-1].name
            if name is not None:
                comparisons.steps[name] = params_of(steps[-1].events.names)
        comparisons.steps = {}
        window = self.events.selections.window() if random.random() < 0.5 else None
        return Sequence(tuple(steps), window, same)

    def _step(self, number: int, same: str | None) -> Step:
        random = self.random
        names = random.choice(_FREQUENT)
        if same is not None:
            names = random.choice((("product_viewed",), ("cart_updated",)) if same[0] != "i" else (("cart_updated",),))
        events = self.events.selections.selection(names, windowed=False)
        if number == 0:
            return Step(events, name="v" if random.random() < 0.6 else None)
        within_us = random.choice(_WITHIN_US) if random.random() < 0.6 else None
        from_first = within_us is not None and random.random() < 0.3
        negative = random.random() < 0.4
        name = None if negative or random.random() < 0.5 else f"step {number}"
        return Step(events, negative, name, within_us, from_first)
