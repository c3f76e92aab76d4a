from __future__ import annotations

import pytest

from cdp.scenario.v1 import scenario_pb2
from core.query.ast import SegmentReference
from core.query.text.parse import parse
from core.scenario.validate import plan_of
from services.channel.channel_settings import check_settings, settings_from_proto
from services.channel.senders.smpp_settings import KIND, rules
from services.demo.plays import SCENARIOS, channel_settings
from services.demo.segments import PARAMETRIC, SEGMENTS
from services.demo.time_scale import TimeScale
from services.scenario.convert import definition_from_proto
from services.scenario.ready_scenarios import ready_scenarios
from services.scenario.yaml_form import from_yaml


@pytest.mark.parametrize("number", SCENARIOS)
@pytest.mark.parametrize("hour_s", [0.001, 0.25, 3_600.0])
def test_a_played_scenario_can_run_and_waits_on_the_scale(number: str, hour_s: float) -> None:
    ready = from_yaml(next(one.yaml for one in ready_scenarios() if one.id == number))
    played = TimeScale(hour_s).scaled(ready)
    assert plan_of(number, 1, definition_from_proto(played)).actions
    wanted = [round(one * hour_s / 3_600) for one in waits_of(ready)]
    assert waits_of(played) == wanted
    assert len(wanted) >= 1


def waits_of(scenario: scenario_pb2.Scenario) -> list[int]:
    return [block.wait.duration_us for block in scenario.blocks if block.HasField("wait")]


def test_a_moment_of_the_play_is_told_in_days() -> None:
    scale = TimeScale(0.25)
    assert scale.told(0.5).strip() == "2.0 h"
    assert scale.told(7.5) == "1 d  6 h"


def test_channel_settings_reach_nobody_real() -> None:
    settings = channel_settings(2_775, "+447700900123")
    check_settings(settings, {"email": {}, "sms": {KIND: rules()}})
    brakes = settings_from_proto(settings).brakes
    assert not brakes.live
    assert set(brakes.allowed_recipients) == {"@example.invalid", "@127.0.0.1", "+447700900123"}


def test_segments_can_be_read_and_refer_to_earlier_ones() -> None:
    assert len(SEGMENTS) >= 12
    known: set[str] = set()
    for spoken in SEGMENTS:
        for node in parse(spoken.text).nodes:
            if isinstance(node, SegmentReference):
                assert node.name in known, spoken.name
        known.add(spoken.name)
    assert len(known) == len(SEGMENTS)
    assert ":section" in PARAMETRIC.text
    assert parse(PARAMETRIC.text).nodes
