"""A world with rules to ask of it, all from one seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from core.events.facts import ContactState
from core.query.ast import Rule
from core.query.knowledge import Knowledge
from core.query.names import Names
from core.schema import DECIMAL_SCALE, DecimalUnits, Kind, Scalar
from tests.generators.comparisons import Comparisons
from tests.generators.histories import histories
from tests.generators.rules import RuleMaker, names_with_segments
from tests.generators.world import World, make_world, names_of

DEPTH = 5


@dataclass(frozen=True, slots=True)
class Question:
    """A rule and the instant it is asked at; parameters follow when binding has inferred their kinds."""

    rule: Rule
    as_of_us: int


@dataclass(frozen=True, slots=True)
class Scene:
    """`names` hold the saved segments that `questions` may refer to, `knowledge` their recorded memberships. `random`
    goes on from where the scene was made."""

    seed: int
    world: World
    names: Names
    knowledge: Knowledge
    questions: tuple[Question, ...]
    random: Random

    def arguments(self, parameters: Mapping[str, Kind]) -> dict[str, Scalar]:
        """Values for a bound rule's parameters."""
        comparisons = Comparisons(self.random, self.world.moments, parameters=False)
        return {name: _fitting(kind, comparisons.literal(kind)) for name, kind in sorted(parameters.items())}


def make_scene(seed: int, questions: int = 12, only: frozenset[str] | None = None) -> Scene:
    """The scene of `seed`; `only` names the conditions that its questions may have."""
    random = Random(seed)
    world = make_world(random)
    names = names_with_segments(random, world.moments, names_of(world))
    contacts = 1 + max(line.contact for line in world.log if isinstance(line, ContactState))
    saved = [name for name in names.segments if name != "by section"]
    knowledge = Knowledge(histories=histories(random, world.moments, saved, contacts))
    maker = RuleMaker(random, world.moments, names, only=only)
    asked = tuple(Question(maker.rule(random.randint(0, DEPTH)), world.moments.evaluation()) for _ in range(questions))
    return Scene(seed, world, names, knowledge, asked, random)


def _fitting(kind: Kind, value: Scalar) -> Scalar:
    # A parameter is given in its own kind, where a literal may be a whole decimal or a fraction for a whole number.
    if kind is Kind.INTEGER and isinstance(value, DecimalUnits):
        return value.units // DECIMAL_SCALE
    return value
