"""The workload of the questions: contacts with attributes and events of 400 days, drawn anew from a seed alone.

Everything comes as NumPy arrays in batches, the same arrays for every engine; nothing is kept, so a second pass draws
the same again. Activity is Pareto with shape 1.5, categories are Zipf, prices log-normal with two decimals, instants
are microseconds that ascend over the batches, ids are UUIDs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DAY_US = 86_400_000_000
DAYS = 400
#: 2025-03-04 05:06:07.000089 UTC: data begin neither at midnight nor at a month's start.
START_US = 1_741_064_767_000_089
END_US = START_US + DAYS * DAY_US

EVENT_TYPES = (
    "product_viewed",
    "cart_updated",
    "order_completed",
    "wishlist_added",
    "message_opened",
    "message_clicked",
)
SHARES = (0.55, 0.12, 0.06, 0.02, 0.15, 0.10)
#: The first so many types carry a category and a price, messages carry neither.
PRODUCT_TYPES = 4
CATEGORIES = tuple(f"category {number:03d}" for number in range(200))
BATCH = 1_000_000

#: Attribute -> its values, most frequent first.
TEXT_ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "gender": ("female", "male", "other"),
    "country": tuple(f"C{number:02d}" for number in range(40)),
    "city": tuple(f"city {number:03d}" for number in range(300)),
    "language": tuple(f"l{number:02d}" for number in range(25)),
    "device": ("phone", "desktop", "tablet", "app"),
}


@dataclass(frozen=True, slots=True)
class Contacts:
    """Contacts 0 to n - 1: `texts[name]` are uint16 codes into TEXT_ATTRIBUTES[name], `age` uint8 years, `created_us`
    int64, all before START_US, `keys` n rows of 16 bytes: UUIDs."""

    texts: dict[str, NDArray[np.uint16]]
    age: NDArray[np.uint8]
    created_us: NDArray[np.int64]
    keys: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Events:
    """A batch in order of time: `types` uint8 codes of EVENT_TYPES, `at_us` int64 ascending, `contacts` uint32,
    `categories` uint8 codes and `cents` uint32 that mean something for the first PRODUCT_TYPES types only, `ids` n rows
    of 16 bytes: UUIDs."""

    types: NDArray[np.uint8]
    at_us: NDArray[np.int64]
    contacts: NDArray[np.uint32]
    categories: NDArray[np.uint8]
    cents: NDArray[np.uint32]
    ids: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.types)

    def part(self, first: int, until: int) -> Events:
        """The events `first` to `until - 1`, without a copy."""
        return Events(*(getattr(self, name)[first:until] for name in self.__dataclass_fields__))


@dataclass(frozen=True, slots=True)
class Workload:
    """Sizes and a seed; equal ones draw equal data. `grain_us`: instants lie so far apart or fall together; tests take
    an hour, so that windows end on events, and events of one contact have equal instants."""

    contacts: int
    events: int
    seed: int
    grain_us: int = 1

    def draw_contacts(self) -> Contacts:
        """All contacts; 35 bytes each."""
        generator = np.random.default_rng([self.seed, 0])
        texts = {}
        for name, values in TEXT_ATTRIBUTES.items():
            weights = _zipf(len(values), 0.3 if name == "gender" else 1.0)
            texts[name] = generator.choice(len(values), self.contacts, p=weights).astype(np.uint16)
        return Contacts(
            texts,
            generator.triangular(14, 28, 90, self.contacts).astype(np.uint8),
            START_US - generator.integers(1, 700 * DAY_US, self.contacts),
            _uuids(generator, self.contacts),
        )

    def draw_events(self) -> Iterator[Events]:
        """All events, BATCH at a time, in order of time over the batches as well."""
        generator = np.random.default_rng([self.seed, 1])
        pool = self._pool(generator)
        until = 0
        while until < self.events:
            first, until = until, min(until + BATCH, self.events)
            batch = _batch(generator, pool, until - first, *(START_US + self._share_us(row) for row in (first, until)))
            batch.at_us[:] -= (batch.at_us - START_US) % self.grain_us
            yield batch

    def draw_later(self, n: int, span_us: int, stream: int) -> Events:
        """`n` more events in the `span_us` after END_US, of the same kinds; `stream` names an independent draw."""
        generator = np.random.default_rng([self.seed, 2, stream])
        return _batch(generator, self._pool(generator, n), n, END_US, END_US + span_us)

    def _share_us(self, row: int) -> int:
        return DAYS * DAY_US * row // self.events

    def _pool(self, generator: np.random.Generator, n: int = 0) -> NDArray[np.uint32]:
        """Contacts, each as often as it is active; events take theirs at random from here."""
        weights = generator.pareto(1.5, self.contacts) + 1.0
        repeats = weights * ((n or self.events) / weights.sum()) + generator.random(self.contacts)
        pool = np.repeat(np.arange(self.contacts, dtype=np.uint32), repeats.astype(np.int64))
        return pool if len(pool) else np.arange(self.contacts, dtype=np.uint32)


def _batch(generator: np.random.Generator, pool: NDArray[np.uint32], n: int, first_us: int, until_us: int) -> Events:
    types = np.searchsorted(np.cumsum(SHARES[:-1]), generator.random(n, np.float32), side="right").astype(np.uint8)
    zipf = np.cumsum(_zipf(len(CATEGORIES), 1.0))
    prices = np.exp(generator.standard_normal(n, np.float32) * np.float32(1.1) + np.float32(3.6)) * np.float32(100)
    return Events(
        types,
        np.sort(generator.integers(first_us, until_us, n)),
        pool[generator.integers(0, len(pool), n)],
        np.searchsorted(zipf[:-1], generator.random(n, np.float32), side="right").astype(np.uint8),
        np.clip(prices, 50, 999_999).astype(np.uint32),
        _uuids(generator, n),
    )


def _zipf(n: int, exponent: float) -> NDArray[np.float64]:
    weights = np.arange(1, n + 1, dtype=np.float64) ** -exponent
    return np.asarray(weights / weights.sum(), np.float64)


def _uuids(generator: np.random.Generator, n: int) -> NDArray[np.uint8]:
    """Random UUIDs of version 4, n rows of 16 bytes."""
    ids = np.frombuffer(generator.bytes(16 * n), np.uint8).reshape(n, 16).copy()
    ids[:, 6] = ids[:, 6] & 0x0F | 0x40
    ids[:, 8] = ids[:, 8] & 0x3F | 0x80
    return ids


def uuid_texts(ids: NDArray[np.uint8]) -> list[str]:
    """`ids` (n rows of 16 bytes) as canonical lower-case texts."""
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    text = np.full((len(ids), 36), ord("-"), np.uint8)
    places = [place for place in range(36) if place not in (8, 13, 18, 23)]
    text[:, places[0::2]] = digits[ids >> 4]
    text[:, places[1::2]] = digits[ids & 15]
    whole = text.tobytes().decode("ascii")
    return [whole[place : place + 36] for place in range(0, len(whole), 36)]
