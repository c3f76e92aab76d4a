"""The kernels compile for all types that are used."""

from __future__ import annotations

from core.kernels.warm import warm_up


def test_every_form_compiles() -> None:
    warm_up()
    warm_up()
