"""Bad rules, questions and scenarios: refused with the place of the mistake, whatever form they come in; what is stored
can always be read again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf.message import Message

from cdp.facts.v1.facts_pb2 import Value
from cdp.ingest.v1 import ingest_pb2
from cdp.scenario.v1 import scenario_pb2 as sc
from cdp.segment.v1 import rule_pb2 as tree
from cdp.segment.v1 import segment_pb2 as pb
from core.clock import DAY_US, MAX_INSTANT_US, MIN_INSTANT_US
from services.runtime.roles import ALL_ROLES, Role
from tests.flow.bad_input import START_US, Bad, Case, Range, of, under_fire
from tests.flow.platform import eventually

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

#: Texts, each asked by Evaluate, ConvertRule and SaveSegment: (class, text, reason; empty: accepted).
TEXTS = (
    (Bad.LARGE_RULE, " or ".join(["everyone"] * 10_001), "RULE_TOO_LARGE"),
    (Bad.LARGE_RULE, "(" * 501 + "everyone" + ")" * 501, "RULE_TOO_DEEP"),
    (Bad.LARGE_RULE, "(" * 200_000, "RULE_TOO_DEEP"),
    (Bad.LARGE_RULE, "not " * 501 + "everyone", "RULE_TOO_DEEP"),
    (Bad.LARGE_RULE, "(" * 500 + "everyone" + ")" * 500, ""),
    (Bad.LARGE_RULE, "x" * 1_000_001, "RULE_TOO_LARGE"),
    (Bad.LARGE_RULE, 'email = "' + "x" * 10_001 + '"', "RULE_TOO_LARGE"),
    (Bad.LARGE_RULE, f"age in ({', '.join(['1'] * 10_001)})", "RULE_TOO_LARGE"),
    (Bad.CONTRADICTION, "everyone and not everyone", ""),
    (Bad.CONTRADICTION, "age < 3 and age > 5", ""),
    (Bad.CONTRADICTION, "did good_deed in last 0 days", "RULE_WINDOW"),
    (Bad.CONTRADICTION, "did good_deed between 9 and 5 days ago", "RULE_WINDOW"),
    (Bad.CONTRADICTION, "did good_deed from 2026-12-01 until 2026-01-01", "RULE_WINDOW"),
    (Bad.CONTRADICTION, "age between 9 and 1", "RULE_VALUE"),
    (Bad.CONTRADICTION, "did good_deed in last 1 months", "RULE_WINDOW"),
    (Bad.UNKNOWN_OPERATOR, "age ~= 3", "RULE_SYNTAX"),
    (Bad.UNKNOWN_OPERATOR, "age resembles 3", "RULE_SYNTAX"),
    (Bad.UNKNOWN_OPERATOR, "shout(good_deed.total) > 3", "RULE_SYNTAX"),
    (Bad.PATTERN_BOMB, 'email matches "(a{1000}){1000}"', "RULE_PATTERN"),
    (Bad.PATTERN_BOMB, 'email matches "' + "(" * 500 + ")" * 500 + '"', ""),
    (Bad.PATTERN_BOMB, 'email matches "' + "a?" * 400 + "a" * 200 + '"', ""),
    (Bad.PATTERN_BOMB, 'email matches "(a|a)*$"', ""),
    (Bad.PATTERN_BOMB, 'email matches "(?=a)"', "RULE_PATTERN"),
    (Bad.PATTERN_BOMB, 'email matches "("', "RULE_PATTERN"),
    (Bad.PATTERN_BOMB, 'email matches "' + "a" * 1_001 + '"', "RULE_PATTERN"),
    (Bad.TYPE_MISMATCH, 'age = "x"', "RULE_TYPE"),
    (Bad.TYPE_MISMATCH, "email > 3", "RULE_TYPE"),
    (Bad.TYPE_MISMATCH, "age contains 3", "RULE_TYPE"),
    (Bad.TYPE_MISMATCH, 'age matches "3"', "RULE_TYPE"),
    (Bad.BEYOND_64_BITS, "age = 99999999999999999999999", "RULE_VALUE"),
    (Bad.LONG_INTEGER, "age = " + "9" * 5_000, "RULE_VALUE"),
    (Bad.LONG_INTEGER, f"did good_deed in last {'9' * 5_000} days", "RULE_VALUE"),
    (Bad.NAN, "age = NaN", "RULE_SYNTAX"),
    (Bad.HUGE_EXPONENT, "age = 1e400", "RULE_SYNTAX"),
    (Bad.BAD_PARAMETERS, "age = :a and email = :a", "RULE_PARAMETER"),
    (Bad.BAD_PARAMETERS, 'in segment "By email" with a = 3', "RULE_TYPE"),
    (Bad.BAD_PARAMETERS, 'in segment "By email" with (a = "x", b = "y")', "RULE_PARAMETER"),
    (Bad.BAD_PARAMETERS, 'in segment "By email" with (a = "x", a = "y")', "RULE_PARAMETER"),
    (Bad.UNKNOWN_NAME, "gendr = 1", "RULE_UNKNOWN_NAME"),
    (Bad.UNKNOWN_NAME, 'in list "nobody\'s"', "RULE_UNKNOWN_NAME"),
    (Bad.UNKNOWN_NAME, 'in segment "nobody\'s"', "RULE_UNKNOWN_NAME"),
    (Bad.UNKNOWN_NAME, "did never_seen", "RULE_UNKNOWN_NAME"),
    (Bad.UNKNOWN_NAME, "sum(good_deed.never_seen) > 1", "RULE_UNKNOWN_NAME"),
    (Bad.YEAR_0_AND_10000, "did good_deed from 0000-01-01 until 2026-01-01", "RULE_VALUE"),
    (Bad.YEAR_0_AND_10000, "did good_deed from 2026-01-01 until 10000-01-01", "RULE_SYNTAX"),
    (Bad.YEAR_0_AND_10000, "did good_deed from 0001-01-01 through 9999-12-31 in contact's zone", ""),
    (Bad.NO_SUCH_LOCAL_TIME, "did good_deed from 2026-02-30 until 2026-03-01", "RULE_VALUE"),
    (Bad.NO_SUCH_LOCAL_TIME, "did good_deed from 2026-03-08 until 2026-11-01 in contact's zone", ""),
    (Bad.FUTURE, "birth_date in next 36526 days", "RULE_VALUE"),
    (Bad.WRONG_TYPE, "", "RULE_SYNTAX"),
    (Bad.WRONG_TYPE, "\ufeffeveryone", "RULE_SYNTAX"),
    (Bad.WRONG_TYPE, "every\0one", "RULE_SYNTAX"),
    (Bad.WRONG_TYPE, "\u202eeveryone", "RULE_SYNTAX"),
    (Bad.WRONG_TYPE, 'email = "', "RULE_SYNTAX"),
)  # fmt: skip

EVERYONE = tree.Node(everyone=tree.Everyone())


def branch(op: int, *children: int, k: int = 0) -> tree.Node:
    return tree.Node(branch=tree.Branch(op=op, children=children, k=k))  # type: ignore[arg-type]


def compare(value: Value | None = None, name: str = "email", how: int = tree.COMPARE_EQ) -> tree.Node:
    operands = [] if value is None else [tree.Operand(literal=value)]
    comparison = tree.Comparison(name=name, compare=how, operands=operands)  # type: ignore[arg-type]
    return tree.Node(attribute=tree.AttributeCondition(comparison=comparison))


def did(window: tree.Window | None = None, *names: str, times: int = 1) -> tree.Node:
    events = tree.EventSelection(names=names or ["good_deed"], window=window)
    counts = [tree.Operand(literal=Value(integer=times))]
    return tree.Node(event_count=tree.EventCount(events=events, compare=tree.COMPARE_GE, counts=counts))


def between(start: Value, until: Value) -> tree.Window:
    return tree.Window(absolute=tree.Absolute(start=tree.Operand(literal=start), until=tree.Operand(literal=until)))


#: Trees: (class, what, nodes, reason; empty: accepted).
TREES: tuple[tuple[Bad, str, list[tree.Node], str], ...] = (
    (Bad.BROKEN_TREE, "no nodes", [], "RULE_SHAPE"),
    (Bad.BROKEN_TREE, "an empty node", [tree.Node()], "RULE_TREE"),
    (Bad.BROKEN_TREE, "two roots", [EVERYONE, EVERYONE], "RULE_SHAPE"),
    (Bad.BROKEN_TREE, "a child of its own", [branch(tree.OP_NOT, 0)], "RULE_SHAPE"),
    (Bad.BROKEN_TREE, "a child that comes later", [branch(tree.OP_NOT, 1), EVERYONE], "RULE_SHAPE"),
    (Bad.BROKEN_TREE, "a child far away", [EVERYONE, branch(tree.OP_NOT, 2**32 - 1)], "RULE_SHAPE"),
    (Bad.BROKEN_TREE, "a child twice", [EVERYONE, branch(tree.OP_AND, 0, 0)], "RULE_SHAPE"),
    (Bad.BROKEN_TREE, "and of one", [EVERYONE, branch(tree.OP_AND, 0)], "RULE_SHAPE"),
    (Bad.BROKEN_TREE, "at least 3 of 2", [EVERYONE, EVERYONE, branch(tree.OP_AT_LEAST, 0, 1, k=3)], "RULE_SHAPE"),
    (Bad.BROKEN_TREE, "a comparison without a value", [compare()], "RULE_SHAPE"),
    (Bad.BROKEN_TREE, "a name of 10,001 characters", [compare(Value(text="a"), "n" * 10_001)], "RULE_SHAPE"),
    (Bad.BROKEN_TREE, "the literal nothing", [compare(Value())], "RULE_TREE"),
    (Bad.UNKNOWN_OPERATOR, "op 99", [EVERYONE, branch(99, 0)], "RULE_TREE"),
    (Bad.UNKNOWN_OPERATOR, "compare -1", [compare(Value(text="a"), how=-1)], "RULE_TREE"),
    (Bad.UNKNOWN_OPERATOR, "period 9", [did(tree.Window(calendar={"period": 9, "count": 1}))], "RULE_TREE"),  # type: ignore[arg-type]
    (Bad.LARGE_RULE, "10,001 nodes", [*[EVERYONE] * 10_000, branch(tree.OP_OR, *range(10_000))], "RULE_TOO_LARGE"),
    (Bad.LARGE_RULE, "10,000 nodes", [*[EVERYONE] * 9_999, branch(tree.OP_OR, *range(9_999))], ""),
    (Bad.LARGE_RULE, "depth 501", [EVERYONE, *(branch(tree.OP_NOT, n) for n in range(501))], "RULE_TOO_DEEP"),
    (Bad.LARGE_RULE, "depth 500", [EVERYONE, *(branch(tree.OP_NOT, n) for n in range(500))], ""),
    (Bad.TYPE_MISMATCH, "a place as an email", [compare(of(Value, location={}))], "NOT_A_SCALAR"),
    (Bad.TYPE_MISMATCH, "a number as an email", [compare(Value(integer=1))], "RULE_TYPE"),
    (Bad.NAN, "a decimal", [compare(Value(decimal="NaN"), "age")], "BAD_VALUE"),
    (Bad.BEYOND_64_BITS, "units", [compare(Value(decimal_units=2**63 - 1), "age")], "BAD_VALUE"),
    (Bad.NUMBER_AS_TIME, "an instant of 2^63-1", [did(between(Value(instant_us=0), Value(instant_us=2**63 - 1)))],
     "RULE_VALUE"),
    (Bad.NUMBER_AS_TIME, "day 2^31-1", [did(between(Value(date_days=0), Value(date_days=2**31 - 1)))], "BAD_VALUE"),
    (Bad.NUMBER_AS_TIME, "in last 2^63-1", [did(tree.Window(in_last_us=2**63 - 1))], "RULE_SHAPE"),
    (Bad.NUMBER_AS_TIME, "in last -1 s", [did(tree.Window(in_last_us=-1_000_000))], "RULE_SHAPE"),
    (Bad.NUMBER_AS_TIME, "100 years and a day", [did(tree.Window(in_last_us=36_526 * DAY_US))], "RULE_VALUE"),
    (Bad.CONTRADICTION, "year -3000", [did(tree.Window(calendar={"period": 5, "offset": -3_000, "count": 1}))],  # type: ignore[arg-type]
     "RULE_SHAPE"),
    (Bad.UNKNOWN_NAME, "an event", [did(None, "never\0seen")], "RULE_UNKNOWN_NAME"),
    (Bad.UNKNOWN_NAME, "a list", [tree.Node(in_list=tree.InList(name='"'))], "RULE_UNKNOWN_NAME"),
    (Bad.BAD_PARAMETERS, "arguments out of order, one unknown",
     [tree.Node(segment=tree.SegmentReference(name="By email", arguments=[
         tree.Argument(name=name, operand=tree.Operand(literal=Value(text="x"))) for name in ("b", "a")]))],
     "RULE_PARAMETER"),
)  # fmt: skip


def asked(source: pb.RuleSource, name: str) -> tuple[Message, ...]:
    return (
        pb.EvaluateRequest(rule=source),
        pb.ConvertRuleRequest(rule=source),
        pb.SaveSegmentRequest(name=name, rule=source),
    )


def by_email(**parameters: Value) -> pb.EvaluateRequest:
    return pb.EvaluateRequest(name="By email", parameters=parameters)


#: Questions about saved segments.
QUESTIONS = (
    Case(Bad.BAD_PARAMETERS, "none", by_email(), "PARAMETER_MISSING"),
    Case(Bad.BAD_PARAMETERS, "null", by_email(a=Value()), "PARAMETER_MISSING"),
    Case(Bad.BAD_PARAMETERS, "too many", by_email(a=Value(text="x"), b=Value(integer=1)), ""),
    Case(Bad.BAD_PARAMETERS, "wrong kind", by_email(a=Value(integer=1)), "PARAMETER_TYPE"),
    Case(Bad.BAD_PARAMETERS, "a list", by_email(a=of(Value, texts={})), "NOT_A_SCALAR"),
    Case(Bad.BAD_PARAMETERS, "of IsMember", pb.IsMemberRequest(name="By email"), "SEGMENT_HAS_PARAMETERS"),
    Case(Bad.BAD_PARAMETERS, "of Members", pb.MembersRequest(name="By email"), "SEGMENT_HAS_PARAMETERS"),
    Case(Bad.BAD_PARAMETERS, "of Count", pb.CountRequest(name="By email"), "SEGMENT_HAS_PARAMETERS"),
    Case(Bad.UNKNOWN_NAME, "Count", pb.CountRequest(name="no"), "NO_SUCH_SEGMENT"),
    Case(Bad.UNKNOWN_NAME, "Members", pb.MembersRequest(name="no"), "NO_SUCH_SEGMENT"),
    Case(Bad.UNKNOWN_NAME, "ListMembers", pb.ListMembersRequest(name="no"), "NO_SUCH_SEGMENT"),
    Case(Bad.UNKNOWN_NAME, "IsMember", pb.IsMemberRequest(name="no", as_of_us=START_US), "NO_SUCH_SEGMENT"),
    Case(Bad.UNKNOWN_NAME, "Watch", pb.WatchRequest(segment="no"), "NO_SUCH_SEGMENT"),
    Case(Bad.UNKNOWN_NAME, "Evaluate", pb.EvaluateRequest(name="no"), "NO_SUCH_SEGMENT"),
    Case(Bad.UNKNOWN_NAME, "a version", pb.GetSegmentRequest(name="All", version=2**32 - 1), "NO_SUCH_SEGMENT"),
    Case(Bad.NO_ID, "no rule", pb.EvaluateRequest(), "NO_RULE"),
    Case(Bad.FUTURE, "as of", pb.EvaluateRequest(name="All", as_of_us=2**63 - 1), "AS_OF_IN_FUTURE"),
    Case(Bad.NUMBER_AS_TIME, "as of the beginning", pb.EvaluateRequest(name="All", as_of_us=-(2**63))),
    Case(Bad.AT_LIMITS, "10,000 contacts", pb.IsMemberRequest(name="All", contacts=range(10_000))),
    Case(Bad.AT_LIMITS, "10,001 contacts", pb.IsMemberRequest(name="All", contacts=range(10_001)), "TOO_MANY_CONTACTS"),
    Case(Bad.AT_LIMITS, "a contact of 2^32-1", pb.IsMemberRequest(name="All", contacts=[2**32 - 1], as_of_us=START_US)),
    Case(Bad.AT_LIMITS, "an unknown contact", pb.EvaluateRequest(name="All", contacts=[2**32 - 1, 0, 1, 1])),
    Case(Bad.BAD_CURSOR, "members", pb.ListMembersRequest(name="All", page_token="9" * 5_000), "BAD_PAGE_TOKEN"),
    Case(Bad.BAD_CURSOR, "members, other digits", pb.ListMembersRequest(name="All", page_token="٣"), "BAD_PAGE_TOKEN"),
    Case(Bad.BAD_CURSOR, "audit", pb.ListAuditRecordsRequest(page_token="9" * 5_000), "BAD_PAGE_TOKEN"),
    Case(Bad.BAD_CURSOR, "audit, a word", pb.ListAuditRecordsRequest(page_token="next"), "BAD_PAGE_TOKEN"),
    Case(Bad.BAD_CURSOR, "scenarios' audit", sc.ListAuditRecordsRequest(page_token="-1"), "BAD_PAGE_TOKEN"),
    Case(Bad.BAD_CURSOR, "runs", sc.ListRunsRequest(page_token="9" * 5_000 + ":a"), "BAD_PAGE_TOKEN"),
    Case(Bad.BAD_CURSOR, "runs, a superscript", sc.ListRunsRequest(page_token="²:a"), "BAD_PAGE_TOKEN"),
    Case(Bad.BAD_CURSOR, "watch of another log", pb.WatchRequest(epoch="another"), "EPOCH_CHANGED"),
    Case(Bad.BAD_CURSOR, "watch from beyond the end", pb.WatchRequest(after_position=2**64 - 1)),
)  # fmt: skip

WAIT = sc.Block(id="wait", wait=sc.Wait(duration_us=DAY_US))
DEED = sc.Trigger(event=sc.EventTrigger(type="good_deed"))


def scenario(*blocks: sc.Block, **fields: Any) -> Message:
    made = sc.Scenario(**{"trigger": DEED, "blocks": blocks or [WAIT], **fields})
    return sc.SaveScenarioRequest(name="bad", scenario=made)


def send(**fields: Any) -> sc.Block:
    return sc.Block(id="s", send=sc.Send(**{"channel": "email", "template": "t", **fields}))


#: Scenarios; each is refused with SCENARIO_INVALID unless it says otherwise.
SCENARIOS = tuple(
    Case(bad, what, request, "SCENARIO_INVALID")
    for bad, what, request in (
        (Bad.BAD_SCENARIO, "nothing", sc.SaveScenarioRequest(name="bad")),
        (Bad.BAD_SCENARIO, "no blocks", sc.SaveScenarioRequest(name="bad", scenario=sc.Scenario(trigger=DEED))),
        (Bad.BAD_SCENARIO, "an empty block", scenario(sc.Block(id="a"))),
        (Bad.BAD_SCENARIO, "one id twice", scenario(WAIT, WAIT)),
        (Bad.BAD_SCENARIO, "a way to nowhere", scenario(sc.Block(id="a", wait=sc.Wait(duration_us=1, next="b")))),
        (Bad.BAD_SCENARIO, "a block that nobody reaches", scenario(sc.Block(id="a", exit=sc.Exit()), WAIT)),
        (Bad.CYCLE, "a loop without a wait", scenario(
            sc.Block(id="a", condition=sc.Condition(text="everyone", when_true="a", when_false="a")))),
        (Bad.CYCLE, "a loop of sends", scenario(send(next="s"))),
        (Bad.LARGE_RULE, "201 blocks", scenario(*(sc.Block(id=f"b{n}", wait=WAIT.wait) for n in range(201)))),
        (Bad.NUMBER_AS_TIME, "a wait of 2^63-1", scenario(sc.Block(id="a", wait=sc.Wait(duration_us=2**63 - 1)))),
        (Bad.NUMBER_AS_TIME, "a wait of -1", scenario(sc.Block(id="a", wait=sc.Wait(duration_us=-1)))),
        (Bad.NUMBER_AS_TIME, "a trigger of age -1", scenario(trigger=sc.Trigger(event=DEED.event, max_age_us=-1))),
        (Bad.UNKNOWN_NAME, "a channel", scenario(send(channel="pigeon"))),
        (Bad.UNKNOWN_NAME, "a kind of message", scenario(send(kind="spam"))),
        (Bad.UNKNOWN_NAME, "an attribute", scenario(exit_when="gendr = 1")),
        (Bad.UNKNOWN_NAME, "a segment", scenario(exit_when='in segment "no"')),
        (Bad.TYPE_MISMATCH, "in a condition", scenario(sc.Block(id="a", condition=sc.Condition(text='age = "x"')))),
        (Bad.PATTERN_BOMB, "in a condition", scenario(sc.Block(id="a", condition=sc.Condition(
            text='email matches "(a{1000}){1000}"')))),
        (Bad.UNKNOWN_OPERATOR, "re-entry 99", scenario(reentry=99)),
        (Bad.BAD_PARAMETERS, "a value that every run has", scenario(
            trigger=sc.Trigger(event=DEED.event, values={"run_id": Value(text="x")}))),
        (Bad.NULLS, "a value that is null", scenario(trigger=sc.Trigger(event=DEED.event, values={"a": Value()}))),
        (Bad.WRONG_TYPE, "a value that is a list", scenario(
            trigger=sc.Trigger(event=DEED.event, values={"a": of(Value, texts={})}))),
        (Bad.WRONG_TYPE, "a trigger for every event", scenario(trigger=sc.Trigger(event=sc.EventTrigger(type="*")))),
        (Bad.WRONG_TYPE, "a filter that breaks out", scenario(trigger=sc.Trigger(
            event=sc.EventTrigger(type="good_deed", filter="x = 1) or everyone or did good_deed (x = 1")))),
        (Bad.NUL, "in the id of a block", scenario(sc.Block(id="a\0", wait=sc.Wait(duration_us=1)))),
        (Bad.LARGE_RULE, "a text too deep", scenario(exit_when="(" * 501 + "everyone" + ")" * 501)),
    )
)  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fire(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Range]:
    async with under_fire(tmp_path_factory.mktemp("data")) as one:
        for name, text in {"All": "everyone", "By email": "email = :a"}.items():
            await one.ok(pb.SaveSegmentRequest(name=name, rule=pb.RuleSource(text=text)))

        async def folded() -> bool:
            return (await one.call(pb.EvaluateRequest(rule=pb.RuleSource(text="did good_deed")))).ok

        await eventually(folded, "the first good deed is known")
        yield one


@pytest.mark.parametrize("kind", ["Evaluate", "ConvertRule", "SaveSegment"])
async def test_texts(fire: Range, kind: str) -> None:
    at = ("Evaluate", "ConvertRule", "SaveSegment").index(kind)
    for bad, text, reason in TEXTS:
        answer = await fire.call(asked(pb.RuleSource(text=text), "bad")[at])
        assert answer.reason == reason, (bad, text[:60], answer)
        assert answer.ok or answer.message, "an error says where and what"
        await fire.good()


@pytest.mark.parametrize("kind", ["Evaluate", "ConvertRule", "SaveSegment"])
async def test_trees(fire: Range, kind: str) -> None:
    at = ("Evaluate", "ConvertRule", "SaveSegment").index(kind)
    for bad, what, nodes, reason in TREES:
        answer = await fire.call(asked(pb.RuleSource(tree=tree.Rule(nodes=nodes)), "bad")[at])
        assert answer.reason == reason, (bad, what, answer)
        await fire.good()
    unknown_scope = pb.RuleSource(tree=tree.Rule(nodes=[EVERYONE], scope=99))  # type: ignore[arg-type]
    assert (await fire.call(asked(unknown_scope, "bad")[at])).reason == "RULE_TREE"


@pytest.mark.parametrize("cases", [QUESTIONS, SCENARIOS], ids=["questions", "scenarios"])
async def test_questions_and_scenarios(fire: Range, cases: tuple[Case, ...]) -> None:
    for case in cases:
        answer = await fire.call(case.request)
        assert answer.reason == case.reason, (case.bad, case.what, answer)
        await fire.good()
    assert not (await fire.ok(sc.ListScenariosRequest())).scenarios


async def test_cycles(fire: Range) -> None:
    """Bad.CYCLE: of one, of two, and through an edit far away."""
    for name, text in {"c1": "everyone", "c2": 'in segment "c1"', "c3": 'in segment "c2"'}.items():
        await fire.ok(pb.SaveSegmentRequest(name=name, rule=pb.RuleSource(text=text)))
    for name, text in {"c1": 'not in segment "c3"', "c3": 'in segment "c3"'}.items():
        answer = await fire.call(pb.SaveSegmentRequest(name=name, rule=pb.RuleSource(text=text)))
        assert answer.reason == "RULE_CYCLE"
    assert (await fire.call(pb.SaveSegmentRequest(name="new", rule=pb.RuleSource(text='in segment "new"')))).reason in (
        "RULE_CYCLE",
        "RULE_UNKNOWN_NAME",
    )
    assert (await fire.ok(pb.CountRequest(name="c3"))).count.total == (
        await fire.ok(pb.CountRequest(name="All"))
    ).count.total


async def test_what_cannot_be_read_again_is_not_stored(fire: Range) -> None:
    """Bad.LARGE_RULE: a tree within its limits whose text would be beyond its own, and a text whose canonical form
    is longer than itself. Neither may keep the engine from opening the workspace again."""
    clauses = [compare(Value(text="x" * 9_999)) for _ in range(150)]
    wide = tree.Rule(nodes=[*clauses, branch(tree.OP_OR, *range(150))])
    dense = "or ".join(["age in(" + ",".join(["1"] * 9_000) + ")"] * 40)
    assert len(dense) < 1_000_000
    for source in (pb.RuleSource(tree=wide), pb.RuleSource(text=dense)):
        answer = await fire.call(pb.SaveSegmentRequest(name="too long", rule=source))
        assert answer.reason == "RULE_TOO_LARGE"
        assert (await fire.call(pb.GetSegmentRequest(name="too long"))).reason == "NO_SUCH_SEGMENT"
    before = (await fire.ok(pb.ListSegmentsRequest())).segments
    await fire.platform.stop(ALL_ROLES)
    await fire.platform.start(ALL_ROLES)
    await fire.platform.host(Role.SEGMENT_ENGINE).wait_ready(20.0)

    async def opened() -> bool:
        answer = await fire.call(pb.ListSegmentsRequest())
        return answer.ok and list(answer.response.segments) == list(before)

    await eventually(opened, "the same segments after a restart")


async def test_facts_at_the_ends_of_time_are_judged(fire: Range) -> None:
    """Bad.YEAR_0_AND_10000 and NO_SUCH_LOCAL_TIME within the engine: windows of every kind over the first and the
    last instant there is, in zones with and without gaps."""
    windows = (
        "in last 7 days", "more than 36525 days ago", "between 1 and 36525 days ago", "this calendar year",
        "this calendar week in contact's zone", "last calendar month in contact's zone",
        "from 0001-01-01 through 9999-12-31 in contact's zone", "",
    )  # fmt: skip
    for number, zone in enumerate(("Pacific/Kiritimati", "America/St_Johns", "Africa/Monrovia", "no/zone")):
        who = [{"kind": "external_id", "value": f"end-{number}"}]
        await fire.ok(of(ingest_pb2.IdentifyRequest, person={"identifiers": who, "attributes": {
            "time_zone": {"text": zone}, "birth_date": {"date_days": -719_162 if number % 2 else 2_932_896},
            "renewed_at": {"instant_us": MIN_INSTANT_US if number % 2 else MAX_INSTANT_US - 1}}}))  # fmt: skip
        for at_us in (MIN_INSTANT_US, START_US, MAX_INSTANT_US - 1):
            event = {"type": "end_of_time", "identifiers": who, "occurred_at_us": at_us}
            await fire.ok(of(ingest_pb2.TrackRequest, event=event))

    async def known() -> bool:
        rule = pb.RuleSource(text='did end_of_time and renewed_at is present and time_zone = "no/zone"')
        answer = await fire.call(pb.EvaluateRequest(rule=rule))
        return answer.ok and answer.response.count.total == 1

    await eventually(known, "the ends of time are folded")
    texts = [f"did end_of_time {window}" for window in windows]
    texts += [
        "renewed_at in last 7 days",
        "renewed_at in next 36525 days",
        "renewed_at last calendar week in contact's zone",
        "birth_date this calendar month in contact's zone",
        "birth_date more than 36525 days ago",
    ]
    for number, text in enumerate(texts):
        answer = await fire.call(pb.SaveSegmentRequest(name=f"end {number}", rule=pb.RuleSource(text=text)))
        assert answer.ok, (text, answer)
        for as_of_us in (MIN_INSTANT_US, 1, START_US):
            asked_at = await fire.call(pb.EvaluateRequest(name=f"end {number}", as_of_us=as_of_us))
            assert asked_at.ok, (text, as_of_us, asked_at)
    fire.platform.clock.advance(40 * DAY_US)
    await fire.good()
