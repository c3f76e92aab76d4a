"""Kinds of attributes in unification: learned, widened as the door widens them, and refused where they clash."""

from __future__ import annotations

import pytest

from core.profile.kinds import AttributeKinds
from core.schema import DecimalUnits, Kind


def test_the_first_value_decides_and_a_fraction_widens_integers() -> None:
    kinds = AttributeKinds().learned("spent", 10)
    assert kinds.get("spent") is Kind.INTEGER
    assert kinds.fitted("spent", DecimalUnits(5_000)) == DecimalUnits(5_000)
    wide = kinds.learned("spent", DecimalUnits(5_000))
    assert wide.get("spent") is Kind.DECIMAL
    assert wide.fitted("spent", 10) == DecimalUnits(100_000)
    assert wide.learned("spent", 10) is wide


def test_what_the_door_would_not_let_in_is_refused() -> None:
    kinds = AttributeKinds().learned("spent", 10).learned("tags", ()).learned("pets", ({"age": 1},))
    assert kinds.get("tags") is None
    assert kinds.fitted("pets", ()) == ()
    for name, value in (("spent", "x"), ("spent", True), ("pets", ("a",)), ("age", DecimalUnits(5_000))):
        with pytest.raises(ValueError, match=name):
            kinds.fitted(name, value)
    with pytest.raises(ValueError, match="larger"):
        kinds.learned("spent", DecimalUnits(1)).fitted("spent", 10**15)
