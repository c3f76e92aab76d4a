"""Random windows that can hold something."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random
from typing import TYPE_CHECKING

from core.clock import DAY_US
from core.query.ast import (
    Absolute,
    BetweenAgo,
    Calendar,
    InLast,
    InNext,
    Literal,
    MoreThanAgo,
    OnDay,
    Operand,
    Period,
    Window,
    Zone,
)
from core.query.ast import (
    Moments as ClockTimes,
)
from core.schema import Instant
from tests.generators.moments import DURATIONS_US, Moments

if TYPE_CHECKING:
    from tests.generators.comparisons import Comparisons


def event_window(random: Random, moments: Moments, comparisons: Comparisons) -> Window:
    """A window of events: they are never ahead."""
    match random.randrange(10):
        case 0 | 1 | 2 | 3:
            return InLast(random.choice(DURATIONS_US))
        case 4 | 5:
            return _between_ago(random, DURATIONS_US)
        case 6:
            return MoreThanAgo(random.choice(DURATIONS_US))
        case 7:
            return _absolute(random, moments, comparisons)
    return _calendar(random, (0, 0, -1, -1))


def instant_window(random: Random, moments: Moments, comparisons: Comparisons) -> Window:
    """A window of a value that is an instant."""
    match random.randrange(4):
        case 0:
            return InNext(random.choice(DURATIONS_US))
        case 1:
            return _calendar(random, (0, -1, 1, 1))
    return event_window(random, moments, comparisons)


def fixed_window(random: Random, moments: Moments, comparisons: Comparisons) -> Window:
    """A window of an instant that does not move on by the microsecond."""
    if random.random() < 0.5:
        return _absolute(random, moments, comparisons)
    return _calendar(random, (0, -1, 1))


def date_window(random: Random, moments: Moments) -> Window:
    """A window of a value that is a date: whole days only."""
    days = [us for us in DURATIONS_US if us % DAY_US == 0]
    match random.randrange(8):
        case 7:
            return OnDay(random.choice((0, 0, 1, -1, 7, -30)))
        case 0:
            return InLast(random.choice(days))
        case 1:
            return InNext(random.choice(days))
        case 2:
            return _between_ago(random, tuple(days))
        case 3:
            return MoreThanAgo(random.choice(days))
        case 4:
            return _dates(random, moments, random.choice(tuple(Zone)))
    return _calendar(random, (0, -1, 1))


def day_window(random: Random) -> InLast | InNext | OnDay:
    """Where an anniversary lies: whole days around today."""
    days = (1, 2, 7, 30, 90, 365, 366)
    match random.randrange(3):
        case 0:
            return OnDay(random.choice((0, 0, 1, -1, 2, -2, 30)))
        case 1:
            return InLast(random.choice(days) * DAY_US)
    return InNext(random.choice(days) * DAY_US)


def has_own_zone(window: Window) -> bool:
    """Whether the window says itself whose local time it means."""
    return isinstance(window, Absolute | Calendar)


def clock_times(random: Random, *, hours: bool = True) -> ClockTimes:
    """Weekdays, or hours, or both; some wrap midnight, some end with the day."""
    weekdays = tuple(sorted(random.sample(range(1, 8), random.randint(1, 5))))
    zone = random.choice(tuple(Zone)) if hours else Zone.WORKSPACE
    if not hours or random.random() < 0.4:
        return ClockTimes(weekdays, None, zone)
    start = random.choice((0, 0, 2 * 3600, 9000, 8 * 3600, 22 * 3600, 86_399))
    until = random.choice([s for s in (0, 1, 3 * 3600, 9001, 20 * 3600, 86_400) if s != start])
    return ClockTimes(weekdays if random.random() < 0.3 else (), (start, until), zone)


def _between_ago(random: Random, durations_us: tuple[int, ...]) -> BetweenAgo:
    near_us, far_us = sorted(random.sample(durations_us, 2))
    return BetweenAgo(near_us, far_us)


def _calendar(random: Random, offsets: tuple[int, ...]) -> Calendar:
    offset = random.choice(offsets)
    period = random.choice((Period.DAY, *Period))
    return Calendar(period, offset, random.choice((1, 1, 2, 3)) if offset else 1, random.choice(tuple(Zone)))


def _absolute(random: Random, moments: Moments, comparisons: Comparisons) -> Absolute:
    zone = random.choice(tuple(Zone))
    if random.random() < 0.5:
        return _dates(random, moments, zone)
    # Ends in order, but not so near that local days of different zones could cross.
    start_us, until_us = sorted((moments.instant(), moments.instant() + 3 * DAY_US))
    if until_us - start_us < 3 * DAY_US:
        start_us = until_us - 3 * DAY_US
    start: Operand = Literal(Instant(start_us))
    until: Operand = Literal(Instant(until_us))
    match random.randrange(5):
        case 0:
            return Absolute(None, until, zone=zone)
        case 1:
            return Absolute(start, None, zone=zone)
        case 2 if comparisons.parameters:
            return Absolute(comparisons.parameter("since"), None, zone=zone)
    return Absolute(start, until, zone=zone)


def _dates(random: Random, moments: Moments, zone: Zone) -> Absolute:
    first: date = moments.date_near()
    through = random.random() < 0.4
    last = first + timedelta(days=random.choice((2, 2, 3, 7, 30)))
    match random.randrange(4):
        case 0:
            return Absolute(None, Literal(last), through, zone)
        case 1:
            return Absolute(Literal(first), None, zone=zone)
    return Absolute(Literal(first), Literal(last), through, zone)
