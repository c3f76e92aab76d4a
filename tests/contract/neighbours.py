"""Two workspaces on one platform: ours, of the development key, and another one full of things that we must not see."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from google.protobuf.message import Message

from cdp.bulk.v1 import bulk_pb2
from cdp.catalog.v1 import catalog_pb2
from cdp.channel.v1 import channel_pb2
from cdp.facts.v1.facts_pb2 import Identifier
from cdp.ingest.v1 import ingest_pb2
from cdp.profile.v1 import profile_pb2
from cdp.scenario.v1 import scenario_pb2
from cdp.segment.v1 import analytics_pb2, segment_pb2
from cdp.workspace.v1 import workspace_pb2
from core.delivery.links import OPEN_INDEX, sign
from services.runtime.roles import Role
from tests.flow.bad_input import Answer, Range, of, under_fire
from tests.flow.platform import eventually

Metadata = tuple[tuple[str, str], ...]
PEOPLE = 60
WAIT = {"id": "w", "wait": {"duration_us": 86_400_000_000}}


def bearer(secret: str) -> Metadata:
    return (("authorization", f"Bearer {secret}"),)


def who(value: str) -> Identifier:
    return Identifier(kind="external_id", value=value)


@dataclass(frozen=True, slots=True)
class Theirs:
    """What the other workspace has: a segment, an RFM model, a feed, a file, a scenario, a template and a message
    "theirs", a run, a key, and more people than ours."""

    contact: int
    key: str
    run_id: str
    key_id: str
    token: str
    timeline_token: str


@dataclass(frozen=True, slots=True)
class Two:
    """Two workspaces on one platform: ours is the one of the development key."""

    fire: Range
    other: Metadata
    theirs: Theirs


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def two(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Two]:
    async with under_fire(tmp_path_factory.mktemp("data")) as fire:
        made = await fire.ok(of(workspace_pb2.CreateWorkspaceRequest, workspace={"id": "other"}))
        other = bearer(made.secret)
        yield Two(fire, other, await furnished(fire, other))


async def furnished(fire: Range, other: Metadata) -> Theirs:
    """Fill the other workspace and wait until everything is there."""

    async def ok(request: Message) -> Answer:
        answers: list[Answer] = []

        async def answered() -> bool:
            answers.append(await fire.call(request, other))
            return answers[-1].ok

        await eventually(answered, f"{request.DESCRIPTOR.full_name} in the other workspace")
        return answers[-1]

    await ok(of(segment_pb2.SaveSegmentRequest, name="theirs", rule={"text": "everyone"}))
    model = {"name": "theirs", "events": {"names": ["message_opened"]}, "cells": [{"name": "theirs"}]}
    await ok(of(analytics_pb2.SaveRfmModelRequest, model=model))
    await ok(of(catalog_pb2.SaveFeedRequest, feed={"name": "theirs"}))
    await ok(of(bulk_pb2.UploadFileRequest, start={"name": "theirs"}))
    first = {"type": "secret", "identifiers": [who("they-0")], "message_id": "0-0"}
    await ok(of(ingest_pb2.TrackRequest, event=first))
    await ok(of(segment_pb2.ConvertRuleRequest, rule={"text": "did secret"}))
    await ok(of(scenario_pb2.SaveScenarioRequest,
        name="theirs", scenario={"trigger": {"event": {"type": "secret"}}, "blocks": [WAIT]}))  # fmt: skip
    await ok(of(channel_pb2.SaveTemplateRequest,
        name="theirs", template={"channel": "email", "subject": "s", "body_text": "t"}))  # fmt: skip
    # More than ours: contact numbers are dense per workspace, so the last of theirs is nobody's of ours.
    for number in range(PEOPLE):
        for times in range(3 if number == PEOPLE - 1 else 1):
            event = {"type": "secret", "identifiers": [who(f"they-{number}")], "message_id": f"{number}-{times}"}
            await ok(of(ingest_pb2.TrackRequest, event=event))
    got = await ok(profile_pb2.GetRequest(identifier=who("they-59"), timeline_size=1))
    contact = got.response.profile.contact
    await ok(of(channel_pb2.SendRequest, messages=[
        {"id": "theirs", "contact": contact, "channel": "email", "template": "theirs", "kind": "promo"}]))  # fmt: skip
    runs: list[str] = []

    async def running() -> bool:
        runs[:] = [run.run_id for run in (await ok(scenario_pb2.ListRunsRequest())).response.runs]
        pages = (await ok(profile_pb2.GetRequest(identifier=who("they-59"), timeline_size=1))).response
        return bool(runs) and pages.next_timeline_page_token != ""

    await eventually(running, "a run of theirs")
    page = await ok(profile_pb2.GetRequest(identifier=who("they-59"), timeline_size=1))
    keys = (await ok(workspace_pb2.ListKeysRequest())).response.keys
    tracking = fire.platform.host(Role.CHANNEL).runtime.settings.tracking_key
    return Theirs(
        contact,
        got.response.profile.key,
        runs[0],
        keys[0].id,
        sign(tracking, "other", "theirs", contact, OPEN_INDEX),
        page.response.next_timeline_page_token,
    )
