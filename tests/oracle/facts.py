"""Contacts, folded from facts in log order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Plain = dict[str, Any]
_NEVER = 10**30


class Contact:
    """All that is known of one contact, in log order, whatever its instant."""

    def __init__(self, number: int) -> None:
        self.number = number
        #: The public id: opaque text, "" until unification has told it.
        self.key = ""
        self.earliest = _NEVER
        self.known = False
        self.reachable = 0
        self.events: list[Plain] = []
        self.writes: list[Plain] = []
        #: For each of the contacts that were merged into this one: the changes of lists that it has seen.
        self.parts: list[list[Plain]] = [[]]

    def absorb(self, loser: Contact) -> None:
        """ "The survivor is re-evaluated on the union; attributes by latest occurred_at, lists unite"."""
        self.earliest = min(self.earliest, loser.earliest)
        self.events += loser.events
        self.writes += loser.writes
        self.parts += loser.parts

    def attribute(self, name: str, as_of: int) -> Any:
        """ "An attribute is a step function over occurred_at; late writes insert." Of one instant the last counts."""
        past = [w for w in self.writes if w["name"] == name and w["occurred_at"] <= as_of]
        return max(past, key=lambda w: (w["occurred_at"], w["log"]))["value"] if past else None

    def attribute_steps(self, name: str, as_of: int) -> list[tuple[int, Any]]:
        """(instant, value from then on), ascending, one for each instant of a write at or before `as_of`."""
        instants = {w["occurred_at"] for w in self.writes if w["name"] == name and w["occurred_at"] <= as_of}
        return [(us, self.attribute(name, us)) for us in sorted(instants)]

    def on_list(self, name: str, as_of: int) -> bool:
        """ "lists unite": on it by the latest change of some part; after a merge a change speaks of every part."""
        for part in self.parts:
            past = [c for c in part if c["name"] == name and c["occurred_at"] <= as_of]
            if past and max(past, key=lambda c: (c["occurred_at"], c["log"]))["member"]:
                return True
        return False


def fold_facts(facts: Iterable[Plain]) -> dict[int, Contact]:
    """The contacts after all facts. "Erased and merged-away contacts are in no answer.": they are not here."""
    contacts: dict[int, Contact] = {}
    for log, fact in enumerate(facts):
        if fact["fact"] == "erase":
            contacts.pop(fact["contact"], None)
            continue
        if fact["fact"] == "merge":
            loser = contacts.pop(fact["loser"], Contact(fact["loser"]))
            contacts.setdefault(fact["survivor"], Contact(fact["survivor"])).absorb(loser)
            continue
        if fact["fact"] == "product":
            continue
        contact = contacts.setdefault(fact["contact"], Contact(fact["contact"]))
        # "A contact exists from its earliest fact, dated attribute writes included."
        contact.earliest = min(contact.earliest, fact["occurred_at"])
        match fact["fact"]:
            case "contact":
                contact.known, contact.reachable = fact["known"], fact["reachable"]
                contact.key = fact.get("key", "")
            case "event":
                contact.events.append({**fact, "log": log})
            case "attribute":
                contact.writes.append({**fact, "log": log})
            case "list":
                for part in contact.parts:
                    part.append({**fact, "log": log})
    return contacts


def fold_products(facts: Iterable[Plain]) -> dict[str, list[Plain]]:
    """The catalogue: what was said of each product, in log order."""
    products: dict[str, list[Plain]] = {}
    for log, fact in enumerate(facts):
        if fact["fact"] == "product":
            products.setdefault(fact["product"], []).append({**fact, "log": log})
    return products
