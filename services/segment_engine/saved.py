"""Saved segments of one workspace: their stored form, their rules, and what refers to what."""

from __future__ import annotations

import json
from dataclasses import dataclass

from core.errors import CdpError, conflict
from core.index.root import Root
from core.query.ast import Rule
from core.query.bind import bind, references
from core.query.format import format_rule
from core.query.names import BoundRule
from core.query.parse import parse
from core.segments.saved import Saved
from core.segments.vocabulary import names_of
from services.runtime.definitions import Definitions, Stored


@dataclass(frozen=True, slots=True)
class SegmentDefinition:
    """What a version says: the rule as written (its canonical text is what is stored) and a sentence about it."""

    rule: Rule
    description: str

    def encode(self) -> bytes:
        """The stored form: {"text", "description"}. Raises what `parse` raises (RULE_TOO_LARGE, RULE_TOO_DEEP) for a
        rule whose canonical text it would not read: what cannot be read again must not be stored."""
        text = format_rule(self.rule)
        parse(text)
        return json.dumps({"text": text, "description": self.description}).encode()

    @staticmethod
    def decode(payload: bytes) -> SegmentDefinition:
        """From the stored form; the texts were canonical when stored."""
        fields = json.loads(payload)
        return SegmentDefinition(parse(fields["text"]), fields["description"])


class SavedSegments:
    """Definitions with their parsed rules, kept in step."""

    def __init__(self, definitions: Definitions, zone: str) -> None:
        self.definitions = definitions
        self._zone = zone
        self._rules = {
            stored.revision.name: SegmentDefinition.decode(stored.payload).rule for stored in definitions.newest()
        }

    def in_zone(self, zone: str) -> SavedSegments:
        """The same segments, to be bound to another local time."""
        return SavedSegments(self.definitions, zone)

    def applied(self, stored: Stored) -> None:
        """Take over a committed version."""
        name = stored.revision.name
        if stored.revision.deleted:
            self._rules.pop(name, None)
        else:
            self._rules[name] = SegmentDefinition.decode(stored.payload).rule

    def bind(self, rule: Rule, root: Root, as_name: str | None = None) -> BoundRule:
        """Check `rule` against the vocabulary as of `root` (the new text of `as_name` stands in its own place)."""
        rules = self._rules if as_name is None else {**self._rules, as_name: rule}
        return bind(rule, names_of(root, rules, self._zone), as_name=as_name)

    def bind_saved(self, name: str, root: Root) -> BoundRule:
        """A saved segment, bound. NOT_FOUND when there is none."""
        self.definitions.get(name)
        return self.bind(self._rules[name], root, as_name=name)

    def referring_to(self, name: str) -> list[str]:
        """Names of the saved segments that refer to `name`, directly or through others, nearest first."""
        found: list[str] = []
        wave = [name]
        while wave:
            wave = [
                other
                for other in sorted(self._rules)
                if other != name and other not in found and not set(references(self._rules[other])).isdisjoint(wave)
            ]
            found += wave
        return found

    def bind_dependents(self, name: str, rule: Rule, root: Root) -> list[tuple[str, BoundRule]]:
        """Everything that refers to `name`, bound as if it were `rule`. CONFLICT when one of them would break."""
        names = names_of(root, {**self._rules, name: rule}, self._zone)
        bound = []
        for dependent in self.referring_to(name):
            try:
                bound.append((dependent, bind(self._rules[dependent], names, as_name=dependent)))
            except CdpError as error:
                raise conflict(
                    "SEGMENT_IN_USE", f"segment {dependent!r} refers to {name!r} and would break: {error}"
                ) from error
        return bound

    def standing(self, root: Root) -> list[Saved]:
        """All segments without parameters, bound, for keeping current."""
        saved = []
        for stored in self.definitions.newest():
            bound = self.bind_saved(stored.revision.name, root)
            if not bound.parameters:
                saved.append(Saved.make(stored.revision.name, stored.revision.version, bound))
        return saved
