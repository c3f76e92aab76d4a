"""What the oracle cannot see of standing segments: positions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from core.clock import DAY_US
from core.index.index import Index
from core.query.ast import Rule
from core.query.binding.bind import bind
from core.query.execute import evaluate
from core.query.text.parse import parse
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


def test_facts_that_came_while_nothing_was_saved_count_for_what_is_saved_again() -> None:
    standing = Standing(Index(), ZONE, NOW_US - 1)
    names = names_of(Index().root(), {}, ZONE)
    saved = Saved.make("viewed", 1, bind(parse("did not product_viewed and did not order_completed"), names))
    standing.save(saved, (), NOW_US - 1)
    standing.remove("viewed", 1, (), NOW_US - 1)
    full = batch()
    standing.apply(full)
    standing.save(saved, (), NOW_US)
    again = replace(full, position=2, recorded_at_us=NOW_US + 1, facts=())
    standing.apply(again)
    expected = evaluate(saved.bound, standing.publish().root, NOW_US + 1, {}).members
    assert standing.members("viewed") == expected


def test_who_enters_while_time_passes_is_due_again_in_what_remembers_it_within_the_same_span() -> None:
    # `average at least average` goes by published numbers, so time passes for "big" instant by instant.
    texts = {
        "big": "did product_viewed between 10 and 90 days ago or (age is missing and age at least average)",
        "was big": 'was in segment "big" at any time between 2 and 90 days ago',
    }
    standing = Standing(Index(), ZONE, NOW_US - 1)
    earlier: dict[str, Rule] = {}
    for name, text in texts.items():
        rule = parse(text)
        standing.save(Saved.make(name, 1, bind(rule, names_of(Index().root(), earlier, ZONE))), (), NOW_US - 1)
        earlier[name] = rule
    standing.apply(batch())
    standing.advance(NOW_US + 20 * DAY_US)
    published = standing.publish().segments
    assert published["big"].counts.total > 0
    assert published["was big"].members == published["big"].members, "more than two days passed since"
