"""What the door asks of the schema while it checks an item, and what the schema has to learn before it is taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from core.events.checks import Bad
from core.events.report import Report
from core.events.schema import Definition, Family, Place, Schema, is_canonical, vocabulary_kind
from core.events.schema_changes import TOO_MANY_NAMES, Want, full_sentence, widens
from core.schema import Kind, Value, kind_of

RETIRED = "RETIRED_NAME"
UNKNOWN_BASE = "UNKNOWN_BASE"

#: What a conversion gives: a value, None (missing) or a `Bad`.
Converted = TypeVar("Converted")


class SchemaCheck:
    """One item's way past the schema. Without one (`schema` None) every name is taken, of whatever kind.

    `wants`, once the item is checked: names that the schema has to learn first. Nothing may be written while there are
    any; they are learned, and the item is checked again.
    """

    def __init__(self, schema: Schema | None, report: Report) -> None:
        self.schema = schema
        self._report = report
        self._wants: dict[Place, Kind | None] = {}

    @property
    def wants(self) -> tuple[Want, ...]:
        """What has to be learned, in the order met."""
        return tuple(Want(place, kind) for place, kind in self._wants.items())

    def event(self, name: str, path: str) -> str:
        """The type under which events of this canonical `name` are kept. A retired one refuses the item."""
        place = Place(Family.EVENT, "", name)
        if self.schema is None or not name or is_canonical(place):
            return name
        found = self.schema.find(place)
        if found is None:
            self._learn(place, None, path)
            return name
        if found.retired:
            self._report.bad(path, Bad(RETIRED, f"the event {found.name!r} is retired; restore it to send it again"))
        return found.key

    def key(self, family: Family, owner: str, name: str, path: str) -> str | None:
        """The key of a name in canonical form; None, with a note, for a retired one: its value is left out."""
        found = None if self.schema is None else self.schema.look(family, owner, name)
        if found is None:
            return name
        if found.retired:
            self._report.note(path, f"left out: {found.name!r} is retired")
            return None
        return found.key

    def kind(self, family: Family, owner: str, key: str) -> Kind | None:
        """The kind that values of `key` have; None: the first one decides."""
        canonical = vocabulary_kind(family, owner, key)
        if canonical is not None or self.schema is None:
            return canonical
        found = self.schema.look(family, owner, key)
        return None if found is None else found.kind

    def fitted(
        self, family: Family, owner: str, key: str, path: str, convert: Callable[[Kind | None], Converted]
    ) -> Converted | None:
        """What `convert` makes of a value for the kind of `key` (None: for whatever it is), or why not. The first value
        of a name teaches its kind, the first fraction under a learned integer makes decimals of all of them."""
        canonical = vocabulary_kind(family, owner, key)
        if canonical is not None or self.schema is None:
            return convert(canonical)
        found = self.schema.look(family, owner, key)
        known = None if found is None else found.kind
        if self._wants:
            known = self._wants.get(Place(family, owner, key)) or known
        value = convert(known)
        if value is None:
            return None
        if isinstance(value, Bad):
            widened = self._widened(Place(family, owner, key), found, convert) if known is Kind.INTEGER else None
            return value if widened is None else widened
        if known is not None:
            return value
        if value == ():
            self._report.note(path, "left out: an empty list does not say of what; declare the name first")
            return None
        self._learn(Place(family, owner, key), kind_of(cast(Value, value)), path)
        return value

    def bases(self, values: Value | None, path: str) -> None:
        """Refuse bases that are not declared, once the workspace has declared any."""
        if self.schema is None or not self.schema.bases or not isinstance(values, tuple):
            return
        for one in values:
            if isinstance(one, str) and one not in self.schema.bases:
                self._report.bad(path, Bad(UNKNOWN_BASE, f"there is no base {one[:80]!r}"))

    def _widened(
        self, place: Place, found: Definition | None, convert: Callable[[Kind | None], Converted]
    ) -> Converted | None:
        if found is not None and found.declared:
            return None
        value = convert(Kind.DECIMAL)
        if isinstance(value, Bad) or value is None or not widens(Kind.INTEGER, kind_of(cast(Value, value))):
            return None
        self._wants[place] = Kind.DECIMAL
        return value

    def _learn(self, place: Place, kind: Kind | None, path: str) -> None:
        if self.schema is not None and self.schema.room(place.family, place.owner) <= 0:
            self._report.bad(path, Bad(TOO_MANY_NAMES, full_sentence(place)))
        else:
            self._wants[place] = kind
