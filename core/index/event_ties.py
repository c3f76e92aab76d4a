"""The log order of events of several types that have one instant and one id.

Runs keep the log order within a type and know nothing of other types. Events of two types that nothing else orders are
rare (a message id that comes again after the deduplication horizon, under another name), so only their order is kept.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.index.event_ids import EventIds
from core.index.event_run import EventRun
from core.index.packing import offsets_of

#: What ties events: occurred_at in microseconds, and the id as UTF-8.
Key = tuple[int, bytes]
#: The types of the events of a key, in log order; a type stands there once for each of its events.
Types = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EventTies:
    """Keys that events of at least two types have, and those events' types in log order. Never changes.

    The k-th event of a type in the order of its runs is the k-th mention of the type. `layers`: newest last, the newest
    one that has a key counts; they grow geometrically, so that a new tie does not copy all others.
    """

    layers: tuple[Mapping[Key, Types], ...] = ()

    def __bool__(self) -> bool:
        """Whether there are any."""
        return len(self.layers) > 0

    def types(self, key: Key) -> Types:
        """The types of a key's events in log order; empty where fewer than two types have it."""
        for layer in reversed(self.layers):
            found = layer.get(key)
            if found is not None:
                return found
        return ()

    def all(self) -> dict[Key, Types]:
        """Every key with its types."""
        return {key: types for layer in self.layers for key, types in layer.items()}

    def with_types(self, found: Mapping[Key, Types]) -> EventTies:
        """The same with `found` added, or in the place of what was there."""
        if not found:
            return self
        layers: list[Mapping[Key, Types]] = [*self.layers, found]
        while len(layers) > 1 and 2 * len(layers[-1]) >= len(layers[-2]):
            layers[-2:] = [{**layers[-2], **layers[-1]}]
        return EventTies(tuple(layers))

    def place(self, type_name: str, runs: Sequence[EventRun], run: EventRun, row: int) -> int:
        """The place in log order, among the events of its key, of the event at `row` of `run`, which is one of `runs`,
        all those of its type in order. 0 where its key is not here."""
        key = (int(run.occurred_at_us[row]), run.ids.at(row))
        types = self.types(key)
        return _nth(types, type_name, _earlier(key, runs, run, row)) if types else 0

    def without(self, gone: Iterable[Gone]) -> EventTies:
        """The same after the events `gone` were erased, and without the keys that fewer than two types still have."""
        if not self.layers:
            return self
        held = self.all()
        instants = np.unique(np.fromiter((instant for instant, _ in held), np.int64, len(held)))
        dropped: dict[Key, set[int]] = {}
        for one in gone:
            times = one.run.occurred_at_us[one.rows]
            for row in one.rows[np.isin(times, instants)].tolist():
                key = (int(one.run.occurred_at_us[row]), one.run.ids.at(row))
                if key in held:
                    place = _nth(held[key], one.type_name, _earlier(key, one.runs, one.run, row))
                    dropped.setdefault(key, set()).add(place)
        if not dropped:
            return self
        for key, places in dropped.items():
            left = tuple(name for place, name in enumerate(held[key]) if place not in places)
            if len(set(left)) > 1:
                held[key] = left
            else:
                del held[key]
        return EventTies((held,) if held else ())

    def arrays(self) -> tuple[dict[str, NDArray[Any]], list[str]]:
        """For a section of a snapshot: arrays and the names of types, ordered by key."""
        held = sorted(self.all().items())
        names = sorted({name for _, types in held for name in types})
        numbers = {name: number for number, name in enumerate(names)}
        ids = [event_id for (_, event_id), _ in held]
        return {
            "occurred_at_us": np.array([instant for (instant, _), _ in held], np.int64),
            "counts": np.array([len(types) for _, types in held], np.int64),
            "types": np.array([numbers[name] for _, types in held for name in types], np.int64),
            "id_offsets": offsets_of(np.array([len(event_id) for event_id in ids], np.int64)),
            "id_bytes": np.frombuffer(b"".join(ids), np.uint8),
        }, names

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]], names: Sequence[str]) -> EventTies:
        """The inverse of `arrays`."""
        types: Iterator[str] = (names[number] for number in arrays["types"].tolist())
        keys = zip(arrays["occurred_at_us"].tolist(), EventIds.of_arrays(arrays), strict=True)
        held = {
            key: tuple(next(types) for _ in range(count))
            for key, count in zip(keys, arrays["counts"].tolist(), strict=True)
        }
        return cls((held,) if held else ())


@dataclass(frozen=True, slots=True)
class Gone:
    """Events that are erased: `rows` of `run`, which was one of `runs`, all those of the type in order."""

    type_name: str
    runs: Sequence[EventRun]
    run: EventRun
    rows: NDArray[np.int64]


@dataclass(slots=True)
class Found:
    """What a seal finds: for each key the types of sealed events, and the new events by their places in log order.
    Complete for keys that two types have, but for sealed events of a key that was tied before."""

    older: dict[Key, list[str]] = field(default_factory=dict)
    fresh: dict[Key, dict[int, str]] = field(default_factory=dict)

    def added_to(self, ties: EventTies) -> EventTies:
        """`ties` with what was found: sealed events are earlier in the log than new ones."""
        if not self.fresh:
            return ties
        return ties.with_types(
            {
                key: (*(ties.types(key) or self.older.get(key, ())), *(name for _, name in sorted(rows.items())))
                for key, rows in self.fresh.items()
            }
        )


def rows_of_key(run: EventRun, key: Key) -> range:
    """The rows with this instant and id."""
    inside = run.between(key[0], key[0] + 1)
    if inside.start == inside.stop:
        return range(0)
    rows = range(inside.start, inside.stop)
    first = inside.start + bisect_left(rows, key[1], key=run.ids.at)
    return range(first, inside.start + bisect_right(rows, key[1], key=run.ids.at))


def _earlier(key: Key, runs: Sequence[EventRun], run: EventRun, row: int) -> int:
    """How many events of the key stand before `row` of `run` in `runs`."""
    before = 0
    for one in runs:
        if one.serial == run.serial:
            return before + row - rows_of_key(one, key).start
        before += len(rows_of_key(one, key))
    raise IndexError(run.serial)


def _nth(types: Types, name: str, count: int) -> int:
    """The place of the mention of `name` that `count` others go before; behind all where there are fewer: a snapshot of
    old held events without their ties."""
    places = [place for place, one in enumerate(types) if one == name]
    return places[count] if count < len(places) else len(types)
