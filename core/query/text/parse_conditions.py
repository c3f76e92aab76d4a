"""The leaves of a rule: which kind begins here."""

from __future__ import annotations

from core.query.ast import AttributeCondition, AttributeMeasure, Compare, Condition, Everyone, Span
from core.query.text.parse_comparisons import at_measured, take_comparison_of, take_measure_of, take_measured
from core.query.text.parse_cursor import Cursor
from core.query.text.parse_events import (
    at_picked,
    take_aggregated,
    take_counted,
    take_did,
    take_first_time,
    take_picked,
)
from core.query.text.parse_filters import at_element, take_element
from core.query.text.parse_history import (
    at_changed,
    at_has_been,
    at_reachable,
    at_was_in,
    take_changed,
    take_has_been,
    take_has_been_in,
    take_length_has_been,
    take_membership,
    take_reachable,
    take_was_in,
)
from core.query.text.parse_interest import take_interested, take_timed
from core.query.text.parse_measures import at_aggregate, at_event_time, at_interest, at_number_of
from core.query.text.parse_messages import at_verb, take_message
from core.query.text.parse_population import at_standard, take_bucket, take_cohort, take_rfm, take_standard
from core.query.text.parse_rhythm import at_trend, take_restarted, take_stopped, take_trend
from core.query.text.parse_selections import name_follows
from core.query.text.parse_sequence import at_sequence, take_sequence
from core.query.text.words import RELATIONS


def take_condition(cursor: Cursor, negated: bool) -> tuple[Condition, int]:
    """One leaf, and how many "not"s it took in: a message condition without a count takes the one before it, and
    `was never in` holds one (-1)."""
    if cursor.peek(1).text in RELATIONS and cursor.at_name():
        # The commonest condition, and no other one has a relation for its second word.
        span = cursor.span
        return AttributeCondition(take_comparison_of(cursor, cursor.name("a condition"), span), span=span), 0
    verb = at_verb(cursor)
    if verb is not None:
        return take_message(cursor, verb, negated)
    if at_was_in(cursor):
        return take_was_in(cursor)
    return _condition(cursor), 0


def _condition(cursor: Cursor) -> Condition:
    span = cursor.span
    if cursor.skip("everyone"):
        return Everyone(span=span)
    if cursor.at("did") or cursor.at("never", "did"):
        return take_did(cursor)
    if cursor.skip("never"):
        raise cursor.expected('"did" or a message verb', 'Write "never did order_completed".')
    if cursor.at("in"):
        return take_membership(cursor)
    if cursor.at("has", "been", "in"):
        return take_has_been_in(cursor)
    if at_aggregate(cursor):
        return take_aggregated(cursor)
    return _of_events(cursor) or _of_others(cursor) or _of_attributes(cursor)


def _of_events(cursor: Cursor) -> Condition | None:
    if at_number_of(cursor):
        return take_counted(cursor)
    if cursor.at("first", "time"):
        return take_first_time(cursor)
    if cursor.at("stopped") and name_follows(cursor):
        return take_stopped(cursor)
    if cursor.at("restarted") and name_follows(cursor):
        return take_restarted(cursor)
    if at_sequence(cursor):
        return take_sequence(cursor)
    if at_picked(cursor):
        return take_picked(cursor)
    return take_trend(cursor) if at_trend(cursor) else None


def _of_others(cursor: Cursor) -> Condition | None:
    if cursor.at("rfm", "in", "cell") or (cursor.at("rfm") and name_follows(cursor)):
        return take_rfm(cursor)
    if at_interest(cursor):
        return take_interested(cursor)
    if at_event_time(cursor):
        return take_timed(cursor)
    if cursor.at("cohort", "of"):
        return take_cohort(cursor)
    if cursor.at("random", "bucket"):
        return take_bucket(cursor)
    return take_reachable(cursor) if at_reachable(cursor) else None


def _of_attributes(cursor: Cursor) -> Condition:
    span = cursor.span
    if at_element(cursor):
        return AttributeCondition(take_element(cursor), span=span)
    if cursor.at("length", "of"):
        cursor.skip("length", "of")
        name = cursor.dotted("the name of a list")
        if cursor.skip("has", "been"):
            return take_length_has_been(cursor, take_measure_of(cursor, Compare.LENGTH, name, span))
        return AttributeCondition(take_measure_of(cursor, Compare.LENGTH, name, span), span=span)
    if at_measured(cursor):
        return AttributeCondition(take_measured(cursor), span=span)
    name = cursor.dotted("a condition")
    if at_has_been(cursor):
        return take_has_been(cursor, name, span)
    if at_changed(cursor):
        return take_changed(cursor, name, span)
    if at_standard(cursor):
        return take_standard(cursor, AttributeMeasure(name), span)
    return AttributeCondition(take_comparison_of(cursor, name, span), span=span)


def span_of(condition: Condition) -> Span:
    """Where a condition stands."""
    return condition.span
