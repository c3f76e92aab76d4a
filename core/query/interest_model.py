"""What an interest is: which events tell it, by which parameter, and how fast it fades; and those that every workspace
has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.query.ast_values import EventSelection

#: The longest half-life in days, and the largest weight: sums of the events of any index stay within 64 bits.
MAX_HALF_LIFE_DAYS, MAX_WEIGHT = 3650, 1000


@dataclass(frozen=True, slots=True)
class InterestModel:
    """Interest in the values of `parameter`: each event of the type `events.names[i]` (a type, no prefix; no window)
    that passes the filter adds `weights[i]` (1 to MAX_WEIGHT) to every value that it holds, halved every
    `half_life_days`. An event holds the texts of its own parameter; one that has none holds those of its lines. A value
    counts once an event."""

    name: str
    parameter: str
    events: EventSelection
    weights: tuple[int, ...]
    half_life_days: int = 30


_SHOPPING = EventSelection(("product_viewed", "product_added_to_cart", "wishlist_added", "order_completed"))
_WEIGHTS = (1, 3, 3, 5)
#: Models of a workspace that has saved none of these names.
DEFAULT_INTERESTS: Mapping[str, InterestModel] = {
    name: InterestModel(name, parameter, _SHOPPING, _WEIGHTS)
    for name, parameter in (("category", "category"), ("brand", "brand"), ("tag", "tags"))
}
