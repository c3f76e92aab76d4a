"""What sets of contacts have in common, two by two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from core.errors import invalid
from core.index.contact_set import ContactSet
from core.kernels.overlaps import shared_members

#: Sets of one question.
MAX_SETS = 50


@dataclass(frozen=True, slots=True)
class Overlap:
    """`shared[i, j]` (int64, symmetric): contacts in both sets; the diagonal are the sizes. `population`: of how many
    contacts the sets are part."""

    shared: NDArray[np.int64]
    population: int

    def size(self, i: int) -> int:
        """Contacts of set i."""
        return int(self.shared[i, i])

    def jaccard(self, i: int, j: int) -> Fraction | None:
        """Shared contacts by those in at least one of both; None for two empty sets."""
        union = self.size(i) + self.size(j) - int(self.shared[i, j])
        return Fraction(int(self.shared[i, j]), union) if union else None

    def lift(self, i: int, j: int) -> Fraction | None:
        """How many times more contacts are shared than if the sets were independent; None where one is empty."""
        expected = self.size(i) * self.size(j)
        return Fraction(int(self.shared[i, j]) * self.population, expected) if expected else None


def overlap(sets: Sequence[ContactSet], population: int) -> Overlap:
    """The overlap of 1 to MAX_SETS sets. Raises CdpError for more."""
    if not 1 <= len(sets) <= MAX_SETS:
        raise invalid("OVERLAP_SETS", f"an overlap has 1 to {MAX_SETS} sets, not {len(sets)}")
    return Overlap(shared_members([one.words() for one in sets]), population)


def overlap_csv(found: Overlap, names: Sequence[str]) -> str:
    """One line for each two sets: their names, sizes, shared contacts, and Jaccard and lift as fractions."""
    lines = ["a,b,size a,size b,shared,jaccard,lift"]
    for i in range(len(names)):
        for j in range(i + 1, len(names)):
            numbers = (found.size(i), found.size(j), int(found.shared[i, j]))
            ratios = ("" if ratio is None else str(ratio) for ratio in (found.jaccard(i, j), found.lift(i, j)))
            lines.append(",".join((_quoted(names[i]), _quoted(names[j]), *map(str, numbers), *ratios)))
    return "\n".join(lines) + "\n"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
