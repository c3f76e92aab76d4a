"""The table that grows with every step."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from tests.load.outcome import Outcome, figures

_WIDTHS = (30, 24, 8, 8, 9, 9, 9, 9, 9)
_HEAD = ("step", "kind", "calls/s", "calls", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms")


class Screen:
    """Prints the head once, then lines as steps end."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._print(_HEAD)

    def say(self, name: str, rate: int, outcome: Outcome, busy: Mapping[str, float]) -> None:
        """A line for each kind of call, and one of what was not answered and who had the processors."""
        for kind, histogram in sorted(outcome.answered.items()):
            found = figures(histogram)
            calls = found.pop("calls")
            self._print((name, kind, str(rate), str(calls), *(f"{value:.1f}" for value in found.values())))
        cores = ", ".join(f"{who} {share:g}" for who, share in busy.items())
        share, errors = outcome.answered_share(), dict(outcome.errors) or "no errors"
        late_ms = figures(outcome.late).get("p99_ms", 0.0)
        self._console.print(
            f"  answered {share:.1%}, {errors}; busy cores: {cores}; the client was late by {late_ms:g} ms (p99)",
            style="dim",
            highlight=False,
        )

    def _print(self, cells: tuple[str, ...]) -> None:
        table = Table.grid(padding=(0, 1))
        for number, width in enumerate(_WIDTHS):
            table.add_column(width=width, justify="left" if number < 2 else "right")
        table.add_row(*cells)
        self._console.print(table)
