"""What a version takes over from the one before."""

from __future__ import annotations

from core.index.index import Index
from core.query.binding.bind import bind
from core.query.execute import Counts, count_of
from core.query.text.parse import parse
from core.segments.published import StandingView
from core.segments.saved import Saved
from core.segments.standing import Standing
from core.segments.vocabulary import names_of
from tests.cast import NOW_US, ZONE
from tests.unit.index.small_world import SmallWorld, apply


def test_counts_are_those_of_the_version_whatever_came_in_between() -> None:
    index = Index()
    apply(index, SmallWorld().contacts(0, 1).contacts(2, reachable=0).log, 1)
    standing = Standing(index, ZONE, NOW_US)
    rule = bind(parse("everyone"), names_of(index.root(), {}, ZONE))
    standing.save(Saved.make("all", 1, rule), (), NOW_US)

    def view() -> StandingView:
        found = standing.publish().segments["all"]
        assert found.counts == count_of(found.members, found.root)
        return found

    first = view()
    assert first.counts == Counts(3, 3, 2)
    apply(index, SmallWorld().event(0, "site_visited", 5).log, 2)
    second = view()
    assert second is not first and second.counts is first.counts
    apply(index, SmallWorld().contacts(2, reachable=4).log, 3)
    assert view().counts == Counts(3, 3, 3)
    apply(index, SmallWorld().contacts(2, known=False, reachable=4).log, 4)
    assert view().counts == Counts(3, 2, 3), "the members are those that the standing set has, which was told nothing"
    assert first.counts == Counts(3, 3, 2)
