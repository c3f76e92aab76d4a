"""Single values at the door."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.events.checks import (
    Bad,
    clean_decimal,
    clean_name,
    clean_text,
    day_from_text,
    decimal_from_text,
    instant_from_text,
    is_plain_text,
    shown,
)
from core.schema import DecimalUnits, Instant

HOSTILE = [
    ("half a pair", "\ud83d", "half a character"),
    ("broken UTF-8", b"\xe2\x28".decode("utf-8", "surrogateescape"), "half a character"),
    ("NUL", "a\0b", "U+0000"),
    ("escape", "\x1b[31m", "U+001B"),
    ("delete", "\x7f", "U+007F"),
    ("next line", "a\x85b", "U+0085"),
    ("direction override", "\u202etxt.exe", "U+202E"),
    ("byte order mark", "\ufefftext", "U+FEFF"),
    ("no character", "\uffff", "U+FFFF"),
]
FINE = [
    "Ω≈ç√∫˜µ≤≥÷",
    "田中さんにあげて下さい",
    "👩‍👩‍👧‍👦 family",
    "مُنَاقَشَةُ",
    "שלום\u200f",
    "Robert'); DROP TABLE students;--",
    "<script>alert(1)</script>",
    "${jndi:ldap://x}",
    "{{7*7}}",
    "line one\nline two\tend",
    "  outer spaces  ",
    "",
]


@pytest.mark.parametrize(("what", "text", "told"), HOSTILE, ids=[one[0] for one in HOSTILE])
def test_hostile_texts(what: str, text: str, told: str) -> None:
    found = clean_text(text)
    assert isinstance(found, Bad), what
    assert (found.reason, told in found.description) == ("BAD_TEXT", True)
    assert not is_plain_text(text)
    assert isinstance(clean_name(f"n{text}"), Bad)
    assert shown(text).isprintable()
    shown(text).encode()


@pytest.mark.parametrize("text", FINE)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert clean_text(text) == text
    assert is_plain_text(text)


def test_text_becomes_nfc() -> None:
    assert clean_text("e\u0301") == "é"
    assert not is_plain_text("e\u0301")


@given(st.text(st.characters(), max_size=20))
def test_the_quick_form_agrees(text: str) -> None:
    assert is_plain_text(text) == (clean_text(text) == text)


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("12.99", 129_900),
        ("1.10000000", 11_000),
        ("-0.0001", -1),
        ("1e3", 10_000_000),
        ("0e999999", 0),
        ("900000000000000", 9 * 10**18),
        ("0.00000", 0),
    ],
)
def test_decimals_are_exact(text: str, units: int) -> None:
    assert decimal_from_text(text) == DecimalUnits(units)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("0.00001", "four decimals"),
        ("1.00000000000000000000000000000000000001", "four decimals"),
        ("1e-400", "four decimals"),
        ("900000000000000.0001", "9e14"),
        ("1e400", "9e14"),
        ("1e999999999", "9e14"),
        ("NaN", "finite"),
        ("-Infinity", "finite"),
        ("", "no number"),
        ("1_000", "no number"),
        ("1,5", "no number"),
        ("١٢", "no number"),
        ("9" * 5_000, "no number"),
    ],
)
def test_numbers_that_are_refused(text: str, told: str) -> None:
    found = decimal_from_text(text)
    assert isinstance(found, Bad)
    assert (found.reason, told in found.description) == ("BAD_NUMBER", True)


@given(st.integers(-(9 * 10**18), 9 * 10**18), st.integers(0, 6))
def test_every_decimal_of_four_places(units: int, zeros: int) -> None:
    number = Decimal(units).scaleb(-4)
    assert clean_decimal(Decimal(str(number) + ("0" * zeros if "." in str(number) else ""))) == DecimalUnits(units)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-22T10:15:00Z", datetime(2026, 11, 22, 10, 15, tzinfo=UTC)),
        ("2026-11-22t10:15z", datetime(2026, 11, 22, 10, 15, tzinfo=UTC)),
        ("2026-11-22 10:15:00.1234567+02:00", datetime(2026, 11, 22, 8, 15, 0, 123_456, UTC)),
        ("2026-11-22T00:15:00-0530", datetime(2026, 11, 22, 5, 45, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_times(text: str, at: datetime) -> None:
    assert instant_from_text(text) == Instant(round((at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1e6))


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22",
        "2026-11-22T10:15:00",
        "2026-13-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-11-22T24:00:00Z",
        "2016-12-31T23:59:60Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "10000-01-01T00:00:00Z",
        "2026-11-22T10:15:00+25:00",
        "٢٠٢٦-11-22T10:15:00Z",
        "now",
        "",
    ],
)
def test_times_that_are_refused(text: str) -> None:
    found = instant_from_text(text)
    assert isinstance(found, Bad)
    assert found.reason == "BAD_TIME"


def test_dates() -> None:
    assert day_from_text("1990-02-28") == day_from_text("1990-02-28T23:59:00-12:00") == date(1990, 2, 28)
    assert isinstance(day_from_text("1990-02-30"), Bad)
    assert isinstance(day_from_text("28.02.1990"), Bad)
