"""The shipped scenarios as data: complete, in the one form, ready to be saved. Golden files hold the messages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import pytest
from google.protobuf import json_format

from cdp.scenario.v1 import scenario_pb2
from core.coupons.pool import is_pool_name
from core.errors import CdpError
from core.query.ast import SegmentReference
from core.query.text.parse import parse
from core.scenario.definition import (
    Condition,
    Definition,
    IssueCoupon,
    ProductTrigger,
    ScheduleTrigger,
    SegmentTrigger,
    Send,
    SendGroup,
)
from core.scenario.validate import plan_of
from services.channel.convert import template_from_proto
from services.channel.senders.table import all_senders
from services.runtime.settings import Settings
from services.scenario.convert import definition_from_proto, definition_to_proto
from services.scenario.ready_rpc import TextRpc
from services.scenario.ready_scenarios import COUNT, ready_scenarios
from services.scenario.yaml_form import from_yaml, to_yaml, without_versions
from services.scenario.yaml_read import read_scenario
from services.scenario.yaml_write import write_scenario

GOLDEN = Path(__file__).parents[2] / "golden" / "scenarios"
ALL = pytest.mark.parametrize("ready", ready_scenarios(), ids=lambda one: one.id)


def sends_of(definition: Definition) -> list[Send]:
    """Every message that a scenario may send, those of groups too."""
    found: list[Send] = []
    for block in definition.blocks:
        if isinstance(block.action, Send):
            found.append(block.action)
        if isinstance(block.action, SendGroup):
            found += block.action.options
    return found


def test_there_are_twenty() -> None:
    assert [one.id for one in ready_scenarios()] == [f"N{number}" for number in range(1, COUNT + 1)]
    assert len({one.name for one in ready_scenarios()}) == COUNT
    assert sorted(path.name for path in GOLDEN.glob("*.json")) == sorted(f"{one.id}.json" for one in ready_scenarios())


@ALL
def test_golden(ready: scenario_pb2.ReadyScenario) -> None:
    golden = json_format.Parse((GOLDEN / f"{ready.id}.json").read_text(encoding="utf-8"), scenario_pb2.Scenario())
    assert read_scenario(ready.yaml).message == golden
    assert write_scenario(golden) == ready.yaml


@ALL
def test_it_can_run_and_is_complete(ready: scenario_pb2.ReadyScenario) -> None:
    message = from_yaml(ready.yaml)
    assert to_yaml(message) == ready.yaml
    definition = definition_from_proto(message)
    assert read_scenario(to_yaml(definition_to_proto(definition))).message is not None
    assert plan_of(ready.name, 1, definition).name == ready.name
    assert without_versions(message) == message

    sends = sends_of(definition)
    templates = {one.name: one.template for one in ready.contents}
    assert {send.template for send in sends} <= set(templates) == set(ready.templates)
    for send in sends:
        assert templates[send.template].channel == send.channel
    pools = {block.action.pool for block in definition.blocks if isinstance(block.action, IssueCoupon)}
    assert pools <= set(ready.coupon_pools)
    assert all(is_pool_name(pool) for pool in ready.coupon_pools)
    asked = [block.action.text for block in definition.blocks if isinstance(block.action, Condition)]
    named = {
        node.name
        for text in (*asked, *ready.segments.values(), definition.exit_when)
        if text
        for node in parse(text).nodes
        if isinstance(node, SegmentReference)
    }
    trigger = definition.trigger
    if isinstance(trigger, SegmentTrigger | ScheduleTrigger | ProductTrigger):
        named.add(trigger.segment)
    assert named == set(ready.segments)


async def test_the_calls() -> None:
    """Both ways between YAML and the message, a mistake with its place, and the list of all."""
    rpc, context = TextRpc(), cast(Any, None)  # type: ignore[abstract]
    ready = ready_scenarios()[2]
    from_text = await rpc.ConvertScenario(scenario_pb2.ConvertScenarioRequest(yaml=f"# ours\n{ready.yaml}"), context)
    assert (from_text.name, from_text.yaml) == (ready.name, ready.yaml)
    again = await rpc.ConvertScenario(scenario_pb2.ConvertScenarioRequest(scenario=from_text.scenario), context)
    assert again == from_text
    for request, path in (
        (scenario_pb2.ConvertScenarioRequest(), "source"),
        (scenario_pb2.ConvertScenarioRequest(yaml=ready.yaml.replace("wait: 2h", "wait: 2x")), "line 14, column 11"),
        (scenario_pb2.ConvertScenarioRequest(scenario=scenario_pb2.Scenario()), "trigger"),
    ):
        with pytest.raises(CdpError) as caught:
            await rpc.ConvertScenario(request, context)
        assert (caught.value.reason, caught.value.violations[0].path) == ("SCENARIO_INVALID", path)
    listed = await rpc.ListReadyScenarios(scenario_pb2.ListReadyScenariosRequest(), context)
    assert list(listed.scenarios) == list(ready_scenarios())


@ALL
def test_its_templates_can_be_saved(ready: scenario_pb2.ReadyScenario) -> None:
    senders = all_senders(Settings.from_environment({"CDP_TRACKING_KEY": "t" * 32}))
    for one in ready.contents:
        assert re.fullmatch(rf"n{int(ready.id[1:]):02}_[a-z_]+", one.name)
        assert senders[one.template.channel].compile(template_from_proto(one.template)) is not None
        if one.template.channel == "email":
            assert "unsubscribe_url" in one.template.body_html and "unsubscribe_url" in one.template.body_text
