"""The scenarios of one workspace as plans: which of them an event or a segment may start, and by what a run goes on."""

from __future__ import annotations

from collections import defaultdict

from cdp.scenario.v1 import scenario_pb2
from core.scenario.definition import SegmentTrigger
from core.scenario.plan import Plan
from core.scenario.validate import plan_of
from services.runtime.definitions import DefinitionChange, Definitions, Stored
from services.scenario.convert import definition_from_proto


class Catalogue:
    """Plans of all versions, read once each; call `applied` with every change that was committed."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self._plans: dict[tuple[str, int], Plan] = {}
        self._saved_first_us: dict[str, int] = {}
        self._paused: frozenset[str] = frozenset()
        self._by_event: dict[str, list[Plan]] = {}
        self._by_segment: dict[str, list[Plan]] = {}
        self._index()

    def plan(self, name: str, version: int) -> Plan:
        """The plan of a stored version."""
        plan = self._plans.get((name, version))
        if plan is None:
            plan = self._read(self.definitions.get(name, version))
        return plan

    def started_by_event(self, event_type: str) -> list[Plan]:
        """Newest versions that an event of this type may start, by name; paused ones are left out."""
        return self._by_event.get(event_type, [])

    def started_by_segment(self, segment: str) -> list[Plan]:
        """Newest versions that a change of this segment may start, by name; paused ones are left out."""
        return self._by_segment.get(segment, [])

    @property
    def watches_segments(self) -> bool:
        """Whether any segment starts a scenario."""
        return bool(self._by_segment)

    def since_us(self, name: str) -> int:
        """When the scenario was first saved (again, after a deletion): facts recorded before start nothing."""
        return self._saved_first_us[name]

    def is_paused(self, name: str) -> bool:
        """Whether the runs of the scenario stand still."""
        return name in self._paused

    def is_deleted(self, name: str, version: int) -> bool:
        """Whether the scenario was deleted after this version."""
        return version < self._last_deleted(name)

    def applied(self, change: DefinitionChange) -> None:
        """Take over a committed change."""
        self.definitions.applied(change)
        self._index()

    def _index(self) -> None:
        by_event: defaultdict[str, list[Plan]] = defaultdict(list)
        by_segment: defaultdict[str, list[Plan]] = defaultdict(list)
        paused: set[str] = set()
        for stored in self.definitions.newest():
            name = stored.revision.name
            last_deleted = self._last_deleted(name)
            self._saved_first_us[name] = min(
                one.revision.saved_at_us
                for one in self.definitions.versions(name)
                if one.revision.version > last_deleted
            )
            plan = self.plan(name, stored.revision.version)
            if plan.definition.paused:
                paused.add(name)
            elif isinstance(plan.definition.trigger, SegmentTrigger):
                by_segment[plan.definition.trigger.segment].append(plan)
            else:
                by_event[plan.definition.trigger.type].append(plan)
        self._by_event, self._by_segment, self._paused = dict(by_event), dict(by_segment), frozenset(paused)

    def _last_deleted(self, name: str) -> int:
        versions = self.definitions.versions(name)
        return max((one.revision.version for one in versions if one.revision.deleted), default=0)

    def _read(self, stored: Stored) -> Plan:
        revision = stored.revision
        definition = definition_from_proto(scenario_pb2.Scenario.FromString(stored.payload))
        plan = plan_of(revision.name, revision.version, definition)
        self._plans[(revision.name, revision.version)] = plan
        return plan
