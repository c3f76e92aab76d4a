"""Which of a channel's providers is asked, and which one is passed over for a while because it keeps failing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from core.clock import MINUTE_US, SECOND_US

#: So many failures in a row, and a provider is passed over.
FAILURES_IN_A_ROW = 5
FIRST_PAUSE_US = 30 * SECOND_US
LONGEST_PAUSE_US = 10 * MINUTE_US


@dataclass(frozen=True, slots=True)
class Circuit:
    """How a provider has been lately: failures since it last worked, and until when it is passed over (0: it is not).
    The first call after the pause is a trial: while it runs, others pass by."""

    failures: int = 0
    until_us: int = 0


def worked(_circuit: Circuit) -> Circuit:
    """The provider answered for good, with yes or no."""
    return Circuit()


def failed(circuit: Circuit, now_us: int) -> Circuit:
    """The provider could not be reached, put the message off, or did not say what became of it."""
    failures = circuit.failures + 1
    if failures < FAILURES_IN_A_ROW:
        return replace(circuit, failures=failures)
    pause_us = min(FIRST_PAUSE_US << min(failures - FAILURES_IN_A_ROW, 10), LONGEST_PAUSE_US)
    return Circuit(failures, now_us + pause_us)


def begun(circuit: Circuit, now_us: int) -> Circuit:
    """The provider is about to be called: one that was passed over gets no second call before this one is answered or
    another pause is over."""
    return replace(circuit, until_us=now_us + FIRST_PAUSE_US) if circuit.failures >= FAILURES_IN_A_ROW else circuit


def choose(names: Sequence[str], circuits: Mapping[str, Circuit], avoid: str, now_us: int) -> str | None:
    """Whom to ask of the providers `names`, which stand in the order of their priority; None of none.

    `avoid` has just failed with this very message, and is asked only where nobody else would be. Where all are passed
    over, the one whose pause ends first is asked all the same: the message has its own pauses between tries.
    """
    open_us = {name: circuits.get(name, Circuit()).until_us for name in names}
    fit = [name for name in names if open_us[name] <= now_us]
    others = [name for name in fit if name != avoid]
    if others or fit:
        return (others or fit)[0]
    return min(names, key=lambda name: open_us[name], default=None)
