"""Rules that are asked again and again with other values: read and bound once for each shape of text.

A question of a dashboard, or of a program, is mostly a text of a known shape: only a category, a price or the length
of a window differs. Reading and binding it takes longer than answering it where sets are small; putting its values
into the rule of an earlier text takes a tenth. `recipes.py` says which values may be put in, and where.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from core.query.binding.bind import bind
from core.query.names import BoundRule, Names
from core.query.recipes import Recipe, UnfitError, recipe_of
from core.query.text.holes import Shape, places_of, shape_of
from core.query.text.lexer import tokenize
from core.query.text.parse import parse, read
from core.query.text.parse_cursor import Cursor

#: Shapes, and recipes, kept at most; all are dropped then.
_KEPT = 250


@dataclass(slots=True)
class _Known:
    """What was read of texts that speak of `names`. `fixed`: for a shape the numbers of the holes whose values decide
    what the rule is; `recipes`: for a shape and those values, the rule."""

    names: Names | None = None
    fixed: dict[Shape, tuple[int, ...]] = field(default_factory=dict)
    recipes: dict[tuple[Shape, tuple[str, ...]], Recipe] = field(default_factory=dict)


class PreparedRules:
    """Reads and binds texts, remembering their shapes for as long as they speak of equal names. One object may serve
    several threads: the worst that they do to one another is to read a text twice."""

    def __init__(self) -> None:
        self._known = _Known()

    def bound(self, text: str, names: Names) -> BoundRule:
        """`bind(parse(text), names)`, and every error that these raise. The places of nodes (which no comparison of
        rules looks at) may be those of an earlier text of the shape."""
        known = self._known
        if known.names is not names:
            if known.names != names:
                known = self._known = _Known()
            known.names = names  # the same one is quicker to know again
        split = shape_of(text)
        if split is None:
            return bind(parse(text), names)
        shape, written = split
        fixed = known.fixed.get(shape)
        if fixed is not None:
            recipe = known.recipes.get((shape, tuple([written[hole] for hole in fixed])))
            if recipe is not None:
                try:
                    return recipe.bound(written)
                except UnfitError:
                    pass  # read as a whole, it means something else, or is refused with its place
        return _read(text, shape, written, known, names)


def _read(text: str, shape: Shape, written: list[str], known: _Known, names: Names) -> BoundRule:
    """Read and bound as a whole; what it has in common with others of its shape is kept."""
    cursor = Cursor(tokenize(text))
    rule = read(cursor)
    bound = bind(rule, names)
    hole_at = {place: hole for hole, place in enumerate(places_of(shape, written))}
    parts = [(part, hole_at[place]) for place, part in cursor.valued if place in hole_at]
    recipe = recipe_of(rule, bound, parts, written)
    fixed = tuple(hole for hole in range(len(written)) if hole not in recipe.holes)
    if known.fixed.setdefault(shape, fixed) == fixed:
        known.recipes[shape, _values(written, fixed)] = recipe
    if max(len(known.fixed), len(known.recipes)) > _KEPT:
        known.fixed.clear()
        known.recipes.clear()
    return bound


def _values(written: Sequence[str], holes: tuple[int, ...]) -> tuple[str, ...]:
    return tuple([written[hole] for hole in holes])
