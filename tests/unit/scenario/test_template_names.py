"""What a scenario asks the channel about its templates: with all that its runs may bring."""

from __future__ import annotations

import pytest

from core.errors import CdpError
from core.scenario.definition import (
    ApiTrigger,
    Block,
    CallWebhook,
    Definition,
    EventTrigger,
    IssueCoupon,
    SegmentTrigger,
    Send,
    SendGroup,
    WaitFor,
)
from services.scenario.template_names import UnknownName, asked_of, refuse_unknown, templates_of

BLOCKS = (
    Block("letter", Send("email", "first")),
    Block("code", IssueCoupon("spring", "code")),
    Block("ask", CallWebhook("hook", "offer")),
    Block("wait", WaitFor(1, EventTrigger("order_completed"), store_as="order")),
    Block("last", SendGroup((Send("web_push", "push"), Send("sms", "text")))),
)


def test_every_template_has_its_place() -> None:
    assert templates_of(Definition(ApiTrigger(), BLOCKS)) == [
        ("blocks[0].send.template", "first"),
        ("blocks[2].call_webhook.template", "hook"),
        ("blocks[4].send_group.options[0].template", "push"),
        ("blocks[4].send_group.options[1].template", "text"),
    ]


def test_what_runs_bring_depends_on_how_they_start() -> None:
    values = {"code", "offer_*", "order_*", "shop"}
    for trigger, more, any_values, event in (
        (EventTrigger("cart_updated"), set[str](), False, "cart_updated"),
        (SegmentTrigger("Lost"), {"segment"}, False, ""),
        (ApiTrigger(), set[str](), True, ""),
    ):
        asked = asked_of(Definition(trigger, BLOCKS, values={"shop": "Main"}), "first")
        assert (asked.name, asked.any_values, asked.event_type) == ("first", any_values, event)
        assert values | more <= set(asked.values)
        assert "trigger_at" in asked.values or any(name.endswith("_at") for name in asked.values)


def test_what_is_unknown_is_refused_with_its_places() -> None:
    refuse_unknown([])
    unknown = [
        UnknownName("blocks[0].send.template", "a"),
        UnknownName("blocks[1].send.template", "b", "subject", 2, "x"),
    ]
    with pytest.raises(CdpError) as caught:
        refuse_unknown(unknown)
    assert caught.value.reason == "UNKNOWN_NAMES"
    assert [one.path for one in caught.value.violations] == [one.path for one in unknown]
    assert "names x in line 2 of subject" in caught.value.message
