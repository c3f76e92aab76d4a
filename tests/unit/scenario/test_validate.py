"""Scenarios that cannot run are refused, each mistake with its path."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.clock import HOUR_US
from core.errors import CdpError, Code
from core.scenario.definition import Block, Condition, Definition, EventTrigger, Exit, SegmentTrigger, Send, Wait
from core.scenario.ready import abandoned_cart
from core.scenario.texts import read_text
from core.scenario.validate import MAX_BLOCKS, plan_of

EVENT = EventTrigger("cart_updated")
END = Block("end", Exit())


def scenario(*blocks: Block, exit_when: str = "", trigger: EventTrigger | SegmentTrigger = EVENT) -> Definition:
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
