"""Blocks that change a contact, issue a coupon, call a webhook and start another scenario, through all services."""

from __future__ import annotations

import json
from pathlib import Path

from cdp.channel.v1 import channel_pb2
from cdp.coupon.v1 import coupon_pb2, coupon_pb2_grpc
from cdp.scenario.v1 import scenario_pb2
from core.clock import HOUR_US, SECOND_US
from core.scenario.definition import (
    ApiTrigger,
    Block,
    CallWebhook,
    ChangeLists,
    Condition,
    Control,
    Definition,
    EventTrigger,
    Exit,
    IssueCoupon,
    LocalTime,
    Send,
    SetAttribute,
    StartScenario,
    Wait,
)
from services.scenario.convert import definition_to_proto
from tests.contract.sender_peers.http_peer import Asked, Reply, serving
from tests.flow.ready_house import House, ready_house

OTHER = Definition(ApiTrigger(("code",)), (Block("mail", Send("email", "letter")),))
TELLING = Definition(
    EventTrigger("signed_up"),
    (
        Block("control", Control(1, next="city")),
        Block("city", SetAttribute("city", "Wien")),
        Block("lists", ChangeLists(("warm",))),
        Block("is", Condition('city = "Wien"', when_true="coupon", when_false="end")),
        Block("coupon", IssueCoupon("spring", "code", next="ask", when_empty="end")),
        Block("ask", CallWebhook("ask", "reply", HOUR_US, "limit", "end")),
        Block("limit", Condition("not age > :reply_limit", when_true="nine", when_false="end")),
        Block("nine", Wait(0, until=LocalTime(9 * 60))),
        Block("other", StartScenario("other", ("code",))),
        Block("end", Exit("done")),
    ),
)


async def test_through_all_services(tmp_path: Path) -> None:
    calls: list[Asked] = []

    def answer(asked: Asked) -> Reply:
        calls.append(asked)
        return Reply(200, b'{"limit": 30, "name": "x", "deep": {"a": 1}}', {"Content-Type": "application/json"})

    async with serving(answer) as port, ready_house(tmp_path) as house:
        await _prepare(house, port)
        await house.person("ann", time_zone="Europe/Vienna")
        await house.track("ann", "signed_up")
        await house.stands("telling", "ann", "nine")
        (run,) = await house.runs("telling", "ann")
        # It is 09:00 in Vienna, where the house begins: until that of the next day.
        assert run.due_at_us - run.started_at_us > 23 * HOUR_US
        assert run.values["reply_limit"].integer == 30
        assert "reply_deep" not in run.values
        await house.let_pass(24 * HOUR_US)
        blocks = await house.ends("telling", "ann", "done")
        assert blocks == ["control", "city", "lists", "is", "coupon", "ask", "limit", "nine", "other", "end"]
        await house.got("ann", "ask", "letter")
        assert run.values["code"].text in str((await house.letter("ann", 1)).get_body(("plain",)))
        await house.holds("ann", 'city = "Wien"')
        assert json.loads(calls[0].body) == {"code": run.values["code"].text}
        assert len(calls) == 1


async def _prepare(house: House, port: int) -> None:
    messages, scenarios = house.client.messages, house.client.scenario
    settings = (await house.ask(messages.GetSettings, channel_pb2.GetSettingsRequest())).settings
    settings.webhook_url, settings.webhook_secret = f"http://127.0.0.1:{port}/ask", "s" * 32
    await house.ask(messages.UpdateSettings, channel_pb2.UpdateSettingsRequest(settings=settings))
    for name, template in (
        ("letter", channel_pb2.Template(channel="email", subject="Hello", body_text="Your code is {{ code }}.")),
        ("ask", channel_pb2.Template(channel="webhook", body_text='{"code": "{{ code }}"}')),
    ):
        await house.ask(messages.SaveTemplate, channel_pb2.SaveTemplateRequest(name=name, template=template))
    coupons = coupon_pb2_grpc.CouponServiceStub(house.client.channel)
    pool = coupon_pb2.Pool(name="spring", pattern="SPRING-######")
    await house.ask(coupons.SavePool, coupon_pb2.SavePoolRequest(pool=pool))
    for name, definition in (("other", OTHER), ("telling", TELLING)):
        request = scenario_pb2.SaveScenarioRequest(name=name, scenario=definition_to_proto(definition))
        await house.ask(scenarios.SaveScenario, request)
    house.clock.advance(SECOND_US)
