"""Answers of core as messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from cdp.facts.v1 import facts_pb2
from cdp.segment.v1 import segment_pb2
from core.errors import invalid
from core.index.contact_set import ContactSet
from core.index.root import Root
from core.query.ast import Rule
from core.query.binding.bind import references
from core.query.execute import Counts
from core.query.text.format import format_rule
from core.query.text.parse import parse
from core.schema import Kind, Scalar
from core.segments.changes import BulkChange, Cause, Change, MembershipChange
from services.runtime.definitions import Stored
from services.runtime.facts import scalar_from_proto
from services.segment_engine.convert_rule import rule_from_proto, rule_to_proto
from services.segment_engine.saved import SegmentDefinition

#: Membership records of one log entry.
_ENTRY_RECORDS = 2_000


def source_to_rule(source: segment_pb2.RuleSource) -> Rule:
    """The rule of a request in whichever form it came. INVALID / NO_RULE when it has none."""
    match source.WhichOneof("form"):
        case "text":
            return parse(source.text)
        case "tree":
            return rule_from_proto(source.tree)
        case None:
            raise invalid("NO_RULE", "give the rule as `text` or as `tree`")


def count_to_proto(counts: Counts) -> segment_pb2.SetCount:
    """Sizes on the wire."""
    return segment_pb2.SetCount(total=counts.total, known=counts.known, reachable=counts.reachable)


def parameters_to_proto(parameters: Mapping[str, Kind]) -> list[segment_pb2.ParameterInfo]:
    """Parameters by name."""
    return [
        segment_pb2.ParameterInfo(name=name, kind=facts_pb2.Kind.ValueType(kind))
        for name, kind in sorted(parameters.items())
    ]


def parameters_from_proto(messages: Mapping[str, facts_pb2.Value]) -> dict[str, Scalar]:
    """Values of parameters; a missing value is left out, so that it is refused by name."""
    values = {name: scalar_from_proto(message) for name, message in messages.items()}
    return {name: value for name, value in values.items() if value is not None}


def segment_to_proto(
    stored: Stored, parameters: Mapping[str, Kind], shown: Callable[[Rule], Rule]
) -> segment_pb2.Segment:
    """One version of a segment; `shown` gives its rule the names that people see."""
    definition = SegmentDefinition.decode(stored.payload)
    rule = shown(definition.rule)
    return segment_pb2.Segment(
        revision=stored.revision.to_proto(),
        text=format_rule(rule),
        tree=rule_to_proto(rule),
        parameters=parameters_to_proto(parameters),
        references=references(definition.rule),
        description=definition.description,
    )


def changes_to_entries(changes: Iterable[Change], root: Root, profile_position: int) -> Iterator[bytes]:
    """Changes as payloads of the membership log, in order, each a WatchResponse without position and epoch."""
    entry = segment_pb2.WatchResponse(profile_position=profile_position)
    for change in changes:
        if isinstance(change, BulkChange):
            entry.bulk.append(_bulk_to_proto(change))
        else:
            entry.memberships.append(_change_to_proto(change, root))
        if len(entry.memberships) + len(entry.bulk) >= _ENTRY_RECORDS:
            yield entry.SerializeToString()
            entry = segment_pb2.WatchResponse(profile_position=profile_position)
    if entry.memberships or entry.bulk:
        yield entry.SerializeToString()


def entry_to_changes(payload: bytes) -> Iterator[Change]:
    """The changes of an entry, as far as histories need them: who entered or left which segment when."""
    entry = segment_pb2.WatchResponse.FromString(payload)
    for one in entry.memberships:
        yield MembershipChange(
            contact=one.contact,
            segment=one.segment,
            version=one.version,
            entered=one.change == segment_pb2.CHANGE_ENTERED,
            effective_at_us=one.effective_at_us,
            recorded_at_us=one.recorded_at_us,
            cause=Cause(one.cause),
            witness=tuple(one.witness_event_ids),
        )
    for bulk in entry.bulk:
        entered, left = (ContactSet.deserialize(data) for data in (bulk.entered_roaring, bulk.left_roaring))
        yield BulkChange(bulk.segment, bulk.version, entered, left, bulk.recorded_at_us, Cause(bulk.cause))


def _change_to_proto(change: MembershipChange, root: Root) -> segment_pb2.Membership:
    return segment_pb2.Membership(
        contact=change.contact,
        key=root.key_of(change.contact),
        segment=change.segment,
        version=change.version,
        change=segment_pb2.CHANGE_ENTERED if change.entered else segment_pb2.CHANGE_LEFT,
        effective_at_us=change.effective_at_us,
        recorded_at_us=change.recorded_at_us,
        cause=segment_pb2.Cause.ValueType(change.cause),
        witness_event_ids=change.witness,
    )


def _bulk_to_proto(change: BulkChange) -> segment_pb2.BulkMembership:
    return segment_pb2.BulkMembership(
        segment=change.segment,
        version=change.version,
        entered_roaring=change.entered.serialize(),
        left_roaring=change.left.serialize(),
        recorded_at_us=change.recorded_at_us,
        cause=segment_pb2.Cause.ValueType(change.cause),
    )
