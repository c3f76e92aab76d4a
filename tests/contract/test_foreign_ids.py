"""Every field of every method, filled with what another workspace has and with what nobody has: the answers are the
same, and nothing of the other workspace changes. Found by reflection, so that a new method is tested without a word
here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from services.runtime.caller import Scope
from tests.contract.neighbours import Theirs, Two
from tests.contract.test_isolation import tables
from tests.flow.bad_input import RPCS, Answer, Rpc
from tests.flow.test_bad_input_strings import BASES, WAITS

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

#: Methods whose names are common to all workspaces, by why.
COMMON = {
    "cdp.workspace.v1.WorkspaceService/CreateWorkspace": "ids of workspaces are unique in an installation",
}
#: Fields that hold a place of the caller's own, not a thing.
_CURSORS = frozenset({"page_token", "timeline_page_token", "etag", "epoch", "request_id", *WAITS})
#: Fields in the segment language, in which a name stands within a sentence.
_SENTENCES = frozenset({"text", "measure_text", "exit_when", "filter"})
#: Fields of an answer that tell whether we did the same before; of the two calls, the second.
_AGAIN = frozenset({"repeated", "duplicate"})
_CONTACTS = frozenset({"contact", "contacts"})
_NOBODY_CONTACT = 2**31
_DEEPEST = 3
#: The answers tell when and by what number, which differ from call to call.
_OF_THE_MOMENT = ("GetUsage", "GetRun", "ListRuns")


def names_of(theirs: Theirs) -> tuple[tuple[str, str], ...]:
    """(what the other workspace has, what nobody has); each once, since methods that save make them ours as we go."""
    return (
        ("theirs", "nobody"),
        ("secret", "hidden"),
        ("other", "loner"),
        ("they-59", "they-99"),
        (theirs.key, "c" + "0" * 15),
        (theirs.run_id, "0" * len(theirs.run_id)),
        (theirs.key_id, "0" * 12),
        (theirs.token, theirs.token[::-1]),
    )


def pairs(descriptor: Any, theirs: Theirs, depth: int = 0) -> Iterator[tuple[str, Message, Message, str, str]]:
    """(path of a field, a request with a foreign value in it, the same with nobody's, both values)."""
    make = GetMessageClass(descriptor)
    for field in descriptor.fields:
        inner = field.message_type
        if field.name in _CURSORS or (inner is not None and inner.GetOptions().map_entry):
            continue
        if inner is not None:
            for path, foreign, nobody, value, instead in pairs(inner, theirs, depth + 1) if depth < _DEEPEST else ():
                around = (_around(make(), field, foreign), _around(make(), field, nobody))
                yield (f"{field.name}.{path}", *around, value, instead)
        elif field.type == FieldDescriptor.TYPE_STRING:
            for foreign_name, nobody_name in names_of(theirs)[: 1 if depth > 1 else None]:
                sentence = 'in segment "{}"' if field.name in _SENTENCES else "{}"
                seen = _with(make(), field, sentence.format(foreign_name))
                yield field.name, seen, _with(make(), field, sentence.format(nobody_name)), foreign_name, nobody_name
        elif field.name in _CONTACTS:
            seen = _with(make(), field, theirs.contact)
            nobodys = _with(make(), field, _NOBODY_CONTACT)
            yield field.name, seen, nobodys, str(theirs.contact), str(_NOBODY_CONTACT)


def _around(outer: Message, field: FieldDescriptor, inner: Message) -> Message:
    holder = getattr(outer, field.name)
    (holder.add() if field.is_repeated else holder).CopyFrom(inner)
    return outer


def _with(message: Message, field: FieldDescriptor, value: object) -> Message:
    if field.is_repeated:
        getattr(message, field.name).append(value)
    else:
        setattr(message, field.name, value)
    return message


def filled(message: Message) -> tuple[object, ...]:
    """Which fields of a message hold something, and how many entries a list has; not what."""
    parts: list[object] = []
    for field, value in message.ListFields():
        inner = field.message_type
        if field.name in _AGAIN:
            continue
        if inner is None or inner.GetOptions().map_entry:
            parts.append((field.name, len(value) if field.is_repeated else 1))
        else:
            parts.append((field.name, *(filled(one) for one in (value if field.is_repeated else (value,)))))
    return tuple(parts)


def told(answer: Answer, value: str, instead: str) -> tuple[object, ...]:
    """What a client learns from the answer."""
    if answer.response is not None:
        return (answer.status, filled(answer.response))
    # What may have been meant is a name of our own, the nearest one.
    message = answer.message.replace(value, instead).partition("Did you mean")[0]
    return (answer.status, answer.reason, re.sub(r"\d", "0", message))  # the parser quotes a part of "they-59"


async def everything(two: Two) -> dict[str, str]:
    """What the other workspace reads of itself, by method."""
    reading = [name for name, scope in tables(two.fire).items() if scope is Scope.READ]
    asked = [name for name in reading if name.rpartition("/")[2].startswith(("List", "Get", "Describe", "Count"))]
    answers = {}
    for name in asked:
        if name.endswith(_OF_THE_MOMENT):
            continue
        for text in ("", "theirs"):
            request = RPCS[name].request()
            if text and "name" in RPCS[name].request.DESCRIPTOR.fields_by_name:
                request = RPCS[name].request(name=text)
            answer = await two.fire.call(request, two.other)
            answers[f"{name} {text}"] = f"{answer.status} {answer.reason} {answer.response}"
    return answers


async def test_every_field_of_every_method(two: Two) -> None:
    before = await everything(two)
    assert sum("theirs" in text for text in before.values()) >= 8, "the other workspace has things to be seen"
    asked = 0
    for name, rpc in RPCS.items():
        if name in COMMON or name not in tables(two.fire):
            continue  # what nobody serves is told by test_every_method_has_a_scope
        asked += await asked_both(two, rpc)
    assert asked > 500
    after = await everything(two)
    assert after == before


async def asked_both(two: Two, rpc: Rpc) -> int:
    """Ask a method with every pair; the number of pairs."""
    asked = 0
    for base in [base for base in BASES if type(base) is rpc.request] or [rpc.request()]:
        for path, foreign, nobody, value, instead in pairs(rpc.request.DESCRIPTOR, two.theirs):
            answers = []
            for filling in (foreign, nobody):
                request = rpc.request()
                request.CopyFrom(base)
                request.MergeFrom(filling)
                answers.append(await two.fire.call(request))
            seen, absent = told(answers[0], value, instead), told(answers[1], value, instead)
            assert seen == absent, f"{rpc.path}, {path} = {value!r} is told from {instead!r}"
            asked += 1
    return asked
