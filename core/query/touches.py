"""Which facts can change who is in a rule: how a batch of facts picks the rules to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.query.ast import (
    AggregateMeasure,
    AttributeCondition,
    AttributeOperand,
    Branch,
    Compare,
    Comparison,
    CountMeasure,
    EventAggregate,
    EventCount,
    EventSelection,
    Everyone,
    Function,
    Group,
    HasBeen,
    HasBeenIn,
    InCohort,
    Interest,
    Literal,
    Measure,
    MeasureCondition,
    MessageCount,
    Node,
    Op,
    Operand,
    Parameter,
    RandomBucket,
    Reachable,
    RfmInCell,
    Scope,
    SegmentReference,
    SinceLast,
    UntilFirst,
    WasIn,
)
from core.query.edges import edges
from core.query.names import BoundRule
from core.query.rfm_model import NONE
from core.query.walk import parts_of
from core.schema import DECIMAL_SCALE, DecimalUnits


@dataclass(frozen=True, slots=True)
class Touches:
    """An event whose type is in `event_names` (a trailing `*` is a prefix), a write of an attribute, a change of a
    list, a recorded change of a segment in `histories`: about the contact of such a fact the rule has to be asked
    again, and about nobody else, except that

    - a contact that changes scope (becomes known), is merged, unmerged or erased concerns every rule;
    - a contact that comes to exist concerns a rule with `everything` whatever its first fact is: somebody of whom
      nothing named here is known may be a member (`everyone`, a negative form, `did not`);
    - with `products`, a product's change concerns the contacts whose events name the product;
    - with `existence`, any fact that moves the contact's earliest one back concerns it;
    - with `together`, a change of one contact may change others: the whole rule is asked again.
    """

    event_names: frozenset[str]
    attributes: frozenset[str]
    lists: frozenset[str]
    everything: bool
    histories: frozenset[str] = frozenset()
    products: bool = False
    together: bool = False
    existence: bool = False


def touches(bound: BoundRule) -> Touches:
    """The facts that matter to a rule and to every segment that it refers to: those whose edges are watched."""
    watched = edges(bound)
    rules = (bound, *bound.segments.values())
    return Touches(
        frozenset(watched.events),
        frozenset(watched.attribute_writes),
        frozenset(watched.lists),
        _may_hold_of_nobody(bound),
        frozenset(watched.histories),
        watched.products,
        watched.together,
        any(one.events is None for rule in rules for one in parts_of(rule.rule.nodes, InCohort)),
    )


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
        case RandomBucket() | InCohort(events=None) | Reachable() | WasIn(Group.SEGMENT) | HasBeenIn(Group.SEGMENT):
            return _EITHER
        case AttributeCondition(Comparison() as test) | HasBeen(test):
            return _YES if test.compare in _NEGATIVE else _NO
        case EventCount(same=str()):
            return _NO  # some value has to satisfy it, and there is none
        case EventCount(events=EventSelection(window=SinceLast() | UntilFirst())):
            return _NO
        case MessageCount(window=SinceLast() | UntilFirst()):
            return _NO
        case EventAggregate(events=EventSelection(window=SinceLast() | UntilFirst())):
            return _NO
        case EventCount(_, compare, counts) | MessageCount(compare=compare, counts=counts):
            return _of_zero(compare, counts)
        case EventAggregate(Function.SUM | Function.DISTINCT, _, _, compare, operands):
            return _of_zero(compare, operands)
        case EventAggregate(compare=compare):
            return _YES if compare in _NEGATIVE else _NO
        case MeasureCondition(measure, test):
            if _is_zero_over_nothing(measure):
                return _EITHER
            return _YES if test.compare in _NEGATIVE else _NO
        case RfmInCell(cells=cells):
            return _YES if NONE in cells else _NO
        case SegmentReference(name):
            return answers[name]
        case _:
            return _NO


def _is_zero_over_nothing(measure: Measure) -> bool:
    """Whether somebody of whom nothing is known has the measure nevertheless."""
    match measure:
        case CountMeasure() | AggregateMeasure(Function.SUM | Function.DISTINCT):
            return True
        case Interest(value=value):
            return value is not None
        case _:
            return False


def _of_zero(compare: Compare, operands: tuple[Operand, ...]) -> _Truths:
    """What a relation says of the number 0."""
    if compare in (Compare.MISSING, Compare.PRESENT):
        return _YES if compare is Compare.PRESENT else _NO
    if any(isinstance(operand, Parameter) for operand in operands):
        return _EITHER
    if any(isinstance(operand, AttributeOperand) and operand.measure is not None for operand in operands):
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
