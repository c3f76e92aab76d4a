"""Staging against a plain dict: whatever files come one after another, what is told makes the catalogue of the last."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from pathlib import Path
from zoneinfo import ZoneInfo

from cdp.facts.v1 import facts_pb2
from core.catalog.offer import OfferRules
from core.money.rates import Rate, Rates
from services.ingest.feeds.item import RawItem
from services.ingest.feeds.run import FeedRun, RunState
from services.ingest.feeds.staging import Staging
from services.ingest.feeds.store import FORMAT, FeedStore

RULES = OfferRules(1_790_000_000_000_000, "UAH", 5, ZoneInfo("UTC"))
Kind = facts_pb2.ProductChangeKind
GOLDEN = Path(__file__).parents[3] / "golden" / "feeds" / "run-1.json"


def item(number: int, product_id: str, price: str, stock: str) -> RawItem:
    return RawItem(number, number, {"id": product_id, "price": price, "quantity": stock})


def import_(store: FeedStore, run: int, items: list[RawItem], *, partial: bool = False) -> list[facts_pb2.Product]:
    """One import; what it tells, in order."""
    store.begin()
    tally = Staging(store, RULES, 10**6, compare=True, partial=partial).stage(items, lambda _: None)
    store.staged_whole(run)
    told = [facts_pb2.Product.FromString(product + changes) for _, product, changes in store.staged_after(0, 10**6)]
    store.settle(run, run)
    assert tally.read == len(items) == tally.accepted + tally.rejected
    assert len(store.rejected_after(0, 10**6)) == tally.rejected
    return told


def test_any_files_in_any_order(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    store = FeedStore(tmp_path / "items.sqlite")
    # Product -> (price, stock) as told; the plain model of the catalogue.
    model: dict[str, tuple[int, int]] = {}
    catalogue: dict[str, facts_pb2.Product] = {}
    for run in range(1, 60):
        partial = chance.random() < 0.3
        rows = [
            (f"p{chance.randrange(25)}", chance.randrange(1, 4), chance.choice((0, 1, 4, 9)))
            for _ in range(chance.randrange(30))
        ]
        wrong = {f"p{chance.randrange(25)}" for _ in range(chance.randrange(3))}
        items = [item(n, key, f"{price}", f"{stock}") for n, (key, price, stock) in enumerate(rows)]
        items += [item(100 + n, key, "nonsense", "1") for n, key in enumerate(sorted(wrong))]
        chance.shuffle(items)
        after = _after(model, items, partial)
        for product in import_(store, run, items, partial=partial):
            _check(model.get(product.product_id), after.get(product.product_id), product, f"seed {seed}, run {run}")
            if product.deleted:
                del catalogue[product.product_id]
            else:
                catalogue[product.product_id] = product
        model = after
        found = {
            key: (one.fields["price"].decimal_units // 10_000, one.fields["stock"].integer)
            for key, one in catalogue.items()
        }
        assert found == model, f"seed {seed}, run {run}"
        assert store.count() == len(model)


def _after(model: Mapping[str, tuple[int, int]], items: list[RawItem], partial: bool) -> dict[str, tuple[int, int]]:
    told = {
        one.fields["id"]: (int(one.fields["price"]), int(one.fields["quantity"]))
        for one in items
        if one.fields["price"] != "nonsense"
    }
    kept = model if partial else {key: model[key] for key in {one.fields["id"] for one in items} & model.keys()}
    return {**kept, **told}


def _check(before: tuple[int, int] | None, now: tuple[int, int] | None, product: facts_pb2.Product, where: str) -> None:
    kinds = [Kind.Name(one.kind).removeprefix("PRODUCT_CHANGE_KIND_") for one in product.changes]
    if now is None:
        assert kinds == ["REMOVED"], where
        return
    if before is None:
        assert kinds == ["NEW"], where
        return
    wanted = []
    (price, stock), (new_price, new_stock) = before, now
    wanted += ["BACK_IN_STOCK"] * (stock == 0 < new_stock) + ["OUT_OF_STOCK"] * (new_stock == 0 < stock)
    wanted += ["RUNNING_LOW"] * (0 < new_stock <= 5 < stock) + ["LAST_ITEM"] * (new_stock == 1 < stock)
    wanted += ["PRICE_DROPPED"] * (new_price < price) + ["PRICE_RAISED"] * (new_price > price)
    assert kinds == wanted, where
    assert before != now, f"{where}: what did not change is not told"


def test_prices_come_home_by_the_rate_of_the_instant(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    dated = sorted(chance.sample(range(RULES.now_us - 50, RULES.now_us + 50), 8))
    scales = {at_us: chance.randrange(1, 10**14) for at_us in dated}
    rates = Rates("UAH").with_rates([Rate("EUR", at_us, scaled) for at_us, scaled in scales.items()], 1)
    rules = replace(RULES, rates=rates)
    in_force = max((at_us for at_us in dated if at_us <= RULES.now_us), default=None)
    store = FeedStore(tmp_path / "items.sqlite")
    store.begin()
    prices = [f"{chance.randrange(10**9)}.{chance.randrange(10**4):04d}" for _ in range(50)]
    rows = [item(n, f"p{n}", f"{price} {chance.choice(('EUR', 'UAH', 'USD'))}", "1") for n, price in enumerate(prices)]
    tally = Staging(store, rules, 1_000, compare=True, partial=False).stage(rows, lambda _: None)
    store.staged_whole(1)
    told = {one.product_id: one for one in (_product(row) for row in store.staged_after(0, 10**6))}
    refused = {one.product_id: one.reason for _, one in store.rejected_after(0, 10**6)}
    for number, row in enumerate(rows):
        amount, _, currency = row.fields["price"].partition(" ")
        where = f"seed {seed}, {row.fields['price']}"
        if currency == "USD" or (currency == "EUR" and in_force is None):
            assert refused[f"p{number}"] == "NO_RATE", where
            continue
        fields = told[f"p{number}"].fields
        assert fields["currency"].text == currency, where
        units = int(Decimal(amount) * 10_000)
        if currency == "UAH":
            assert (fields["price"].decimal_units, "price_original" in fields) == (units, False), where
            continue
        assert in_force is not None
        with localcontext(prec=60):
            exact = Decimal(units) * scales[in_force] / 10**12
            home = int(exact.quantize(Decimal(1), ROUND_HALF_EVEN))
        assert (fields["price"].decimal_units, fields["price_original"].decimal_units) == (home, units), where
    assert tally.foreign == sum(not row.fields["price"].endswith("UAH") for row in rows)


def test_a_price_that_is_too_large_at_home_is_refused(tmp_path: Path) -> None:
    store = FeedStore(tmp_path / "items.sqlite")
    store.begin()
    rules = replace(RULES, rates=Rates("UAH").with_rates([Rate("EUR", 0, 10**15)], 1))
    rows = [item(1, "a", "900000000000000 EUR", "1"), item(2, "b", "1 EUR", "1")]
    tally = Staging(store, rules, 10, compare=True, partial=False).stage(rows, lambda _: None)
    assert (tally.accepted, tally.foreign) == (1, 1)
    assert [(one.product_id, one.reason) for _, one in store.rejected_after(0, 10)] == [("a", "BAD_PRICE")]


def _product(row: tuple[int, bytes, bytes]) -> facts_pb2.Product:
    return facts_pb2.Product.FromString(row[1])


def test_a_staging_that_was_cut_off_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "items.sqlite"
    store = FeedStore(path)
    assert len(import_(store, 1, [item(1, "a", "1", "1")])) == 1
    store.begin()
    Staging(store, RULES, 10, compare=True, partial=False).stage([item(1, "b", "1", "1")], lambda _: None)
    store.close()  # before it was whole
    again = FeedStore(path)
    assert (again.count(), again.staged_run, again.applied_run) == (1, 0, 1)
    assert again.staged_after(0, 10) == []


def test_a_store_of_another_format_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "items.sqlite"
    store = FeedStore(path)
    import_(store, 1, [item(1, "a", "1", "1")])
    store._db.execute(f"PRAGMA user_version = {FORMAT + 1}")
    store.close()
    assert FeedStore(path).count() == 0


def test_a_store_of_the_first_format_keeps_its_items(tmp_path: Path) -> None:
    path = tmp_path / "items.sqlite"
    store = FeedStore(path)
    import_(store, 1, [item(1, "a", "1", "1")])
    store._db.execute("ALTER TABLE items DROP COLUMN told_us")
    store._db.execute("PRAGMA user_version = 1")
    store.close()
    again = FeedStore(path)
    assert again.told(("a",))["a"].at_us == 0
    import_(again, 2, [item(1, "a", "2", "1")])
    assert FeedStore(path).told(("a",))["a"].at_us == 2


def test_a_broken_store_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "items.sqlite"
    path.write_bytes(b"no database at all " * 1_000)
    assert (FeedStore(path).count(), FeedStore(path).applied_run) == (0, 0)
    assert path.with_suffix(".broken").exists()


def test_the_stored_form_of_a_run() -> None:
    run = FeedRun(
        "shop", 7, RunState.HELD, 1_790_000_000_000_000, "r-1", "0" * 32, told_at_us=1_790_000_001_000_000, read=10,
        accepted=9, rejected=1, changed=3, new=1, missing=4, removed=4, known_before=12, etag='"x"', low_stock=5,
        version=2, reason="FEED_SHRANK", description="4 of 12 products are missing, more than 20 %",
    )  # fmt: skip
    assert FeedRun.decode(GOLDEN.read_bytes()) == run
    assert FeedRun.decode(run.encode()) == run
    later = GOLDEN.read_text().replace('"format"', '"added_later": 1, "format"')
    assert FeedRun.decode(later.encode()) == run
