"""Any well-formed rule crosses the wire and comes back the same."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from cdp.segment.v1 import rule_pb2 as pb
from core.query.ast import Rule
from services.segment_engine.convert_rule import rule_from_proto, rule_to_proto
from tests.unit.query.rule_strategies import rules, single_rules


@given(rules | single_rules)
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
def test_the_protobuf_form_of_a_rule_says_the_same_rule(rule: Rule) -> None:
    assert rule_from_proto(pb.Rule.FromString(rule_to_proto(rule).SerializeToString())) == rule
