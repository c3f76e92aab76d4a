"""What a workspace can see and do is its own: a foreign id is answered like one that is not there, a key does what its
scope says and no more, and nothing after it was revoked."""

from __future__ import annotations

from collections.abc import Mapping

import grpc
import pytest
from google.protobuf.message import Message

from cdp.catalog.v1 import catalog_pb2
from cdp.channel.v1 import channel_pb2
from cdp.facts.v1.facts_pb2 import Identifier
from cdp.ingest.v1 import ingest_pb2
from cdp.profile.v1 import profile_pb2
from cdp.scenario.v1 import scenario_pb2
from cdp.schema.v1 import schema_pb2
from cdp.segment.v1 import analytics_pb2, names_pb2, segment_pb2
from cdp.workspace.v1 import workspace_pb2
from services.runtime.caller import Scope
from services.runtime.roles import ALL_ROLES, Role
from tests.contract.neighbours import PEOPLE, WAIT, Theirs, Two, bearer, who
from tests.flow.bad_input import RPCS, Answer, Range, of
from tests.flow.platform import eventually

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

SCOPES = {
    Scope.WRITE: workspace_pb2.SCOPE_WRITE,
    Scope.READ: workspace_pb2.SCOPE_READ,
    Scope.FULL: workspace_pb2.SCOPE_FULL,
    Scope.ADMIN: workspace_pb2.SCOPE_ADMIN,
}
#: What a key of each scope may call.
PERMITS = {
    Scope.WRITE: {Scope.WRITE},
    Scope.READ: {Scope.READ},
    Scope.FULL: {Scope.WRITE, Scope.READ, Scope.FULL},
    Scope.ADMIN: {Scope.WRITE, Scope.READ, Scope.FULL, Scope.ADMIN},
}


