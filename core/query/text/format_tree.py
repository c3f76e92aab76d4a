"""Branches as canonical text: brackets where they are needed and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from core.query.ast import Branch, Op

_NOTHING: Mapping[int, str] = MappingProxyType({})


def tree_text(nodes: Sequence[Branch | str], root: int, denied: Mapping[int, str] = _NOTHING) -> str:
    """The text of the subtree of node `root`; leaves are given as their texts.

    `denied`: the texts of "not" and a leaf together, where that is not the one before the other. Works on a list, so
    depth costs no stack.
    """
    parts: list[str] = []
    pending: list[str | int] = [root]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            parts.append(item)
            continue
        node = nodes[item]
        if isinstance(node, Branch):
            pending.extend(reversed(_pieces(nodes, node, denied)))
        else:
            parts.append(node)
    return "".join(parts)


def _pieces(nodes: Sequence[Branch | str], branch: Branch, denied: Mapping[int, str]) -> list[str | int]:
    children = branch.children
    match branch.op:
        case Op.AND | Op.OR:
            bracketed = [_is(nodes[child], Op.AND, Op.OR, Op.EXCEPT) for child in children]
            return _joined(children, f" {branch.op.value} ", bracketed)
        case Op.NOT:
            if children[0] in denied:
                return [denied[children[0]]]
            bracket = _is(nodes[children[0]], Op.AND, Op.OR, Op.EXCEPT)
            return ["not ", *_joined(children, "", [bracket])]
        case Op.AT_LEAST:
            return [f"at least {branch.k} of (", *_listed(nodes, children), ")"]
        case Op.EXCEPT:
            pieces: list[str | int] = []
            if branch.k:
                pieces += ["include ", *_listed(nodes, children[: branch.k])]
            if branch.k < len(children):
                pieces += [" exclude " if pieces else "exclude ", *_listed(nodes, children[branch.k :])]
            return pieces


def _listed(nodes: Sequence[Branch | str], children: tuple[int, ...]) -> list[str | int]:
    return _joined(children, ", ", [_is(nodes[child], Op.EXCEPT) for child in children])


def _joined(children: tuple[int, ...], separator: str, bracketed: list[bool]) -> list[str | int]:
    pieces: list[str | int] = []
    for child, bracket in zip(children, bracketed, strict=True):
        if pieces:
            pieces.append(separator)
        pieces += ["(", child, ")"] if bracket else [child]
    return pieces


def _is(node: Branch | str, *ops: Op) -> bool:
    return isinstance(node, Branch) and node.op in ops
