"""Values in the place of parameters, before anything is evaluated."""

from __future__ import annotations

from collections.abc import Mapping

from core.errors import invalid
from core.query.ast import Literal, Operand, Parameter, SegmentReference
from core.query.names import BoundRule
from core.query.walk import PartT, rebuilt
from core.schema import Kind, Scalar, kind_of

#: What stands for each parameter: a literal, or the attribute that a reference passed on.
Arguments = Mapping[str, Operand]


def given(bound: BoundRule, parameters: Mapping[str, Scalar]) -> Arguments:
    """`parameters` as operands; those that the rule does not have are left out.

    Raises CdpError where one is missing or of another kind. A whole number may stand for a decimal.
    """
    arguments: dict[str, Operand] = {}
    for name, kind in bound.parameters.items():
        if name not in parameters:
            raise invalid("PARAMETER_MISSING", f"the parameter :{name} has no value")
        found = kind_of(parameters[name])
        if found is not kind and (found, kind) != (Kind.INTEGER, Kind.DECIMAL):
            raise invalid("PARAMETER_TYPE", f"the parameter :{name} is {kind.name}, got {found.name}")
        arguments[name] = Literal(parameters[name])
    return arguments


def arguments_of(reference: SegmentReference, target: BoundRule, outer: Arguments) -> tuple[tuple[str, Operand], ...]:
    """What the parameters of `target` stand for when `reference` (already filled) mentions it; sorted by name."""
    named = dict(reference.arguments)
    result = []
    for name in sorted(target.parameters):
        operand = named.get(name, outer.get(name))
        if operand is None:
            raise invalid("PARAMETER_MISSING", f'the parameter :{name} of the segment "{reference.name}" has no value')
        result.append((name, operand))
    return tuple(result)


def fill(node: PartT, arguments: Arguments) -> PartT:
    """A node, or the limit of a rule, with every parameter replaced, wherever it stands. Raises CdpError for a
    parameter that has no value."""
    if not arguments:
        return node

    def filled(part: object) -> object:
        return _argument(part, arguments) if isinstance(part, Parameter) else part

    return rebuilt(node, filled)


def _argument(parameter: Parameter, arguments: Arguments) -> Operand:
    found = arguments.get(parameter.name)
    if found is None:
        raise invalid("PARAMETER_MISSING", f"the parameter :{parameter.name} has no value")
    return found
