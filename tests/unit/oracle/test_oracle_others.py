"""The oracle on sequences, products, messages, populations: answers worked out by hand from semantics.md."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from tests.unit.oracle.saying import DAY_US, HOUR_US, NOW, Plain, ask, attribute, compare, did, event, events, person


def step(kind: str, negative: bool = False, name: str | None = None, within: int | None = None, **more: Any) -> Plain:
    from_first = more.pop("from_first", False)
    said = {"negative": negative, "name": name, "within_us": within, "from_first": from_first}
    return {"events": events(kind, **more), **said}


def sequence(*steps: Plain, window: Plain | None = None, same: str | None = None) -> Plain:
    return {"is": "sequence", "steps": list(steps), "window": window, "same": same}


def test_a_sequence_is_never_greedy() -> None:
    facts = [person(1), event(1, 1, "a"), event(1, 10, "a"), event(1, 12, "b")]
    assert ask(facts, sequence(step("a"), step("b", within=2))) == {1}
    assert ask(facts, sequence(step("a"), step("b", within=1))) == set()
    assert ask(facts, sequence(step("a"), step("a"), step("b", within=2, from_first=True))) == set()
    assert ask(facts, sequence(step("b"), step("b"))) == set()  # distinct events, strictly later


def test_what_did_not_happen_in_between() -> None:
    facts = [person(1), event(1, 1, "a"), event(1, 3, "x"), event(1, 5, "b")]
    assert ask(facts, sequence(step("a"), step("x", True), step("b"))) == set()
    assert ask(facts, sequence(step("a"), step("x", True, within=2), step("b"))) == {1}  # [1, 3)
    assert ask(facts, sequence(step("a"), step("x", True, within=3), step("b"))) == set()
    assert ask(facts, sequence(step("a"), step("a", True), step("b", True), step("b"))) == {1}  # but for those matched


@pytest.mark.parametrize(("as_of", "found"), [(4, set()), (5, {1, 2}), (6, {1, 2})])
def test_a_trailing_negative_waits(as_of: int, found: set[int]) -> None:
    facts = [person(1), event(1, 1, "a"), person(2), event(2, 1, "a"), event(2, 6, "b"), person(3), event(3, 1, "a")]
    facts += [event(3, 5, "b")]
    assert ask(facts, sequence(step("a"), step("b", True, within=4)), as_of=as_of) == found
    assert ask(facts, sequence(step("a"), step("b", True)), as_of=as_of) == {4: {1, 2, 3}, 5: {1, 2}, 6: {1}}[as_of]


def test_steps_are_joined_by_key_and_by_name() -> None:
    facts = [person(1), event(1, 1, "a", p="x"), event(1, 2, "b", p="y"), person(2), event(2, 1, "a", p="x")]
    facts += [event(2, 2, "b", [{"p": "x"}, {"p": "z"}])]
    assert ask(facts, sequence(step("a"), step("b"))) == {1, 2}
    assert ask(facts, sequence(step("a"), step("b"), same="p")) == {2}
    of_a = compare("p", "!=", {"step": "v", "path": "p"})
    assert ask(facts, sequence(step("a", name="v"), step("b", test=of_a))) == {1, 2}
    as_a = compare("p", "=", {"step": "v", "path": "p"})
    assert ask(facts, sequence(step("a", name="v"), step("b", test=as_a))) == set()


def product(name: str, at: int, **fields: Any) -> Plain:
    return {"fact": "product", "product": name, "fields": fields, "occurred_at": at}


def test_products_at_the_event_and_now() -> None:
    facts = [product("p", 0, stock=0, price=100), product("p", 10, stock=1, price=90, sale_price=80)]
    facts += [product("unknown stock", 0, price=1), person(1), event(1, 5, product_id="p", price=100)]
    facts += [person(2), event(2, 5, product_id="unknown stock", price=100), person(3), event(3, 5, price=100)]
    facts += [person(4), event(4, 5, items=[{"product_id": "q"}, {"product_id": "p"}], product_id="p", price=100)]

    def on(*conditions: Plain) -> set[int]:
        said = [{"state": None, "at_event": False, "price_drop": None, **one} for one in conditions]
        return ask(facts, did(">=", 1, products=said))

    assert on({"state": "out of stock", "at_event": True}) == {1, 4}
    assert on({"state": "the last item"}, {"state": "low in stock"}, {"state": "in stock"}) == {1, 4}
    assert on({"state": "on promotion"}) == {1, 4}
    assert on({"price_drop": 20}) == {1}  # the line has no price of its own
    assert on({"price_drop": 21}) == set()


def test_a_day_message_is_one_sent_by_day_where_the_contact_was() -> None:
    facts = [person(1), event(1, NOW, "message_sent", message_id="m", time_zone="America/New_York")]
    facts += [
        event(1, NOW, "message_clicked", message_id="m"),
        person(2),
        event(2, NOW, "message_sent", message_id="n"),
    ]
    facts += [{**event(2, NOW, "message_opened", message_id="n"), "machine": True}]

    def messages(verb: str, sent: str, with_machines: bool = False) -> set[int]:
        condition: Plain = {"is": "messages", "verb": verb, "filter": None, "window": None, "sent": sent}
        condition |= {"with_machines": with_machines, "op": ">=", "operands": [{"value": 1}]}
        return ask(facts, condition)

    assert messages("sent", "night") == {1}  # noon in Kyiv is five in the morning in New York
    assert messages("sent", "day") == {2}
    assert messages("opened", "night") == {1}
    assert messages("opened", "day") == set()
    assert messages("opened", "day", with_machines=True) == {2}


def spent(*sums: int) -> list[Plain]:
    facts = [person(number) for number in range(1, len(sums) + 2)]  # the last one spends nothing
    return facts + [event(number, number, "bought", total=total) for number, total in enumerate(sums, 1)]


def population(standard: str, op: str = ">=", percent: int | None = None, function: str = "sum") -> Plain:
    measure = {"is": "aggregate", "function": function, "path": "total", "events": events("bought")}
    return {
        "is": "population",
        "measure": measure,
        "standard": standard,
        "op": op,
        "percent": percent,
        "population": None,
    }


def test_statistics_are_of_those_that_have_a_value() -> None:
    facts = spent(10, 20, 30, 40, 50)
    assert ask(facts, population("average", ">")) == {4, 5}
    assert ask(facts, population("average", "=")) == {3}
    assert ask(facts, population("percentile", "=", 50)) == {3}
    assert ask(facts, population("percentile", "<=", 1)) == {1}
    assert ask(facts, population("top", percent=20)) == {5}
    assert ask(facts, population("top", percent=21)) == {4, 5}
    assert ask(facts, population("bottom", percent=40)) == {1, 2}
    assert ask(spent(10, 10, 10), population("top", percent=1)) == {1, 2, 3}


def test_the_average_check_is_of_events() -> None:
    facts = [*spent(10, 40), event(2, 9, "bought", total=40)]
    # 90 / 3 = 30 a purchase; the mean of the contacts' averages is 25.
    assert ask(facts, population("average of events", ">", function="avg")) == {2}
    assert ask([*facts, attribute(1, "x", 1)], population("average", "=", function="avg")) == set()


def rfm(**more: Any) -> Plain:
    axis = {"bins": 2, "bounds": None}
    cells = [{"name": "good", "recency": (2, 2), "frequency": (1, 2), "monetary": (1, 2)}]
    return {
        "rfm": {
            "m": {
                "events": events("bought"),
                "value_path": "total",
                "period_us": None,
                "recency": axis,
                "frequency": axis,
                "monetary": axis,
                "cells": cells,
                **more,
            }
        }
    }


def test_rfm_scores_by_rank_and_moves() -> None:
    facts = [*spent(1, 1, 1, 1), event(1, NOW, "bought")]

    def within(*cells: str, **more: Any) -> set[int]:
        return ask(facts, {"is": "rfm", "model": "m", "cells": list(cells), "population": None}, setting=rfm(**more))

    assert within("good") == {4, 1}
    assert within("other") == {2, 3}
    assert within("none") == {5}
    assert within("good", recency={"bins": 2, "bounds": [HOUR_US]}) == {1}
    moved = {"is": "rfm moved", "model": "m", "before": ["other"], "after": [], "us": DAY_US, "population": None}
    assert ask(facts, moved, setting=rfm()) == {1}
    assert ask(facts, {**moved, "before": ["good"]}, setting=rfm()) == {3}


def test_limits_and_buckets_go_by_hash() -> None:
    facts = [*spent(5, 5, 7)]
    hashes = {n: int.from_bytes(sha256(f"\0salt\0c{n}".encode()).digest()[:8], "big") for n in range(1, 5)}
    first = min(hashes, key=hashes.__getitem__)
    everyone = {"is": "everyone"}
    plain = {"by": None, "smallest": False, "salt": "salt"}
    assert ask(facts, everyone, limit={"count": 1, **plain}) == {first}
    by = {"is": "aggregate", "function": "sum", "path": "total", "events": events("bought")}
    assert ask(facts, everyone, limit={"count": 1, **plain, "by": by}) == {3}
    assert ask(facts, everyone, limit={"count": 9, **plain, "by": by}) == {1, 2, 3}
    least = min((1, 2), key=hashes.__getitem__)
    assert ask(facts, everyone, limit={"count": 1, **plain, "by": by, "smallest": True}) == {least}
    bucket = {"is": "bucket", "low": hashes[2] % 10_000, "high": hashes[2] % 10_000, "salt": "salt"}
    assert 2 in ask(facts, bucket)


def test_a_base_is_part_of_the_scope() -> None:
    facts = [person(1), attribute(1, "bases", ["retail"]), person(2), attribute(2, "bases", ["retail"], NOW + 1)]
    assert ask(facts, {"is": "everyone"}, base="retail") == {1}
