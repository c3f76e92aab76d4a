"""How the demo speaks: headings, notes, and the mark of what is invented."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

INVENTED = "[magenta]invented[/magenta]"


class Screen:
    """Writes to `console`; on something that is no terminal without colours and moving bars."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def heading(self, text: str) -> None:
        """The beginning of a chapter."""
        self.console.print()
        self.console.rule(f"[bold]{text}[/bold]", align="left")

    def say(self, text: str) -> None:
        """One line; rich's markup counts."""
        self.console.print(text, highlight=False)

    def plain(self, text: str) -> None:
        """Text of others, as it is: not wrapped, so that it can be copied."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def bars(self) -> Progress:
        """Bars for the parts of a load."""
        return Progress(
            SpinnerColumn(),
            TextColumn("{task.description:<22}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.console,
        )


def number(value: int) -> str:
    """With commas."""
    return f"{value:,}"
