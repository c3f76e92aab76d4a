"""Parts of rules that stand alone in a request (events, measures) checked as they would be in a rule."""

from __future__ import annotations

from core.errors import CdpError, Violation
from core.query.ast import (
    AttributeCondition,
    AttributeMeasure,
    Branch,
    Compare,
    Comparison,
    Condition,
    EventAggregate,
    EventCount,
    EventSelection,
    Function,
    Literal,
    Measure,
    PopulationCondition,
    Rule,
    Standard,
)
from core.query.binding.bind import bind
from core.query.binding.bind_measure import bind_measure
from core.query.names import Names
from core.query.problems import PARAMETER, problem
from core.query.text.lexer import tokenize
from core.query.text.parse_cursor import Cursor
from core.query.text.parse_measures import take_measure
from core.schema import DECIMAL_SCALE, DecimalUnits, Kind


def bound_events(events: EventSelection, names: Names, path: str) -> EventSelection:
    """The selection with its literals in the kinds of what they are compared with. Raises what `bind` raises, the
    places counted from the field `path`, and RULE_PARAMETER for parameters: nothing here would bind them."""
    condition = _bound(EventCount(events, Compare.GE, (Literal(1),)), names, path)
    assert isinstance(condition, EventCount), "binding keeps the class of a condition"
    return condition.events


def check_value_path(value_path: str, events: EventSelection, names: Names, path: str) -> None:
    """Raises what `bind` raises where a parameter of the events is unknown or is no number."""
    _bound(EventAggregate(Function.SUM, value_path, events, Compare.PRESENT, ()), names, path)


def parse_measure(text: str) -> Measure:
    """`sum(order_completed.total) in last 365 days`, `number of product_viewed`, or an attribute. Raises what `parse`
    raises."""
    cursor = Cursor(tokenize(text))
    measure = take_measure(cursor)
    if not cursor.at_end():
        raise cursor.fail("a measure ends here.")
    return measure


def bound_measure(measure: Measure, names: Names, path: str) -> tuple[Measure, Kind | None]:
    """The measure, and the kind of an attribute (None: numbers, instants or dates of events). Errors as above."""
    if isinstance(measure, AttributeMeasure) and measure.name in names.computed:
        return bind_measure(measure, names, path)
    if isinstance(measure, AttributeMeasure):
        _bound(AttributeCondition(Comparison(measure.name, Compare.PRESENT)), names, path)
        return measure, names.attributes[measure.name]
    everyone = DecimalUnits(100 * DECIMAL_SCALE)
    condition = _bound(PopulationCondition(measure, Standard.TOP, Compare.GE, everyone), names, path)
    assert isinstance(condition, PopulationCondition), "binding keeps the class of a condition"
    return condition.measure, None


def _bound(condition: Condition, names: Names, path: str) -> Condition:
    try:
        bound = bind(Rule((condition,)), names)
    except CdpError as error:
        raise _moved(error, path) from error
    if bound.parameters:
        name = min(bound.parameters)
        raise problem(PARAMETER, path, f'nothing binds the parameter ":{name}" here.')
    node = bound.rule.nodes[0]
    assert not isinstance(node, Branch), "one condition stays one"
    return node


def _moved(error: CdpError, path: str) -> CdpError:
    """The same error, its place being a field of the request instead of a node of a tree."""
    violations = tuple(Violation(one.path.replace("nodes[0]", path, 1), one.description) for one in error.violations)
    return CdpError(error.code, error.reason, error.message.replace("nodes[0]", path, 1), violations=violations)
