"""Interest models and what is read of contacts, to and from protobuf, with the checks of a new model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cdp.facts.v1 import facts_pb2
from cdp.segment.v1 import computed_pb2 as pb
from core.analytics.contact_values import Scored
from core.errors import CdpError, Violation, invalid
from core.query.ast import EventSelection
from core.query.binding.shape_filters import check_filter
from core.query.interest_model import MAX_HALF_LIFE_DAYS, MAX_WEIGHT, InterestModel
from core.schema import MAX_INTEGER, MIN_INTEGER, DecimalUnits, Scalar
from services.runtime.facts import value_to_proto
from services.segment_engine.convert_rule_values import filter_from_proto, filter_to_proto

_HALF_LIFE_DAYS, _MOST_EVENTS, _MOST_FILTER = 30, 50, 50


def model_to_proto(model: InterestModel) -> pb.InterestModel:
    """A model on the wire."""
    pairs = zip(model.events.names, model.weights, strict=True)
    return pb.InterestModel(
        name=model.name,
        parameter=model.parameter,
        weights=[pb.InterestWeight(event=event, weight=weight) for event, weight in pairs],
        filter=filter_to_proto(model.events.filter),
        half_life_days=model.half_life_days,
    )


def model_from_proto(message: pb.InterestModel) -> InterestModel:
    """The model of core. Raises INVALID / INTEREST_MODEL with the path of the first field that is wrong; whether its
    events exist and its filter fits them is for binding to say."""
    if not message.parameter:
        raise _wrong("parameter", "name a parameter of the events")
    if not 1 <= len(message.weights) <= _MOST_EVENTS:
        raise _wrong("weights", f"name 1 to {_MOST_EVENTS} events")
    names = tuple(one.event for one in message.weights)
    for number, one in enumerate(message.weights):
        if not one.event or one.event.endswith("*") or names.index(one.event) != number:
            raise _wrong(f"weights[{number}].event", "name each type of event once, without *")
        if not 1 <= one.weight <= MAX_WEIGHT:
            raise _wrong(f"weights[{number}].weight", f"a weight is 1 to {MAX_WEIGHT}")
    half_life_days = message.half_life_days or _HALF_LIFE_DAYS
    if half_life_days > MAX_HALF_LIFE_DAYS:
        raise _wrong("half_life_days", f"a half-life is 1 to {MAX_HALF_LIFE_DAYS} days")
    if len(message.filter) > _MOST_FILTER:
        raise _wrong("filter", f"a filter has at most {_MOST_FILTER} nodes")
    tree = filter_from_proto(message.filter)
    if tree:
        check_filter(tree, "model.filter")
    weights = tuple(one.weight for one in message.weights)
    return InterestModel(message.name, message.parameter, EventSelection(names, tree), weights, half_life_days)


def attributes_to_proto(found: Iterable[Mapping[str, Scalar]]) -> list[pb.ContactAttributes]:
    """Of each contact."""
    return [
        pb.ContactAttributes(attributes={name: _value_to_proto(value) for name, value in one.items()}) for one in found
    ]


def _value_to_proto(value: Scalar) -> facts_pb2.Value:
    """Sums past 64 bits as decimal texts: exact all the same."""
    raw = value.units if isinstance(value, DecimalUnits) else value
    if isinstance(raw, int) and not MIN_INTEGER <= raw <= MAX_INTEGER:
        return facts_pb2.Value(decimal=str(value))
    return value_to_proto(value)


def interests_to_proto(found: Iterable[Iterable[Scored]]) -> list[pb.ContactInterests]:
    """Of each contact."""
    return [
        pb.ContactInterests(interests=[pb.ScoredInterest(value=one.value, score_units=one.units) for one in scored])
        for scored in found
    ]


def _wrong(path: str, text: str) -> CdpError:
    return invalid("INTEREST_MODEL", f"{path}: {text}", Violation(f"model.{path}", text))
