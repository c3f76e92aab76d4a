"""The scenarios of one workspace as plans: what may start them, by what a run goes on, and what holds them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from cdp.scenario.v1 import scenario_pb2
from core.scenario.definition import (
    EventTrigger,
    FieldTrigger,
    ProductTrigger,
    RfmTrigger,
    ScheduleTrigger,
    SegmentTrigger,
)
from core.scenario.plan import Plan
from core.scenario.validate import plan_of
from services.runtime.definitions import DefinitionChange, Definitions, Stored
from services.scenario.convert import definition_from_proto
from services.scenario.states import ScenarioState, States

SCENARIO_DELETED, SCENARIO_STOPPED = "scenario_deleted", "scenario_stopped"


class Catalogue:
    """Plans of all versions, read once each; call `applied` with every change that was committed, and `changed` when
    a state was. Scenarios that may start nothing are left out of all that asks what something may start."""

    def __init__(self, definitions: Definitions, states: States) -> None:
        self.definitions = definitions
        self.states = states
        self._plans: dict[tuple[str, int], Plan] = {}
        self._saved_first_us: dict[str, int] = {}
        self._paused: frozenset[str] = frozenset()
        self._newest: dict[str, Plan] = {}
        self._by_event: dict[str, list[Plan]] = {}
        self._by_segment: dict[str, list[Plan]] = {}
        self._by_model: dict[str, list[Plan]] = {}
        self._by_attribute: dict[str, list[Plan]] = {}
        self._by_product: list[Plan] = []
        self._scheduled: list[Plan] = []
        self.changed()

    def plan(self, name: str, version: int) -> Plan:
        """The plan of a stored version."""
        plan = self._plans.get((name, version))
        if plan is None:
            plan = self._read(self.definitions.get(name, version))
        return plan

    def newest(self, name: str) -> Plan:
        """The plan of the newest version. NOT_FOUND / NO_SUCH_SCENARIO where there is none, or it is deleted."""
        return self.plan(name, self.definitions.get(name).revision.version)

    def started_by_event(self, event_type: str) -> list[Plan]:
        """Newest versions that an event of this type may start, by name."""
        return self._by_event.get(event_type, [])

    def started_by_segment(self, segment: str) -> list[Plan]:
        """Newest versions that a change of this segment may start, by name."""
        return self._by_segment.get(segment, [])

    def started_by_model(self, model: str) -> list[Plan]:
        """Newest versions that a move between cells of this RFM model may start, by name."""
        return self._by_model.get(model, [])

    def started_by_attribute(self, attribute: str) -> list[Plan]:
        """Newest versions that a change of this attribute may start, by name."""
        return self._by_attribute.get(attribute, [])

    def started_by_product(self) -> list[Plan]:
        """Newest versions that changes of products may start, by name."""
        return self._by_product

    def scheduled(self) -> list[Plan]:
        """Newest versions that start by the clock, by name."""
        return self._scheduled

    @property
    def models(self) -> Collection[str]:
        """The RFM models whose moves start a scenario."""
        return self._by_model.keys()

    @property
    def watches_segments(self) -> bool:
        """Whether any segment, or a cell of a model, starts a scenario."""
        return bool(self._by_segment or self._by_model)

    @property
    def waits_for_facts(self) -> bool:
        """Whether any attribute or product starts a scenario."""
        return bool(self._by_attribute or self._by_product)

    def since_us(self, name: str) -> int:
        """When the scenario was first saved (again, after a deletion), or became active, whichever was later: facts
        recorded before start nothing, however late they are read."""
        return max(self._saved_first_us[name], self.states.of(name).after_us)

    def is_paused(self, name: str) -> bool:
        """Whether the runs of the scenario stand still."""
        return name in self._paused

    def may_start(self, name: str) -> bool:
        """Whether the scenario is there and active."""
        return name in self._newest and name not in self._paused and self.state(name) is ScenarioState.ACTIVE

    def state(self, name: str) -> ScenarioState:
        """As it was set; `paused` of a definition is paused."""
        return ScenarioState.PAUSED if name in self._paused else self.states.of(name).state

    def stopped(self) -> list[str]:
        """Scenarios that were stopped, by name."""
        return [name for name in self._newest if self.states.of(name).state is ScenarioState.STOPPED]

    def is_deleted(self, name: str, version: int) -> bool:
        """Whether the scenario was deleted after this version."""
        return version < self._last_deleted(name)

    def over_because(self, name: str, version: int) -> str:
        """Why runs of this version end before their next step; empty: they go on."""
        if self.is_deleted(name, version):
            return SCENARIO_DELETED
        return SCENARIO_STOPPED if self.states.of(name).state is ScenarioState.STOPPED else ""

    def applied(self, change: DefinitionChange) -> None:
        """Take over a committed change."""
        self.definitions.applied(change)
        self.changed()

    def changed(self) -> None:
        """Take over what states and definitions are now."""
        self._newest = {one.revision.name: self._newest_of(one) for one in self.definitions.newest()}
        self._paused = frozenset(
            name
            for name, plan in self._newest.items()
            if plan.definition.paused or self.states.of(name).state is ScenarioState.PAUSED
        )
        by_event: defaultdict[str, list[Plan]] = defaultdict(list)
        by_segment: defaultdict[str, list[Plan]] = defaultdict(list)
        by_model: defaultdict[str, list[Plan]] = defaultdict(list)
        by_attribute: defaultdict[str, list[Plan]] = defaultdict(list)
        self._by_product, self._scheduled = [], []
        for name, plan in self._newest.items():
            if not self.may_start(name):
                continue
            match plan.definition.trigger:
                case EventTrigger() as trigger:
                    by_event[trigger.type].append(plan)
                case SegmentTrigger() as trigger:
                    by_segment[trigger.segment].append(plan)
                case RfmTrigger() as trigger:
                    by_model[trigger.model].append(plan)
                case FieldTrigger() as trigger:
                    by_attribute[trigger.attribute].append(plan)
                case ProductTrigger():
                    self._by_product.append(plan)
                case ScheduleTrigger():
                    self._scheduled.append(plan)
        self._by_event, self._by_segment = dict(by_event), dict(by_segment)
        self._by_model, self._by_attribute = dict(by_model), dict(by_attribute)

    def _newest_of(self, stored: Stored) -> Plan:
        name = stored.revision.name
        last_deleted = self._last_deleted(name)
        self._saved_first_us[name] = min(
            one.revision.saved_at_us for one in self.definitions.versions(name) if one.revision.version > last_deleted
        )
        return self.plan(name, stored.revision.version)

    def _last_deleted(self, name: str) -> int:
        versions = self.definitions.versions(name)
        return max((one.revision.version for one in versions if one.revision.deleted), default=0)

    def _read(self, stored: Stored) -> Plan:
        revision = stored.revision
        definition = definition_from_proto(scenario_pb2.Scenario.FromString(stored.payload))
        plan = plan_of(revision.name, revision.version, definition)
        self._plans[(revision.name, revision.version)] = plan
        return plan
