"""What a template names that the segment engine knows: attributes computed of events, interests, and products."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from liquid import BoundTemplate

#: The models that every workspace has, as fields of `interests`.
INTERESTS = ("brand", "category", "tag")
#: Lists of products, as fields of `blocks`.
BLOCKS = ("accessories", "analogues", "cart", "favourite", "recommended", "viewed", "wishlist")


@dataclass(frozen=True, slots=True)
class Needs:
    """`attributes`: the fields of `contact` that are named, computed or not. `every`: which ones shows only while
    rendering (`contact[name]`, `contact | json`), so it may be any. `interests` and `blocks`: of INTERESTS and BLOCKS
    those named, in order."""

    attributes: frozenset[str] = frozenset()
    every: bool = False
    interests: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()


def needs_of(*templates: BoundTemplate | None) -> Needs:
    """What the templates name together; None names nothing.

    Too much rather than too little: a name in a branch that is never taken counts, and so does one that the template
    has hidden by a variable of its own.
    """
    contact, interests, blocks = set[str](), set[str](), set[str]()
    every = False
    for segments in chain.from_iterable(_paths(template) for template in templates if template is not None):
        root, field = segments[0], segments[1] if len(segments) > 1 else None
        # A root that is itself looked up ({{ [name].first_name }}) may turn out to be either.
        anything = not isinstance(root, str)
        if anything or root == "contact":
            every = every or not isinstance(field, str)
            contact |= {field} if isinstance(field, str) else set()
        if anything or root == "interests":
            interests |= {field} if isinstance(field, str) else set(INTERESTS)
        if anything or root == "blocks":
            blocks |= {field} if isinstance(field, str) else set(BLOCKS)
    return Needs(
        frozenset(contact - {"key"}),
        every,
        tuple(name for name in INTERESTS if name in interests),
        tuple(name for name in BLOCKS if name in blocks),
    )


def _paths(template: BoundTemplate) -> Iterable[list[object]]:
    for places in template.analyze(include_partials=False).variables.values():
        for variable in places:
            yield list(variable.segments)
