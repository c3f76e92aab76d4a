"""Joining the sets of a branch's children, one after the other as they come: no more is held than what they make."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.index.contact_set import ContactSet
from core.query.ast import Branch, Node, Op

#: Up to here `at least k` holds k sets; beyond, one number a contact.
_FEW = 8


def parents(nodes: Sequence[Node]) -> list[tuple[int, int]]:
    """The parent of each node of a tree in post-order, and its place among that one's children; (-1, 0): the root."""
    found = [(-1, 0)] * len(nodes)
    for index, node in enumerate(nodes):
        if isinstance(node, Branch):
            for place, child in enumerate(node.children):
                found[child] = (index, place)
    return found


class Joining:
    """One branch, all of whose children lie within `scope`; `n`: contact numbers are below it."""

    def __init__(self, branch: Branch, scope: ContactSet, n: int) -> None:
        self._branch = branch
        self._scope = scope
        self._n = n
        self._joined: ContactSet | None = None
        self._reached = [ContactSet.empty()] * branch.k if branch.op is Op.AT_LEAST and branch.k <= _FEW else []
        self._times: NDArray[np.uint16] | None = None

    def add(self, child: ContactSet, place: int) -> None:
        """The child at a place of the branch; children come once each, in any order."""
        match self._branch.op:
            case Op.AND:
                self._joined = child if self._joined is None else self._joined & child
            case Op.OR:
                self._joined = child if self._joined is None else self._joined | child
            case Op.NOT:
                self._joined = self._scope - child
            case Op.EXCEPT if place < self._branch.k:
                self._joined = child if self._joined is None else self._joined & child
            case Op.EXCEPT:
                self._joined = (self._scope if self._joined is None else self._joined) - child
            case Op.AT_LEAST:
                self._count(child)

    def joined(self) -> ContactSet:
        """What the branch holds of, once all children were added."""
        if self._branch.op is Op.AT_LEAST and self._branch.k > 0:
            if self._times is not None:
                return ContactSet.from_mask(self._times >= self._branch.k)
            return self._reached[-1] if self._reached else ContactSet.empty()
        return self._scope if self._joined is None else self._joined

    def _count(self, child: ContactSet) -> None:
        """`reached[j]`: in at least j + 1 of the children seen so far; or how many of them each contact is in."""
        if self._branch.k > _FEW:
            if self._times is None:
                self._times = np.zeros(self._n, np.uint16)
            self._times += child.mask(self._n)
            return
        for j in range(len(self._reached) - 1, 0, -1):
            self._reached[j] = self._reached[j] | (self._reached[j - 1] & child)
        if self._reached:
            self._reached[0] = self._reached[0] | child
