"""A log written by hand, for tests of the index and of evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from core.events.columns import Event, EventColumns, EventColumnsBuilder
from core.events.facts import AttributeWrite, ContactFact, ContactState, Erasure, ListChange, Merge, ProductState
from core.index.index import Index
from core.index.root import Root
from core.query.ast import (
    AttributeAtEvent,
    AttributeOperand,
    Literal,
    Node,
    Operand,
    Parameter,
    Rule,
    Scope,
    StepOperand,
)
from core.query.execute import evaluate
from core.query.names import BoundRule
from core.schema import DecimalUnits, Kind, Scalar

_OPERANDS = (Literal, Parameter, AttributeOperand, AttributeAtEvent, StepOperand)


class SmallWorld:
    """Facts in log order; every call appends one. Contacts are known and exist since instant 0 unless said."""

    def __init__(self) -> None:
        self.log: list[tuple[int, Event] | ContactFact] = []
        self._events = 0

    def contacts(self, *numbers: int, known: bool = True, reachable: int = 1, at_us: int = 0) -> SmallWorld:
        self.log += [ContactState(n, f"key-{n}", known, reachable, at_us, 0) for n in numbers]
        return self

    def event(
        self,
        contact: int,
        event_type: str,
        at_us: int,
        params: Mapping[str, Any] | None = None,
        items: tuple[Mapping[str, Any], ...] = (),
        event_id: str | None = None,
        flags: int = 0,
    ) -> SmallWorld:
        self._events += 1
        name = event_id or f"e{self._events}"
        self.log.append((contact, Event(name, event_type, at_us, at_us, (), params or {}, items, flags)))
        return self

    def attribute(self, contact: int, name: str, value: Any, at_us: int = 0) -> SmallWorld:
        self.log.append(AttributeWrite(contact, name, value, at_us, False, 0))
        return self

    def product(self, product_id: str, at_us: int = 0, **fields: Scalar) -> SmallWorld:
        """From `at_us` on the product has these fields; none delete it."""
        self.log.append(ProductState(product_id, fields, at_us, 0))
        return self

    def on_list(self, contact: int, name: str, member: bool, at_us: int = 0) -> SmallWorld:
        self.log.append(ListChange(contact, name, member, at_us, False, 0))
        return self

    def merge(self, survivor: int, loser: int) -> SmallWorld:
        self.log.append(Merge(survivor, loser, 0))
        return self

    def erase(self, contact: int) -> SmallWorld:
        self.log.append(Erasure(contact, 0))
        return self

    def index(self, entry_facts: int = 10**9, *, root_each: bool = False) -> Index:
        """The log folded in entries of at most `entry_facts` facts, a root published after each if asked."""
        index = Index()
        for first in range(0, len(self.log), entry_facts):
            apply(index, self.log[first : first + entry_facts], first + 1)
            if root_each:
                index.root()
        return index

    def root(self, entry_facts: int = 10**9, *, root_each: bool = False) -> Root:
        return self.index(entry_facts, root_each=root_each).root()


def apply(index: Index, log: list[tuple[int, Event] | ContactFact], position: int) -> None:
    """Fold a part of a log as one entry."""
    builder = EventColumnsBuilder()
    contacts: list[int] = []
    facts: list[ContactFact] = []
    for fact in log:
        if isinstance(fact, tuple):
            contacts.append(fact[0])
            builder.add(fact[1])
        else:
            facts.append(replace(fact, before_event=len(contacts)))
    columns: EventColumns = replace(builder.build(), contacts=np.array(contacts, np.uint32))
    index.apply(columns, facts, position)


def bound(
    *nodes: Node,
    scope: Scope = Scope.KNOWN,
    zone: str = "UTC",
    parameters: dict[str, Kind] | None = None,
    segments: dict[str, BoundRule] | None = None,
) -> BoundRule:
    return BoundRule(Rule(nodes, scope), parameters or {}, segments or {}, zone)


def members(
    root: Root,
    rule: BoundRule | Node,
    as_of_us: int,
    parameters: Mapping[str, Scalar] | None = None,
    candidates: list[int] | None = None,
) -> set[int]:
    """Who is in the rule; with the whole evaluation checked against that of every contact alone."""
    asked = rule if isinstance(rule, BoundRule) else bound(rule)
    given = None if candidates is None else np.array(candidates, np.uint32)
    found = set(evaluate(asked, root, as_of_us, parameters or {}, given).members)
    for contact in range(root.contact_count) if candidates is None else candidates:
        alone = evaluate(asked, root, as_of_us, parameters or {}, np.array([contact], np.uint32)).members
        assert (contact in alone) == (contact in found), f"contact {contact} alone and among all differ"
    return found


def units(text: str) -> DecimalUnits:
    whole, _, fraction = text.partition(".")
    return DecimalUnits(int(whole) * 10_000 + int(fraction.ljust(4, "0") or 0))


def operands(*values: Scalar | Operand) -> tuple[Operand, ...]:
    return tuple(v if isinstance(v, _OPERANDS) else Literal(v) for v in values)
