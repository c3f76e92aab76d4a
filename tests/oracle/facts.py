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
        #: This contact and each that was merged into it, by number: the changes of lists that it has seen.
        self.parts: dict[int, list[Plain]] = {number: []}

    def absorb(self, loser: Contact) -> None:
        """ "The survivor is re-evaluated on the union; attributes by latest occurred_at, lists unite"."""
        self.earliest = min(self.earliest, loser.earliest)
        self.events += loser.events
        self.writes += loser.writes
        self.parts |= loser.parts

    def side(self, number: int, parts: set[int]) -> Contact:
        """ "Unmerge re-partitions all facts, later ones included, by the identifier they came with": the contact that
        has those of `parts`. What it is now is told anew."""
        found = Contact(number)
        found.events = [event for event in self.events if event["part"] in parts]
        found.writes = [write for write in self.writes if write["part"] in parts]
        found.parts = {
            part: [change for change in seen if change["part"] in parts]
            for part, seen in self.parts.items()
            if part in parts
        }
        changes = [change for seen in found.parts.values() for change in seen]
        found.earliest = min((f["occurred_at"] for f in (*found.events, *found.writes, *changes)), default=_NEVER)
        return found

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
        for part in self.parts.values():
            past = [c for c in part if c["name"] == name and c["occurred_at"] <= as_of]
            if past and max(past, key=lambda c: (c["occurred_at"], c["log"]))["member"]:
                return True
        return False


def fold_facts(facts: Iterable[Plain]) -> dict[int, Contact]:
    """The contacts after all facts. "Erased and merged-away contacts are in no answer.": they are not here."""
    contacts: dict[int, Contact] = {}
    anew: int | None = None
    for log, fact in enumerate(facts):
        if anew is not None and fact["fact"] in ("attribute", "list") and fact.get("item", 0) == anew:
            continue  # what an unmerge tells anew was told before
        if fact["fact"] != "contact":
            anew = None
        if fact["fact"] == "unmerge":
            whole, theirs, anew = contacts[fact["survivor"]], fact["parts"], fact["item"]
            contacts[fact["survivor"]] = whole.side(fact["survivor"], whole.parts.keys() - theirs)
            contacts[fact["restored"]] = whole.side(fact["restored"], theirs)
            continue
        if fact["fact"] == "erase":
            contacts.pop(fact["contact"], None)
            continue
        if fact["fact"] == "merge":
            loser = contacts.pop(fact["loser"], Contact(fact["loser"]))
            contacts.setdefault(fact["survivor"], Contact(fact["survivor"])).absorb(loser)
            continue
        if fact["fact"] == "product":
            continue
        if fact["fact"] == "mark":  # "a later mark applies to the past"
            for event in contacts[fact["contact"]].events if fact["contact"] in contacts else ():
                event["machine"] = event["machine"] or (event["id"], event["occurred_at"]) in fact["events"]
            continue
        contact = contacts.setdefault(fact["contact"], Contact(fact["contact"]))
        fact = {"part": fact["contact"], **fact}
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
                for part in contact.parts.values():
                    part.append({**fact, "log": log})
    return contacts


def fold_products(facts: Iterable[Plain]) -> dict[str, list[Plain]]:
    """The catalogue: what was said of each product, in log order."""
    products: dict[str, list[Plain]] = {}
    for log, fact in enumerate(facts):
        if fact["fact"] == "product":
            products.setdefault(fact["product"], []).append({**fact, "log": log})
    return products
