"""Random worlds for statistics: contacts with purchases and attributes, and the same facts as plain Python."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from core.index.root import Root
from core.query.ast import Node, Population, Rule, Scope
from core.query.execute_context import Context
from core.query.names import BoundRule, Setting
from core.query.rfm_model import RfmModel
from core.schema import DecimalUnits
from tests.unit.index.small_world import SmallWorld

KNOWN = Population(Scope.KNOWN)


@dataclass
class Purchase:
    contact: int
    at_us: int
    units: int | None


@dataclass
class Plain:
    """`known[c]`, `bases[c]`, `score[c]` (a whole number or None) and all purchases."""

    known: list[bool]
    bases: list[tuple[str, ...]]
    score: list[int | None]
    purchases: list[Purchase] = field(default_factory=list)

    def population(self, population: Population) -> list[int]:
        """Everybody exists from instant 0 on."""
        return [
            contact
            for contact in range(len(self.known))
            if {Scope.KNOWN: self.known[contact], Scope.ANONYMOUS: not self.known[contact], Scope.ALL: True}[
                population.scope
            ]
            and (population.base is None or population.base in self.bases[contact])
        ]

    def until(self, contact: int, after_us: int, as_of_us: int) -> list[Purchase]:
        return [one for one in self.purchases if one.contact == contact and after_us < one.at_us <= as_of_us]


def random_world(seed: int, *, sparse: bool = False, large: bool = False) -> tuple[Root, Plain]:
    """Up to 30 contacts, ties everywhere, negative amounts; `sparse`: some purchases have no total; `large`: sums leave
    64 bits. Purchases come in several runs, late ones among them."""
    print(f"seed {seed}, sparse {sparse}, large {large}")
    draw = random.Random(seed)
    count = draw.randint(1, 30)
    plain = Plain(
        [draw.random() < 0.8 for _ in range(count)],
        [tuple(base for base in ("east", "west") if draw.random() < 0.5) for _ in range(count)],
        [draw.choice((None, -3, 0, 1, 1, 1, 2, 5, 10)) for _ in range(count)],
    )
    world = SmallWorld()
    for contact in range(count):
        world.contacts(contact, known=plain.known[contact])
        if plain.bases[contact] or draw.random() < 0.5:
            world.attribute(contact, "bases", plain.bases[contact])
        if plain.score[contact] is not None:
            world.attribute(contact, "score", plain.score[contact])
    for _ in range(draw.randint(0, 60)):
        units: int | None = draw.choice((10_000, 10_000, 25_000, -5_000, 1))
        if large:
            units = draw.choice((2**62, 2**62, 2**62 - 1))
        if sparse and draw.random() < 0.3:
            units = None
        one = Purchase(draw.randrange(count), draw.randint(1, 40) * 10, units)
        plain.purchases.append(one)
        params = {} if units is None else {"total": DecimalUnits(units)}
        world.event(one.contact, "bought", one.at_us, params)
    return world.root(draw.randint(5, 80), root_each=True), plain


def context(root: Root, as_of_us: int, models: tuple[RfmModel, ...] = ()) -> Context:
    return Context(root, as_of_us, "UTC", None, setting(models))


def setting(models: tuple[RfmModel, ...] = ()) -> Setting:
    return Setting("shop", rfm={model.name: model for model in models})


def rule_of(node: Node, population: Population = KNOWN, models: tuple[RfmModel, ...] = ()) -> BoundRule:
    return BoundRule(Rule((node,), population.scope, population.base), {}, {}, "UTC", setting=setting(models))
