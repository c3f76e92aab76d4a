"""What scenarios ask of others: the engine for the truth of a text, a channel to take a message over."""

from __future__ import annotations

import re

import grpc

from cdp.channel.v1 import channel_pb2
from cdp.segment.v1 import segment_pb2
from core.errors import CdpError, Code, Violation, invalid, unavailable
from core.query.text.format_values import event_text
from core.scenario.definition import Condition, Definition, EventTrigger
from core.scenario.machine import Answered, AskCondition, SendMessage, Sent
from services.runtime.context import Runtime
from services.runtime.errors import from_rpc
from services.runtime.facts import object_to_proto, value_to_proto

_TIMEOUT_S = 10.0
_LINE = re.compile(r"\bline (\d+)")


class Peers:
    """Calls for one workspace. Every method raises CdpError; INVALID means that asking again cannot help."""

    def __init__(self, runtime: Runtime, workspace_id: str) -> None:
        self._runtime = runtime
        self._metadata = runtime.stubs.internal_metadata(workspace_id)

    async def ask(self, command: AskCondition, as_of_us: int, min_position: int) -> Answered:
        """Whether the contact is in the text at `as_of_us`, by facts up to `min_position` at least."""
        request = segment_pb2.EvaluateRequest(
            rule=segment_pb2.RuleSource(text=command.text),
            parameters={name: value_to_proto(value) for name, value in command.parameters.items()},
            as_of_us=as_of_us,
            min_position=min_position,
            contacts=[command.contact],
        )
        try:
            answer = await self._runtime.stubs.segment().Evaluate(request, metadata=self._metadata, timeout=_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error) from error
        if answer.freshness.position < min_position:
            raise unavailable(
                "ENGINE_BEHIND", f"the engine answered for {answer.freshness.position}, not {min_position}"
            )
        return Answered(command.question, answer.count.total > 0, answer.freshness.position)

    async def send(self, command: SendMessage, scenario: str, run_id: str, min_upstream_position: int) -> Sent:
        """Hand a message over; once it is in the channel's outbox the same id is taken as the same message."""
        message = channel_pb2.OutgoingMessage(
            id=command.message_id,
            contact=command.contact,
            channel=command.channel,
            template=command.template,
            kind=command.kind,
            values={name: value_to_proto(value) for name, value in command.values.items()},
            items=[object_to_proto(item) for item in command.items],
            scenario=scenario,
            run_id=run_id,
            step=command.step,
            min_upstream_position=max(command.upstream_position, min_upstream_position),
        )
        try:
            answer = await self._runtime.stubs.channel().Send(
                channel_pb2.SendRequest(messages=[message]), metadata=self._metadata, timeout=_TIMEOUT_S
            )
        except grpc.aio.AioRpcError as error:
            refusal = from_rpc(error)
            if refusal.code is Code.INVALID:
                return Sent(command.message_id, refusal.reason)
            raise refusal from error
        return Sent(command.message_id, answer.results[0].reason)

    async def check_texts(self, definition: Definition) -> None:
        """Let the engine check names and kinds. Raises INVALID / SCENARIO_INVALID with the path of each bad text,
        or UNAVAILABLE when the engine does not answer: nothing is saved unchecked."""
        violations: list[Violation] = []
        for path, text, lines_before in _texts(definition):
            rule = segment_pb2.RuleSource(text=text)
            try:
                await self._runtime.stubs.segment().ConvertRule(
                    segment_pb2.ConvertRuleRequest(rule=rule), metadata=self._metadata, timeout=_TIMEOUT_S
                )
            except grpc.aio.AioRpcError as error:
                refusal = from_rpc(error)
                if refusal.code is not Code.INVALID:
                    raise refusal from error
                violations.append(Violation(path, _moved(refusal, lines_before)))
        if violations:
            first = violations[0]
            raise invalid("SCENARIO_INVALID", f"{first.path}: {first.description}", *violations)


def _texts(definition: Definition) -> list[tuple[str, str, int]]:
    """(path, text, lines put before what the author wrote) of everything the engine can check."""
    texts: list[tuple[str, str, int]] = []
    trigger = definition.trigger
    if isinstance(trigger, EventTrigger) and trigger.filter.strip():
        texts.append(("trigger.event.filter", f"did {event_text(trigger.type)} (\n{trigger.filter}\n)", 1))
    elif isinstance(trigger, EventTrigger):
        texts.append(("trigger.event.type", f"did {event_text(trigger.type)}", 0))
    if definition.exit_when.strip():
        texts.append(("exit_when", definition.exit_when, 0))
    for index, block in enumerate(definition.blocks):
        if isinstance(block.action, Condition):
            texts.append((f"blocks[{index}].condition.text", block.action.text, 0))
    return texts


def _moved(error: CdpError, lines_before: int) -> str:
    """The engine's message with lines counted as the author wrote them."""
    if not lines_before:
        return error.message
    return _LINE.sub(lambda match: f"line {max(1, int(match[1]) - lines_before)}", error.message, count=1)
