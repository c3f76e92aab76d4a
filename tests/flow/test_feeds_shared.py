"""Products that several feeds tell: the last word counts, and what one feed drops stays while another tells it."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from cdp.catalog.v1 import catalog_pb2 as pb
from cdp.facts.v1 import facts_pb2
from core.catalog.changes import Standing
from services.ingest.feeds.shared import hold_removals, is_being_applied
from services.ingest.feeds.store import NEW, REMOVED, FeedStore, Staged
from tests.flow.feed_house import FeedHouse, feed_house, feed_of, item

_PRICE_DROPPED = facts_pb2.ProductChangeKind.PRODUCT_CHANGE_KIND_PRICE_DROPPED
A, B, Q = item("p", "10.00 USD"), item("p", "99.00 USD"), item("q")


async def _product(house: FeedHouse, product_id: str = "p") -> tuple[str, int] | None:
    request = pb.GetProductRequest(product_id=product_id)
    try:
        found = await house.catalog.GetProduct(request, metadata=house.platform.metadata)
    except grpc.aio.AioRpcError as error:
        assert error.code() is grpc.StatusCode.NOT_FOUND
        return None
    return found.feed, found.product.fields["price"].decimal_units


async def _last_fact(house: FeedHouse, product_id: str = "p") -> facts_pb2.Product:
    return [one for one in await house.facts() if one.product_id == product_id][-1]


async def _feeds(house: FeedHouse, *names: str) -> None:
    for name in names:
        await house.save(name, shrink_limit_percent=100)


async def test_what_one_feed_drops_stays_as_the_other_tells_it(tmp_path: Path) -> None:
    async with feed_house(tmp_path) as house:
        await _feeds(house, "one", "two")
        await house.imported(feed_of([A, Q]), "one")
        await house.imported(feed_of([B]), "two")
        assert await _product(house) == ("two", 990_000)

        run = await house.imported(feed_of([item("r")]), "two")
        assert (run.items_new, run.items_removed, run.items_applied) == (1, 0, 1)
        told = await _last_fact(house)
        assert (told.deleted, told.fields["price"].decimal_units) == (False, 100_000)
        assert [one.kind for one in told.changes] == [_PRICE_DROPPED]
        assert await _product(house) == ("one", 100_000)

        run = await house.imported(feed_of([Q]), "one")
        assert run.items_removed == 1
        assert (await _last_fact(house)).deleted
        assert await _product(house) is None


async def test_a_deleted_feed_leaves_what_others_tell(tmp_path: Path) -> None:
    async with feed_house(tmp_path) as house:
        await _feeds(house, "one", "two", "three")
        for name, price in (("one", "1.00 USD"), ("three", "3.00 USD"), ("two", "2.00 USD")):
            await house.imported(feed_of([item("p", price)]), name)
        delete = pb.DeleteFeedRequest(name="two", remove_products=True)
        answer = await house.catalog.DeleteFeed(delete, metadata=house.platform.metadata)
        assert (await house.ended(answer.run.number, "two")).items_removed == 0
        assert (await _last_fact(house)).fields["price"].decimal_units == 30_000
        assert await _product(house) == ("three", 30_000)


async def test_products_that_a_deleted_feed_left_go_with_the_last_feed_that_tells_them(tmp_path: Path) -> None:
    async with feed_house(tmp_path) as house:
        await _feeds(house, "old", "new")
        await house.imported(feed_of([A, Q]), "old")
        await house.catalog.DeleteFeed(pb.DeleteFeedRequest(name="old"), metadata=house.platform.metadata)
        assert await _product(house) == ("old", 100_000)
        await house.imported(feed_of([B]), "new")
        run = await house.imported(feed_of([item("r")]), "new")
        assert run.items_removed == 1
        assert (await _last_fact(house)).deleted
        assert await _product(house) is None
        assert await _product(house, "q") == ("old", 100_000)


def test_a_run_that_is_being_applied_is_known_after_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "items.sqlite"
    assert not is_being_applied(path, 1)
    store = FeedStore(path)
    store.begin()
    store.staged_whole(1)
    assert not is_being_applied(path, 1)
    hold_removals(store, 1, (), (), 5)
    assert is_being_applied(path, 1)
    store.settle(1, 7)
    assert not is_being_applied(path, 1)


@pytest.mark.parametrize("told_us", [1, 3])
def test_a_removal_tells_no_change_where_the_other_feed_spoke_last(tmp_path: Path, told_us: int) -> None:
    paths = [tmp_path / "own.sqlite", tmp_path / "other.sqlite"]
    own, other = (FeedStore(path) for path in paths)
    for store, at_us, price in ((own, 2, 990_000), (other, told_us, 100_000)):
        product = facts_pb2.Product(product_id="p", fields={"price": facts_pb2.Value(decimal_units=price)})
        store.begin()
        store.stage([Staged("p", b"1", Standing(1, price, None), product.SerializeToString(), b"", NEW)])
        store.staged_whole(1)
        store.settle(1, at_us)
    own.begin()
    own.stage([Staged("p", b"", Standing(None, None, None), b"", b"", REMOVED)])
    own.staged_whole(2)
    hold_removals(own, 2, [paths[1]], (), 5)
    [(_, told, changes)] = own.staged_after(0, 10)
    found = facts_pb2.Product.FromString(told + changes)
    assert found.fields["price"].decimal_units == 100_000
    assert [one.kind for one in found.changes] == ([_PRICE_DROPPED] if told_us < 2 else [])
    own.settle(2, 4)
    assert (own.count(), other.count()) == (0, 1)
