"""The independent reading of the segment language: plain dicts, slow and obviously right, nothing of core.

Facts are dicts in log order; `contact` is a number and instants are UTC microseconds:

    {"fact": "contact", "contact": 3, "key": "c-3", "known": True, "reachable": 1, "occurred_at": 0}
    {"fact": "event", "contact": 3, "id": "e1", "type": "product_viewed", "occurred_at": 0, "params": {"p": value},
     "items": [{"p": value}], "machine": False}
    {"fact": "attribute", "contact": 3, "name": "city", "value": value or None, "occurred_at": 0}
    {"fact": "list", "contact": 3, "name": "staff", "member": True, "occurred_at": 0}
    {"fact": "merge", "survivor": 3, "loser": 4}
    {"fact": "unmerge", "survivor": 3, "restored": 4, "parts": {4}, "item": 0}
    {"fact": "erase", "contact": 3}
    {"fact": "mark", "contact": 3, "events": {("e1", 0)}}
    {"fact": "product", "product": "p1", "fields": {"stock": 1}, "occurred_at": 0}

Events, attributes and lists have a "part": the contact that they would be of without merges. Attributes and lists of
the "item" of an unmerge that follow it tell what was told before.

Values are str, bool, int, Decimal, date, ("instant", us), ("location", (latitude, longitude) in 1e-7 degrees), and
lists of texts or of dicts of scalars; None is missing. A rule is {"scope": "known", "root": condition}, with a "base"
and a "limit" where it has them. A condition (and a node of a filter) is a dict whose "is" says what it is; "node",
where given, is the number under which `node_members` reports it. Operands are {"value": v}, {"parameter": name},
{"attribute": name}, {"attribute at event": name} or {"step": name, "path": p}. tests/generators/plain.py makes all of
these from core's forms. Sentences in quotes are semantics.md's.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

from tests.oracle.calendar import zone_of
from tests.oracle.facts import Contact, Plain, fold_facts, fold_products
from tests.oracle.filters import joined
from tests.oracle.limits import limited
from tests.oracle.row import Row

#: What a workspace decides once for all its rules: its id, the stock at which a product runs low, its RFM models.
SETTING: Plain = {"workspace": "", "low_stock": 5, "rfm": {}, "interests": {}}


class Oracle:
    """Answers about one list of facts. `zone` is the workspace's; `segments` are saved rules by name; `histories` are
    recorded memberships: segment -> contact -> [(instant, entered)] in order; `computed` are attributes that are
    measures."""

    def __init__(
        self,
        facts: Iterable[Plain],
        zone: str,
        segments: Mapping[str, Plain] | None = None,
        setting: Plain = SETTING,
        histories: Mapping[str, Mapping[int, list[tuple[int, bool]]]] | None = None,
        computed: Mapping[str, Plain] | None = None,
    ) -> None:
        facts = list(facts)
        self.contacts = fold_facts(facts)
        self.products = fold_products(facts)
        self.segments = segments or {}
        self.setting = setting
        self.histories = histories or {}
        self.computed = computed or {}
        workspace = zone_of(zone)
        assert workspace is not None, zone
        self.workspace = workspace
        self._known: dict[Hashable, tuple[Any, Any]] = {}

    def members(self, rule: Plain, as_of: int, parameters: Mapping[str, Any] | None = None) -> set[int]:
        """Who is in the segment at `as_of`."""
        rows = self.rows(rule, as_of, parameters or {})
        found = {row.contact.number for row in rows if row.is_in(rule["root"])}
        return limited(self, rule, found, as_of, parameters or {})

    def node_members(self, rule: Plain, as_of: int, parameters: Mapping[str, Any] | None = None) -> dict[int, set[int]]:
        """For each condition of the rule that has a "node": who satisfies it, of the rule's scope, before its limit."""
        rows = self.rows(rule, as_of, parameters or {})
        found: dict[int, set[int]] = {}

        def satisfies(row: Row, condition: Plain) -> bool:
            if "of" not in condition:
                return row.is_in(condition)
            return joined(condition, lambda part: row.contact.number in found[part["node"]])

        stack, order = [rule["root"]], []
        while stack:
            order.append(stack.pop())
            stack += order[-1].get("of", [])
        for condition in reversed(order):  # parts before the whole
            found[condition["node"]] = {row.contact.number for row in rows if satisfies(row, condition)}
        return found

    def within_limit(
        self, rule: Plain, members: set[int], as_of: int, parameters: Mapping[str, Any] | None = None
    ) -> set[int]:
        """Those of the members that the rule's limit leaves."""
        return limited(self, rule, members, as_of, parameters or {})

    def counts(self, members: Iterable[int]) -> tuple[int, int, int]:
        """ "Counts give total, known and reachable." """
        found = [self.contacts[m] for m in members]
        return len(found), sum(c.known for c in found), sum(c.reachable != 0 for c in found)

    def rows(self, population: Plain, as_of: int, parameters: Mapping[str, Any]) -> list[Row]:
        """The contacts "in the scope", and in its base, at `as_of`."""
        rows = (Row(self, contact, as_of, parameters, population) for contact in self.contacts.values())
        return [row for row in rows if row.in_scope()]

    def known(self, key: Hashable, kept: object, find: Callable[[], Any]) -> Any:
        """`find()`, found once: numbers of a population are the same for all its contacts. `kept` is what `key` names
        by its identity, so it must live as long."""
        if key not in self._known:
            self._known[key] = (find(), kept)
        return self._known[key][0]


__all__ = ["SETTING", "Contact", "Oracle", "Plain"]
