"""A parametric rule for each of many values of one parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.index.root import Root
from core.query.ast import Parameter
from core.query.execute import LeafCache, evaluate
from core.query.execute_parameters import fill, given
from core.query.knowledge import NOTHING_KNOWN, Knowledge
from core.query.leaves.for_each_pass import counts_in_one_pass
from core.query.names import BoundRule
from core.schema import Scalar


def evaluate_for_each(
    bound: BoundRule,
    root: Root,
    as_of_us: int,
    parameter: str,
    values: Sequence[Scalar],
    others: Mapping[str, Scalar],
    knowledge: Knowledge = NOTHING_KNOWN,
) -> tuple[int, ...]:
    """The number of members for each of `values` in the place of `parameter`, in their order; `others` bind the other
    parameters. Equal to evaluating each by itself; where the rule's form allows it (for_each_pass), in one pass over
    the events for all values. Raises CdpError for a parameter that is missing or of another kind."""
    if not values:
        return ()
    arguments = [given(bound, {**others, parameter: value}) for value in values]
    if parameter in bound.parameters:
        rest = {**arguments[0], parameter: Parameter(parameter)}
        nodes = tuple(fill(node, rest) for node in bound.rule.nodes)
        found = counts_in_one_pass(bound, nodes, root, as_of_us, parameter, values, others, knowledge)
        if found is not None:
            return found
    cache: LeafCache = {}
    return tuple(
        len(evaluate(bound, root, as_of_us, {**others, parameter: value}, None, cache, knowledge).members)
        for value in values
    )
