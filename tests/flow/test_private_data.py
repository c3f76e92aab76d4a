"""What people are and say stands in no log line, no metric and no error that is logged: sentinels in every field of
every endpoint, at the most talkative level."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from cdp.workspace.v1 import workspace_pb2
from services.runtime.roles import Role
from services.runtime.telemetry import configure_logging
from tests.flow.bad_input import RPCS, Range, of, under_fire
from tests.flow.http_shapes import ANY, BATCHES, SHAPES, places, ways, with_value
from tests.flow.test_bad_input_strings import BASES, WAITS

pytestmark = pytest.mark.slow

#: Each in a form of its own: a name, an email, a phone, a token. Found again in any case.
NAME, EMAIL, PHONE, TOKEN = "Zenobia7Quux", "zenobia7.mail@quux.example", "+380509990071", "zenobia7token"
SENTINELS = (NAME, EMAIL, PHONE)
_TRACES = ("zenobia7", "quux", "509990071")
_DEEPEST = 6
#: Those who run the platform choose the ids of workspaces, and find them in their logs and metrics.
_OF_OPERATORS = {"cdp.workspace.v1.WorkspaceService/CreateWorkspace"}


@asynccontextmanager
async def overheard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Range, io.StringIO]]:
    """A platform that logs as in production, all it can, and what it said."""
    said, handlers = io.StringIO(), list(logging.getLogger().handlers)
    monkeypatch.setattr("sys.stderr", said)
    configure_logging("json", "debug", "key")
    try:
        async with under_fire(tmp_path, CDP_LOG_LEVEL="debug") as fire:
            yield fire, said
    finally:
        structlog.reset_defaults()
        logging.getLogger().handlers[:] = handlers


def told_of(text: str) -> list[str]:
    """The lines of `text` in which a sentinel stands."""
    return [line for line in text.splitlines() if any(trace in line.lower() for trace in _TRACES)]


def filled(descriptor: Any, sentinels: Iterator[str], depth: int = 0) -> Iterator[Message]:
    """Messages of one text each, at any depth; the texts are taken in turn."""
    make = GetMessageClass(descriptor)
    for field in descriptor.fields:
        inner = field.message_type
        if field.name in WAITS:
            continue
        if inner is not None and inner.GetOptions().map_entry:
            kept = inner.fields_by_name["value"]
            if kept.type == FieldDescriptor.TYPE_STRING:
                yield make(**{field.name: {next(sentinels): next(sentinels)}})
            elif kept.message_type is not None:
                for one in filled(kept.message_type, sentinels, depth + 1) if depth < _DEEPEST else ():
                    message = make()
                    getattr(message, field.name)[next(sentinels)].CopyFrom(one)
                    yield message
        elif inner is not None:
            for one in filled(inner, sentinels, depth + 1) if depth < _DEEPEST else ():
                message = make()
                holder = getattr(message, field.name)
                (holder.add() if field.is_repeated else holder).CopyFrom(one)
                yield message
        elif field.type == FieldDescriptor.TYPE_STRING:
            value = next(sentinels)
            yield make(**{field.name: [value] if field.is_repeated else value})


async def by_grpc(fire: Range) -> int:
    """Every text of every method, the key and metadata of strangers; the number of calls."""
    calls, sentinels = 0, cycle(SENTINELS)
    for name, rpc in RPCS.items():
        if name in _OF_OPERATORS:
            continue
        for base in [base for base in BASES if type(base) is rpc.request] or [rpc.request()]:
            for hostile in filled(rpc.request.DESCRIPTOR, sentinels):
                request = rpc.request()
                request.CopyFrom(base)
                request.MergeFrom(hostile)
                await fire.call(request)
                calls += 1
        told = (*fire.metadata, ("cdp-workspace", NAME), ("x-who", EMAIL))
        for metadata in ((("authorization", f"Bearer {TOKEN}"),), told):
            await fire.call(rpc.request(), metadata)
    return calls


async def by_http(fire: Range) -> int:
    """Every place of every document, each path, query and header; the number of requests."""
    requests = 0
    for way in ways(fire.platform):
        url = fire.platform.http_url(way.role)
        headers = {"authorization": f"Bearer {fire.platform.key}", "x-forwarded-for": PHONE, "user-agent": NAME,
                   "cookie": f"cdp_visitor={TOKEN}", "referer": f"https://shop.example/?email={EMAIL}"}  # fmt: skip
        path = way.path.replace("{", "").replace("}", "").replace("token", TOKEN).replace("name", NAME)
        documents = [b"not json: " + NAME.encode(), b'{"' + NAME.encode() + b'": ' + b"[" * 100_000]
        if way.method == "POST":
            document: dict[str, Any] = {"writeKey": fire.platform.key, **SHAPES.get(way.path, ANY)}
            if way.path in BATCHES:
                list_name, item, beside = BATCHES[way.path]
                document = {"writeKey": fire.platform.key, **beside, list_name: [dict(item)]}
            documents += [
                json.dumps(with_value(document, where, SENTINELS[number % 3])).encode()
                for number, where in enumerate(places(document))
            ]
        for body in documents:
            content = None if way.method == "GET" else body
            asked = f"{url}{path}?email={EMAIL}&q={NAME}"
            answer = await fire.http.request(way.method, asked, content=content, headers=headers)
            assert answer.status_code < 500, (way, body[:200], answer.text)
            requests += 1
        await fire.http.request(way.method, f"{url}{path}", headers={"authorization": f"Bearer {TOKEN}"})
    return requests


async def test_no_sentinel_in_a_log_or_a_metric(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with overheard(tmp_path, monkeypatch) as (fire, said):
        assert await by_grpc(fire) > 300
        assert await by_http(fire) > 500
        await fire.good()
        for role in (Role.INGEST, Role.CHANNEL):
            metrics = (await fire.http.get(f"{fire.platform.http_url(role)}/metrics")).text
            assert "cdp_rpc_seconds" in metrics
            assert told_of(metrics) == []
    lines = said.getvalue()
    assert any(json.loads(line)["event"] == "started" for line in lines.splitlines()), "the log was listened to"
    assert told_of(lines) == []


async def test_an_error_that_nobody_foresaw_is_logged_without_its_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with overheard(tmp_path, monkeypatch) as (fire, said):

        async def broken(*_: object) -> None:
            raise ValueError(f"cannot read {EMAIL} of {NAME}")

        monkeypatch.setattr("services.ingest.ways.Ways.admit", broken)
        url = fire.platform.http_url(Role.INGEST)
        for path in ("/v1/track", "/v1/batch", "/batch"):
            body = {"event": "e", "userId": NAME, "batch": [{"event": "e"}], "api_key": fire.platform.key}
            answer = await fire.http.post(f"{url}{path}?email={EMAIL}", json=body, auth=(fire.platform.key, ""))
            assert answer.status_code == 500
            assert told_of(answer.text) == []
        event = {"type": "e", "identifiers": [{"kind": "email", "value": EMAIL}]}
        refused = await fire.call(of(RPCS["cdp.ingest.v1.IngestService/Track"].request, event=event))
        assert refused.status is grpc.StatusCode.INTERNAL
        assert told_of(refused.message) == []
        await fire.call(workspace_pb2.RevokeKeyRequest(id=NAME))
        monkeypatch.undo()
        monkeypatch.setattr("sys.stderr", said)
    traces = [line for line in said.getvalue().splitlines() if json.loads(line)["event"] == "unexpected error"]
    assert len(traces) == 4
    assert all("ValueError: a message of" in line and "in broken" in line for line in traces)
    assert told_of(said.getvalue()) == []
