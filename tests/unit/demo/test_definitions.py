from __future__ import annotations

import pytest

from core.clock import DAY_US, HOUR_US
from core.query.ast import SegmentReference
from core.query.text.parse import parse
from core.scenario.ready import abandoned_cart as ready_cart
from core.scenario.validate import plan_of
from services.channel.channel_settings import check_settings, settings_from_proto
from services.channel.convert import template_from_proto
from services.channel.render import compile_email, compile_json
from services.demo.cart_definitions import EMAIL, SCENARIO, TEMPLATES, TimeScale, abandoned_cart, channel_settings
from services.demo.segments import PARAMETRIC, SEGMENTS
from services.scenario.convert import definition_from_proto


def test_the_cart_of_the_demo_is_the_ready_scenario_on_a_time_scale() -> None:
    played = definition_from_proto(abandoned_cart(TimeScale(3_600.0)))
    ready = ready_cart()
    assert played.blocks == ready.blocks
    assert played.exit_when == ready.exit_when
    scaled = definition_from_proto(abandoned_cart(TimeScale(1.0)))
    second = ready_cart(
        email_after_us=2 * HOUR_US // 3_600, open_within_us=DAY_US // 3_600, offer_after_us=3 * DAY_US // 3_600
    )
    assert scaled.blocks == second.blocks


@pytest.mark.parametrize("hour_s", [0.001, 1.0, 3_600.0])
def test_the_scenario_can_run(hour_s: float) -> None:
    plan = plan_of(SCENARIO, 1, definition_from_proto(abandoned_cart(TimeScale(hour_s))))
    assert plan.about == ("cart_id",)


def test_templates_compile() -> None:
    for name, template in TEMPLATES.items():
        compile_one = compile_email if name == EMAIL else compile_json
        compile_one(template_from_proto(template))


def test_channel_settings_reach_nobody_real() -> None:
    settings = channel_settings(8_123, "hush")
    check_settings(settings, ("email", "webhook"))
    brakes = settings_from_proto(settings).brakes
    assert not brakes.live
    assert set(brakes.allowed_recipients) == {"@example.invalid", "@127.0.0.1"}


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