def pairs(theirs: Theirs) -> Mapping[str, tuple[Message, Message]]:
    """By name: a request with a foreign id, and the same with an id that nobody has."""
    by_name: tuple[type[Message], ...] = (
        segment_pb2.GetSegmentRequest, segment_pb2.DeleteSegmentRequest, segment_pb2.ListSegmentVersionsRequest,
        segment_pb2.CountRequest, segment_pb2.EvaluateRequest, segment_pb2.MembersRequest,
        segment_pb2.ListMembersRequest, segment_pb2.IsMemberRequest,
        scenario_pb2.GetScenarioRequest, scenario_pb2.DeleteScenarioRequest, scenario_pb2.ListScenarioVersionsRequest,
        channel_pb2.GetTemplateRequest, channel_pb2.DeleteTemplateRequest, channel_pb2.ListTemplateVersionsRequest,
        catalog_pb2.GetFeedRequest, catalog_pb2.DeleteFeedRequest, catalog_pb2.ImportFeedRequest,
        catalog_pb2.UploadFeedRequest,
    )  # fmt: skip
    found: dict[str, tuple[Message, Message]] = {
        kind.DESCRIPTOR.full_name: (kind(name="theirs"), kind(name="nobody")) for kind in by_name
    }
    everyone = {"text": "everyone"}
    contact = theirs.contact
    found |= {
        "histogram": (
            analytics_pb2.HistogramRequest(name="theirs", attribute="email"),
            analytics_pb2.HistogramRequest(name="nobody", attribute="email"),
        ),
        "overlap": (
            analytics_pb2.OverlapRequest(names=["ours", "theirs"]),
            analytics_pb2.OverlapRequest(names=["ours", "nobody"]),
        ),
        "model": (
            analytics_pb2.RfmMatrixRequest(model="theirs"), analytics_pb2.RfmMatrixRequest(model="nobody"),
        ),
        "cell of a model": (
            of(segment_pb2.EvaluateRequest, rule={"text": 'rfm theirs in cell "other"'}),
            of(segment_pb2.EvaluateRequest, rule={"text": 'rfm nobody in cell "other"'}),
        ),
        "events of a cohort": (
            of(analytics_pb2.CohortMatrixRequest, cohort={"names": ["secret"]}),
            of(analytics_pb2.CohortMatrixRequest, cohort={"names": ["nobody"]}),
        ),
        "parameters of an event": (
            names_pb2.DescribeNamesRequest(family=schema_pb2.FAMILY_PARAMETER, owner="secret"),
            names_pb2.DescribeNamesRequest(family=schema_pb2.FAMILY_PARAMETER, owner="nobody"),
        ),
        "learned name": (
            of(schema_pb2.GetNameRequest, place={"family": "FAMILY_EVENT", "name": "secret"}),
            of(schema_pb2.GetNameRequest, place={"family": "FAMILY_EVENT", "name": "nobody"}),
        ),
        "uses of a name": (
            of(names_pb2.ListUsesRequest, place={"family": "FAMILY_EVENT", "name": "secret"}),
            of(names_pb2.ListUsesRequest, place={"family": "FAMILY_EVENT", "name": "nobody"}),
        ),
        "watch": (segment_pb2.WatchRequest(segment="theirs"), segment_pb2.WatchRequest(segment="nobody")),
        "reference": (
            of(segment_pb2.ConvertRuleRequest, rule={"text": 'in segment "theirs"'}),
            of(segment_pb2.ConvertRuleRequest, rule={"text": 'in segment "nobody"'}),
        ),
        "event name": (
            of(segment_pb2.EvaluateRequest, rule={"text": "did secret"}),
            of(segment_pb2.EvaluateRequest, rule={"text": "did nobody"}),
        ),
        "scenario on a segment": (
            of(scenario_pb2.SaveScenarioRequest, name="s", scenario={
                "trigger": {"event": {"type": "good_deed"}}, "blocks": [WAIT], "exit_when": 'in segment "theirs"'}),
            of(scenario_pb2.SaveScenarioRequest, name="s", scenario={
                "trigger": {"event": {"type": "good_deed"}}, "blocks": [WAIT], "exit_when": 'in segment "nobody"'}),
        ),
        "candidates": (
            of(segment_pb2.EvaluateRequest, rule=everyone, contacts=[contact], members=True),
            of(segment_pb2.EvaluateRequest, rule=everyone, contacts=[2**31], members=True),
        ),
        "members by key": (
            segment_pb2.IsMemberRequest(name="ours", contacts=[contact], keys=[theirs.key]),
            segment_pb2.IsMemberRequest(name="ours", contacts=[2**31], keys=["nobody"]),
        ),
        "contact": (profile_pb2.GetRequest(contact=contact), profile_pb2.GetRequest(contact=2**31)),
        "contact key": (profile_pb2.GetRequest(key=theirs.key), profile_pb2.GetRequest(key="c" + "0" * 15)),
        "merged contact": (
            profile_pb2.UnmergeRequest(survivor=theirs.key, merged=theirs.key),
            profile_pb2.UnmergeRequest(survivor="c" + "0" * 15, merged="c" + "0" * 15),
        ),
        "merges of a contact": (
            profile_pb2.ListMergesRequest(key=theirs.key), profile_pb2.ListMergesRequest(key="c" + "0" * 15),
        ),
        "identifier": (profile_pb2.GetRequest(identifier=who("they-59")), profile_pb2.GetRequest(identifier=who("no"))),
        "key as identifier": (
            profile_pb2.ResolveRequest(identifiers=[Identifier(kind="contact_key", value=theirs.key)]),
            profile_pb2.ResolveRequest(identifiers=[Identifier(kind="contact_key", value="c" + "0" * 15)]),
        ),
        "resolve": (
            profile_pb2.ResolveRequest(identifiers=[who("they-59")]),
            profile_pb2.ResolveRequest(identifiers=[who("no")]),
        ),
        "batch": (profile_pb2.BatchGetRequest(contacts=[contact]), profile_pb2.BatchGetRequest(contacts=[2**31])),
        "link": (
            profile_pb2.ResolveLinkRequest(token=theirs.token),
            profile_pb2.ResolveLinkRequest(token=theirs.token[::-1]),
        ),
        "run": (scenario_pb2.GetRunRequest(run_id=theirs.run_id), scenario_pb2.GetRunRequest(run_id="no")),
        "runs of a contact": (
            scenario_pb2.ListRunsRequest(contact=contact, by_contact=True),
            scenario_pb2.ListRunsRequest(contact=2**31, by_contact=True),
        ),
        "runs of a scenario": (
            scenario_pb2.ListRunsRequest(scenario="theirs"), scenario_pb2.ListRunsRequest(scenario="nobody"),
        ),
        "feed run": (catalog_pb2.GetFeedRunRequest(feed="theirs"), catalog_pb2.GetFeedRunRequest(feed="nobody")),
        "feed report": (
            catalog_pb2.ListRejectedItemsRequest(feed="theirs"), catalog_pb2.ListRejectedItemsRequest(feed="nobody"),
        ),
        "product": (
            catalog_pb2.GetProductRequest(product_id="theirs"), catalog_pb2.GetProductRequest(product_id="nobody"),
        ),
        "products of a feed": (
            catalog_pb2.ListProductsRequest(feed="theirs"), catalog_pb2.ListProductsRequest(feed="nobody"),
        ),
        "message": (channel_pb2.GetMessageRequest(id="theirs"), channel_pb2.GetMessageRequest(id="nobody")),
        "api key": (
            workspace_pb2.RevokeKeyRequest(id=theirs.key_id), workspace_pb2.RevokeKeyRequest(id="0" * 12),
        ),
        "workspace": (
            of(workspace_pb2.UpdateWorkspaceRequest, workspace={"id": "other", "display_name": "mine now"}),
            of(workspace_pb2.UpdateWorkspaceRequest, workspace={"id": "nobody", "display_name": "mine now"}),
        ),
    }  # fmt: skip
    return found


