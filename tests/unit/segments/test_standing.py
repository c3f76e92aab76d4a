"""What the oracle cannot see of standing segments: positions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from core.index.index import Index
from core.query.bind import bind
from core.query.parse import parse
from core.segments.changes import BulkChange
from core.segments.saved import Saved
from core.segments.standing import Standing
from core.segments.vocabulary import names_of
from tests.cast import NOW_US, ZONE, batch


def test_an_entry_of_duplicates_alone_moves_the_position() -> None:
    standing = Standing(Index(), ZONE, NOW_US - 1)
    rule = bind(parse("everyone"), names_of(Index().root(), {}, ZONE))
    standing.save(Saved.make("all", 1, rule), (), NOW_US - 1)
    standing.apply(batch())
    assert standing.publish().position == 1
    full = batch()
    empty = replace(full, position=2, events=full.events.take(np.array([], np.intp)), facts=())
    assert standing.apply(empty) == []
    published = standing.publish()
    assert published.position == 2
    assert published.segments["all"].counts.total == 4


def test_removing_changes_those_that_refer_to_it() -> None:
    names = names_of(Index().root(), {"old": parse("everyone")}, ZONE)
    standing = Standing(Index(), ZONE, NOW_US - 1)
    standing.save(Saved.make("old", 1, bind(parse("everyone"), names)), (), NOW_US - 1)
    user = Saved.make("user", 1, bind(parse('in segment "old"'), names))
    standing.save(user, (), NOW_US - 1)
    standing.apply(batch())
    other = names_of(Index().root(), {"old": parse("age < :least")}, ZONE)
    rebound = Saved.make("user", 1, bind(parse('in segment "old" with least = 30'), other))
    changes = standing.remove("old", 2, (rebound,), NOW_US)
    assert [(one.segment, len(one.entered), len(one.left)) for one in changes if isinstance(one, BulkChange)] == [
        ("old", 0, 4),
        ("user", 0, 2),
    ]
