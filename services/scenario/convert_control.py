"""States, launches and values of calls between their wire form and ours."""

from __future__ import annotations

from collections.abc import Mapping

from cdp.facts.v1 import facts_pb2
from cdp.scenario.v1 import scenario_pb2
from core.errors import CdpError, Violation, invalid
from core.scenario.launch import Launch
from core.schema import Scalar
from services.runtime.facts import scalar_from_proto
from services.scenario.control import Existing
from services.scenario.states import ScenarioState

_STATES: Mapping[int, ScenarioState] = {
    scenario_pb2.SCENARIO_STATE_ACTIVE: ScenarioState.ACTIVE,
    scenario_pb2.SCENARIO_STATE_PAUSED: ScenarioState.PAUSED,
    scenario_pb2.SCENARIO_STATE_DRAINING: ScenarioState.DRAINING,
    scenario_pb2.SCENARIO_STATE_STOPPED: ScenarioState.STOPPED,
}
_STATES_TO_PROTO = {
    ScenarioState.ACTIVE: scenario_pb2.SCENARIO_STATE_ACTIVE,
    ScenarioState.PAUSED: scenario_pb2.SCENARIO_STATE_PAUSED,
    ScenarioState.DRAINING: scenario_pb2.SCENARIO_STATE_DRAINING,
    ScenarioState.STOPPED: scenario_pb2.SCENARIO_STATE_STOPPED,
}
_EXISTING: Mapping[int, Existing] = {
    scenario_pb2.EXISTING_MEMBERS_UNSPECIFIED: Existing.ASK,
    scenario_pb2.EXISTING_MEMBERS_LEAVE_OUT: Existing.LEAVE_OUT,
    scenario_pb2.EXISTING_MEMBERS_START: Existing.START,
}


def state_from_proto(state: int) -> ScenarioState:
    """INVALID / NO_STATE for one that is not set or not known."""
    if state not in _STATES:
        raise invalid("NO_STATE", "state: active, paused, draining or stopped", Violation("state", "set a state"))
    return _STATES[state]


def state_to_proto(state: ScenarioState) -> scenario_pb2.ScenarioState.ValueType:
    """The wire form."""
    return _STATES_TO_PROTO[state]


def existing_from_proto(existing: int) -> Existing:
    """INVALID / NO_SUCH_CHOICE for one that is not known."""
    if existing not in _EXISTING:
        raise invalid("NO_SUCH_CHOICE", "existing: leave out or start", Violation("existing", "no such choice"))
    return _EXISTING[existing]


def values_from_proto(written: Mapping[str, facts_pb2.Value], path: str) -> dict[str, Scalar]:
    """Values by name. INVALID / BAD_VALUE with its place for one that is missing or no single value."""
    values: dict[str, Scalar] = {}
    for name, wire in sorted(written.items()):
        try:
            value = scalar_from_proto(wire)
        except CdpError as error:
            raise _bad(f"{path}[{name}]", error.message) from error
        if value is None:
            raise _bad(f"{path}[{name}]", "a value that is given is not missing")
        values[name] = value
    return values


def launch_to_proto(launch: Launch) -> scenario_pb2.Launch:
    """A launch with its progress."""
    return scenario_pb2.Launch(
        scenario=launch.scenario,
        version=launch.version,
        due_at_us=launch.due_at_us,
        contacts=launch.contacts or 0,
        started=launch.started,
        refused=launch.refused,
        done=launch.is_done,
        kind=launch.kind.value,
        held_by=launch.held_by,
        cancelled=bool(launch.cancelled),
    )


def _bad(path: str, description: str) -> CdpError:
    return invalid("BAD_VALUE", f"{path}: {description}", Violation(path, description))