def shown(answer: Answer) -> str:
    """The answer as a client sees it, without what differs by the name asked for and from call to call."""
    if answer.response is not None and hasattr(answer.response, "elapsed_us"):
        answer.response.elapsed_us = 0
    return f"{answer.status} {answer.reason} {answer.response}"


async def test_a_foreign_id_is_one_that_is_not_there(two: Two) -> None:
    await two.fire.ok(of(segment_pb2.SaveSegmentRequest, name="ours", rule={"text": "everyone"}))
    for name, (foreign, nobody) in pairs(two.theirs).items():
        seen, absent = await two.fire.call(foreign), await two.fire.call(nobody)
        assert shown(seen) == shown(absent), name
        for word, instead in (("theirs", "nobody"), ("secret", "nobody"), ("other", "nobody")):
            if word in seen.message:
                assert seen.message.replace(word, instead) == absent.message, name
    whole = await two.fire.call(segment_pb2.CountRequest(name="theirs"), two.other)
    assert whole.response.count.total == PEOPLE, "nothing of theirs was changed"
    for request in (scenario_pb2.GetScenarioRequest(name="theirs"), channel_pb2.GetTemplateRequest(name="theirs")):
        assert (await two.fire.call(request, two.other)).ok


async def test_lists_hold_our_own_only(two: Two) -> None:
    fire = two.fire
    for request in (
        segment_pb2.ListSegmentsRequest(), segment_pb2.ListAuditRecordsRequest(), analytics_pb2.ListRfmModelsRequest(),
        scenario_pb2.ListScenariosRequest(), scenario_pb2.ListRunsRequest(), scenario_pb2.ListAuditRecordsRequest(),
        channel_pb2.ListTemplatesRequest(), channel_pb2.ListMessagesRequest(), channel_pb2.ListAuditRecordsRequest(),
        workspace_pb2.ListAuditRecordsRequest(), workspace_pb2.ListKeysRequest(), workspace_pb2.GetWorkspaceRequest(),
    ):  # fmt: skip
        text = str(await fire.ok(request))
        for foreign in ("theirs", "other", two.theirs.key, two.theirs.run_id, two.theirs.key_id):
            assert foreign not in text, (request.DESCRIPTOR.full_name, foreign)


async def test_page_tokens_lead_nowhere_else(two: Two) -> None:
    """A token names a place in an order, not a thing: used in another workspace it shows that workspace's own."""
    fire = two.fire
    ours = profile_pb2.GetRequest(identifier=who("good-0"), timeline_page_token=two.theirs.timeline_token)
    answer = await fire.ok(ours)
    assert {event.type for event in answer.timeline} <= {"good_deed"}
    page = await fire.call(segment_pb2.ListMembersRequest(name="theirs", page_size=2), two.other)
    again = segment_pb2.ListMembersRequest(name="ours", page_token=page.response.next_page_token)
    known = {member.key for member in page.response.members} | {two.theirs.key}
    assert not known & {member.key for member in (await fire.ok(again)).members}


