"""A measure that stands alone, outside of a rule, checked as it would be in one."""

from __future__ import annotations

from core.query.ast import Measure, Population, Scope
from core.query.binding.bind_conditions import ConditionBinder
from core.query.binding.bind_parameters import ParameterKinds
from core.query.binding.shape_conditions import check_measure
from core.query.names import Names
from core.query.problems import PARAMETER, problem
from core.schema import Kind


def bind_measure(measure: Measure, names: Names, where: str) -> tuple[Measure, Kind]:
    """The measure with literals of the right kinds, and its own kind; of a computed attribute, what it is computed of.
    Raises what `bind` raises, places counted from `where`, and RULE_PARAMETER for parameters: nothing binds them."""
    check_measure(measure, where)
    parameters = ParameterKinds()
    bound = ConditionBinder(names, {}, parameters, Population(Scope.KNOWN)).measure(measure, where)
    if parameters.kinds:
        raise problem(PARAMETER, where, f'nothing binds the parameter ":{min(parameters.kinds)}" here.')
    return bound
