"""Whether a node array is a tree in exact post-order."""

from __future__ import annotations

from collections.abc import Sequence

from core.errors import CdpError
from core.query.ast import Branch, FilterNode, Node, Op
from core.query.limits import MAX_DEPTH, MAX_NODES
from core.query.problems import SHAPE, TOO_DEEP, TOO_LARGE, place, problem


def check_tree(nodes: Sequence[Node] | Sequence[FilterNode], what: str) -> None:
    """Raises RULE_SHAPE, RULE_TOO_DEEP, RULE_TOO_LARGE unless every subtree is contiguous and the last node joins all.
    `what` is how errors call the array."""
    if not nodes:
        raise problem(SHAPE, "", "a rule has at least one node.")
    if len(nodes) > MAX_NODES:
        raise problem(TOO_LARGE, "", f"the rule has more than {MAX_NODES} conditions and branches.")
    standing: list[int] = []
    depths: list[int] = []
    for index, node in enumerate(nodes):
        depth = 0
        if isinstance(node, Branch):
            where = place(node.span, f"{what}[{index}]")
            _check_branch(node, where)
            first = len(standing) - len(node.children)
            if first < 0 or tuple(standing[first:]) != node.children:
                raise problem(SHAPE, where, "children stand before their parent, in order, each used once.")
            depth = 1 + max(depths[first:])
            if depth > MAX_DEPTH:
                raise problem(TOO_DEEP, where, f"branches are nested deeper than {MAX_DEPTH}.")
            del standing[first:], depths[first:]
        standing.append(index)
        depths.append(depth)
    if len(standing) != 1:
        raise problem(SHAPE, "", f"the last node of {what} joins all others.")


def _check_branch(branch: Branch, where: str) -> None:
    count = len(branch.children)
    match branch.op:
        case Op.AND | Op.OR:
            fits = count >= 2 and branch.k == 0
        case Op.NOT:
            fits = count == 1 and branch.k == 0
        case Op.AT_LEAST:
            fits = 1 <= branch.k <= count
        case Op.EXCEPT:
            fits = count >= 1 and 0 <= branch.k <= count
    if not fits:
        raise _arity(branch, where)


def _arity(branch: Branch, where: str) -> CdpError:
    count = len(branch.children)
    if branch.op is Op.AT_LEAST:
        return problem(SHAPE, where, f'"at least {branch.k} of" {count}: the number lies from 1 to {count}.')
    return problem(SHAPE, where, f'"{branch.op.value}" cannot join {count} conditions with k = {branch.k}.')
