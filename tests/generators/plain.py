"""Core's facts, rules, settings and histories as the oracle's plain dicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import singledispatch

from core.events.columns import MACHINE
from core.events.facts import (
    AttributeWrite,
    ContactState,
    Erasure,
    ListChange,
    MachineMark,
    Merge,
    ProductState,
    Unmerge,
)
from core.query.ast import Limit, Rule
from core.query.interest_model import InterestModel
from core.query.knowledge import MembershipHistory
from core.query.names import Setting
from core.query.rfm_model import Axis, RfmModel
from tests.generators.plain_conditions import nested_rule, plain_measure
from tests.generators.plain_parts import Plain, plain_filter, plain_selection, plain_value
from tests.generators.world import Happened, Logged

__all__ = ["plain_facts", "plain_histories", "plain_rule", "plain_setting", "plain_value"]


def plain_facts(log: Iterable[Logged]) -> list[Plain]:
    """The log, line by line."""
    return [_fact(line) for line in log]


def plain_rule(rule: Rule) -> Plain:
    """The rule as a nested dict; every condition carries its number as "node"."""
    limit = None if rule.limit is None else _limit(rule.limit)
    return {"scope": rule.scope.value, "base": rule.base, "limit": limit, "root": nested_rule(rule.nodes)}


def plain_setting(setting: Setting) -> Plain:
    """What a workspace decides for all its rules."""
    models = {name: _model(model) for name, model in setting.rfm.items()}
    interests = {name: _interest(model) for name, model in setting.interests.items()}
    return {"workspace": setting.workspace, "low_stock": setting.low_stock, "rfm": models, "interests": interests}


def plain_histories(histories: Mapping[str, MembershipHistory]) -> dict[str, dict[int, list[tuple[int, bool]]]]:
    """Recorded memberships by segment and contact."""
    found: dict[str, dict[int, list[tuple[int, bool]]]] = {}
    for name, history in histories.items():
        mine = found.setdefault(name, {})
        columns = (history.contacts.tolist(), history.at_us.tolist(), history.entered.tolist())
        for contact, at_us, entered in zip(*columns, strict=True):
            mine.setdefault(contact, []).append((at_us, entered))
    return found


def _limit(limit: Limit) -> Plain:
    by = None if limit.by is None else plain_measure(limit.by)
    return {"count": limit.count, "by": by, "smallest": limit.smallest, "salt": limit.salt}


def _model(model: RfmModel) -> Plain:
    return {
        "events": plain_selection(model.events),
        "value_path": model.value_path,
        "period_us": model.period_us,
        "recency": _axis(model.recency),
        "frequency": _axis(model.frequency),
        # Bounds of money are units of 1e-4.
        "monetary": _axis(model.monetary, 10_000),
        "cells": [
            {"name": c.name, "recency": c.recency, "frequency": c.frequency, "monetary": c.monetary}
            for c in model.cells
        ],
    }


def _interest(model: InterestModel) -> Plain:
    return {
        "parameter": model.parameter,
        "weights": dict(zip(model.events.names, model.weights, strict=True)),
        "filter": plain_filter(model.events.filter),
        "half_life": model.half_life_days,
    }


def _axis(axis: Axis, scale: int = 1) -> Plain:
    bounds = None if axis.bounds is None else [Fraction(bound, scale) for bound in axis.bounds]
    return {"bins": axis.bins, "bounds": bounds}


@singledispatch
def _fact(line: Logged) -> Plain:
    raise TypeError(type(line).__name__)


@_fact.register
def _(line: Happened) -> Plain:
    event = line.event
    # Columns cannot tell an empty list from a missing one, so events carry none.
    assert () not in event.params.values()
    return {
        "fact": "event",
        "contact": line.contact,
        "id": event.id,
        "type": event.type,
        "occurred_at": event.occurred_at_us,
        "params": plain_value(event.params),
        "items": plain_value(event.items),
        "machine": bool(event.flags & MACHINE),
        "part": line.contact if line.part is None else line.part,
    }


@_fact.register
def _(line: ContactState) -> Plain:
    return {
        "fact": "contact",
        "contact": line.contact,
        "key": line.key,
        "known": line.known,
        "reachable": line.reachable,
        "occurred_at": line.occurred_at_us,
    }


@_fact.register
def _(line: MachineMark) -> Plain:
    return {"fact": "mark", "contact": line.contact, "events": {(one.id, one.occurred_at_us) for one in line.events}}


@_fact.register
def _(line: AttributeWrite) -> Plain:
    return {
        "fact": "attribute",
        "contact": line.contact,
        "name": line.name,
        "value": plain_value(line.value),
        "part": line.part or line.contact,
        "item": line.item,
        "occurred_at": line.occurred_at_us,
    }


@_fact.register
def _(line: ListChange) -> Plain:
    return {
        "fact": "list",
        "contact": line.contact,
        "name": line.list_name,
        "member": line.member,
        "part": line.part or line.contact,
        "item": line.item,
        "occurred_at": line.occurred_at_us,
    }


@_fact.register
def _(line: Merge) -> Plain:
    return {"fact": "merge", "survivor": line.survivor, "loser": line.loser}


@_fact.register
def _(line: Unmerge) -> Plain:
    parts = {line.restored, *line.parts}
    return {"fact": "unmerge", "survivor": line.survivor, "restored": line.restored, "parts": parts, "item": line.item}


@_fact.register
def _(line: Erasure) -> Plain:
    return {"fact": "erase", "contact": line.contact}


@_fact.register
def _(line: ProductState) -> Plain:
    return {
        "fact": "product",
        "product": line.product_id,
        "fields": plain_value(line.fields),
        "occurred_at": line.occurred_at_us,
    }
