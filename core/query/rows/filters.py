"""Filters: trees of comparisons over the rows of a domain."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.query.ast import Branch, Comparison, ElementMatch, FilterNode, FilterTree, Op
from core.query.execute_context import Context
from core.query.rows.comparisons import compare, present
from core.query.rows.domain import Domain


def matching(tree: FilterTree, domain: Domain, context: Context) -> NDArray[np.bool_]:
    """Which rows satisfy the filter; every row satisfies the empty one.

    Trees nest only through element matches, whose depth the data bound: lists of objects hold scalars.
    """
    if not tree:
        return np.ones(domain.n, np.bool_)
    masks: list[NDArray[np.bool_]] = []
    for node in tree:
        masks.append(_node(node, masks, domain, context))
    return masks[-1]


def matching_leaf(node: Comparison | ElementMatch, domain: Domain, context: Context) -> NDArray[np.bool_]:
    """Which rows satisfy a leaf of a filter."""
    if isinstance(node, Comparison):
        return compare(node, domain, context)
    elements, parents = domain.elements(node.name)
    held = matching(node.filter, elements, context)
    if node.every:
        return _every(present(node.name, domain), parents, held)
    result = np.zeros(domain.n, np.bool_)
    result[parents[held]] = True
    return result


def _every(has_list: NDArray[np.bool_], parents: NDArray[np.int64], held: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Rows whose elements all hold: true of an empty list, false of a missing one (an event without lines has none)."""
    has_list[parents] = True
    has_list[parents[~held]] = False
    return has_list


def _node(node: FilterNode, masks: list[NDArray[np.bool_]], domain: Domain, context: Context) -> NDArray[np.bool_]:
    if not isinstance(node, Branch):
        return matching_leaf(node, domain, context)
    children = [masks[child] for child in node.children]
    match node.op:
        case Op.NOT:
            return ~children[0]
        case Op.AND:
            return np.asarray(np.logical_and.reduce(children), np.bool_)
        case Op.OR:
            return np.asarray(np.logical_or.reduce(children), np.bool_)
        case Op.AT_LEAST:
            return np.asarray(np.sum(children, axis=0) >= node.k, np.bool_)
        case Op.EXCEPT:
            included = np.logical_and.reduce(children[: node.k]) if node.k else np.ones(domain.n, np.bool_)
            excluded = np.logical_or.reduce(children[node.k :]) if children[node.k :] else ~included
            return included & ~excluded
