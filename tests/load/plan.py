"""What one run of `make load` does: sizes, rates and times."""

from __future__ import annotations

from dataclasses import asdict, dataclass

#: Rates of the sweep in calls a second, ascending; it ends early after two that were too much.
RATES = (100, 200, 400, 600, 800, 1000, 1200, 1400, 1600, 1800, 2000, 2400, 2800, 3200)


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """`contacts` and `events` of the snapshot; `active` contacts (not more than `contacts`) for whom `events_per_s` are
    ingested all the while, `events_a_batch` in a call; `rates` of the sweep, each for `warm_s` and then `step_s`
    measured seconds. Half the knee is held for `hold_s`, with and without the slow question in `rounds` turns."""

    contacts: int = 5_000_000
    events: int = 10_000_000
    active: int = 200_000
    events_per_s: int = 2_000
    events_a_batch: int = 50
    rates: tuple[int, ...] = RATES
    warm_s: float = 2.0
    step_s: float = 10.0
    hold_s: float = 20.0
    rounds: int = 5
    seed: int = 20_261_122

    def report(self) -> dict[str, object]:
        """By name, for the file."""
        return asdict(self)
