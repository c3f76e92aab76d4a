"""Every text, number and enum of every request, one at a time, in the ways that break naive programs: taken as it is,
or refused with a stable reason. Found by reflection, so that a new field is tested without a word here."""

from __future__ import annotations

import unicodedata
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from cdp.catalog.v1 import catalog_pb2
from cdp.channel.v1 import channel_pb2, inbox_pb2, popup_pb2
from cdp.coupon.v1 import coupon_pb2
from cdp.facts.v1.facts_pb2 import Identifier, Value
from cdp.ingest.v1 import ingest_pb2
from cdp.money.v1 import money_pb2
from cdp.profile.v1 import profile_pb2
from cdp.scenario.v1 import scenario_pb2
from cdp.segment.v1 import analytics_pb2, segment_pb2
from cdp.workspace.v1 import workspace_pb2
from tests.flow.bad_input import REFUSALS, RPCS, Range, Rpc, of, under_fire
from tests.flow.naughty import some
from tests.flow.platform import eventually

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

#: What may be refused anywhere, and must never be changed or break anything.
STRINGS = (
    "", " ", "\t\n", "\0", "a\0b", "\ufeff", "\ufffe", "\uffff", "\u202e", "\u202egnp.exe", "\u200b", "\u2028",
    "e\u0301", "\u00e9", "\u0130", "\ufb00", "\U0001d573", "\U0010ffff", "\U0001f469\u200d\U0001f469\u200d\U0001f467",
    "\u0660\u0661", "\u00b2", "田中さんにあげて下さい", "ثم نفس سقطت", "Z̵a̷l̶g̸o̷", "null", "undefined", "NaN",
    "-Infinity", "true", "0", "-1", "1e400", "9" * 5_000, "x" * 20_000, "k" * 129, "../../etc/passwd", "C:\\con",
    "a/b", "%00%0a", "%s%n%p",
    "<script>alert(1)</script>", "' OR 1=1 --", '"; DROP TABLE contacts; --', "{{ 7 | times: 7 }}", "${7*7}", "$(id)",
    "{% for a in (1..999999999) %}x{% endfor %}", "=cmd|' /C calc'!A0", "a\r\nBcc: all@evil.example",
    "javascript:alert(1)", "http://[::1", "a@b@c", "@", "*", ":x", '"', "\\", "()" * 300, "and", "everyone",
)  # fmt: skip
_NUMBERS: dict[int, tuple[Any, ...]] = {
    FieldDescriptor.CPPTYPE_INT32: (-1, 2**31 - 1, -(2**31)),
    FieldDescriptor.CPPTYPE_INT64: (-1, 1, 2**63 - 1, -(2**63)),
    FieldDescriptor.CPPTYPE_UINT32: (1, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (1, 2**64 - 1),
    FieldDescriptor.CPPTYPE_ENUM: (1, 2, 99, -1),
    FieldDescriptor.CPPTYPE_BOOL: (True,),
}
#: Waiting for a position that never comes is no refusal but a deadline.
WAITS = ("min_position", "min_upstream_position", "wait_etag")
_DEEPEST = 6
#: Of the Big List, to each field others.
_NAUGHTY_A_FIELD = 12
#: Below this depth (the trees of rules) a few strings stand for all.
_ALL_STRINGS_DEPTH = 3

ANN = [Identifier(kind="external_id", value="ann")]
EVERYONE = segment_pb2.RuleSource(text="everyone")
ORDERS = {"names": ["order_completed"]}
WAIT = {"id": "w", "wait": {"duration_us": 1}}
SCENARIO = {"trigger": {"event": {"type": "good_deed"}}, "blocks": [WAIT]}
#: Requests that succeed; each hostile field is put into them. Other requests start empty.
BASES: tuple[Message, ...] = (
    of(ingest_pb2.TrackRequest, event={"type": "note", "identifiers": ANN}),
    of(catalog_pb2.SaveFeedRequest, feed={"name": "made"}),
    of(catalog_pb2.UploadFeedRequest, name="made"),
    of(catalog_pb2.ListProductsRequest, feed="made"),
    of(catalog_pb2.ListFeedRunsRequest, feed="made"),
    of(coupon_pb2.SavePoolRequest, pool={"name": "made", "pattern": "A-######", "limit_per_person": 1_000_000}),
    of(coupon_pb2.AddCodesRequest, pool="listed", codes=["CODE"]),
    of(coupon_pb2.IssueCouponRequest, pool="made", person=ANN[0]),
    of(money_pb2.SetRatesRequest, rates=[{"currency": "EUR", "rate": "1.1"}]),
    of(ingest_pb2.IdentifyRequest, person={"identifiers": ANN}),
    of(ingest_pb2.AliasRequest, link={"first": ANN[0], "second": {"kind": "anonymous_id", "value": "cookie"}}),
    of(ingest_pb2.RecordOrderRequest, order={"order_id": "o", "status": "completed", "identifiers": ANN}),
    segment_pb2.SaveSegmentRequest(name="made", rule=EVERYONE),
    segment_pb2.EvaluateRequest(name="By email"),
    segment_pb2.EvaluateRequest(name="By email", parameters={"a": Value(text="x")}),
    segment_pb2.EvaluateRequest(),
    segment_pb2.CountRequest(name="All"),
    segment_pb2.MembersRequest(name="All"),
    segment_pb2.ListMembersRequest(name="All"),
    segment_pb2.IsMemberRequest(name="All"),
    of(analytics_pb2.SaveRfmModelRequest, model={"name": "made", "events": ORDERS, "cells": [{"name": "some"}]}),
    analytics_pb2.RfmMatrixRequest(model="purchases"),
    of(analytics_pb2.CohortMatrixRequest, cohort=ORDERS, periods=2),
    analytics_pb2.OverlapRequest(names=["All", "All"]),
    analytics_pb2.HistogramRequest(name="All", attribute="gender"),
    analytics_pb2.HistogramRequest(name="All", measure_text="number of order_completed"),
    of(scenario_pb2.SaveScenarioRequest, name="made", scenario=SCENARIO),
    of(channel_pb2.SaveTemplateRequest, name="made", template={"channel": "email", "subject": "s", "body_text": "t"}),
    of(popup_pb2.SavePopupRequest, name="made", popup={"title": "t"}),
    of(inbox_pb2.IssueInboxTokenRequest, identifier=ANN[0]),
    # A workspace opens workers: only refused ones are asked for here.
    of(workspace_pb2.CreateWorkspaceRequest, workspace={"id": "other", "currency": "x"}),
)  # fmt: skip


def values_of(field: FieldDescriptor, depth: int) -> tuple[Any, ...]:
    if field.type == FieldDescriptor.TYPE_STRING:
        naughty = some(field.full_name, _NAUGHTY_A_FIELD)
        return (*STRINGS, *naughty) if depth < _ALL_STRINGS_DEPTH else (*STRINGS[:40:5], *naughty[:4])
    if field.type == FieldDescriptor.TYPE_BYTES:
        return (b"\xff" * 9,)
    return _NUMBERS[field.cpp_type]


def variants(descriptor: Any, depth: int = 0) -> Iterator[tuple[str, Message]]:
    """Messages of one field each, at any depth, with the path of the field. Keys of maps are named by what they
    hold, because the kind of an attribute is settled by its first value."""
    make = GetMessageClass(descriptor)
    for field in descriptor.fields:
        inner = field.message_type
        if field.name in WAITS:
            continue
        if inner is not None and inner.GetOptions().map_entry and inner.fields_by_name["value"].message_type is None:
            for text in STRINGS:
                yield f"{field.name}[key]", make(**{field.name: {text: "x"}})
                yield f"{field.name}[value]", make(**{field.name: {"x": text}})
        elif inner is not None and inner.GetOptions().map_entry:
            for text in STRINGS:
                message = make()
                getattr(message, field.name)[text].SetInParent()
                yield f"{field.name}[key]", message
            for path, value in variants(inner.fields_by_name["value"].message_type, depth + 1):
                message = make()
                getattr(message, field.name)["k_" + path.partition(".")[0]].CopyFrom(value)
                yield f"{field.name}[].{path}", message
        elif inner is not None:
            for path, value in variants(inner, depth + 1) if depth < _DEEPEST else ():
                message = make()
                if field.is_repeated:
                    getattr(message, field.name).add().CopyFrom(value)
                else:
                    getattr(message, field.name).CopyFrom(value)
                yield f"{field.name}.{path}", message
        else:
            for value in values_of(field, depth):
                message = make(**{field.name: [value] if field.is_repeated else value})
                yield field.name, message


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fire(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Range]:
    async with under_fire(tmp_path_factory.mktemp("data")) as one:
        for name, text in {"All": "everyone", "By email": "email = :a"}.items():
            await one.ok(of(segment_pb2.SaveSegmentRequest, name=name, rule={"text": text}))

        async def folded() -> bool:
            return (await one.call(of(segment_pb2.EvaluateRequest, rule={"text": "did good_deed"}))).ok

        await eventually(folded, "the first good deed is known")
        yield one


@pytest.mark.parametrize("rpc", [pytest.param(rpc, id=name.rpartition(".")[2]) for name, rpc in RPCS.items()])
async def test_every_field(fire: Range, rpc: Rpc) -> None:
    bases = [base for base in BASES if type(base) is rpc.request] or [rpc.request()]
    for base in bases:
        for path, hostile in variants(rpc.request.DESCRIPTOR):
            request = rpc.request()
            request.CopyFrom(base)
            request.MergeFrom(hostile)
            answer = await fire.call(request)
            refused = answer.status in REFUSALS and answer.reason and not answer.reason.startswith("PEER_")
            internal_only = answer.reason == "SCOPE_TOO_NARROW"
            assert answer.ok or refused or internal_only, (rpc.path, path, hostile, answer)
    await fire.good()


def nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


async def test_what_is_taken_comes_back_as_it_was(fire: Range) -> None:
    """Facts come back in NFC, definitions exactly."""
    taken: dict[str, str] = {}
    for number, text in enumerate(STRINGS):
        who = [Identifier(kind="external_id", value=f"told-{number}")]
        person = {"identifiers": who, "attributes": {"nickname": Value(text=text)}}
        if (await fire.call(of(ingest_pb2.IdentifyRequest, person=person))).ok:
            event = {"type": "told", "identifiers": who, "params": {"words": Value(text=text)}}
            await fire.ok(of(ingest_pb2.TrackRequest, event=event))
            taken[who[0].value] = text
        literal = of(segment_pb2.RuleSource, tree={"nodes": [{"attribute": {"comparison": {
            "name": "email", "compare": 1, "operands": [{"literal": {"text": text}}]}}}]})  # fmt: skip
        converted = await fire.call(segment_pb2.ConvertRuleRequest(rule=literal))
        if converted.ok:
            back = await fire.ok(of(segment_pb2.ConvertRuleRequest, rule={"text": converted.response.text}))
            operand = back.tree.nodes[0].attribute.comparison.operands[0]
            assert operand.literal.text == nfc(text)
        segment = await fire.ok(segment_pb2.SaveSegmentRequest(name="words", rule=EVERYONE, description=text))
        assert segment.segment.description == text
        template = {"channel": "webhook", "body_text": '"w"', "subject": text, "body_html": text}
        saved = await fire.call(of(channel_pb2.SaveTemplateRequest, name="words", template=template))
        assert saved.ok
        assert (saved.response.template.subject, saved.response.template.body_html) == (text, text)
        trigger = {**SCENARIO, "description": text}
        scenario = await fire.ok(of(scenario_pb2.SaveScenarioRequest, name="words", scenario=trigger))
        assert scenario.scenario.description == text
        key = await fire.call(workspace_pb2.CreateKeyRequest(display_name=text, scope=workspace_pb2.SCOPE_WRITE))
        assert not key.ok or key.response.key.display_name == (nfc(text) or "key")
    assert len(taken) > 30

    async def told(name: str) -> Any:
        answer = await fire.call(profile_pb2.GetRequest(identifier=Identifier(kind="external_id", value=name)))
        return answer.response if answer.ok and answer.response.timeline else None

    for name, text in taken.items():

        async def there(name: str = name) -> bool:
            return await told(name) is not None

        await eventually(there, f"{name} is told")
        profile = await told(name)
        assert {one.name: one.value.text for one in profile.profile.attributes}["nickname"] == nfc(text)
        assert profile.timeline[0].params["words"].text == nfc(text)
