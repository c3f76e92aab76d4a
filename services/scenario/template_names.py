"""The templates of a scenario, checked by the channel against the values that its runs bring."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import grpc

from cdp.channel.v1 import channel_pb2
from cdp.scenario.v1 import scenario_pb2
from core.errors import Code, Violation, invalid
from core.scenario.definition import CallWebhook, Definition, EventTrigger, IssueCoupon, Send, SendGroup, WaitFor
from core.scenario.run import OWN_VALUES
from core.scenario.trigger import carried
from services.runtime.context import Runtime
from services.runtime.errors import from_rpc

_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class UnknownName:
    """A name that nothing can fill, at `line` of `field` of the template; without a field there is no such template.
    `path` is the place in the definition that names the template."""

    path: str
    template: str
    field: str = ""
    line: int = 0
    name: str = ""

    def __str__(self) -> str:
        if not self.field:
            return f"{self.path}: there is no template {self.template!r}"
        return f"{self.path}: {self.template!r} names {self.name} in line {self.line} of {self.field}"


class TemplateNames:
    """Asks for one workspace."""

    def __init__(self, runtime: Runtime, workspace_id: str) -> None:
        self._runtime = runtime
        self._metadata = runtime.stubs.internal_metadata(workspace_id)

    async def unknown(self, definition: Definition) -> list[UnknownName]:
        """By block. Raises CdpError, UNAVAILABLE while the channel or those whom it asks are away."""
        found = await asyncio.gather(
            *(self._of(path, template, definition) for path, template in templates_of(definition))
        )
        return [one for some in found for one in some]

    async def _of(self, path: str, template: str, definition: Definition) -> Sequence[UnknownName]:
        request = asked_of(definition, template)
        try:
            answer = await self._runtime.stubs.channel().CheckTemplate(
                request, metadata=self._metadata, timeout=_TIMEOUT_S
            )
        except grpc.aio.AioRpcError as error:
            failure = from_rpc(error)
            if failure.code is Code.NOT_FOUND:
                return [UnknownName(path, template)]
            raise failure from error
        return [UnknownName(path, template, one.field, one.line, one.name) for one in answer.unknown]


def refuse_unknown(unknown: Sequence[UnknownName]) -> None:
    """Raise INVALID / UNKNOWN_NAMES with all of them, if there are any."""
    if unknown:
        wrong = [Violation(one.path, str(one)) for one in unknown]
        raise invalid("UNKNOWN_NAMES", "; ".join(map(str, unknown)), *wrong)


def unknown_to_proto(one: UnknownName) -> scenario_pb2.CheckScenarioResponse.UnknownName:
    """On the wire."""
    return scenario_pb2.CheckScenarioResponse.UnknownName(
        path=one.path, template=one.template, field=one.field, line=one.line, name=one.name
    )


def templates_of(definition: Definition) -> list[tuple[str, str]]:
    """Where templates are named, and their names, by block."""
    found = []
    for number, block in enumerate(definition.blocks):
        match block.action:
            case Send(template=template):
                found.append((f"blocks[{number}].send.template", template))
            case SendGroup(options=options):
                place = f"blocks[{number}].send_group.options"
                found += [(f"{place}[{index}].template", one.template) for index, one in enumerate(options)]
            case CallWebhook(template=template):
                found.append((f"blocks[{number}].call_webhook.template", template))
    return found


def asked_of(definition: Definition, template: str) -> channel_pb2.CheckTemplateRequest:
    """What the channel is asked about one of the templates: with everything that a run may have by the time."""
    trigger = definition.trigger
    brought = carried(trigger)
    values = {*OWN_VALUES, *definition.values, *(brought or ())}
    for block in definition.blocks:
        match block.action:
            case IssueCoupon(store_as=store_as):
                values.add(store_as)
            case WaitFor(store_as=store_as) | CallWebhook(store_as=store_as) if store_as:
                values.add(f"{store_as}_*")
    of_event = trigger.type if isinstance(trigger, EventTrigger) else ""
    return channel_pb2.CheckTemplateRequest(
        name=template, values=sorted(values), any_values=brought is None and not of_event, event_type=of_event
    )
