"""What scenarios ask of others: the engine for the truth of texts, channels to take messages over. What they ask of and
tell about contacts is in contacts.py."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import grpc
from pyroaring import BitMap

from cdp.channel.v1 import channel_pb2
from cdp.segment.v1 import segment_pb2
from core.errors import CdpError, Code, Violation, invalid, unavailable
from core.query.text.format_values import event_text
from core.scenario.commands import AskCondition, SendMessage
from core.scenario.definition import Condition, Definition, EventTrigger, WaitFor
from core.scenario.inputs import Answered, Sent
from services.runtime.context import Runtime
from services.runtime.errors import from_rpc
from services.runtime.facts import object_to_proto, value_to_proto

_TIMEOUT_S = 10.0
_LINE = re.compile(r"\bline (\d+)")
#: A text with a limit is about all contacts together: it is asked about one at a time.
_LIMIT = re.compile(r"\blimit\b", re.IGNORECASE)
#: Questions to the engine under way at the same time.
_QUESTIONS = 16


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message with whose run's it is."""

    message: SendMessage
    scenario: str
    run_id: str


class Peers:
    """Calls for one workspace. Every method raises CdpError, or answers with it for the one that it concerns; INVALID
    means that asking again cannot help."""

    def __init__(self, runtime: Runtime, workspace_id: str) -> None:
        self._runtime = runtime
        self._metadata = runtime.stubs.internal_metadata(workspace_id)
        self._places = asyncio.Semaphore(_QUESTIONS)

    async def ask(
        self, commands: Sequence[AskCondition], as_of_us: int, min_position: int
    ) -> list[Answered | CdpError]:
        """Whether contacts are in texts at `as_of_us`, by facts up to `min_position` at least; in the order asked. The
        same text with the same values is asked once for all its contacts."""
        groups: defaultdict[tuple[object, ...], list[int]] = defaultdict(list)
        for index, command in enumerate(commands):
            key: tuple[object, ...] = (command.text, tuple(sorted(command.parameters.items(), key=_name)))
            groups[(*key, index) if _LIMIT.search(command.text) else key].append(index)
        answers: list[Answered | CdpError | None] = [None] * len(commands)

        async def ask_group(indices: Sequence[int]) -> None:
            asked = [commands[index] for index in indices]
            try:
                found: Sequence[Answered | CdpError] = await self._ask_together(asked, as_of_us, min_position)
            except CdpError as error:
                found = [error] * len(asked)
            for index, answer in zip(indices, found, strict=True):
                answers[index] = answer

        await asyncio.gather(*(ask_group(indices) for indices in groups.values()))
        return [answer for answer in answers if answer is not None]

    async def _ask_together(self, commands: Sequence[AskCondition], as_of_us: int, min_position: int) -> list[Answered]:
        """Questions that differ in their contacts alone."""
        first = commands[0]
        min_position = max(min_position, *(command.min_position for command in commands))
        contacts = sorted({command.contact for command in commands})
        request = segment_pb2.EvaluateRequest(
            rule=segment_pb2.RuleSource(text=first.text),
            parameters={name: value_to_proto(value) for name, value in first.parameters.items()},
            as_of_us=as_of_us,
            min_position=min_position,
            contacts=contacts,
            members=len(contacts) > 1,
        )
        async with self._places:
            try:
                answer = await self._runtime.stubs.segment().Evaluate(
                    request, metadata=self._metadata, timeout=_TIMEOUT_S
                )
            except grpc.aio.AioRpcError as error:
                raise from_rpc(error) from error
        position = answer.freshness.position
        if position < min_position:
            raise unavailable("ENGINE_BEHIND", f"the engine answered for {position}, not {min_position}")
        members = BitMap.deserialize(answer.roaring) if len(contacts) > 1 else BitMap()
        alone = len(contacts) == 1 and answer.count.total > 0
        return [Answered(one.question, alone or one.contact in members, position) for one in commands]

    async def send(self, messages: Sequence[Outgoing], min_upstream_position: int) -> list[Sent | CdpError]:
        """Hand messages over, in one call; once one is in the channel's outbox the same id is taken as the same
        message. Where the channel refuses the call as a whole, each is handed over by itself."""
        try:
            results = await self._send(messages, min_upstream_position)
        except CdpError as error:
            if error.code is not Code.INVALID:
                return [error] * len(messages)
            if len(messages) == 1:
                return [Sent(messages[0].message.message_id, error.reason)]
            found = []
            for one in messages:
                found += await self.send([one], min_upstream_position)
            return found
        reasons = {result.id: result.reason for result in results}
        return [Sent(one.message.message_id, reasons[one.message.message_id]) for one in messages]

    async def _send(self, messages: Sequence[Outgoing], min_upstream_position: int) -> Sequence[channel_pb2.SendResult]:
        request = channel_pb2.SendRequest(messages=[_outgoing(one, min_upstream_position) for one in messages])
        try:
            answer = await self._runtime.stubs.channel().Send(request, metadata=self._metadata, timeout=_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error) from error
        return answer.results

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


def _name(named: tuple[str, object]) -> str:
    return named[0]


def _outgoing(one: Outgoing, min_upstream_position: int) -> channel_pb2.OutgoingMessage:
    message = one.message
    return channel_pb2.OutgoingMessage(
        id=message.message_id,
        contact=message.contact,
        channel=message.channel,
        template=message.template,
        kind=message.kind,
        values={name: value_to_proto(value) for name, value in message.values.items()},
        items=[object_to_proto(item) for item in message.items],
        scenario=one.scenario,
        run_id=one.run_id,
        step=message.step,
        min_upstream_position=max(message.upstream_position, min_upstream_position),
        alternatives=[
            channel_pb2.Alternative(channel=channel, template=template) for channel, template in message.alternatives
        ],
        patience_us=message.patience_us,
        by_preference=message.by_preference,
        content=message.content,
        expires_at_us=message.expires_at_us,
        category=message.category,
    )


def _texts(definition: Definition) -> list[tuple[str, str, int]]:
    """(path, text, lines put before what the author wrote) of everything the engine can check."""
    texts: list[tuple[str, str, int]] = []
    if isinstance(definition.trigger, EventTrigger):
        texts.append(_event(definition.trigger, "trigger.event"))
    if definition.exit_when.strip():
        texts.append(("exit_when", definition.exit_when, 0))
    for index, block in enumerate(definition.blocks):
        match block.action:
            case Condition(text):
                texts.append((f"blocks[{index}].condition.text", text, 0))
            case WaitFor(event=event, condition=condition):
                if event is not None:
                    texts.append(_event(event, f"blocks[{index}].wait_for.event"))
                if condition.strip():
                    texts.append((f"blocks[{index}].wait_for.condition", condition, 0))
    return texts


def _event(event: EventTrigger, path: str) -> tuple[str, str, int]:
    if event.filter.strip():
        return f"{path}.filter", f"did {event_text(event.type)} (\n{event.filter}\n)", 1
    return f"{path}.type", f"did {event_text(event.type)}", 0


def _moved(error: CdpError, lines_before: int) -> str:
    """The engine's message with lines counted as the author wrote them."""
    if not lines_before:
        return error.message
    return _LINE.sub(lambda match: f"line {max(1, int(match[1]) - lines_before)}", error.message, count=1)
