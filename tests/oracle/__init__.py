"""The independent reading of the segment language: plain dicts, slow and obviously right, nothing of core.

Facts are dicts in log order; `contact` is a number and instants are UTC microseconds:

    {"fact": "contact", "contact": 3, "known": True, "reachable": 1, "occurred_at": 0}
    {"fact": "event", "contact": 3, "id": "e1", "type": "product_viewed", "occurred_at": 0, "params": {"p": value},
     "items": [{"p": value}], "machine": False}
    {"fact": "attribute", "contact": 3, "name": "city", "value": value or None, "occurred_at": 0}
    {"fact": "list", "contact": 3, "name": "staff", "member": True, "occurred_at": 0}
    {"fact": "merge", "survivor": 3, "loser": 4}
    {"fact": "erase", "contact": 3}

Values are str, bool, int, Decimal, date, ("instant", us), and lists of texts or of dicts of scalars; None is missing.
A rule is {"scope": "known", "root": condition}. A condition (and a node of a filter) is a dict whose "is" says what it
is; "node", where given, is the number under which `node_members` reports it. Operands are {"value": v},
{"parameter": name} or {"attribute": name}. tests/generators/plain.py makes all of these from core's forms.
Sentences in quotes are semantics.md's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tests.oracle.calendar import zone_of
from tests.oracle.facts import Plain, fold_facts
from tests.oracle.row import Row, in_scope


class Oracle:
    """Answers about one list of facts. `zone` is the workspace's; `segments` are saved rules by name."""

    def __init__(self, facts: Iterable[Plain], zone: str, segments: Mapping[str, Plain] | None = None) -> None:
        self.contacts = fold_facts(facts)
        self.segments = segments or {}
        workspace = zone_of(zone)
        assert workspace is not None, zone
        self.workspace = workspace

    def members(self, rule: Plain, as_of: int, parameters: Mapping[str, Any] | None = None) -> set[int]:
        """Who is in the segment at `as_of`."""
        return self._where(rule, rule["root"], as_of, parameters or {})

    def node_members(self, rule: Plain, as_of: int, parameters: Mapping[str, Any] | None = None) -> dict[int, set[int]]:
        """For each condition of the rule that has a "node": who satisfies it, of the rule's scope."""
        found: dict[int, set[int]] = {}
        stack = [rule["root"]]
        while stack:
            condition = stack.pop()
            found[condition["node"]] = self._where(rule, condition, as_of, parameters or {})
            stack += condition.get("of", [])
        return found

    def counts(self, members: Iterable[int]) -> tuple[int, int, int]:
        """ "Counts give total, known and reachable." """
        found = [self.contacts[m] for m in members]
        return len(found), sum(c.known for c in found), sum(c.reachable != 0 for c in found)

    def _where(self, rule: Plain, condition: Plain, as_of: int, parameters: Mapping[str, Any]) -> set[int]:
        return {
            number
            for number, contact in self.contacts.items()
            if in_scope(contact, rule["scope"], as_of) and Row(self, contact, as_of, parameters).is_in(condition)
        }
