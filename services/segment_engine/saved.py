"""Saved segments of one workspace: their stored form, their rules, and what refers to what."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from core.errors import CdpError, conflict
from core.index.root import Root
from core.query.ast import AttributeMeasure, RfmInCell, RfmMoved, Rule
from core.query.binding.bind import bind, references
from core.query.binding.bind_measure import bind_measure
from core.query.interest_model import InterestModel
from core.query.names import BoundRule, Names
from core.query.prepared import PreparedRules
from core.query.problems import CYCLE
from core.query.rfm_model import RfmModel
from core.query.text.format import format_rule
from core.query.text.parse import parse
from core.query.walk import parts
from core.segments.saved import Saved
from core.segments.vocabulary import names_of
from services.runtime.definitions import Definitions, Stored
from services.segment_engine.bound_parts import bound_events
from services.segment_engine.computed import SavedComputed
from services.segment_engine.rfm_models import SavedModels


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

    def __init__(self, definitions: Definitions, zone: str, models: SavedModels, computed: SavedComputed) -> None:
        self.definitions = definitions
        self.models = models
        self.computed = computed
        self._zone = zone
        self._prepared = PreparedRules()
        self._edition = 0
        self._named: tuple[Root, tuple[int, int, int], Names] | None = None
        self._rules = {
            stored.revision.name: SegmentDefinition.decode(stored.payload).rule for stored in definitions.newest()
        }

    def rules(self) -> Mapping[str, Rule]:
        """Every saved rule by the name of its segment; not to be written."""
        return self._rules

    def in_zone(self, zone: str) -> SavedSegments:
        """The same segments, to be bound to another local time."""
        return SavedSegments(self.definitions, zone, self.models, self.computed)

    def applied(self, stored: Stored) -> None:
        """Take over a committed version."""
        self._edition += 1
        name = stored.revision.name
        if stored.revision.deleted:
            self._rules.pop(name, None)
        else:
            self._rules[name] = SegmentDefinition.decode(stored.payload).rule

    def names(self, root: Root) -> Names:
        """What rules may speak of as of `root`: the same object while neither it nor a definition changes."""
        editions = (self._edition, self.models.edition, self.computed.edition)
        if self._named is None or self._named[0] is not root or self._named[1] != editions:
            self._named = (root, editions, self._names(root, self._rules, self.models))
        return self._named[2]

    def names_with(self, computed: SavedComputed, root: Root) -> Names:
        """The same if `computed` were what is computed."""
        return self._names(root, self._rules, self.models, computed)

    def _names(
        self, root: Root, rules: Mapping[str, Rule], models: SavedModels, computed: SavedComputed | None = None
    ) -> Names:
        computed = computed or self.computed
        names = replace(names_of(root, rules, self._zone), computed=computed.measures())
        return replace(names, setting=computed.setting(models.setting(names), names))

    def bind(self, rule: Rule, root: Root, as_name: str | None = None) -> BoundRule:
        """Check `rule` against the vocabulary as of `root` (the new text of `as_name` stands in its own place)."""
        rules = self._rules if as_name is None else {**self._rules, as_name: rule}
        return bind(rule, self._names(root, rules, self.models), as_name=as_name)

    def bind_text(self, text: str, root: Root) -> BoundRule:
        """The rule that `text` says, checked like `bind`; quick for a text of a shape that was met before."""
        return self._prepared.bound(text, self.names(root))

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
        names = self._names(root, {**self._rules, name: rule}, self.models)
        bound = []
        for dependent in self.referring_to(name):
            try:
                bound.append((dependent, bind(self._rules[dependent], names, as_name=dependent)))
            except CdpError as error:
                raise conflict(
                    "SEGMENT_IN_USE", f"segment {dependent!r} refers to {name!r} and would break: {error}"
                ) from error
        return bound

    def using_model(self, name: str) -> list[str]:
        """Names of the saved segments that ask about an RFM model, directly or through others, nearest first."""
        direct = [segment for segment in sorted(self._rules) if name in _models_of(self._rules[segment])]
        indirect = (user for segment in direct for user in self.referring_to(segment))
        return list(dict.fromkeys((*direct, *indirect)))

    def bind_users(self, model: RfmModel, root: Root) -> list[Saved]:
        """Every segment without parameters that asks about the model, bound as if it were `model`. CONFLICT when some
        segment, parametric ones too, would break: the model lacks a cell that it names."""
        names = self._names(root, self._rules, self.models.having(model))
        saved = []
        for user in self.using_model(model.name):
            try:
                bound = bind(self._rules[user], names, as_name=user)
            except CdpError as error:
                raise conflict(
                    "RFM_MODEL_IN_USE", f"segment {user!r} asks about {model.name!r} and would break: {error}"
                ) from error
            if not bound.parameters:
                saved.append(Saved.make(user, self.definitions.get(user).revision.version, bound))
        return saved

    def check_interest(self, model: InterestModel, root: Root) -> None:
        """Raises what binding raises where an event of the model is unknown or its filter does not fit."""
        bound_events(model.events, self.names(root), "model.weights")

    def changed_by(self, computed: SavedComputed, root: Root, name: str) -> list[Saved]:
        """Every segment without parameters whose rule means something else if `computed` is what is computed, bound so.
        CONFLICT / COMPUTED_IN_USE where a segment, a parametric one too, another computed attribute or an RFM model
        would break; `name` is what changes."""
        before = self.names(root)
        try:
            after = self.names_with(computed, root)
            for other in after.computed:
                bind_measure(AttributeMeasure(other), after, other)
        except CdpError as error:
            if error.reason == CYCLE:
                raise
            raise conflict("COMPUTED_IN_USE", f"what names {name!r} would break: {error}") from error
        changed = []
        for user, rule in self._rules.items():
            try:
                bound = bind(rule, after, as_name=user)
            except CdpError as error:
                text = f"segment {user!r} names {name!r} and would break: {error}"
                raise conflict("COMPUTED_IN_USE", text) from error
            if not bound.parameters and _meaning(bound) != _meaning(bind(rule, before, as_name=user)):
                changed.append(Saved.make(user, self.definitions.get(user).revision.version, bound))
        return changed

    def standing(self, root: Root) -> list[Saved]:
        """All segments without parameters, bound, for keeping current."""
        saved = []
        for stored in self.definitions.newest():
            bound = self.bind_saved(stored.revision.name, root)
            if not bound.parameters:
                saved.append(Saved.make(stored.revision.name, stored.revision.version, bound))
        return saved


def _meaning(bound: BoundRule) -> tuple[object, ...]:
    """What a bound rule is evaluated by."""
    rules = (bound.rule, *(one.rule for one in bound.segments.values()))
    asks_rfm = any(_models_of(rule) for rule in rules)
    return rules, dict(bound.setting.rfm) if asks_rfm else None


def _models_of(rule: Rule) -> set[str]:
    """The RFM models that a rule itself names."""
    return {part.model for part in parts(rule) if isinstance(part, RfmInCell | RfmMoved)}
