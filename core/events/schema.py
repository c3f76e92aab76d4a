"""The schema of a workspace: every name that its facts use, of which kind it is, and how it is called.

The vocabulary's names stand by themselves. A workspace adds its own: declared, or learned from the first value that
came under them. A name never changes its kind, except that a learned integer becomes a decimal at its first fraction;
all that was said before is read as the decimals that they equal. Renaming adds a name and leaves the old ones in
force, so nothing that was stored, saved or sent under them stops to work: columns keep the first name, the `key`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from core.events.canonical import attribute_kind, item_kind, param_kind, product_kind
from core.events.vocabulary import ELEMENTS, EVENTS
from core.schema import Kind


class Family(StrEnum):
    """What a name belongs to; the values are part of the stored format."""

    ATTRIBUTE = "attribute"
    ELEMENT = "element"  # a field of the elements of a list of objects; its owner is the attribute
    EVENT = "event"
    PARAMETER = "parameter"  # its owner is the event's type
    ITEM = "item"  # a field of the lines of all events
    PRODUCT = "product"  # a field of the catalogue


#: How many names of its own a workspace may have: of each family, and for families with owners of each owner.
MOST_NAMES: Mapping[Family, int] = {
    Family.ATTRIBUTE: 2_000,
    Family.ELEMENT: 200,
    Family.EVENT: 5_000,
    Family.PARAMETER: 500,
    Family.ITEM: 500,
    Family.PRODUCT: 500,
}
MOST_BASES = 100


@dataclass(frozen=True, slots=True)
class Place:
    """A name and what it belongs to; `owner` is an event's type, an attribute, or empty."""

    family: Family
    owner: str
    name: str

    def __str__(self) -> str:
        """As a sentence calls it: parameter "price" of "product_viewed"."""
        return f'{self.family} "{self.name}"' + (f' of "{self.owner}"' if self.owner else "")


@dataclass(frozen=True, slots=True)
class Definition:
    """One name. `key` is what facts are stored under and never changes; `shown` is its present name, `others` the
    names that it had or has besides the key. `kind` is None for events. `base`: it speaks of members of this base
    only. `since_us`: when it was first declared or learned."""

    family: Family
    owner: str
    key: str
    kind: Kind | None
    since_us: int
    declared: bool = False
    shown: str = ""
    others: tuple[str, ...] = ()
    title: str = ""
    base: str = ""
    retired: bool = False

    @property
    def place(self) -> Place:
        """Where it stands, under its key."""
        return Place(self.family, self.owner, self.key)

    @property
    def name(self) -> str:
        """The name that people see."""
        return self.shown or self.key

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that means it, the key first."""
        return (self.key, *self.others)


@dataclass(frozen=True, slots=True)
class Base:
    """A base of contacts: its id, as the attribute `bases` holds it, and what people call it."""

    id: str
    title: str
    since_us: int


Row = Definition | Base
_Owner = tuple[Family, str]


@dataclass(frozen=True, slots=True)
class Schema:
    """All names of a workspace at one version. Immutable; `with_rows` makes the next. `version` is the number of
    changes so far."""

    version: int = 0
    bases: Mapping[str, Base] = field(default_factory=dict)
    _by_key: Mapping[_Owner, Mapping[str, Definition]] = field(default_factory=dict)
    _by_name: Mapping[_Owner, Mapping[str, Definition]] = field(default_factory=dict)

    def find(self, place: Place) -> Definition | None:
        """The definition that `place.name` means, be it the key or another of its names; None while it has none."""
        return self.look(place.family, place.owner, place.name)

    def look(self, family: Family, owner: str, name: str) -> Definition | None:
        """`find`, without a place."""
        named = self._by_name.get((family, owner))
        return None if named is None else named.get(name)

    def kind(self, place: Place) -> Kind | None:
        """The kind of the values of a key: the vocabulary's, else the definition's. None: not known yet, or an
        event."""
        canonical = canonical_kind(place)
        if canonical is not None:
            return canonical
        found = self.find(place)
        return None if found is None else found.kind

    def room(self, family: Family, owner: str) -> int:
        """How many more names there is place for."""
        return MOST_NAMES[family] - len(self._by_key.get((family, owner), ()))

    def definitions(self, family: Family | None = None, owner: str | None = None) -> Iterator[Definition]:
        """The definitions, of one family and owner where these are given, by family, owner and key."""
        for one in sorted(self._by_key):
            if (family is None or one[0] is family) and (owner is None or one[1] == owner):
                yield from (self._by_key[one][key] for key in sorted(self._by_key[one]))

    def with_rows(self, rows: Iterable[Row], version: int) -> Schema:
        """The schema in which `rows` are in force in the place of those of the same key."""
        bases = dict(self.bases)
        by_key: dict[_Owner, dict[str, Definition]] = {}
        by_name: dict[_Owner, dict[str, Definition]] = {}
        for row in rows:
            if isinstance(row, Base):
                bases[row.id] = row
                continue
            owner = (row.family, row.owner)
            if owner not in by_key:
                by_key[owner] = dict(self._by_key.get(owner, {}))
                by_name[owner] = dict(self._by_name.get(owner, {}))
            by_key[owner][row.key] = row
            by_name[owner].update(dict.fromkeys(row.names, row))
        return Schema(version, bases, {**self._by_key, **by_key}, {**self._by_name, **by_name})


def canonical_kind(place: Place) -> Kind | None:
    """The kind that the vocabulary gives; None for its events, and for every name that is not in it."""
    return vocabulary_kind(place.family, place.owner, place.name)


def vocabulary_kind(family: Family, owner: str, name: str) -> Kind | None:
    """`canonical_kind`, without a place."""
    if family is Family.ATTRIBUTE:
        return attribute_kind(name)
    if family is Family.PARAMETER:
        return param_kind(owner, name)
    if family is Family.ITEM:
        return item_kind(name)
    if family is Family.PRODUCT:
        return product_kind(name)
    return ELEMENTS.get((owner, name)) if family is Family.ELEMENT else None


def is_canonical(place: Place) -> bool:
    """Whether the vocabulary has the name: it needs no definition, and is neither renamed nor retired."""
    return place.name in EVENTS if place.family is Family.EVENT else canonical_kind(place) is not None
