"""What conditions answered, kept by the version of the data that they read, within a budget of bytes.

An evaluation is given a view of the store for its root and instant (`at`), as its leaf cache. A comparison of an
attribute with values is kept until somebody writes that attribute, whatever the instant; a condition on events until an
event of those types comes, for its instant; everything else for its root and instant.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, MutableMapping
from threading import Lock

from core.index.root import Root
from core.query.ast import (
    AttributeAtEvent,
    AttributeCondition,
    AttributeOperand,
    Comparison,
    Condition,
    EventAggregate,
    EventCount,
    Node,
    ProductCondition,
    Zone,
)
from core.query.leaves.leaf_result import LeafResult
from core.query.rows.selecting import matching_types
from core.query.walk import parts, selections

#: What an entry costs beside its set.
_OVERHEAD = 1_000

#: Answers that one evaluation holds on to whatever the store gives up.
_OWN = 256

_Key = tuple[object, ...]


class LeafStore:
    """Answers about all contacts, the least lately used given up first. Any number of threads may use it."""

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._entries: OrderedDict[_Key, tuple[LeafResult, object, int]] = OrderedDict()
        self._lock = Lock()
        self.nbytes = 0
        self.hits = 0
        self.misses = 0

    def at(self, root: Root, as_of_us: int) -> LeafView:
        """The cache of an evaluation of all contacts of `root` at an instant."""
        return LeafView(self, root, as_of_us)

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: _Key) -> LeafResult | None:
        """The answer under a key."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                self.misses += 1
                return None
            self.hits += 1
            self._entries.move_to_end(key)
            return entry[0]

    def keep(self, key: _Key, result: LeafResult, held: object) -> None:
        """Keep an answer; `held` is what the key names by its identity, so that nothing else can take that."""
        size = _OVERHEAD + result.found.nbytes
        if size > self._budget_bytes:
            return
        with self._lock:
            before = self._entries.pop(key, None)
            self.nbytes += size - (before[2] if before else 0)
            self._entries[key] = (result, held, size)
            while self.nbytes > self._budget_bytes:
                _, (_, _, gone) = self._entries.popitem(last=False)
                self.nbytes -= gone


class LeafView(MutableMapping[tuple[str, Node], LeafResult]):
    """The store as one evaluation sees it."""

    def __init__(self, store: LeafStore, root: Root, as_of_us: int) -> None:
        self._store = store
        self._root = root
        self._as_of_us = as_of_us
        self._own: dict[tuple[str, Node], LeafResult] = {}

    def __getitem__(self, key: tuple[str, Node]) -> LeafResult:
        found = self._own.get(key)
        if found is None:
            found = self._store.find(self._versioned(key)[0])
            if found is None:
                raise KeyError(key)
            if len(self._own) < _OWN:
                self._own[key] = found
        return found

    def __setitem__(self, key: tuple[str, Node], result: LeafResult) -> None:
        if len(self._own) < _OWN:
            self._own[key] = result
        versioned, held = self._versioned(key)
        self._store.keep(versioned, result, held)

    def __delitem__(self, key: tuple[str, Node]) -> None:
        del self._own[key]

    def __iter__(self) -> Iterator[tuple[str, Node]]:
        return iter(self._own)

    def __len__(self) -> int:
        return len(self._own)

    def _versioned(self, key: tuple[str, Node]) -> tuple[_Key, object]:
        _, node = key
        root = self._root
        if isinstance(node, AttributeCondition) and isinstance(node.test, Comparison) and _is_still(node):
            view = root.attributes.get(node.test.name)
            if view is not None and self._as_of_us >= view.latest_us:
                return (*key, id(view)), view
        elif isinstance(node, EventCount | EventAggregate) and _reads_events_alone(node):
            names = {name for selection in selections(node) for name in selection.names}
            serials = tuple(
                (name, *(run.serial for run in root.events[name])) for name in matching_types(tuple(names), root)
            )
            return (*key, self._as_of_us, serials), None
        return (*key, self._as_of_us, id(root)), root


def _is_still(condition: AttributeCondition) -> bool:
    """Whether an answer depends on the attribute's present values alone."""
    test = condition.test
    if not isinstance(test, Comparison):
        return False
    moves = test.window is not None or test.moments is not None or test.zone is not Zone.WORKSPACE
    return not moves and test.compare.name != "AGE" and _names_no_attribute(condition)


def _reads_events_alone(condition: EventCount | EventAggregate) -> bool:
    return _names_no_attribute(condition) and not any(
        isinstance(part, ProductCondition) or getattr(part, "zone", None) is Zone.CONTACT for part in parts(condition)
    )


def _names_no_attribute(condition: Condition) -> bool:
    return not any(isinstance(part, AttributeOperand | AttributeAtEvent) for part in parts(condition))
