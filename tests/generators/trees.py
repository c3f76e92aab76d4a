"""Random branches over leaves, in post-order."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TypeVar

from core.query.ast import Branch, Op

Leaf = TypeVar("Leaf")


def tree(random: Random, depth: int, leaf: Callable[[], Leaf]) -> tuple[Branch | Leaf, ...]:
    """At most `depth` branches between the root and a leaf."""
    nodes: list[Branch | Leaf] = []
    _grow(random, depth, leaf, nodes)
    return tuple(nodes)


def _grow(random: Random, depth: int, leaf: Callable[[], Leaf], nodes: list[Branch | Leaf]) -> int:
    if depth == 0 or random.random() < 0.25:
        nodes.append(leaf())
        return len(nodes) - 1
    op = random.choice((Op.AND, Op.OR, Op.OR, Op.NOT, Op.AT_LEAST, Op.EXCEPT))
    width = 1 if op is Op.NOT else random.choice((2, 2, 3))
    children = tuple(_grow(random, depth - 1, leaf, nodes) for _ in range(width))
    k = {Op.AT_LEAST: random.randint(1, width), Op.EXCEPT: random.randint(0, width)} if width > 1 else {}
    nodes.append(Branch(op, children, k.get(op, 0)))
    return len(nodes) - 1
