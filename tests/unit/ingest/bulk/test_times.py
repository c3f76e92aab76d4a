"""Times of files: zones, gaps, formats."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from core.events.checks import Bad
from core.schema import Instant
from services.ingest.bulk.times import day_of, instant_of, is_time_format

KYIV = ZoneInfo("Europe/Kyiv")
TEN = 1_738_310_400_000_000  # 2025-01-31 08:00 UTC


@pytest.mark.parametrize(
    ("value", "time_format", "us"),
    [
        ("2025-01-31T08:00:00Z", "", TEN),
        ("2025-01-31 10:00", "", TEN),
        ("2025-01-31T10:00:00.25", "", TEN + 250_000),
        ("2025-01-31", "", TEN - 10 * 3_600_000_000),
        ("31.01.2025 10:00", "%d.%m.%Y %H:%M", TEN),
        ("31.01.2025 09:00 +0100", "%d.%m.%Y %H:%M %z", TEN),
        ("1738310400", "unix_s", TEN),
        ("1738310400.5", "unix_s", TEN + 500_000),
        (Decimal("1738310400.000001"), "unix_s", TEN + 1),
        (1_738_310_400_000, "unix_ms", TEN),
        (datetime(2025, 1, 31, 8, tzinfo=UTC), "", TEN),
        (datetime(2025, 1, 31, 10), "", TEN),
        (date(2025, 1, 31), "", TEN - 10 * 3_600_000_000),
        # The clocks go forward over the first, and back over the second: its earlier instant.
        ("2025-03-30 03:30", "", None),
        ("2025-10-26 03:30", "", 1_761_438_600_000_000),
        ("2025-02-30", "", None),
        ("0000-01-01", "", None),
        ("yesterday", "", None),
        ("1e400", "unix_s", None),
        (5, "", None),
        (True, "unix_s", None),
    ],
)
def test_instants(value: object, time_format: str, us: int | None) -> None:
    found = instant_of(value, time_format, KYIV)
    if us is None:
        assert isinstance(found, Bad) and found.reason == "BAD_TIME"
    else:
        assert found == Instant(us)


def test_days() -> None:
    assert day_of("1990-01-31", "", KYIV) == date(1990, 1, 31)
    assert day_of("31/01/1990", "%d/%m/%Y", KYIV) == date(1990, 1, 31)
    assert day_of("1990-01-31 00:00:00", "", KYIV) == date(1990, 1, 31)
    assert isinstance(day_of("1990-02-31", "", KYIV), Bad)
    assert day_of("-1", "unix_s", KYIV) == date(1970, 1, 1)  # three in the morning in Kyiv


def test_formats() -> None:
    assert all(map(is_time_format, ("", "unix_ms", "%d.%m.%Y", "%Y%m%d%H%M%S", "%b %d, %Y", "%Y-%j")))
    assert not any(map(is_time_format, ("%", "%d.%m", "%Q%Y%m%d", "x" * 100, "%Y\n%m%d")))
