"""A rule checked against the names of a workspace, with every segment that it refers to."""

from __future__ import annotations

from core.errors import CdpError, Violation, invalid
from core.query.ast import Branch, Group, HasBeenIn, Node, Population, Rule, SegmentReference, WasIn
from core.query.binding.bind_conditions import ConditionBinder
from core.query.binding.bind_parameters import ParameterKinds
from core.query.binding.shape import check_shape, where_of
from core.query.edges import BASES_ATTRIBUTE
from core.query.limits import MAX_SEGMENTS
from core.query.names import BoundRule, Names
from core.query.problems import CYCLE, TOO_LARGE, UNKNOWN_NAME, problem
from core.query.text.suggest import did_you_mean
from core.schema import Kind


def bind(rule: Rule, names: Names, *, as_name: str | None = None) -> BoundRule:
    """`rule` ready to be evaluated; its nodes keep their numbers. `as_name`: the name under which it is saved.

    Literals take the kind of what they are compared with (DecimalUnits for decimals, Instant, date, NFC texts); an
    INTEGER field compared with a fraction keeps the DecimalUnits. `for the same p` becomes `items.p` where only the
    lines have p. Parameters carry their one kind. The result's `segments` stand in an order in which each follows
    those that it refers to.

    Raises CdpError INVALID at the first mistake, with its place ("line 1, column 9", or "nodes[3]" for a rule that
    came from no text): RULE_SHAPE, RULE_TOO_DEEP, RULE_TOO_LARGE, RULE_UNKNOWN_NAME, RULE_TYPE, RULE_VALUE,
    RULE_WINDOW, RULE_PARAMETER, RULE_PATTERN, RULE_CYCLE, RULE_UNSUPPORTED.
    """
    check_shape(rule)
    bound: dict[str, BoundRule] = {}
    for name in _in_order(rule, names, as_name):
        try:
            check_shape(names.segments[name])
            bound[name] = _bind_one(names.segments[name], names, bound)
        except CdpError as error:
            raise _inside(name, error) from error
    return _bind_one(rule, names, bound)


def references(rule: Rule) -> tuple[str, ...]:
    """The segments that the rule names itself, each once, in the order written."""
    return tuple(dict.fromkeys(name for name in map(_target, rule.nodes) if name is not None))


def _target(node: Node) -> str | None:
    """The segment that a condition mentions: that it is in it, or was."""
    match node:
        case SegmentReference(name) | WasIn(Group.SEGMENT, name) | HasBeenIn(Group.SEGMENT, name):
            return name
        case _:
            return None


def _bind_one(rule: Rule, names: Names, bound: dict[str, BoundRule]) -> BoundRule:
    kinds: dict[str, Kind] = {}
    while True:
        parameters = ParameterKinds(kinds)
        binder = ConditionBinder(names, bound, parameters, Population(rule.scope, rule.base))
        nodes = tuple(
            node if isinstance(node, Branch) else binder.bind(node, where_of(node, f"nodes[{index}]"))
            for index, node in enumerate(rule.nodes)
        )
        limit = binder.limit(rule.limit, "limit")
        kinds = parameters.kinds
        if not parameters.widened:
            break
    segments: dict[str, BoundRule] = {}
    for name in references(rule):
        segments |= bound[name].segments
        segments[name] = bound[name]
    attributes = binder.attributes
    if rule.base is not None:
        attributes[BASES_ATTRIBUTE] = Kind.TEXT_LIST
    whole = Rule(nodes, rule.scope, rule.base, limit)
    return BoundRule(whole, kinds, segments, names.zone, attributes, names.setting)


def _in_order(rule: Rule, names: Names, as_name: str | None) -> list[str]:
    """Every segment reached, each after those that it refers to. Raises RULE_CYCLE naming the way around."""
    done: dict[str, None] = {}
    way: list[tuple[str | None, Rule, list[str]]] = [(as_name, rule, list(reversed(references(rule))))]
    while way:
        current, at, left = way[-1]
        if not left:
            way.pop()
            if way and current is not None:
                done[current] = None
            continue
        name = left.pop()
        if name in done:
            continue
        on_the_way = [step for step, _, _ in way]
        if name in on_the_way:
            circle = [*on_the_way[on_the_way.index(name) :], name]
            raise _at(at, name, way, CYCLE, f"a segment cannot refer to itself: {' -> '.join(map(_quoted, circle))}.")
        target = names.segments.get(name)
        if target is None:
            hint = did_you_mean(name, names.segments)
            raise _at(at, name, way, UNKNOWN_NAME, f'unknown segment "{name}".', hint)
        if len(done) + len(way) > MAX_SEGMENTS:
            raise _at(at, name, way, TOO_LARGE, f"the rule reaches more than {MAX_SEGMENTS} segments.")
        way.append((name, target, list(reversed(references(target)))))
    return list(done)


def _at(
    rule: Rule, name: str, way: list[tuple[str | None, Rule, list[str]]], reason: str, text: str, hint: str = ""
) -> CdpError:
    """The error at the first mention of segment `name` in `rule`, the last one on the way."""
    index, node = next((i, node) for i, node in enumerate(rule.nodes) if _target(node) == name)
    error = problem(reason, where_of(node, f"nodes[{index}]"), text, hint)
    inside = way[-1][0]
    return error if len(way) == 1 or inside is None else _inside(inside, error)


def _inside(segment: str, error: CdpError) -> CdpError:
    """The same error, said to be in a segment that was referred to."""
    prefix = f"in segment {_quoted(segment)}"
    violations = (Violation(f"{prefix}, {v.path}" if v.path else prefix, v.description) for v in error.violations)
    return invalid(error.reason, f"{prefix}: {error.message}", *violations)


def _quoted(name: str | None) -> str:
    return f'"{name}"'
