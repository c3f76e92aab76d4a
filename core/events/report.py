"""What is wrong with one item, and what was left out of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.errors import Violation
from core.events.checks import Bad

_MAX_VIOLATIONS = 20


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an item was not accepted: the reason of the first violation, and all of them (at most 20)."""

    reason: str
    violations: tuple[Violation, ...]

    @property
    def description(self) -> str:
        """The first violation as a sentence."""
        first = self.violations[0]
        return f"{first.path}: {first.description}" if first.path else first.description


@dataclass(slots=True)
class Report:
    """Collects what is wrong (`problems`) and what was left out (`notes`) in one item."""

    problems: list[tuple[str, Violation]] = field(default_factory=list)
    notes: list[Violation] = field(default_factory=list)

    def bad(self, path: str, bad: Bad) -> None:
        """`path` is wrong: the item will be refused."""
        if len(self.problems) < _MAX_VIOLATIONS:
            self.problems.append((bad.reason, Violation(path, bad.description)))

    def note(self, path: str, description: str) -> None:
        """`path` was left out; the item may be accepted."""
        if len(self.notes) < _MAX_VIOLATIONS:
            self.notes.append(Violation(path, description))

    def refusal(self) -> Refusal | None:
        """None when nothing was wrong."""
        if not self.problems:
            return None
        return Refusal(self.problems[0][0], tuple(violation for _, violation in self.problems))
