"""Which facts can change who is in a rule: how a batch of facts picks the rules to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.query.ast import (
    Absolute,
    AttributeCondition,
    AttributeOperand,
    Branch,
    Calendar,
    Compare,
    Comparison,
    Condition,
    ElementMatch,
    EventAggregate,
    EventCount,
    Everyone,
    Function,
    InList,
    Literal,
    MessageCount,
    Node,
    Op,
    Operand,
    Parameter,
    Scope,
    SegmentReference,
    Window,
    Zone,
)
from core.query.edges import MESSAGE_EVENTS, ZONE_ATTRIBUTE, comparisons
from core.query.names import BoundRule
from core.schema import DECIMAL_SCALE, DecimalUnits


@dataclass(frozen=True, slots=True)
class Touches:
    """An event whose type is in `event_names` (a trailing `*` is a prefix), a write of an attribute, a change of a
    list: about the contact of such a fact the rule has to be asked again, and about nobody else, except that

    - a contact that changes scope (becomes known), is merged, unmerged or erased concerns every rule;
    - a contact that comes to exist concerns a rule with `everything` whatever its first fact is: somebody of whom
      nothing named here is known may be a member (`everyone`, a negative form, `did not`).
    """

    event_names: frozenset[str]
    attributes: frozenset[str]
    lists: frozenset[str]
    everything: bool


def touches(bound: BoundRule) -> Touches:
    """The facts that matter to a rule and to every segment that it refers to."""
    events: set[str] = set()
    attributes: set[str] = set()
    lists: set[str] = set()
    for rule in (bound, *bound.segments.values()):
        attributes.update(rule.attributes)
        for node in rule.rule.nodes:
            if not isinstance(node, Branch):
                events.update(_events_of(node))
                if isinstance(node, InList):
                    lists.add(node.name)
                if any(_in_contacts_zone(window) for window in _windows_of(node)):
                    attributes.add(ZONE_ATTRIBUTE)
    everything = _may_hold_of_nobody(bound)
    return Touches(frozenset(events), frozenset(attributes), frozenset(lists), everything)


def _events_of(condition: Condition) -> tuple[str, ...]:
    match condition:
        case EventCount(events) | EventAggregate(_, _, events):
            return events.names
        case MessageCount(verb):
            return MESSAGE_EVENTS[verb]
        case _:
            return ()


def _windows_of(condition: Condition) -> list[Window | None]:
    match condition:
        case AttributeCondition(ElementMatch(_, matching)):
            return [test.window for test in comparisons(matching)]
        case AttributeCondition(Comparison() as test):
            return [test.window]
        case EventCount(events) | EventAggregate(_, _, events):
            return [events.window, *(test.window for test in comparisons(events.filter))]
        case MessageCount(_, matching, window):
            return [window, *(test.window for test in comparisons(matching))]
        case _:
            return []


def _in_contacts_zone(window: Window | None) -> bool:
    return isinstance(window, Calendar | Absolute) and window.zone is Zone.CONTACT


# --- may a contact without any such fact be a member? -------------------------------------------------------------

#: The truths that are possible: {True}, {False}, or both where parameters decide.
_Truths = frozenset[bool]
_YES, _NO, _EITHER = frozenset((True,)), frozenset((False,)), frozenset((True, False))
_NEGATIVE = frozenset((Compare.NE, Compare.NOT_IN, Compare.NOT_CONTAINS, Compare.HAS_NONE, Compare.MISSING))


def _may_hold_of_nobody(bound: BoundRule) -> bool:
    answers: dict[str, _Truths] = {}
    for name, target in bound.segments.items():  # each after those that it refers to
        answers[name] = _truths(target, answers)
    return True in _truths(bound, answers)


def _truths(rule: BoundRule, answers: Mapping[str, _Truths]) -> _Truths:
    truths: list[_Truths] = []
    for node in rule.rule.nodes:
        truths.append(_joined(node, truths) if isinstance(node, Branch) else _of_leaf(node, answers))
    whole = truths[-1]
    return whole if rule.rule.scope is Scope.ALL else whole | _NO


def _joined(branch: Branch, truths: list[_Truths]) -> _Truths:
    children = [truths[child] for child in branch.children]
    needed = {Op.AND: len(children), Op.OR: 1, Op.AT_LEAST: branch.k}.get(branch.op, 0)
    if branch.op is Op.NOT:
        return frozenset(not truth for truth in children[0])
    if branch.op is Op.EXCEPT:
        children = [*children[: branch.k], *(frozenset(not t for t in child) for child in children[branch.k :])]
        needed = len(children)
    most = sum(True in child for child in children)
    least = sum(False not in child for child in children)
    return frozenset((most >= needed, least >= needed))


def _of_leaf(condition: Node, answers: Mapping[str, _Truths]) -> _Truths:
    match condition:
        case Everyone():
            return _YES
        case AttributeCondition(Comparison() as test):
            return _YES if test.compare in _NEGATIVE else _NO
        case EventCount(_, compare, counts) | MessageCount(compare=compare, counts=counts):
            return _of_zero(compare, counts)
        case EventAggregate(Function.SUM | Function.DISTINCT, _, _, compare, operands):
            return _of_zero(compare, operands)
        case EventAggregate(compare=compare):
            return _YES if compare in _NEGATIVE else _NO
        case SegmentReference(name):
            return answers[name]
        case _:
            return _NO


def _of_zero(compare: Compare, operands: tuple[Operand, ...]) -> _Truths:
    """What a relation says of the number 0."""
    if compare in (Compare.MISSING, Compare.PRESENT):
        return _YES if compare is Compare.PRESENT else _NO
    if any(isinstance(operand, Parameter) for operand in operands):
        return _EITHER
    if any(isinstance(operand, AttributeOperand) for operand in operands):
        return _YES if compare is Compare.NE else _NO
    low, high = _units(operands[0]), _units(operands[-1])
    holds = {
        Compare.EQ: low == 0,
        Compare.NE: low != 0,
        Compare.LT: low > 0,
        Compare.LE: low >= 0,
        Compare.GT: low < 0,
        Compare.GE: low <= 0,
        Compare.BETWEEN: low <= 0 <= high,
    }
    return frozenset((holds[compare],))


def _units(operand: Operand) -> int:
    value = operand.value if isinstance(operand, Literal) else 0
    if isinstance(value, DecimalUnits):
        return value.units
    return value * DECIMAL_SCALE if isinstance(value, int) else 0
