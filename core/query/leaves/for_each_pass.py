"""Rules of the form "did A (x = :p) and did not B (y = :p) and whatever has no :p", for all values of :p at once.

Exactly one condition says that a contact did something with the value, any number that it did not; the rest of the rule
is evaluated once, and rows of contacts outside of it are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.index.packing import Packed
from core.index.root import Root
from core.index.table import Column
from core.kernels.pair_counts import ValueRows, contacts_by_value
from core.kernels.pairs_in_order import OrderedRows
from core.query.ast import (
    Branch,
    Compare,
    Comparison,
    EventCount,
    EventSelection,
    Everyone,
    FilterNode,
    FilterTree,
    Literal,
    Node,
    Op,
    Parameter,
    Rule,
    SegmentReference,
)
from core.query.execute import evaluate
from core.query.execute_context import Context
from core.query.knowledge import Knowledge
from core.query.names import BoundRule
from core.query.rows.event_pass import RunPass, passes
from core.query.rows.texts import composed
from core.query.walk import parts_of
from core.schema import Kind, Scalar

#: A window with fewer than one row for so many rows of a run is dealt out, not read in the order of contacts, ...
_SPARSE = 2
#: ... and so is a run of fewer than one row for so many contacts.
_SHORT = 32
#: More values than this are not packed beside their contacts.
_MOST_VALUES = 65_535
_DID = {(Compare.GE, 1), (Compare.GT, 0)}
_DID_NOT = {(Compare.EQ, 0), (Compare.LT, 1), (Compare.LE, 0)}


@dataclass(frozen=True, slots=True)
class _With:
    """Events (without the comparison with the parameter) whose parameter `path` is to equal the value."""

    events: EventSelection
    path: str


@dataclass(frozen=True, slots=True)
class _Form:
    """A rule taken apart: `rest` are numbers of nodes that have to hold, or (False) must not."""

    having: list[_With]
    lacking: list[_With]
    rest: list[tuple[int, bool]]


def counts_in_one_pass(
    bound: BoundRule,
    nodes: tuple[Node, ...],
    root: Root,
    as_of_us: int,
    parameter: str,
    values: Sequence[Scalar],
    others: Mapping[str, Scalar],
    knowledge: Knowledge,
) -> tuple[int, ...] | None:
    """Members for each value; None where the rule or its events have another form. `nodes`: the rule's, all other
    parameters filled in."""
    texts = [composed(value) for value in values if isinstance(value, str)]
    if len(texts) != len(values) or len(texts) > _MOST_VALUES or bound.rule.limit is not None:
        return None
    form = _taken_apart(bound, nodes, parameter)
    if form is None or len(form.having) != 1:
        return None
    context = Context(root, as_of_us, bound.zone, None, bound.setting, knowledge)
    numbers = _numbers(texts, context)
    having = _rows_of(form.having, numbers, context)
    lacking = _rows_of(form.lacking, numbers, context)
    if having is None or lacking is None:
        return None
    rest = evaluate(_rest(bound, nodes, form, parameter), root, as_of_us, others, knowledge=knowledge)
    words = rest.members.words((root.contact_count + 63) >> 6)
    counts = contacts_by_value(having, lacking, words, len(numbers))
    places = dict(zip(numbers, counts.tolist(), strict=True))
    codes = [root.dictionary.code(text) for text in texts]
    return tuple(0 if code is None else places[code] for code in codes)


def _numbers(texts: list[str], context: Context) -> list[int]:
    """The dictionary codes of the values that any fact ever held, each once."""
    codes = (context.root.dictionary.code(text) for text in texts)
    return list(dict.fromkeys(code for code in codes if code is not None))


def _taken_apart(bound: BoundRule, nodes: tuple[Node, ...], parameter: str) -> _Form | None:
    form = _Form([], [], [])
    depends = _depends(bound, nodes, parameter)
    stack = [(len(nodes) - 1, True)]
    while stack:
        number, holds = stack.pop()
        node = nodes[number]
        if not depends[number]:
            form.rest.append((number, holds))
        elif isinstance(node, Branch):
            below = _conjunction(node, holds)
            if below is None:
                return None
            stack.extend(below)
        else:
            found = _with(node, parameter)
            if found is None:
                return None
            did, one = found
            (form.having if did == holds else form.lacking).append(one)
    return form


def _conjunction(node: Branch, holds: bool) -> list[tuple[int, bool]] | None:
    """The children that must hold, or must not, for the branch to be what is asked; None where that is no
    conjunction."""
    match node.op:
        case Op.AND if holds:
            return [(child, True) for child in node.children]
        case Op.OR if not holds:
            return [(child, False) for child in node.children]
        case Op.NOT:
            return [(node.children[0], not holds)]
        case Op.EXCEPT if holds:
            return [(child, place < node.k) for place, child in enumerate(node.children)]
        case _:
            return None


def _depends(bound: BoundRule, nodes: tuple[Node, ...], parameter: str) -> list[bool]:
    """Which nodes, their children included, mention the parameter. A segment may take it without naming it."""
    found: list[bool] = []
    for node in nodes:
        if isinstance(node, Branch):
            found.append(any(found[child] for child in node.children))
        else:
            named = any(part.name == parameter for part in parts_of(node, Parameter))
            passed = isinstance(node, SegmentReference) and parameter in bound.segments[node.name].parameters
            found.append(named or passed)
    return found


def _with(node: Node, parameter: str) -> tuple[bool, _With] | None:
    """Whether a condition says that something was done, and with what; None for every other condition."""
    if not isinstance(node, EventCount) or node.same is not None or len(node.counts) != 1:
        return None
    count = node.counts[0]
    if not isinstance(count, Literal) or not isinstance(count.value, int):
        return None
    said = (node.compare, int(count.value))
    if said not in _DID and said not in _DID_NOT:
        return None
    split = _without_parameter(node.events.filter, parameter)
    if split is None:
        return None
    path, rest = split
    events = replace(node.events, filter=rest)
    if any(part.name == parameter for part in parts_of(events, Parameter)):
        return None
    return said in _DID, _With(events, path)


def _without_parameter(tree: FilterTree, parameter: str) -> tuple[str, FilterTree] | None:
    """The path of the one comparison `path = :parameter` that has to hold, and the filter without it."""
    if len(tree) == 1:
        path = _equal_to(tree[0], parameter)
        return None if path is None else (path, ())
    if not tree:
        return None
    last = tree[-1]
    leaves = tree[:-1]
    if not isinstance(last, Branch) or last.op is not Op.AND or last.children != tuple(range(len(leaves))):
        return None
    paths = [_equal_to(leaf, parameter) for leaf in leaves]
    named = [place for place, path in enumerate(paths) if path is not None]
    if len(named) != 1:
        return None
    path = paths[named[0]]
    assert path is not None
    kept = tuple(leaf for place, leaf in enumerate(leaves) if place != named[0])
    return path, kept if len(kept) == 1 else (*kept, replace(last, children=tuple(range(len(kept)))))


def _equal_to(node: FilterNode, parameter: str) -> str | None:
    if not isinstance(node, Comparison) or node.compare is not Compare.EQ or node.ignoring_case:
        return None
    operand = node.operands[0]
    return node.name if isinstance(operand, Parameter) and operand.name == parameter else None


def _rest(bound: BoundRule, nodes: tuple[Node, ...], form: _Form, parameter: str) -> BoundRule:
    """The rule of what does not depend on the value."""
    # All nodes stay, so that numbers do; those that are not needed become everyone.
    needed = _below(nodes, [number for number, _ in form.rest])
    kept: list[Node] = [node if number in needed else Everyone() for number, node in enumerate(nodes)]
    tops = []
    for number, holds in form.rest:
        if not holds:
            kept.append(Branch(Op.NOT, (number,)))
        tops.append(number if holds else len(kept) - 1)
    kept.append(Branch(Op.AND, tuple(tops)) if tops else Everyone())
    others = {name: kind for name, kind in bound.parameters.items() if name != parameter}
    return replace(bound, rule=Rule(tuple(kept), bound.rule.scope, bound.rule.base), parameters=others)


def _below(nodes: tuple[Node, ...], tops: list[int]) -> set[int]:
    needed: set[int] = set()
    stack = list(tops)
    while stack:
        number = stack.pop()
        node = nodes[number]
        needed.add(number)
        if isinstance(node, Branch):
            stack.extend(node.children)
    return needed


def _rows_of(parts: list[_With], numbers: list[int], context: Context) -> list[ValueRows | OrderedRows] | None:
    """The rows of the selections with their values; None where events have to be picked one by one, or the parameter is
    no plain column of texts."""
    rows: list[ValueRows | OrderedRows] = []
    for part in parts:
        found = passes(part.events, context)
        if found is None:
            return None
        for one in found:
            columns = one.run.params.columns.get(part.path, ())
            if any(column.kind is not Kind.TEXT for column in columns):
                return None
            mask = one.whole_mask()
            dense = mask is None and all(column.rows is None for column in columns)
            long = len(one.run) * _SHORT >= context.rows and len(one) * _SPARSE >= len(one.run)
            if dense and long:
                rows += [_ordered_rows(one, part.path, column, numbers) for column in columns]
            else:
                rows += [_value_rows(column, one.rows, one.contacts(), mask, numbers) for column in columns]
    return rows


def _ordered_rows(one: RunPass, path: str, column: Column, numbers: list[int]) -> OrderedRows:
    order, packed = one.run.contact_order(), one.run.values_by_contact(path, column)
    table = _table(packed, numbers)
    return OrderedRows(order.starts, order.low, order.rows, one.rows.start, len(one), packed.codes, table)


def _value_rows(
    column: Column, window: slice, contacts: NDArray[np.uint32], mask: NDArray[np.bool_] | None, numbers: list[int]
) -> ValueRows:
    selected = column.select(window)
    packed = selected.packed
    codes = packed.codes
    if selected.rows is not None:
        contacts = contacts[selected.rows]
        mask = None if mask is None else mask[selected.rows]
    if mask is not None:
        contacts, codes = contacts[mask], codes[mask]
    return ValueRows(contacts, codes, _table(Packed(codes, packed.base, packed.factor), numbers))


def _table(packed: Packed, numbers: list[int]) -> NDArray[np.uint32]:
    """For each code that occurs, 1 and the place of its value in `numbers`, or 0; for those below, which do not, 1."""
    table = np.zeros(int(packed.codes.max(initial=0)) + 1, np.uint32)
    table[: int(packed.codes.min(initial=len(table) - 1))] = 1
    codes, rest = np.divmod(np.array(numbers, np.int64) - packed.base, packed.factor)
    held = np.flatnonzero((rest == 0) & (codes >= 0) & (codes < len(table)))
    table[codes[held]] = held + 1
    return table
