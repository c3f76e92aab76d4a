"""One contact, one instant, one condition: true or not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from tests.oracle.calendar import local_date, period_days, start_of, zone_of
from tests.oracle.facts import Contact, Plain
from tests.oracle.values import holds, key, literal

if TYPE_CHECKING:
    from tests.oracle import Oracle

DAY_US = 86_400_000_000


def in_scope(contact: Contact, scope: str, as_of: int) -> bool:
    """ "`known` (default: has an external id, email, phone, push token or messenger id), `anonymous`, or `all`"."""
    return contact.earliest <= as_of and (scope == "all" or contact.known == (scope == "known"))


class Row:
    """One contact at one instant under one binding of parameters: is a condition true of it?"""

    def __init__(self, oracle: Oracle, contact: Contact, as_of: int, parameters: Mapping[str, Any]) -> None:
        self.oracle = oracle
        self.contact = contact
        self.as_of = as_of
        self.parameters = parameters
        # "A fact takes part when occurred_at <= as_of"; "machine events count nowhere unless asked for".
        self.events = [e for e in contact.events if e["occurred_at"] <= as_of and not e["machine"]]

    def is_in(self, condition: Plain) -> bool:
        """Whether the contact, which is in the scope, satisfies the condition."""
        match condition["is"]:
            case "everyone":
                return True
            case "attribute":
                return self.passes(condition["test"], self.attribute)
            case "list":
                return self.contact.on_list(condition["name"], self.as_of)
            case "segment":
                return self._in_segment(condition)
            case "count":
                return self._counted(condition)
            case "messages":
                return self.compared(condition, len(self._messages(condition)))
            case "aggregate":
                return self.compared(condition, self._aggregate(condition))
        return joined(condition, self.is_in)

    def attribute(self, name: str) -> Any:
        """The contact's value "as of as_of"."""
        return self.contact.attribute(name, self.as_of)

    def operand(self, operand: Plain) -> Any:
        """ "Cross reference compares with the attribute as of as_of"."""
        if "attribute" in operand:
            return self.attribute(operand["attribute"])
        return literal(self.parameters[operand["parameter"]] if "parameter" in operand else operand["value"])

    def compared(self, condition: Plain, value: Any) -> bool:
        """A counted or computed value against the condition's operands."""
        return holds(condition["op"], value, [self.operand(o) for o in condition["operands"]])

    def passes(self, test: Plain, value_of: Callable[[str], Any], element: bool = False, same: Any = None) -> bool:
        """A filter on whatever `value_of` reads: a contact, an event or, with `element`, one element of a list.

        `same` is (p, v) if the lines of the event are bound by `for the same p`: "item filters bind to the line that
        holds v".
        """
        match test["is"]:
            case "compare":
                value = value_of(test["name"])
                # "binds all its parts to the same element; missing keys never bind"
                if element and value is None and test["op"] != "is missing":
                    return False
                if test["op"] == "within":
                    return value is not None and self.within(test["window"], value)
                operands = [self.operand(o) for o in test["operands"]]
                return holds(test["op"], value, operands, test["ignoring_case"], test["relation"])
            case "any":
                elements = value_of(test["name"]) or []
                if same is not None and test["name"] == "items":
                    elements = [e for e in elements if e.get(same[0]) is not None and key(e[same[0]]) == key(same[1])]
                return any(test["filter"] is None or self.passes(test["filter"], e.get, True) for e in elements)
        return joined(test, lambda part: self.passes(part, value_of, element, same))

    # windows

    def zone(self, name: str) -> ZoneInfo:
        """ "Zone: the workspace's by default, or UTC, or the contact's own as valid at as_of (unknown or unset: the
        workspace's)." """
        own = {"utc": "UTC", "contact": self.attribute("time_zone")}.get(name)
        return zone_of(own) or self.oracle.workspace

    def within(self, window: Plain | None, value: Any) -> bool:
        """Whether an instant or a date lies in the window; no window is all time."""
        if window is None:
            return True
        if isinstance(value, date):
            return self._date_within(window, value)
        us, as_of = value[1], self.as_of
        match window["is"]:
            case "in last":  # "`in last D` is `(as_of - D, as_of]`"
                return bool(as_of - window["us"] < us <= as_of)
            case "in next":  # "Instants `in next D`: `(as_of, as_of + D]`."
                return bool(as_of < us <= as_of + window["us"])
            case "between ago":  # "`(as_of - B, as_of - A]`"
                return bool(as_of - window["far_us"] < us <= as_of - window["near_us"])
            case "more than ago":  # "`(-inf, as_of - A]`"
                return bool(us <= as_of - window["us"])
            case "absolute":  # "`from F until T` is `[F, T)`, either end may stand alone"
                zone = self.zone(window["zone"])
                start, until = self._bound(window["start"], zone), self._bound(window["until"], zone, window["through"])
                return (start is None or start <= us) and (until is None or us < until)
            case "calendar":  # "A local period is `[start(d1), start(d2))`"
                zone = self.zone(window["zone"])
                today = local_date(as_of, zone)
                while start_of(today + timedelta(days=1), zone) <= as_of:  # a clock set back over midnight
                    today += timedelta(days=1)
                first, end = period_days(today, window)
                return bool(start_of(first, zone) <= us < start_of(end, zone))
        raise ValueError(window["is"])

    def _bound(self, operand: Plain | None, zone: ZoneInfo, through: bool = False) -> int | None:
        """The instant that an end of an absolute window means; "`through` a date includes that local day"."""
        if operand is None:
            return None
        value = self.operand(operand)
        if isinstance(value, date):
            return start_of(value + timedelta(days=1) if through else value, zone)
        return int(value[1])

    def _date_within(self, window: Plain, value: date) -> bool:
        """ "Dates without a time (birth date): today is the local date of the condition's zone"."""
        today = local_date(self.as_of, self.zone(window.get("zone", "workspace")))

        def days(name: str) -> timedelta:
            return timedelta(days=window[name] // DAY_US)

        match window["is"]:
            case "in last":  # "today-n < d <= today"
                return today - days("us") < value <= today
            case "in next":  # "today <= d < today+n"
                return today <= value < today + days("us")
            case "between ago":
                return today - days("far_us") < value <= today - days("near_us")
            case "more than ago":
                return value <= today - days("us")
            case "absolute":
                start = None if window["start"] is None else self.operand(window["start"])
                until = None if window["until"] is None else self.operand(window["until"])
                if start is not None and value < start:
                    return False
                return until is None or value < until or (window["through"] and value == until)
            case "calendar":
                first, end = period_days(today, window)
                return first <= value < end
        raise ValueError(window["is"])

    # segments

    def _in_segment(self, condition: Plain) -> bool:
        """ "a referred segment is evaluated in its own scope, then intersected"; "a reference to a parametric segment
        binds all its parameters"."""
        target = self.oracle.segments[condition["name"]]
        bound = {**self.parameters, **{name: self.operand(o) for name, o in condition["arguments"].items()}}
        if not in_scope(self.contact, target["scope"], self.as_of):
            return False
        return Row(self.oracle, self.contact, self.as_of, bound).is_in(target["root"])

    # events

    def selected(self, names: list[str], test: Plain | None, window: Plain | None, same: Any = None) -> list[Plain]:
        """The events that the words pick: "An event may be a list or a name prefix; counts run over the union." """
        return [
            event
            for event in self.events
            if any(event["type"].startswith(n[:-1]) if n.endswith("*") else event["type"] == n for n in names)
            and self.within(window, ("instant", event["occurred_at"]))
            and (test is None or self.passes(test, reader(event), same=same))
        ]

    def _counted(self, condition: Plain) -> bool:
        names, test, window = condition["names"], condition["filter"], condition["window"]
        if condition["same"] is None:  # "Counts count events, not lines."
            return self.compared(condition, len(self.selected(names, test, window)))
        # "some value v of p satisfies the whole condition on events that hold v"
        path = condition["same"]
        field = path.removeprefix("items.")
        for value in distinct(v for event in self.selected(names, None, None) for v in values_at(event, path)):
            bound = (field, value) if path != field else None
            matching = self.selected(names, test, window, bound)
            if self.compared(condition, sum(key(value) in map(key, values_at(e, path)) for e in matching)):
                return True
        return False

    def _messages(self, condition: Plain) -> set[str]:
        """ "Messages: verbs count distinct messages, windows use the verb's own time"."""

        def ids(verb: str) -> set[str]:
            found = self.selected([f"message_{verb}"], condition["filter"], condition["window"])
            return {e["params"]["message_id"] for e in found}

        def ever(verb: str) -> set[str]:
            return {e["params"]["message_id"] for e in self.selected([f"message_{verb}"], None, None)}

        match condition["verb"]:
            case "received":  # "delivered, or sent and not bounced where the channel reports no delivery"
                return ids("delivered") | (ids("sent") - ever("delivered") - ever("bounced"))
            case "opened":  # "a human click counts as an open"
                return ids("opened") | ids("clicked")
        return ids(condition["verb"])

    def _aggregate(self, condition: Plain) -> Any:
        """ "Aggregates and the divisor of `avg` use only present values; a list path yields one value a line." """
        events = self.selected(condition["names"], condition["filter"], condition["window"])
        values = [v for event in events for v in values_at(event, condition["path"])]
        match condition["function"]:
            case "sum":  # "`sum` over nothing is 0"
                return sum(map(Fraction, values), Fraction(0))
            case "distinct":  # "`distinct` 0"
                return len(distinct(values))
            case "min":  # "... are missing"
                return min(values, key=key) if values else None
            case "max":
                return max(values, key=key) if values else None
            case "avg":  # "sum / count rounded half-even to 1e-4"
                return Fraction(round(sum(map(Fraction, values)) * 10_000 / len(values)), 10_000) if values else None
        raise ValueError(condition["function"])


def joined(branch: Plain, holds_of: Callable[[Plain], bool]) -> bool:
    """How an inner node joins its parts. "Include lists joined by commas are `and`; exclude lists by commas are `or`.
    `at least k of (...)`." """
    parts = [holds_of(part) for part in branch["of"]]
    match branch["is"]:
        case "and":
            return all(parts)
        case "or":
            return any(parts)
        case "not":
            return not parts[0]
        case "at_least":
            return bool(sum(parts) >= branch["k"])
        case "except":
            return all(parts[: branch["k"]]) and not any(parts[branch["k"] :])
    raise ValueError(branch["is"])


def reader(event: Plain) -> Callable[[str], Any]:
    """Reads a parameter of the event by name, or its lines under "items"."""
    return lambda name: event["items"] if name == "items" else event["params"].get(name)


def values_at(event: Plain, path: str) -> list[Any]:
    """The present values of the event at "p" (each text of a list) or at "items.p" (one a line)."""
    if path.startswith("items."):
        found = [line.get(path.removeprefix("items.")) for line in event["items"]]
    else:
        value = event["params"].get(path)
        found = value if isinstance(value, list) else [value]
    return [v for v in found if v is not None]


def distinct(values: Iterable[Any]) -> list[Any]:
    """Each different value once."""
    return list({key(v): v for v in values}.values())
