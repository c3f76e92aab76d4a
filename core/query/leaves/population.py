"""Who is counted: the contacts of a scope, of one base if a base is named."""

from __future__ import annotations

import numpy as np

from core.index.contact_set import ContactSet
from core.query.ast import Compare, Comparison, Literal, Population, Scope
from core.query.edges import BASES_ATTRIBUTE
from core.query.execute_context import Context
from core.query.rows.comparisons import compare
from core.query.rows.domain import ContactDomain
from core.schema import Kind

#: That of a condition which no rule was bound into.
DEFAULT_POPULATION = Population(Scope.KNOWN)


def members_of(population: Population, context: Context) -> ContactSet:
    """The population among the contacts of `context`: those that exist as of as_of and are known (or anonymous, or
    either) as known now, and whose attribute "bases" holds the base as of as_of. Computed once per context."""
    key = ("population", population)
    found: ContactSet | None = context.computed.get(key)
    if found is None:
        found = context.computed[key] = _members_of(population, context)
    return found


def _members_of(population: Population, context: Context) -> ContactSet:
    if population.base is not None:
        whole = members_of(Population(population.scope), context)
        in_base = Comparison(BASES_ATTRIBUTE, Compare.CONTAINS, (Literal(population.base),))
        held = compare(in_base, ContactDomain(context), context)
        # A single text is no list of bases, and CONTAINS would look inside of it.
        held &= context.attribute(BASES_ATTRIBUTE).kinds == np.uint8(Kind.TEXT_LIST)
        return whole & context.to_set(held)
    if population.scope is Scope.KNOWN and context.candidates is None:
        return context.root.contacts.existing_and_known(context.as_of_us)
    existing = context.root.exists(context.as_of_us, context.candidates)
    match population.scope:
        case Scope.KNOWN:
            return existing & context.root.known(context.candidates)
        case Scope.ANONYMOUS:
            return existing - context.root.known(context.candidates)
        case Scope.ALL:
            return existing
