"""YAML as a tree of marked nodes, and no more of YAML than a scenario needs.

No tags, no anchors, no second document, no key twice; bounded in length, depth and number of nodes before anything is
built of it. Scalars keep the letters that were written: what they mean is decided by who reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from core.errors import CdpError, Violation, invalid

MAX_CHARACTERS = 200_000
MAX_DEPTH = 16
MAX_NODES = 20_000
#: Mistakes told at once.
MAX_MISTAKES = 50

SCENARIO_INVALID = "SCENARIO_INVALID"

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: What YAML itself calls nothing.
_NOTHING = frozenset({"", "~", "null", "Null", "NULL"})


@dataclass(frozen=True, slots=True)
class Place:
    """Line and column of a text, both from 1; columns count characters."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}"


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value as written; `plain` without quotes and not as a block."""

    place: Place
    text: str
    plain: bool

    @property
    def is_nothing(self) -> bool:
        """Whether nothing was written, or YAML's word for it."""
        return self.plain and self.text in _NOTHING


@dataclass(slots=True)
class Listing:
    """A list."""

    place: Place
    items: list[Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of a mapping, the place of the key, and its value."""

    key: str
    place: Place
    value: Node


@dataclass(slots=True)
class Mapping:
    """Keys in the order written, each once."""

    place: Place
    entries: list[Entry] = field(default_factory=list)

    def get(self, key: str) -> Entry | None:
        """The entry of `key`."""
        return next((entry for entry in self.entries if entry.key == key), None)


Node = Scalar | Listing | Mapping


class Mistakes:
    """Collects what is wrong, each with its place."""

    def __init__(self) -> None:
        self._found: list[tuple[Place, str]] = []

    def add(self, place: Place, text: str) -> None:
        """Something is wrong at `place`."""
        self._found.append((place, text))

    def __bool__(self) -> bool:
        return bool(self._found)

    def are_enough(self) -> bool:
        """Whether more of them would not be told."""
        return len(self._found) >= MAX_MISTAKES

    def error(self) -> CdpError:
        """INVALID / SCENARIO_INVALID with one violation a mistake, in the order of the text; its path is the place."""
        found = sorted(self._found, key=lambda one: (one[0].line, one[0].column))[:MAX_MISTAKES]
        violations = [Violation(str(place), text) for place, text in found]
        return invalid(SCENARIO_INVALID, f"{violations[0].path}: {violations[0].description}", *violations)


def read_nodes(text: str) -> Node:
    """The one document in `text`. Raises INVALID / SCENARIO_INVALID with the place of the first mistake."""
    if len(text) > MAX_CHARACTERS:
        raise wrong(Place(1, 1), f"a scenario has at most {MAX_CHARACTERS:,} characters, this text has {len(text):,}")
    try:
        return _built(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(1, 1) if mark is None else Place(mark.line + 1, mark.column + 1)
        raise wrong(place, f"this is no YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise wrong(Place(1, 1), "this is no YAML: it holds a character that no text has") from error


def wrong(place: Place, text: str) -> CdpError:
    """One mistake as an error."""
    mistakes = Mistakes()
    mistakes.add(place, text)
    return mistakes.error()


@dataclass(slots=True)
class _Open:
    """A list or mapping that is not closed yet; of a mapping the key whose value comes next."""

    node: Listing | Mapping
    key: Scalar | None = None
    known: set[str] = field(default_factory=set)

    def take(self, node: Node) -> None:
        if isinstance(self.node, Listing):
            self.node.items.append(node)
        elif self.key is not None:
            self.node.entries.append(Entry(self.key.text, self.key.place, node))
            self.key = None
        elif not isinstance(node, Scalar):
            raise wrong(node.place, "a key is a word or a text, no list and no mapping")
        elif node.text in self.known:
            raise wrong(node.place, f'"{node.text}" stands here a second time')
        else:
            self.known.add(node.text)
            self.key = node


def _built(events: Any) -> Node:
    """The tree of a stream of YAML events; a stack instead of recursion, so that no depth harms."""
    stack: list[_Open] = []
    root: Node | None = None
    nodes = 0
    for event in events:
        if isinstance(event, yaml.StreamStartEvent | yaml.StreamEndEvent | yaml.DocumentEndEvent):
            continue
        place = Place(event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, yaml.DocumentStartEvent):
            if root is not None:
                raise wrong(place, "one text holds one scenario: a second document begins here")
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            node: Node = stack.pop().node
        else:
            nodes += 1
            _check(event, place, nodes, len(stack))
            if isinstance(event, yaml.SequenceStartEvent):
                stack.append(_Open(Listing(place)))
                continue
            if isinstance(event, yaml.MappingStartEvent):
                stack.append(_Open(Mapping(place)))
                continue
            node = Scalar(place, event.value, event.style is None or event.style == "")
        if stack:
            stack[-1].take(node)
        else:
            root = node
    return root if root is not None else Scalar(Place(1, 1), "", True)


def _check(event: Any, place: Place, nodes: int, depth: int) -> None:
    if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
        raise wrong(place, 'no anchors and aliases ("&" and "*"): write it out, or put a text that begins so in quotes')
    if event.tag is not None:
        raise wrong(place, f'no tags: put a text that begins with "!" in quotes ({event.tag[:80]})')
    if nodes > MAX_NODES:
        raise wrong(place, f"more than {MAX_NODES:,} values: this is no scenario")
    if depth >= MAX_DEPTH:
        raise wrong(place, f"more than {MAX_DEPTH} levels deep: this is no scenario")


def names_of(entries: Sequence[Entry]) -> list[str]:
    """The keys, in the order written."""
    return [entry.key for entry in entries]
