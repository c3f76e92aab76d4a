"""Scenarios that cannot run are refused, each mistake with its path."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.clock import HOUR_US
from core.errors import CdpError, Code
from core.scenario.definition import (
    Action,
    ApiTrigger,
    Block,
    Branch,
    CallWebhook,
    ChangeLists,
    Condition,
    Control,
    DateAttribute,
    Definition,
    EventTrigger,
    Exit,
    FieldTrigger,
    IssueCoupon,
    LocalTime,
    ProductTrigger,
    Reentry,
    RfmTrigger,
    ScheduleTrigger,
    SegmentTrigger,
    Send,
    SendGroup,
    SetAttribute,
    Split,
    StartScenario,
    Trigger,
    Wait,
    WaitFor,
)
from core.scenario.texts import read_text
from core.scenario.validate import MAX_BLOCKS, plan_of
from tests.carts import abandoned_cart

EVENT = EventTrigger("cart_updated")
END = Block("end", Exit())


def scenario(*blocks: Block, exit_when: str = "", trigger: Trigger = EVENT) -> Definition:
    return Definition(trigger, blocks, exit_when)


BAD: dict[str, tuple[Definition, str, str]] = {
    "no blocks": (scenario(), "blocks", "1 to 200"),
    "too many": (scenario(*(Block(f"b{i}", Wait(1)) for i in range(MAX_BLOCKS + 1))), "blocks", "1 to 200"),
    "same id": (scenario(Block("a", Wait(1)), Block("a", Exit())), "blocks[1].id", "earlier block"),
    "no id": (scenario(Block("", Exit())), "blocks[0].id", "printable"),
    "unknown next": (scenario(Block("a", Wait(1, next="z")), END), "blocks[0]", 'no block "z"'),
    "unknown branch": (scenario(Block("a", Condition("everyone", "end", "z")), END), "blocks[0]", 'no block "z"'),
    "no wait": (scenario(Block("a", Wait(0)), END), "blocks[0].wait.duration_us", "longer than nothing"),
    "back in time": (scenario(Block("a", Wait(-1)), END), "blocks[0].wait.duration_us", "longer than nothing"),
    "eternal": (scenario(Block("a", Wait(10**18)), END), "blocks[0].wait.duration_us", "ten years"),
    "unreachable": (scenario(Block("a", Exit()), END), "blocks[1]", 'no way leads to "end"'),
    "restless": (scenario(Block("a", Send("email", "t", next="a"))), "blocks[0]", "loop without a wait"),
    "restless pair": (
        scenario(
            Block("a", Condition("everyone", "b", "c")), Block("b", Send("email", "t", next="a")), Block("c", Exit())
        ),
        "blocks[0]",
        "loop without a wait",
    ),
    "syntax": (scenario(Block("a", Condition("gender ="))), "blocks[0].condition.text", "line 1, column 9"),
    "exit syntax": (scenario(END, exit_when="did"), "exit_when", "line 1, column 4"),
    "channel": (scenario(Block("a", Send("pigeon", "t"))), "blocks[0].send.channel", "web_push"),
    "template": (scenario(Block("a", Send("email", ""))), "blocks[0].send.template", "printable"),
    "kind": (scenario(Block("a", Send("email", "t", "spam"))), "blocks[0].send.kind", "transactional"),
    "trigger": (scenario(END, trigger=EventTrigger("")), "trigger.event.type", "printable"),
    "prefix": (scenario(END, trigger=EventTrigger("cart_*")), "trigger.event.type", "one event"),
    "filter": (scenario(END, trigger=EventTrigger("a", "x =\n = 1")), "trigger.event.filter", "line 2, column 2"),
    "filter bracket": (scenario(END, trigger=EventTrigger("a", "x = 1)")), "trigger.event.filter", "closes nothing"),
    "filter attribute": (
        scenario(END, trigger=EventTrigger("a", "x > attribute age")),
        "trigger.event.filter",
        "condition block",
    ),
    "filter zone": (
        scenario(END, trigger=EventTrigger("a", "day this calendar week in contact's zone")),
        "trigger.event.filter",
        "contact's zone",
    ),
    "filter of moments": (
        scenario(END, trigger=EventTrigger("a", "x = 1 and not at_ on monday")),
        "trigger.event.filter",
        "line 1, column 15: a trigger cannot ask this",
    ),
    "filter of all lines": (
        scenario(END, trigger=EventTrigger("a", "every item (x = 1)")),
        "trigger.event.filter",
        "a trigger cannot ask this",
    ),
    "filter value": (scenario(END, trigger=EventTrigger("a", "x = :y")), "trigger.event.filter", '":y"'),
    "segment": (scenario(END, trigger=SegmentTrigger("")), "trigger.segment.segment", "printable"),
    "segment value": (
        scenario(END, exit_when="city = :town", trigger=SegmentTrigger("VIP")),
        "trigger.values",
        '":town"',
    ),
    "own value": (replace(scenario(END), values={"run_id": "x"}), "trigger.values[run_id]", "another name"),
    "age": (replace(scenario(END), max_age_us=0), "trigger.max_age_us", "positive"),
    "an offer before the email": (abandoned_cart(offer_after_us=HOUR_US), "blocks[5].wait.duration_us", "longer"),
}


@pytest.mark.parametrize(("definition", "path", "words"), BAD.values(), ids=BAD.keys())
def test_refused(definition: Definition, path: str, words: str) -> None:
    with pytest.raises(CdpError) as caught:
        plan_of("s", 1, definition)
    assert (caught.value.code, caught.value.reason) == (Code.INVALID, "SCENARIO_INVALID")
    found = {violation.path: violation.description for violation in caught.value.violations}
    assert words in found[path]


def block(action: Action) -> Definition:
    return scenario(Block("a", action), END, trigger=SegmentTrigger("VIP"))


MAIL = Send("email", "t")
CLICK = EventTrigger("message_clicked")
#: What is wrong with one block, the end of its path, and words of the description.
BAD_BLOCKS: dict[str, tuple[Action, str, str]] = {
    "two kinds of wait": (Wait(5, until=LocalTime(0)), "wait.duration_us", "not both"),
    "no time of day": (Wait(0, until=LocalTime(1_440)), "wait.until_local.time", "23:59"),
    "a day twice": (Wait(0, until=LocalTime(0, (1, 1))), "wait.until_local.weekdays[1]", "once"),
    "no attribute": (Wait(0, until=DateAttribute("")), "wait.until_date.attribute", "printable"),
    "far off": (Wait(0, until=DateAttribute("d", -(10**18))), "wait.until_date.offset_us", "ten years"),
    "no such date way": (Wait(0, "end", DateAttribute("d", when_missing="z")), "", 'no block "z"'),
    "waits for nothing": (WaitFor(5), "wait_for", "an event or a condition"),
    "waits for ever": (WaitFor(0, CLICK), "wait_for.timeout_us", "longer than nothing"),
    "waits for many": (WaitFor(5, EventTrigger("cart_*")), "wait_for.event.type", "one event"),
    "waits by a wrong filter": (WaitFor(5, EventTrigger("a", "x =")), "wait_for.event.filter", "line 1, column 4"),
    "waits by an attribute": (
        WaitFor(5, EventTrigger("a", "x > attribute age")), "wait_for.event.filter", "condition block",
    ),
    "waits by a wrong text": (WaitFor(5, condition="did"), "wait_for.condition", "line 1, column 4"),
    "no value name": (WaitFor(5, CLICK, store_as="a-b"), "wait_for.store_as", "letters, digits"),
    "no way after a wait": (WaitFor(5, CLICK, when_met="end", when_timeout="z"), "", 'no block "z"'),
    "one branch": (Split((Branch(10_000, "end"),)), "split.branches", "2 to 20"),
    "shares": (Split((Branch(5_000, "end"), Branch(4_999, "end"))), "split.branches", "together 10000, not 9999"),
    "no share": (Split((Branch(0, "end"), Branch(10_000, "end"))), "split.branches[0].share", "1 to 10000"),
    "branches of one name": (
        Split((Branch(5_000, "end", "a"), Branch(5_000, "end", "a"))), "split.branches[1].name", "twice",
    ),
    "nobody controls": (Control(0), "control.share", "1 to 9999"),
    "everybody does": (Control(10_000), "control.share", "1 to 9999"),
    "a group of one": (SendGroup((MAIL,)), "send_group.options", "2 to 8"),
    "a group of nine": (SendGroup((MAIL,) * 9), "send_group.options", "2 to 8"),
    "a pigeon in a group": (SendGroup((MAIL, Send("pigeon", "t"))), "send_group.options[1].channel", "sms"),
    "impatient": (SendGroup((MAIL, MAIL), patience_us=-1), "send_group.patience_us", "ten years"),
    "expired at once": (Send("email", "t", expires_after_us=0), "send.expires_after_us", "longer than nothing"),
    "content of nobody": (Send("email", "t", content="of :shop"), "send.content", 'nobody brings the value ":shop"'),
    "long content": (Send("email", "t", content="x" * 501), "send.content", "500"),
    "no attribute to set": (SetAttribute("", 1), "set_attribute.name", "printable"),
    "set twice": (SetAttribute("a", 1, "b"), "set_attribute.from_value", "not both"),
    "set by nobody": (SetAttribute("a", from_value="b"), "set_attribute.from_value", "nobody brings"),
    "no lists": (ChangeLists(), "change_lists", "1 to 50"),
    "on and off": (ChangeLists(("a",), ("a",)), "change_lists.remove[0]", "same block"),
    "on and on": (ChangeLists(("a", "a")), "change_lists.add[1]", "twice"),
    "no pool": (IssueCoupon("Spring Sale"), "issue_coupon.pool", "small letters"),
    "an own value": (IssueCoupon("spring", "run_id"), "issue_coupon.store_as", "another name"),
    "no webhook": (CallWebhook(""), "call_webhook.template", "printable"),
    "a webhook for ever": (CallWebhook("t", timeout_us=10**18), "call_webhook.timeout_us", "ten years"),
    "no scenario": (StartScenario(""), "start_scenario.scenario", "printable"),
    "nobody's value": (StartScenario("s", ("b",)), "start_scenario.values[0]", "nobody brings"),
}  # fmt: skip


@pytest.mark.parametrize(("action", "place", "words"), BAD_BLOCKS.values(), ids=BAD_BLOCKS.keys())
def test_a_block_is_refused(action: Action, place: str, words: str) -> None:
    with pytest.raises(CdpError) as caught:
        plan_of("s", 1, block(action))
    found = {violation.path: violation.description for violation in caught.value.violations}
    assert words in found[f"blocks[0].{place}" if place else "blocks[0]"]


BAD_SCENARIOS: dict[str, tuple[Definition, str, str]] = {
    "a cause of nothing": (replace(scenario(END), causes=("event", "whim")), "trigger.causes[1]", '"whim" is none'),
    "no model": (scenario(END, trigger=RfmTrigger("")), "trigger.rfm.model", "printable"),
    "a cell twice": (scenario(END, trigger=RfmTrigger("m", ("a", "a"))), "trigger.rfm.from_cells[1]", "twice"),
    "no field": (scenario(END, trigger=FieldTrigger("")), "trigger.field.attribute", "printable"),
    "no change": (scenario(END, trigger=FieldTrigger("a", "x", "x")), "trigger.field.to", "another value"),
    "cron": (scenario(END, trigger=ScheduleTrigger("everyone", "0 9 *")), "trigger.schedule.cron", "five|fields"),
    "zone": (scenario(END, trigger=ScheduleTrigger("x", "0 9 * * *", "Mars")), "trigger.schedule.zone", "Mars"),
    "no product change": (scenario(END, trigger=ProductTrigger((), "s")), "trigger.product.changes", "name one"),
    "a product's whim": (scenario(END, trigger=ProductTrigger(("sold",), "s")), "trigger.product.changes[0]", "sold"),
    "no value": (scenario(END, trigger=ApiTrigger(("a b",))), "trigger.api.required[0]", "letters, digits"),
    "no pause": (replace(scenario(END), reentry=Reentry.AFTER), "reentry_after_us", "say after how long"),
    "a pause of nothing": (replace(scenario(END), reentry_after_us=5), "reentry_after_us", "only"),
    "too fast": (replace(scenario(END), sends_per_minute=10**7), "sends_per_minute", "at most"),
    "a value that a block brings": (
        replace(scenario(Block("a", IssueCoupon("p", "code")), END), values={"code": "X"}),
        "trigger.values[code]",
        "a block brings",
    ),
}


@pytest.mark.parametrize(("definition", "path", "words"), BAD_SCENARIOS.values(), ids=BAD_SCENARIOS.keys())
def test_a_scenario_is_refused(definition: Definition, path: str, words: str) -> None:
    with pytest.raises(CdpError) as caught:
        plan_of("s", 1, definition)
    found = {violation.path: violation.description for violation in caught.value.violations}
    assert any(word in found[path] for word in words.split("|"))


#: Loops, and whether something bounds them.
LOOPS: dict[str, tuple[Action, bool]] = {
    "a wait": (Wait(1, "a"), True),
    "a local time": (Wait(0, "a", LocalTime(0)), True),
    "a date, which may be past": (Wait(0, "a", DateAttribute("d")), False),
    "an event": (WaitFor(5, CLICK, "", "", "a", "end"), True),
    "the end of a wait for a condition": (WaitFor(5, None, "age > 3", "", "end", "a"), True),
    "a condition, which may hold already": (WaitFor(5, None, "age > 3", "", "a", "end"), False),
    "a webhook": (CallWebhook("t", next="a", when_failed="end"), False),
    "a group": (SendGroup((MAIL, MAIL), next="a"), False),
    "a branch": (Split((Branch(5_000, "a"), Branch(5_000, "end"))), False),
    "a coupon": (IssueCoupon("p", next="end", when_empty="a"), False),
    "a control group": (Control(5, when_in="a", next="end"), False),
}


@pytest.mark.parametrize(("action", "bounded"), LOOPS.values(), ids=LOOPS.keys())
def test_loops(action: Action, bounded: bool) -> None:
    definition = scenario(Block("start", Condition("everyone", "a", "end")), Block("a", action), END)
    if bounded:
        plan_of("s", 1, definition)
        return
    with pytest.raises(CdpError, match="loop without a wait"):
        plan_of("s", 1, definition)


def test_values_that_blocks_bring() -> None:
    """They are none of those that a run must have from the start, nor of what it is about."""
    plan = plan_of(
        "s",
        1,
        scenario(
            Block("coupon", IssueCoupon("spring", "code")),
            Block("wait", WaitFor(5, EventTrigger("bought", "code = :code and cart = :cart_id"), "", "order")),
            Block("ask", Condition("total > :order_total", "end", "end")),
            END,
            exit_when="did redeemed (code = :code and shop = :shop)",
        ),
    )
    assert plan.parameters == {"cart_id", "shop"}
    assert plan.about == ("cart_id", "shop")
    assert plan.exit_needs == {"code"}
    assert plan.filters.keys() == {"wait"}


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(CdpError) as caught:
        plan_of("s", 1, scenario(Block("a", Wait(0)), Block("b", Condition("x =")), exit_when="did"))
    paths = [violation.path for violation in caught.value.violations]
    assert paths == ["exit_when", "blocks[0].wait.duration_us", "blocks[1].condition.text"]


def test_a_loop_with_a_wait_is_fine() -> None:
    plan = plan_of(
        "s", 1, scenario(Block("a", Wait(1)), Block("b", Condition("everyone", "a", "c")), Block("c", Exit()))
    )
    assert plan.ways == {"a": ("b",), "b": ("a", "c"), "c": ()}


@pytest.mark.parametrize(
    ("text", "parameters", "yes", "no"),
    [
        ("did order_completed (cart_id = :c) from :t", {"c", "t"}, ["order_completed"], ["order_created"]),
        ("opened message (run_id = :r)", {"r"}, ["message_opened", "message_clicked"], ["message_sent"]),
        ("received message", set(), ["message_sent", "message_bounced", "message_delivered"], ["message_opened"]),
        ("sum(order_*.total) where (any item (brand = :b)) > :m", {"b", "m"}, ["order_x"], ["cart_updated"]),
        ("did any of (a, b) at least :n times", {"n"}, ["a", "b"], ["c"]),
        ("city = :town and not age > 3", {"town"}, [], ["a"]),
        ('in segment "x" with s = :section', {"section"}, ["anything"], []),
    ],
)
def test_what_a_text_names(text: str, parameters: set[str], yes: list[str], no: list[str]) -> None:
    read = read_text(text)
    assert read.parameters == parameters
    assert all(read.concerned_by(event) for event in yes)
    assert not any(read.concerned_by(event) for event in no)
    assert read.asked == f"among all contacts: {text}"


def test_a_text_that_says_whom_it_means_keeps_it() -> None:
    assert read_text("-- who?\namong anonymous contacts: everyone").asked.startswith("-- who?")
