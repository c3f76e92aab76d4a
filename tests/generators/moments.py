"""Instants where evaluators go wrong: window ends, local midnights, days of 23, 25 and 0 hours."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from random import Random

from core.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from tests.oracle.calendar import local_date, start_of, zone_of

#: The durations that windows use, so that facts can lie exactly on their ends.
DURATIONS_US = (SECOND_US, 90 * MINUTE_US, 2 * HOUR_US, DAY_US, 2 * DAY_US, 7 * DAY_US, 30 * DAY_US, 90 * DAY_US)

#: (workspace zone, an instant of note there): clocks set forward and back (by half an hour, too), a day that never was,
#: a clock set back over midnight, midnight skipped, a leap day and a 28 February without one, a turn of the year.
ANCHORS = (
    ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC)),
    ("Europe/Kyiv", datetime(2026, 3, 29, 1, tzinfo=UTC)),
    ("Europe/Kyiv", datetime(2025, 10, 26, 1, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),
    ("America/St_Johns", datetime(2010, 11, 7, 2, 31, tzinfo=UTC)),
    ("UTC", datetime(2024, 2, 29, tzinfo=UTC)),
    ("Europe/Kyiv", datetime(2025, 12, 31, 22, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
    ("America/Santiago", datetime(2026, 4, 5, 3, tzinfo=UTC)),
    ("America/Santiago", datetime(2026, 9, 6, 4, tzinfo=UTC)),
    ("Europe/Kyiv", datetime(2026, 2, 27, 22, tzinfo=UTC)),
)

#: Values of a contact's time zone: real ones, and some that are none (then the workspace's counts).
CONTACT_ZONES = (
    "America/New_York",
    "Europe/Kyiv",
    "Pacific/Apia",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Asia/Kathmandu",
    "Etc/GMT+12",
    "UTC",
    "Mars/Olympus",
    "europe/kyiv",
    "",
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Moments:
    """Draws instants around `as_of_us`, the middle of a world."""

    random: Random
    zone: str
    as_of_us: int
    drawn: list[int] = field(default_factory=list)

    @staticmethod
    def of(random: Random) -> Moments:
        """Around some anchor, mostly near to it."""
        zone, anchor = random.choice(ANCHORS)
        as_of_us = (anchor - _EPOCH) // timedelta(microseconds=1)
        as_of_us += random.choice((0, 0, -1, 1, HOUR_US, -HOUR_US, DAY_US, random.randrange(3 * DAY_US)))
        return Moments(random, zone, as_of_us)

    def instant(self) -> int:
        """An instant of a fact, at most a few months from the middle."""
        random = self.random
        draw = random.random()
        if draw < 0.30:
            us = self.as_of_us - random.choice(DURATIONS_US) + random.choice((-1, 0, 0, 1))
        elif draw < 0.36:
            us = self.as_of_us + random.choice((-1, 0, 1))
        elif draw < 0.44:
            us = self.as_of_us + random.choice(DURATIONS_US[:5]) + random.choice((-1, 0, 1))
        elif draw < 0.64:
            us = self.midnight() + random.choice((-1, 0, 0, 1))
        elif draw < 0.74 and self.drawn:
            us = random.choice(self.drawn)
        elif draw < 0.80 and self.drawn:
            us = random.choice(self.drawn) - random.choice(DURATIONS_US)
        elif draw < 0.98:
            us = self.as_of_us - random.randrange(60 * DAY_US)
        else:
            us = self.as_of_us - random.randrange(2000) * DAY_US
        self.drawn.append(us)
        return us

    def midnight(self) -> int:
        """The start of a local day near the middle, of the workspace, UTC or some contact's zone."""
        name = self.random.choice((self.zone, self.zone, "UTC", *CONTACT_ZONES[:7]))
        zone = zone_of(name)
        assert zone is not None
        return start_of(self.date_near(), zone)

    def date_near(self) -> date:
        """A local date: today, one nearby, or the first of a week, month, quarter or year around it."""
        zone = zone_of(self.zone)
        assert zone is not None
        today = local_date(self.as_of_us, zone)
        random = self.random
        match random.randrange(6):
            case 0:
                return today - timedelta(days=today.weekday() + 7 * random.choice((-1, 0, 0, 1, 2)))
            case 1:
                return (today.replace(day=1) - timedelta(days=random.choice((0, 0, 1, 28, -31)))).replace(day=1)
            case 2:
                return today.replace(month=1, day=1)
            case 3:
                return today - timedelta(days=random.choice((7, 30, 90)) + random.choice((-1, 0, 1)))
        return today + timedelta(days=random.randrange(-4, 4))

    def evaluation(self) -> int:
        """An as_of: the middle, right beside it, or where some fact enters or leaves a window."""
        random = self.random
        match random.randrange(4):
            case 0:
                return self.as_of_us + random.choice((-1, 0, 1))
            case 1:
                return random.choice(self.drawn) + random.choice((-1, 0, 0))
            case 2:
                return random.choice(self.drawn) + random.choice(DURATIONS_US) - random.choice((0, 0, 1))
        return self.midnight() - random.choice((0, 0, 1))
