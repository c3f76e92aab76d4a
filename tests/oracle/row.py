"""One contact, one instant, one condition: true or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tests.oracle import computed, events, history, messages, population, rfm, rhythm, sequences
from tests.oracle.calendar import on_the_clock
from tests.oracle.facts import Contact, Plain
from tests.oracle.filters import Around, joined, passes
from tests.oracle.limits import bucket
from tests.oracle.products import suits_products
from tests.oracle.values import holds, literal
from tests.oracle.windows import interval, zone

if TYPE_CHECKING:
    from tests.oracle import Oracle

_CHANNELS = ("email", "web_push", "mobile_push", "sms", "messenger", "webhook", "inbox", "popup")


class Row:
    """One contact at one instant under one binding of parameters: is a condition true of it? `rule` is the one that
    the conditions stand in, for its scope and base."""

    def __init__(
        self, oracle: Oracle, contact: Contact, as_of: int, parameters: Mapping[str, Any], rule: Plain
    ) -> None:
        self.oracle = oracle
        self.contact = contact
        self.as_of = as_of
        self.parameters = parameters
        self.rule = rule
        # "A fact takes part when occurred_at <= as_of".
        self.events = [e for e in contact.events if e["occurred_at"] <= as_of]

    def in_scope(self) -> bool:
        """ "`known` (default: has an external id, email, phone, push token or messenger id), `anonymous`, or `all`,
        optionally one base"."""
        if self.contact.earliest > self.as_of:
            return False
        if self.rule["scope"] != "all" and self.contact.known != (self.rule["scope"] == "known"):
            return False
        base = self.rule.get("base")
        return base is None or base in (self.attribute("bases") or [])

    def at(self, as_of: int) -> Row:
        """The same contact at another instant."""
        return Row(self.oracle, self.contact, as_of, self.parameters, self.rule)

    def is_in(self, condition: Plain) -> bool:
        """Whether the contact, which is in the scope, satisfies the condition."""
        match condition["is"]:
            case "everyone":
                return True
            case "attribute":
                return passes(self, condition["test"], Around(self.attribute))
            case "list":
                return self.contact.on_list(condition["name"], self.as_of)
            case "segment":
                return self._in_segment(condition)
            case "reachable":
                wanted = condition["channels"] or _CHANNELS
                return any(self.contact.reachable >> _CHANNELS.index(name) & 1 for name in wanted)
            case "bucket":
                return bool(condition["low"] <= bucket(self, condition["salt"]) <= condition["high"])
            case "count":
                return events.counted(self, condition)
            case "aggregate":
                return events.aggregated(self, condition)
            case "first time":
                return events.first_time(self, condition)
            case "picked":
                return events.picked(self, condition)
            case "cohort":
                return events.in_cohort(self, condition)
            case "messages":
                return messages.counted(self, condition)
            case "stopped" | "restarted" | "regularly" | "trend":
                return rhythm.beats(self, condition)
            case "sequence":
                return sequences.happened(self, condition)
            case "has been" | "changed" | "was in" | "has been in":
                return history.was_so(self, condition)
            case "measure":
                value = computed.value_of(self, condition["measure"])
                return passes(self, condition["test"], Around(lambda _name: value))
            case "population":
                return population.stands(self, condition)
            case "rfm" | "rfm moved":
                return rfm.placed(self, condition)
        return joined(condition, self.is_in)

    def attribute(self, name: str) -> Any:
        """The contact's value "as of as_of"; of a computed attribute, what is computed then."""
        if name in self.oracle.computed:
            return computed.value_of(self, self.oracle.computed[name])
        return self.contact.attribute(name, self.as_of)

    def operand(self, operand: Plain, event: Plain | None = None, steps: Mapping[str, Plain] | None = None) -> Any:
        """ "Cross reference compares with the attribute as of as_of; `attribute x at the event` with its value
        then."; an operand of a step is a parameter of the event that the step has matched."""
        if "attribute" in operand:
            return self.attribute(operand["attribute"])
        if "attribute at event" in operand:
            assert event is not None
            return self.contact.attribute(operand["attribute at event"], event["occurred_at"])
        if "step" in operand:
            assert steps is not None
            return steps[operand["step"]]["params"].get(operand["path"])
        return literal(self.parameters[operand["parameter"]] if "parameter" in operand else operand["value"])

    def compared(self, condition: Plain, value: Any) -> bool:
        """A counted or computed value against the condition's operands."""
        return holds(condition["op"], value, [self.operand(o) for o in condition["operands"]])

    def selected(self, selection: Plain, same: tuple[str, Any] | None = None) -> list[Plain]:
        """The events that the words pick, in their total order: "(occurred_at, event id as UTF-8 bytes, log order)"."""
        bounds = interval(self, selection["window"])
        if bounds is None:
            return []
        inside = [event for event in self.events if bounds[0] <= event["occurred_at"] < bounds[1]]
        found = [event for event in inside if self.selects(selection, event, same)]
        return sorted(found, key=lambda e: (e["occurred_at"], e["id"].encode(), e["log"]))

    def selects(
        self,
        selection: Plain,
        event: Plain,
        same: tuple[str, Any] | None = None,
        steps: Mapping[str, Plain] | None = None,
    ) -> bool:
        """Whether the words pick the event, their window apart. "An event may be a list ... or a name prefix";
        "machine events count nowhere unless asked for"."""
        kind = event["type"]
        if not any(kind.startswith(n[:-1]) if n.endswith("*") else kind == n for n in selection["names"]):
            return False
        if event["machine"] and not selection["with_machines"]:
            return False
        moments = selection["moments"]
        if moments is not None and not on_the_clock(event["occurred_at"], zone(self, moments["zone"]), moments):
            return False
        if selection["products"] and not suits_products(self, selection["products"], event, same):
            return False
        around = Around(events.reader(event), same=same, event=event, steps=steps or {})
        return selection["filter"] is None or passes(self, selection["filter"], around)

    def _in_segment(self, condition: Plain) -> bool:
        """ "a referred segment is evaluated in its own scope, then intersected"; "a reference to a parametric segment
        binds all its parameters"."""
        target = self.oracle.segments[condition["name"]]
        bound = {**self.parameters, **{name: self.operand(o) for name, o in condition["arguments"].items()}}
        if target.get("limit") is not None:
            given = tuple(sorted(bound.items()))
            key = ("segment", condition["name"], self.as_of, given)
            return self.contact.number in self.oracle.known(
                key, target, lambda: self.oracle.members(target, self.as_of, bound)
            )
        row = Row(self.oracle, self.contact, self.as_of, bound, target)
        return row.in_scope() and row.is_in(target["root"])
