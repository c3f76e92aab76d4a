"""What readers get: the members of every standing segment at one instant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from core.index.bit_column import BitColumn
from core.index.contact_set import ContactSet
from core.index.root import Root
from core.query.execute import Counts, count_of
from core.query.knowledge import NOTHING_KNOWN, Knowledge
from core.segments.saved import Saved


@dataclass(frozen=True, slots=True)
class StandingView:
    """One segment at one published instant."""

    saved: Saved
    members: ContactSet
    root: Root
    _counts: list[Counts] = field(default_factory=list, repr=False, compare=False)

    @property
    def counts(self) -> Counts:
        """Counts of the members, made when they are first asked for."""
        if not self._counts:
            self._counts.append(count_of(self.members, self.root))
        return self._counts[0]


@dataclass(frozen=True, slots=True)
class Published:
    """An immutable version of everything: answers given from it are exact for `as_of_us` and `position`. `knowledge`
    holds the recorded histories, for rules that ask about them, and the members of all segments."""

    root: Root
    as_of_us: int
    segments: Mapping[str, StandingView]
    knowledge: Knowledge = NOTHING_KNOWN

    @property
    def position(self) -> int:
        """The position of unification's log that is folded in."""
        return self.root.position

    def knowledge_at(self, as_of_us: int) -> Knowledge:
        """What an evaluation at an instant may know: members hold for the published one alone."""
        return self.knowledge if as_of_us == self.as_of_us else replace(self.knowledge, members={})


def views_of(
    root: Root, saved: Mapping[str, Saved], members: Mapping[str, BitColumn], earlier: Mapping[str, StandingView]
) -> dict[str, StandingView]:
    """The views of all segments; where nothing changed, the same object as `earlier`, and where only other facts did,
    its counts."""
    views = {}
    same_people: dict[int, bool] = {}
    for name, one in saved.items():
        frozen = members[name].freeze()
        view = earlier.get(name)
        if view is None or view.members is not frozen or view.root is not root or view.saved is not one:
            counts: list[Counts] = []
            if view is not None and view.members is frozen:
                if id(view.root) not in same_people:
                    same_people[id(view.root)] = _same_people(view.root, root)
                counts = view._counts if same_people[id(view.root)] else counts
            view = StandingView(one, frozen, root, counts)
        views[name] = view
    return views


def _same_people(one: Root, other: Root) -> bool:
    """Whether the same contacts are known, and reachable by the same channels."""
    before, now = one.contacts, other.contacts
    channels = zip(before.channels, now.channels, strict=True)
    return before.known is now.known and all(was is reached for was, reached in channels)
