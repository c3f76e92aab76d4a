"""Every trigger and block between wire and core, both ways."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import get_args

import pytest

from cdp.scenario.v1 import scenario_pb2 as pb
from core.clock import DAY_US, HOUR_US
from core.errors import CdpError
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
from core.schema import DecimalUnits, Instant
from services.scenario.convert import definition_from_proto, definition_to_proto

TRIGGERS: tuple[Trigger, ...] = (
    EventTrigger("cart_updated", "total > 5"),
    SegmentTrigger("VIP", True),
    RfmTrigger("orders", ("new",), ("vip", "loyal")),
    FieldTrigger("course", "a", None, HOUR_US),
    FieldTrigger("score", DecimalUnits(5), DecimalUnits(7)),
    FieldTrigger("since", Instant(5), date(2027, 1, 1)),
    ScheduleTrigger("everyone", "0 9 * * 1", "Europe/Berlin", 5, 6),
    ProductTrigger(("back_in_stock", "price_dropped"), "waits for it", 100_000),
    ApiTrigger(("order_id",)),
)
BLOCKS: tuple[Action, ...] = (
    Wait(HOUR_US, "b"),
    Wait(0, "b", LocalTime(545, (0, 6), True)),
    Wait(0, "b", DateAttribute("birth_date", -DAY_US, 600, True, "c")),
    Wait(0, "", DateAttribute("visit_at")),
    WaitFor(HOUR_US, EventTrigger("bought", "x = 1"), "", "bought", "b", "c"),
    WaitFor(HOUR_US, None, "age > 3", "", "b", "c"),
    Condition("age > 3", "b", "c"),
    Split((Branch(4_000, "b", "short"), Branch(6_000, "c")), "salt"),
    Control(500, True, "b", "c"),
    Send("email", "t", "promo", "b", "cart :cart_id", HOUR_US),
    SendGroup((Send("web_push", "p"), Send("email", "t")), True, HOUR_US, "b"),
    SetAttribute("vip", True, "", "b"),
    SetAttribute("size", None, "size", "b"),
    SetAttribute("old"),
    ChangeLists(("a",), ("b", "c"), "b"),
    IssueCoupon("spring", "code", "b", "c"),
    CallWebhook("ask", "reply", HOUR_US, "b", "c"),
    StartScenario("welcome", ("code",), "b"),
    Exit("done"),
)
PLAIN = Definition(EventTrigger("a"), (Block("b", Exit()),))


@pytest.mark.parametrize("trigger", TRIGGERS, ids=lambda one: type(one).__name__)
def test_triggers(trigger: Trigger) -> None:
    definition = replace(
        PLAIN, trigger=trigger, causes=("import", "edit"), max_age_us=5, values={"n": 3, "d": date(2027, 1, 1)}
    )
    assert definition_from_proto(_sent(definition)) == definition


@pytest.mark.parametrize("action", BLOCKS, ids=lambda one: type(one).__name__)
def test_blocks(action: Action) -> None:
    definition = replace(PLAIN, blocks=(Block("a", action), Block("b", Exit())))
    assert definition_from_proto(_sent(definition)) == definition


def test_all_kinds_are_tested() -> None:
    assert {type(one) for one in BLOCKS} == set(get_args(Action))
    assert {type(one) for one in TRIGGERS} == set(get_args(Trigger))


@pytest.mark.parametrize("reentry", Reentry)
def test_the_rest(reentry: Reentry) -> None:
    definition = replace(
        PLAIN,
        exit_when="did left",
        reentry=reentry,
        description="why",
        paused=True,
        reentry_after_us=DAY_US,
        entries_limit=2**40,
        sends_per_minute=60,
        category="news",
    )
    assert definition_from_proto(_sent(definition)) == definition


def test_what_is_left_out() -> None:
    """Empty fields of the wire are what the protocol says they are."""
    message = pb.Scenario(trigger=pb.Trigger(api=pb.ApiTrigger()))
    message.blocks.add(id="send", send=pb.Send(channel="email", template="t"))
    message.blocks.add(id="coupon", issue_coupon=pb.IssueCoupon(pool="spring"))
    message.blocks.add(id="webhook", call_webhook=pb.CallWebhook(template="ask"))
    found = definition_from_proto(message)
    assert found.max_age_us == HOUR_US
    assert [block.action for block in found.blocks] == [
        Send("email", "t", "trigger", "", "", 3 * DAY_US),
        IssueCoupon("spring", "coupon"),
        CallWebhook("ask", "answer", HOUR_US),
    ]


BAD: tuple[tuple[pb.Scenario, str, str], ...] = (
    (pb.Scenario(), "trigger", "what starts"),
    (pb.Scenario(trigger=pb.Trigger(api=pb.ApiTrigger()), blocks=[pb.Block(id="a")]), "blocks[0]", "what the block"),
    (
        pb.Scenario(
            trigger=pb.Trigger(api=pb.ApiTrigger()),
            blocks=[pb.Block(id="a", wait=pb.Wait(until_local=pb.LocalTime(time="9:00")))],
        ),
        "blocks[0].wait.until_local.time",
        "09:00",
    ),
    (
        pb.Scenario(
            trigger=pb.Trigger(api=pb.ApiTrigger()),
            blocks=[pb.Block(id="a", wait=pb.Wait(until_local=pb.LocalTime(time="09:00", weekdays=["Monday"])))],
        ),
        "blocks[0].wait.until_local.weekdays[0]",
        "mon, tue",
    ),
    (
        pb.Scenario(
            trigger=pb.Trigger(api=pb.ApiTrigger()),
            blocks=[
                pb.Block(
                    id="a",
                    wait=pb.Wait(until_local=pb.LocalTime(time="09:00"), until_date=pb.DateAttribute(attribute="d")),
                )
            ],
        ),
        "blocks[0].wait",
        "not both",
    ),
)


@pytest.mark.parametrize(("message", "path", "words"), BAD, ids=[row[1] for row in BAD])
def test_what_core_has_no_form_of(message: pb.Scenario, path: str, words: str) -> None:
    with pytest.raises(CdpError) as caught:
        definition_from_proto(message)
    (violation,) = caught.value.violations
    assert violation.path == path
    assert words in violation.description


def _sent(definition: Definition) -> pb.Scenario:
    return pb.Scenario.FromString(definition_to_proto(definition).SerializeToString())
