"""What all trees of the language share: places in a text, and branches."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


@dataclass(frozen=True, slots=True)
class Span:
    """Where a node stands in its text: 1-based line and column of its first character."""

    line: int
    column: int


#: The place of nodes that came from no text.
NOWHERE = Span(0, 0)


class Op(Enum):
    """How a branch joins its children. EXCEPT: all of the first `k` children and none of the others (include and
    exclude lists as written). AT_LEAST: at least `k` of them."""

    AND = "and"
    OR = "or"
    NOT = "not"
    AT_LEAST = "at_least"
    EXCEPT = "except"


@dataclass(frozen=True, slots=True)
class Branch:
    """An inner node; `children` are indices of earlier nodes, in the order written."""

    op: Op
    children: tuple[int, ...]
    k: int = 0
    span: Span = field(default=NOWHERE, compare=False)
