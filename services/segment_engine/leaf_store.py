"""What conditions answered, kept by the version of the data that they read, within a budget of bytes.

An evaluation is given a view of the store for its root and instant (`at`), as its leaf cache. A comparison of an
attribute with values is kept until somebody writes that attribute, whatever the instant; a condition on events until an
event of those types comes, for its instant; everything else for its root and instant. What can be asked for no more is
dropped: answers of a version that nobody holds, and those at the newest version's instant once there is a newer one,
which is several times a second.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, MutableMapping
from functools import partial
from threading import Lock
from weakref import ref

from core.index.root import Root
from core.index.steps import StepView
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
        self._entries: OrderedDict[_Key, tuple[LeafResult, ref[object] | None, int]] = OrderedDict()
        #: Keys that name by its identity what is no more. Whoever lets go of it last tells, perhaps under the lock.
        self._gone: list[_Key] = []
        self._passing: set[_Key] = set()
        self._newest_us = -(2**63)
        self._lock = Lock()
        self.nbytes = 0
        self.hits = 0
        self.misses = 0

    def at(self, root: Root, as_of_us: int, *, passing: bool = False) -> LeafView:
        """The cache of an evaluation of all contacts of `root` at an instant. `passing`: it is the instant of the
        newest version, which nobody asks for once there is a newer one."""
        if passing and as_of_us > self._newest_us:
            with self._lock:
                self._newest_us = as_of_us
                for key in self._passing:
                    self._drop(key)
                self._passing.clear()
        return LeafView(self, root, as_of_us, passing=passing)

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: _Key) -> LeafResult | None:
        """The answer under a key."""
        with self._lock:
            self._drop_gone()
            entry = self._entries.get(key)
            if entry is None:
                self.misses += 1
                return None
            self.hits += 1
            self._entries.move_to_end(key)
            return entry[0]

    def keep(self, key: _Key, result: LeafResult, held: object, passing_us: int | None = None) -> None:
        """Keep an answer; `held` is what the key names by its identity, and the answer goes when that does.
        `passing_us`: it is of no use beyond that instant."""
        size = _OVERHEAD + result.found.nbytes
        if size > self._budget_bytes:
            return
        named = None if held is None else ref(held, partial(_tell, self._gone, key))
        with self._lock:
            if passing_us is not None and passing_us < self._newest_us:
                return
            self._drop_gone()
            self._drop(key)
            self.nbytes += size
            self._entries[key] = (result, named, size)
            if passing_us is not None:
                self._passing.add(key)
            while self.nbytes > self._budget_bytes:
                self._drop(next(iter(self._entries)))

    def _drop_gone(self) -> None:
        while self._gone:
            self._drop(self._gone.pop())

    def _drop(self, key: _Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.nbytes -= entry[2]


def _tell(gone: list[_Key], key: _Key, _: object) -> None:
    gone.append(key)


class LeafView(MutableMapping[tuple[str, Node], LeafResult]):
    """The store as one evaluation sees it."""

    def __init__(self, store: LeafStore, root: Root, as_of_us: int, *, passing: bool) -> None:
        self._store = store
        self._passing = passing
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
        is_still = isinstance(held, StepView)
        self._store.keep(versioned, result, held, self._as_of_us if self._passing and not is_still else None)

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
