"""The computed attributes and the interest models of one workspace, as they were saved."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from cdp.segment.v1 import computed_pb2
from core.errors import CdpError, Code
from core.query.ast import Measure
from core.query.interest_model import DEFAULT_INTERESTS, InterestModel
from core.query.names import Names, Setting
from core.query.text.definition import definition_text, parse_definition
from services.runtime.definitions import DefinitionChange, Definitions
from services.segment_engine.bound_parts import bound_events
from services.segment_engine.convert_computed import model_from_proto, model_to_proto

#: Each is looked at whenever a rule that names it is bound.
MAX_ATTRIBUTES, MAX_MODELS = 500, 100


@dataclass(frozen=True, slots=True)
class ComputedDefinition:
    """What a version says: the measure (its canonical text is what is stored) and a sentence about it."""

    measure: Measure
    description: str

    def encode(self) -> bytes:
        """The stored form: {"text", "description"}."""
        return json.dumps({"text": definition_text(self.measure), "description": self.description}).encode()

    @staticmethod
    def decode(payload: bytes) -> ComputedDefinition:
        """From the stored form."""
        fields = json.loads(payload)
        return ComputedDefinition(parse_definition(fields["text"])[1], fields["description"])


class SavedComputed:
    """Both kinds of definitions, parsed. `edition`: how many changes they have seen."""

    def __init__(self, attributes: Definitions, interests: Definitions) -> None:
        self.attributes = attributes
        self.interests = interests
        self.edition = 0
        self._measures = {
            stored.revision.name: ComputedDefinition.decode(stored.payload).measure for stored in attributes.newest()
        }
        self._models = dict(DEFAULT_INTERESTS)
        for stored in interests.newest():
            self._models[stored.revision.name] = decode_model(stored.payload)
        self._setting: tuple[Setting, Setting] | None = None

    def measures(self) -> Mapping[str, Measure]:
        """Every computed attribute by name, as written; not to be written."""
        return self._measures

    def models(self) -> list[InterestModel]:
        """As they were saved, by name."""
        return [self._models[name] for name in sorted(self._models)]

    def model(self, name: str) -> InterestModel | None:
        """The model of that name."""
        return self._models.get(name)

    def having(self, name: str, measure: Measure | None) -> SavedComputed:
        """These as if the attribute were `measure`, or deleted."""
        after = self._copy()
        after._measures = {one: other for one, other in self._measures.items() if one != name}
        if measure is not None:
            after._measures[name] = measure
        return after

    def having_model(self, model: InterestModel) -> SavedComputed:
        """These as if the model were saved."""
        after = self._copy()
        after._models = {**self._models, model.name: model}
        return after

    def applied(self, change: DefinitionChange) -> None:
        """Take over a committed version of an attribute."""
        self.attributes.applied(change)
        revision = change.stored.revision
        measure = None if revision.deleted else ComputedDefinition.decode(change.stored.payload).measure
        self._measures = dict(self.having(revision.name, measure)._measures)
        self.edition += 1

    def model_applied(self, change: DefinitionChange) -> None:
        """Take over a committed version of a model."""
        self.interests.applied(change)
        self._models[change.stored.revision.name] = decode_model(change.stored.payload)
        self._setting = None
        self.edition += 1

    def check_room(self, name: str) -> None:
        """Raises EXHAUSTED when `name` would be one attribute too many."""
        if name not in self._measures and len(self._measures) >= MAX_ATTRIBUTES:
            text = f"a workspace has at most {MAX_ATTRIBUTES} computed attributes"
            raise CdpError(Code.EXHAUSTED, "TOO_MANY_COMPUTED", text)

    def check_room_for_model(self, name: str) -> None:
        """The same for a model."""
        if name not in self._models and len(self._models) >= MAX_MODELS:
            text = f"a workspace has at most {MAX_MODELS} interest models"
            raise CdpError(Code.EXHAUSTED, "TOO_MANY_MODELS", text)

    def setting(self, setting: Setting, names: Names) -> Setting:
        """`setting` with the models, their filters checked against the vocabulary; the same object while neither
        changes."""
        bound = {name: _bound(model, names) for name, model in self._models.items()}
        known = self._setting
        if known is None or known[0] is not setting or known[1].interests != bound:
            self._setting = known = (setting, replace(setting, interests=bound))
        return known[1]

    def _copy(self) -> SavedComputed:
        after = SavedComputed(self.attributes, self.interests)
        after._measures, after._models = self._measures, self._models
        return after


def encode_model(model: InterestModel) -> bytes:
    """The stored form: cdp.segment.v1.InterestModel."""
    return model_to_proto(model).SerializeToString(deterministic=True)


def decode_model(payload: bytes) -> InterestModel:
    """From the stored form."""
    return model_from_proto(computed_pb2.InterestModel.FromString(payload))


def _bound(model: InterestModel, names: Names) -> InterestModel:
    if not model.events.filter:
        return model
    return replace(model, events=bound_events(model.events, names, f'the events of interest "{model.name}"'))
