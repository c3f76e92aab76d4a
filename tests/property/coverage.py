"""How much of the language the random rules say: `python -m tests.property.coverage` prints the table.

The rows are made from the classes of core/query/ast.py: every class, every member of every enumeration, and every
field that need not be given. A part separates if the condition (or branch, or rule) that it stands in holds of some
contacts and not of others; only then would an evaluator that ignored it be found out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum

from core.query import ast
from core.query.ast import Branch, Rule
from core.query.binding.bind import bind
from tests.generators.scene import Question, Scene, make_scene
from tests.property.agreement import Expected, expect, oracle_of

#: Not parts of a rule as written: a place in a text, and what binding writes into a rule.
_NOT_WRITTEN = {"Span", "Population", "Population.base", "Parameter.kind"}
_NOT_WRITTEN |= {"AttributeOperand.measure", "Interest.of"}
_NOT_WRITTEN |= {f"{name}.population" for name in ("PopulationCondition", "RfmInCell", "RfmMoved")}
#: It holds of everybody in the scope, by its nature.
_NEVER_SEPARATE = {"Everyone"}
#: Scenes that the table is made from, and that test_engine_oracle.py asks the engine about.
SCENES = 56


def wanted() -> list[str]:
    """The rows of the table."""
    rows: list[str] = []
    for part in vars(ast).values():
        if not isinstance(part, type):
            continue
        if issubclass(part, Enum):
            rows += [f"{part.__name__}.{member.name}" for member in part]
        elif is_dataclass(part):
            rows.append(part.__name__)
            rows += [f"{part.__name__}.{one.name}" for one in fields(part) if _may_be_left_out(one.default, one.name)]
    return sorted(row for row in rows if row not in _NOT_WRITTEN)


def _may_be_left_out(default: object, name: str) -> bool:
    return default is not MISSING and name != "span"


#: A rule that says nothing of its own.
_PLAIN = Rule((ast.Everyone(),))


class Tally:
    """Counts how often each row was generated, and how often it separated."""

    def __init__(self) -> None:
        self.generated: Counter[str] = Counter()
        self.separated: Counter[str] = Counter()

    def see(self, rule: Rule, expected: Expected) -> None:
        """One rule, and who the oracle finds."""
        for number, node in enumerate(rule.nodes):
            separates = 0 < len(expected.nodes[number]) < expected.scope
            self._add({type(node).__name__, node.op} if isinstance(node, Branch) else said(node), separates)
        separates = 0 < len(expected.members) < expected.scope
        given = {f"Rule.{name}" for name in ("scope", "base") if getattr(rule, name) != getattr(_PLAIN, name)}
        self._add({"Rule", rule.scope, *given}, separates)
        if rule.limit is not None:
            self._add({"Rule.limit", *said(rule.limit)}, 0 < len(expected.members) < len(expected.nodes[number]))

    def _add(self, parts: Iterable[object], separates: bool) -> None:
        for part in parts:
            row = f"{type(part).__name__}.{part.name}" if isinstance(part, Enum) else str(part)
            self.generated[row] += 1
            self.separated[row] += separates

    def missing(self) -> list[str]:
        """The rows of which no property knows anything."""
        return [row for row in wanted() if not (self.generated if row in _NEVER_SEPARATE else self.separated)[row]]

    def table(self) -> str:
        """Class, how often generated, how often it separated."""
        rows = [f"{row:40}{self.generated[row]:10}{self.separated[row]:10}" for row in wanted()]
        return "\n".join((f"{'part of the language':40}{'generated':>10}{'separated':>10}", *rows))


def said(whole: object) -> set[object]:
    """Every class, every member of an enumeration and every field given that occurs in a part of a rule."""
    found: set[object] = set()
    stack = [whole]
    while stack:
        part = stack.pop()
        if isinstance(part, tuple):
            stack += part
        elif isinstance(part, Enum):
            found.add(part)
        elif is_dataclass(part) and not isinstance(part, type):
            name = type(part).__name__
            found.add(name)
            for one in fields(part):
                value = getattr(part, one.name)
                stack.append(value)
                if _may_be_left_out(one.default, one.name) and value != one.default:
                    found.add(f"{name}.{one.name}")
    return found


def tallied(tally: Tally, scene: Scene, questions: Iterable[Question]) -> None:
    """Ask the oracle alone."""
    oracle = oracle_of(scene.world.log, scene.names, scene.knowledge)
    for question in questions:
        parameters = scene.arguments(bind(question.rule, scene.names).parameters)
        tally.see(question.rule, expect(oracle, question, parameters))


def main() -> None:
    """Print the table."""
    tally = Tally()
    for seed in range(SCENES):
        scene = make_scene(seed)
        tallied(tally, scene, scene.questions)
    print(tally.table())
    print(f"never separated: {', '.join(tally.missing()) or 'nothing'}")


if __name__ == "__main__":
    main()
