"""Cohorts: who came, or did something, first in a period."""

from __future__ import annotations

from core.index.contact_set import ContactSet
from core.query.ast import InCohort, Zone
from core.query.execute_context import Context
from core.query.leaves.first_events import first_instants, first_within
from core.query.leaves.leaf_result import LeafResult
from core.query.windows import LEAST, zone_of


def cohort_leaf(condition: InCohort, context: Context) -> LeafResult:
    """Contacts whose first event ever, or whose earliest fact, lies in the window."""
    if condition.events is None:
        return LeafResult(_added(condition, context))
    if zone_of(condition.window) is not Zone.CONTACT:
        return first_within(condition.events, context.interval(condition.window), context)
    contacts, instants = first_instants(condition.events, context)
    held = context.in_window(condition.window, instants, contacts, dates=False)
    return LeafResult(ContactSet.from_numbers(contacts[held]))


def _added(condition: InCohort, context: Context) -> ContactSet:
    """Contacts whose earliest fact lies in the window."""
    root, candidates = context.root, context.candidates
    if zone_of(condition.window) is Zone.CONTACT:
        contacts = root.exists(context.as_of_us, candidates).numbers()
        instants = root.contacts.earliest_of(contacts)
        return ContactSet.from_numbers(contacts[context.in_window(condition.window, instants, contacts, dates=False)])
    interval = context.interval(condition.window)
    until_us = min(interval.until - 1, context.as_of_us)
    if interval.start > until_us:
        return ContactSet.empty()
    inside = root.exists(until_us, candidates)
    return inside if interval.start <= LEAST else inside - root.exists(interval.start - 1, candidates)
