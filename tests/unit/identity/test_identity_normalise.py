"""Forms of identifiers."""

from __future__ import annotations

import pytest

from core.events.columns import Identifier
from core.identity.normalise import normalised, usable
from core.identity.rules import IdentityRules, digits_phone
from services.runtime.phone import international

RULES = IdentityRules()


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("email", "  Ann@Example.COM ", "ann@example.com"),
        ("email", "jose\u0301@example.com", "jos\u00e9@example.com"),
        ("email", "ann@b\u00fccher.example", "ann@xn--bcher-kva.example"),
        ("email", "ann@XN--BCHER-KVA.example.", "ann@xn--bcher-kva.example"),
        ("email", "ann", None),
        ("email", "ann@@example.com", None),
        ("email", "ann b@example.com", None),
        ("email", "ann\u202e@example.com", None),
        ("email", "ann@a..b", None),
        ("email", "@example.com", None),
        ("email", "test@example.com", None),
        ("email", f"ann@{'a' * 64}.com", None),
        ("phone", "+380 (50) 123-45-67", "+380501234567"),
        ("phone", "00380501234567", "+380501234567"),
        ("phone", "050 123 45 67", None),
        ("phone", "+12", None),
        ("external_id", " 42 ", " 42 "),
        ("external_id", "42\0", None),
        ("external_id", "\ud800", None),
        ("anonymous_id", "Abc", "Abc"),
        ("anonymous_id", "x" * 513, None),
        ("shoe_size", "42", None),
        *[("external_id", text, None) for text in ("", "null", "NULL ", "undefined", "0", "anonymous", "none", "None")],
        *[("anonymous_id", text, None) for text in ("", "null", "0")],
        *[("email", text, None) for text in ("", "null", "none")],
    ],
)
def test_one_form(kind: str, text: str, expected: str | None) -> None:
    found = normalised(Identifier(kind, text), RULES)
    assert found == (None if expected is None else Identifier(kind, expected))
    if found is not None:
        assert normalised(found, RULES) == found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("+380 50 123 45 67", "+380501234567"),
        ("00 44 20 7946 0958", "+442079460958"),
        ("380501234567", "+380501234567"),
        ("050 123 45 67", None),
        ("+999 1234", None),
        ("call me", None),
        ("+" + "1" * 100, None),
    ],
)
def test_phone_by_numbering_plans(text: str, expected: str | None) -> None:
    found = international(text)
    assert found == expected
    if found is not None:
        assert international(found) == found == digits_phone(found)


def test_usable_are_distinct_and_by_priority() -> None:
    given = (
        Identifier("anonymous_id", "c"),
        Identifier("email", "Ann@example.com"),
        Identifier("email", "ann@EXAMPLE.com"),
        Identifier("external_id", "null"),
        Identifier("external_id", "7"),
    )
    assert usable(given, RULES) == (
        Identifier("external_id", "7"),
        Identifier("email", "ann@example.com"),
        Identifier("anonymous_id", "c"),
    )


def test_a_workspace_blocks_values_of_its_own() -> None:
    rules = IdentityRules(blocked=frozenset((("email", "kiosk@example.com"),)))
    assert normalised(Identifier("email", "Kiosk@example.com"), rules) is None