async def test_sent_from_here_it_stays_here(two: Two) -> None:
    """The same ids in two workspaces are two people, two orders, two messages."""
    fire = two.fire
    event = {"type": "secret", "identifiers": [who("they-59")], "message_id": "59-0"}
    await fire.ok(of(ingest_pb2.TrackRequest, event=event))
    request = profile_pb2.GetRequest(identifier=who("they-59"))

    async def ours() -> bool:
        answer = await fire.call(request)
        return answer.ok and len(answer.response.timeline) == 1

    await eventually(ours, "they-59 of ours")
    mine, foreign = (await fire.ok(request)).profile, (await fire.call(request, two.other)).response
    assert mine.key != foreign.profile.key
    assert len(foreign.timeline) == 3
    stranger = {
        "id": "theirs",
        "contact": two.theirs.contact,
        "channel": "email",
        "template": "theirs",
        "kind": "promo",
    }
    sent = await fire.ok(of(channel_pb2.SendRequest, messages=[of(channel_pb2.OutgoingMessage, **stranger)]))
    assert not sent.results[0].duplicate, "their message id is free here"

    async def refused() -> bool:
        message = (await fire.ok(channel_pb2.GetMessageRequest(id="theirs"))).message
        return bool(message.state == channel_pb2.MESSAGE_STATE_REFUSED)

    await eventually(refused, "no contact, no consent, no template of ours")


async def test_what_a_public_caller_says_of_the_workspace_is_not_read(two: Two) -> None:
    answer = await two.fire.call(
        segment_pb2.CountRequest(name="theirs"), (*two.fire.metadata, ("cdp-workspace", "other"))
    )
    assert answer.reason == "NO_SUCH_SEGMENT"


def tables(fire: Range) -> dict[str, Scope]:
    """The scope of every method, from the tables of the running services."""
    services = [fire.platform.host(role).service(role) for role in ALL_ROLES]
    return {
        f"{one.full_name}/{method}": scope
        for service in services
        for one in service.grpc_services()
        for method, scope in one.scopes.items()
    }


async def test_every_method_has_a_scope(two: Two) -> None:
    served, written = tables(two.fire).keys(), RPCS.keys()
    assert not written - served, f"in protos/, and no service answers it: {sorted(written - served)}"
    assert not served - written, f"answered, and in no proto of ours: {sorted(served - written)}"


@pytest.mark.parametrize("scope", list(SCOPES))
async def test_a_key_does_what_its_scope_says(two: Two, scope: Scope) -> None:
    """Each method with a key of each scope; what is allowed is answered in some other way than SCOPE_TOO_NARROW.
    A write-only key, as browsers have, reads nothing at all."""
    made = await two.fire.ok(workspace_pb2.CreateKeyRequest(display_name=scope.name, scope=SCOPES[scope]))
    for name, needed in tables(two.fire).items():
        answer = await two.fire.call(RPCS[name].request(), bearer(made.secret))
        allowed = needed in PERMITS[scope]
        assert (answer.reason != "SCOPE_TOO_NARROW") == allowed, (name, needed, answer)
        assert (answer.status is grpc.StatusCode.PERMISSION_DENIED) != allowed, (name, needed, answer)
    reading = {name for name, needed in tables(two.fire).items() if needed is Scope.READ}
    assert "cdp.profile.v1.ProfileService/Get" in reading
    assert "cdp.ingest.v1.IngestService/Subscribe" in reading


async def test_a_revoked_key_opens_nothing(two: Two) -> None:
    fire = two.fire
    made = await fire.ok(workspace_pb2.CreateKeyRequest(scope=workspace_pb2.SCOPE_ADMIN))
    metadata = bearer(made.secret)
    await fire.ok(workspace_pb2.RevokeKeyRequest(id=made.key.id))
    for name in tables(fire):
        answer = await fire.call(RPCS[name].request(), metadata)
        assert (answer.status, answer.reason) == (grpc.StatusCode.UNAUTHENTICATED, "BAD_KEY"), name
    url = fire.platform.http_url(Role.INGEST)
    call = {"event": "note", "userId": "ann"}
    assert (await fire.http.post(f"{url}/v1/track", json=call, auth=(made.secret, ""))).status_code == 401
    assert (await fire.http.get(f"{url}/v1/projects/{made.secret}/settings")).status_code == 401


@pytest.mark.parametrize(
    "secret", ["", "cdp_", "cdp_000000000000_" + "A" * 43, "Bearer", "x" * 4_000, "cdp_ABCDEFGHIJKL_" + "A" * 43]
)
async def test_no_key_and_keys_that_are_none(two: Two, secret: str) -> None:
    for name in tables(two.fire):
        answer = await two.fire.call(RPCS[name].request(), bearer(secret) if secret else ())
        assert answer.status is grpc.StatusCode.UNAUTHENTICATED, (name, answer)
        assert answer.reason == ("BAD_KEY" if secret else "NO_KEY")
