"""The RFM models of one workspace, and the setting that its rules are bound with."""

from __future__ import annotations

from dataclasses import replace

from cdp.segment.v1 import analytics_pb2
from core.errors import CdpError, Code
from core.query.names import Names, Setting
from core.query.rfm_model import DEFAULT_MODELS, RfmModel
from services.runtime.definitions import DefinitionChange, Definitions
from services.segment_engine.bound_parts import bound_events
from services.segment_engine.convert_rfm import model_from_proto, model_to_proto

#: Their filters are checked whenever a rule is bound.
MAX_MODELS = 100


def encode_model(model: RfmModel) -> bytes:
    """The stored form: cdp.segment.v1.RfmModel."""
    return model_to_proto(model).SerializeToString(deterministic=True)


class SavedModels:
    """Saved models by name, over those that every workspace has."""

    def __init__(self, definitions: Definitions, workspace: str) -> None:
        self.definitions = definitions
        self._workspace = workspace
        self._models = dict(DEFAULT_MODELS)
        for stored in definitions.newest():
            model = model_from_proto(analytics_pb2.RfmModel.FromString(stored.payload))
            self._models[model.name] = model
        self._setting = Setting(workspace, rfm=dict(self._models))
        #: How many changes these models have seen.
        self.edition = 0

    def all(self) -> list[RfmModel]:
        """As they were saved, by name."""
        return [self._models[name] for name in sorted(self._models)]

    def having(self, model: RfmModel) -> SavedModels:
        """These models as if `model` were saved."""
        after = SavedModels(self.definitions, self._workspace)
        after._models[model.name] = model
        return after

    def check_room(self, name: str) -> None:
        """Raises EXHAUSTED when `name` would be one model too many."""
        if name not in self._models and len(self._models) >= MAX_MODELS:
            raise CdpError(Code.EXHAUSTED, "TOO_MANY_MODELS", f"a workspace has at most {MAX_MODELS} RFM models")

    def applied(self, change: DefinitionChange, model: RfmModel) -> None:
        """Take over a committed version."""
        self.definitions.applied(change)
        self.edition += 1
        self._models[model.name] = model

    def setting(self, names: Names) -> Setting:
        """What rules are bound with: filters of models checked against the vocabulary as of now. As long as nothing
        about the models changes it is the same object."""
        bound = {name: _bound(model, names) for name, model in self._models.items()}
        if bound != self._setting.rfm:
            self._setting = Setting(self._workspace, rfm=bound)
        return self._setting


def _bound(model: RfmModel, names: Names) -> RfmModel:
    """The model with the literals of its filter in their kinds; names of events were checked when it was saved."""
    if not model.events.filter:
        return model
    return replace(model, events=bound_events(model.events, names, f'the events of RFM model "{model.name}"'))
