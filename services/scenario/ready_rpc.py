"""The RPCs about scenarios as texts: the YAML form, and the shipped ones. They know no workspace."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc

from cdp.scenario.v1 import scenario_pb2, scenario_pb2_grpc
from core.errors import Violation, invalid
from services.scenario.ready_scenarios import ready_scenarios
from services.scenario.yaml_form import from_yaml, to_yaml
from services.scenario.yaml_nodes import SCENARIO_INVALID

_Context = grpc.aio.ServicerContext[Any, Any]


class TextRpc(scenario_pb2_grpc.ScenarioServiceServicer):
    """ConvertScenario and ListReadyScenarios of ScenarioService."""

    async def ConvertScenario(
        self, request: scenario_pb2.ConvertScenarioRequest, context: _Context
    ) -> scenario_pb2.ConvertScenarioResponse:
        """See the protocol. Whichever way: the scenario is checked, and the YAML is its one form."""
        return await asyncio.to_thread(_converted, request)

    async def ListReadyScenarios(
        self, request: scenario_pb2.ListReadyScenariosRequest, context: _Context
    ) -> scenario_pb2.ListReadyScenariosResponse:
        """N1 to N20, in this order."""
        return scenario_pb2.ListReadyScenariosResponse(scenarios=await asyncio.to_thread(ready_scenarios))


def _converted(request: scenario_pb2.ConvertScenarioRequest) -> scenario_pb2.ConvertScenarioResponse:
    match request.WhichOneof("source"):
        case "yaml":
            scenario = from_yaml(request.yaml)
        case "scenario":
            scenario = request.scenario
        case None:
            text = "give a scenario as YAML, or as a message"
            raise invalid(SCENARIO_INVALID, f"source: {text}", Violation("source", text))
    return scenario_pb2.ConvertScenarioResponse(name=scenario.revision.name, yaml=to_yaml(scenario), scenario=scenario)
