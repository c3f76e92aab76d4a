"""Product feeds through the front door: uploaded or fetched, compared, held, applied, resumed."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import grpc
import httpx2
import pytest
from google.longrunning import operations_pb2, operations_pb2_grpc

from cdp.catalog.v1 import catalog_pb2 as pb
from cdp.catalog.v1 import catalog_pb2_grpc
from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from cdp.money.v1 import money_pb2, money_pb2_grpc
from cdp.profile.v1 import profile_pb2, profile_pb2_grpc
from cdp.segment.v1 import segment_pb2, segment_pb2_grpc
from services.__main__ import BUILDS
from services.demo import journey
from services.demo.feed import latest_prices, write_feed
from services.runtime.host import Host
from services.runtime.roles import Role
from services.runtime.settings import ADDRESS_KEYS, Settings
from tests.flow.feed_house import FeedHouse, feed_house, feed_of, feed_server, item
from tests.flow.platform import TOGETHER, eventually

DONE = pb.FEED_RUN_STATE_DONE
Kind = facts_pb2.ProductChangeKind


def _kinds(product: facts_pb2.Product) -> list[str]:
    return [Kind.Name(one.kind).removeprefix("PRODUCT_CHANGE_KIND_").lower() for one in product.changes]


async def test_an_upload_becomes_facts_and_only_differences_are_told_again(tmp_path: Path) -> None:
    async with feed_house(tmp_path) as house:
        await house.save()
        first = await house.imported(feed_of([item("a", stock=10), item("b", stock=0), item("c", "100.00 USD")]))
        assert (first.state, first.items_read, first.items_new, first.items_applied) == (DONE, 3, 3, 3)
        assert [_kinds(one) for one in await house.facts()] == [["new"]] * 3

        again = await house.imported(feed_of([item("a", stock=10), item("b", stock=0), item("c", "100.00 USD")]))
        assert (again.state, again.items_changed, again.items_removed) == (DONE, 0, 0)
        assert len(await house.facts()) == 3

        third = await house.imported(feed_of([item("a", stock=1), item("b", stock=4), item("c", "87.50 USD")]))
        assert (third.items_changed, third.items_new) == (3, 0)
        a, b, c = (await house.facts())[3:]
        assert _kinds(a) == ["running_low", "last_item"]
        assert _kinds(b) == ["back_in_stock"]
        assert _kinds(c) == ["price_dropped"]
        drop = c.changes[0]
        assert (drop.from_units, drop.to_units, drop.percent_units) == (1_000_000, 875_000, 125_000)
        assert c.fields["price"].decimal_units == 875_000
        assert c.fields["currency"].text == "USD"

        found = await house.catalog.GetProduct(pb.GetProductRequest(product_id="c"), metadata=house.platform.metadata)
        assert (found.feed, found.product.fields["name"].text) == ("shop", "Product c")


async def _rate(house: FeedHouse, rate: str, from_us: int = 0) -> None:
    async with house.platform.channel(Role.INGEST) as channel:
        one = money_pb2.Rate(currency="EUR", from_us=from_us, rate=rate)
        request = money_pb2.SetRatesRequest(rates=[one])
        await money_pb2_grpc.MoneyServiceStub(channel).SetRates(request, metadata=house.platform.metadata)


async def test_prices_in_another_currency_are_compared_in_the_workspaces_own(tmp_path: Path) -> None:
    async with feed_house(tmp_path) as house:
        await house.save()
        bare = await house.imported(feed_of([item("a", "10 EUR"), item("b", "10 USD"), item("c", "10 UAH")]))
        assert (bare.state, bare.items_accepted, bare.items_rejected) == (DONE, 1, 2)
        refused = [(one.product_id, one.reason, one.description) for one in await house.rejected()]
        assert [(product_id, reason) for product_id, reason, _ in refused] == [("a", "NO_RATE"), ("c", "NO_RATE")]
        assert "EUR" in refused[0][2] and "USD" in refused[0][2]

        await _rate(house, "1.10555")
        await house.imported(feed_of([item("a", "10.001 EUR", sale_price="9 EUR"), item("b", "10 USD")]))
        a = (await house.facts())[1]
        assert (a.product_id, _kinds(a)) == ("a", ["new"])
        money = {name: a.fields[name].decimal_units for name in a.fields if a.fields[name].HasField("decimal_units")}
        assert money == {
            "price": 110_566,  # 11.05660555
            "price_original": 100_010,
            "sale_price": 99_500,  # 9.94995 lies in the middle, and the even one is above
            "sale_price_original": 90_000,
        }
        assert a.fields["currency"].text == "EUR"

        # What is told in dollars from now on is compared with the dollars of before.
        await house.imported(feed_of([item("a", "9.95 USD"), item("b", "9.50 EUR")]))
        a, b = (await house.facts())[2:]
        assert _kinds(a) == ["promotion_ended"] and "price_original" not in a.fields
        assert (_kinds(b), b.changes[0].from_units, b.changes[0].to_units) == (["price_raised"], 100_000, 105_027)

        # A rate that comes into force changes the price at the next import, whose instant is after it.
        later_us = house.platform.clock.now_us() + 60_000_000
        await _rate(house, "1", later_us)
        again = feed_of([item("a", "9.95 USD"), item("b", "9.50 EUR")])
        assert (await house.imported(again)).items_changed == 0
        house.platform.clock.advance(60_000_000)
        assert (await house.imported(again)).items_changed == 1
        dropped = (await house.facts())[4]
        assert (dropped.product_id, _kinds(dropped)) == ("b", ["price_dropped"])


async def test_a_foreign_file_that_the_server_calls_unchanged_is_read_again(tmp_path: Path) -> None:
    async with feed_server() as shop, feed_house(tmp_path, CDP_FEED_PRIVATE_HOSTS="127.0.0.1") as house:
        save = pb.SaveCatalogSettingsRequest(settings=pb.CatalogSettings(feed_hosts=["127.0.0.1"]))
        await house.catalog.SaveCatalogSettings(save, metadata=house.platform.metadata)
        await house.save(url=shop.url)
        shop.content, shop.etag = feed_of([item("a", "10 EUR")]), '"one"'
        await house.begin()
        assert (await house.ended(1)).items_rejected == 1
        await _rate(house, "2")
        await house.begin()
        run = await house.ended(2)
        assert (run.state, run.items_new) == (DONE, 1)
        assert (await house.facts())[0].fields["price"].decimal_units == 200_000


async def test_a_feed_that_shrinks_is_held_until_a_person_decides(tmp_path: Path) -> None:
    async with feed_house(tmp_path) as house:
        await house.save()
        whole = [item(f"p{number}") for number in range(10)]
        await house.imported(feed_of(whole))
        held = await house.imported(feed_of(whole[:7]))
        assert (held.state, held.reason, held.known_before, held.items_removed) == (
            pb.FEED_RUN_STATE_HELD,
            "FEED_SHRANK",
            10,
            3,
        )
        assert len(await house.facts()) == 10
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await house.begin(await house.upload(feed_of(whole)))
        assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION

        reject = pb.RejectFeedRunRequest(feed="shop", number=held.number)
        run = (await house.catalog.RejectFeedRun(reject, metadata=house.platform.metadata)).run
        assert run.state == pb.FEED_RUN_STATE_REJECTED
        assert (await house.imported(feed_of(whole))).items_changed == 0

        held = await house.imported(feed_of(whole[:7]))
        confirm = pb.ConfirmFeedRunRequest(feed="shop", number=held.number)
        await house.catalog.ConfirmFeedRun(confirm, metadata=house.platform.metadata)
        assert (await house.ended()).state == DONE
        gone = (await house.facts())[10:]
        assert [(one.product_id, one.deleted, _kinds(one)) for one in gone] == [
            (f"p{number}", True, ["removed"]) for number in (7, 8, 9)
        ]
        # Two of ten would have been within the limit.
        assert (await house.imported(feed_of([*whole[:6], item("new")]))).state == DONE


async def test_wrong_items_are_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    async with feed_house(tmp_path) as house:
        await house.save()
        await house.imported(feed_of([item("keeps"), item("ok")]))
        run = await house.imported(
            feed_of(
                [
                    item("keeps", "twelve"),
                    item("", "1 USD"),
                    item("four", "1.00001 USD"),
                    item("below", "-5 USD"),
                    item("ok", "5 USD"),
                    item("ok", "6 USD"),
                    item("long", title2="x", brand="B" * 5_000),
                    item("words", stock=None, availability="perhaps"),
                ]
            )
        )
        assert (run.state, run.items_read, run.items_accepted, run.items_rejected) == (DONE, 8, 1, 7)
        found = [(one.number, one.product_id, one.reason) for one in await house.rejected()]
        assert sorted(found) == [
            (1, "keeps", "BAD_PRICE"),
            (2, "", "NO_PRODUCT_ID"),
            (3, "four", "BAD_PRICE"),
            (4, "below", "BAD_PRICE"),
            (5, "ok", "DUPLICATE_ID"),
            (7, "long", "FIELD_TOO_LARGE"),
            (8, "words", "BAD_AVAILABILITY"),
        ]
        # What was refused stays as it was told last; the last of two counts.
        assert [(one.product_id, one.deleted) for one in (await house.facts())[2:]] == [("ok", False)]
        assert (await house.facts())[2].fields["price"].decimal_units == 60_000
        parts = house.catalog.DownloadRejectedItems(
            pb.DownloadRejectedItemsRequest(feed="shop"), metadata=house.platform.metadata
        )
        lines = b"".join([part.content async for part in parts]).decode().splitlines()
        assert lines[0] == "number,line,product_id,reason,description"
        assert len(lines) == 8


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (feed_of([item("a")])[:-40], "BAD_XML"),
        (b"<rss><channel><item>\xff\xfe</item></channel></rss>", "BAD_XML"),
        (b'<!DOCTYPE r [<!ENTITY e SYSTEM "file:///etc/passwd">]><rss><item><id>&e;</id></item></rss>', "XML_ENTITIES"),
        (b"<html><body>not found</body></html>", "UNKNOWN_FEED_FORMAT"),
        (b"name;price\nx;1\n", "UNKNOWN_FEED_FORMAT"),
        (gzip.compress(feed_of([item("a")]))[:-9], "BAD_FEED_FILE"),
        (b'id,price\na,"1 USD\n' + b"x" * (17 << 20), "BAD_ROW"),
        (feed_of([item("a", title=f"{'x' * (11 << 20)}")]), "BAD_XML"),
    ],
    ids=["cut", "bytes", "entity", "html", "no id", "cut gzip", "open quote", "huge field"],
)
async def test_a_file_that_cannot_be_read_changes_nothing(tmp_path: Path, content: bytes, reason: str) -> None:
    async with feed_house(tmp_path) as house:
        await house.save()
        await house.imported(feed_of([item("before")]))
        run = await house.imported(content)
        assert (run.state, run.reason) == (pb.FEED_RUN_STATE_FAILED, reason), run.description
        assert len(await house.facts()) == 1


async def test_an_http_put_uploads_and_imports(tmp_path: Path) -> None:
    async with feed_house(tmp_path) as house, httpx2.AsyncClient(trust_env=False) as http:
        await house.save()
        url = f"{house.platform.http_url(Role.INGEST)}/v1/feeds/shop?import=1"
        packed = gzip.compress(feed_of([item("a"), item("b")]))
        headers = {"Authorization": f"Bearer {house.platform.key}"}
        answer = await http.put(url, content=packed, headers=headers)
        assert answer.json()["size_bytes"] == len(packed)
        assert answer.json()["operation"] == "operations/feeds/shop/runs/1"
        assert (await house.ended(1)).items_new == 2
        assert (await http.put(url, content=packed)).status_code == 401
        assert (await http.put(url, content=b"", headers=headers)).json()["reason"] == "EMPTY_UPLOAD"


async def test_a_feed_is_fetched_from_listed_hosts_only_and_not_twice_the_same(tmp_path: Path) -> None:
    async with feed_server() as shop, feed_house(tmp_path, CDP_FEED_PRIVATE_HOSTS="127.0.0.1") as house:
        with pytest.raises(grpc.aio.AioRpcError, match="list it"):
            await house.save(url=shop.url)
        settings = pb.CatalogSettings(feed_hosts=["127.0.0.1"])
        save = pb.SaveCatalogSettingsRequest(settings=settings)
        await house.catalog.SaveCatalogSettings(save, metadata=house.platform.metadata)
        await house.save(url=shop.url)
        shop.content, shop.etag = feed_of([item("a")]), '"one"'
        operation = await house.begin(request_id="r1")
        assert operation.name == "operations/feeds/shop/runs/1"
        assert (await house.ended(1)).state == DONE
        assert (await house.begin(request_id="r1")).done, "the same request answers the same run"

        await house.begin()
        assert (await house.ended(2)).state == pb.FEED_RUN_STATE_NOT_MODIFIED
        assert shop.asked[-1]["if-none-match"] == '"one"'

        shop.location = "http://localhost:1/elsewhere"
        await house.begin()
        assert (await house.ended(3)).reason == "FEED_HOST_NOT_ALLOWED"
        shop.location, shop.status, shop.etag = "", 404, ""
        await house.begin()
        assert (await house.ended(4)).reason == "FEED_ANSWER"


async def test_a_host_that_leads_inside_is_refused(tmp_path: Path) -> None:
    async with feed_server() as shop, feed_house(tmp_path) as house:
        save = pb.SaveCatalogSettingsRequest(settings=pb.CatalogSettings(feed_hosts=["127.0.0.1"]))
        await house.catalog.SaveCatalogSettings(save, metadata=house.platform.metadata)
        await house.save(url=shop.url)
        await house.begin()
        assert (await house.ended()).reason == "PRIVATE_ADDRESS"
        assert shop.asked == []


async def test_a_schedule_imports_again_and_a_sale_begins_by_itself(tmp_path: Path) -> None:
    async with feed_server() as shop, feed_house(tmp_path, CDP_FEED_PRIVATE_HOSTS="127.0.0.1") as house:
        save = pb.SaveCatalogSettingsRequest(settings=pb.CatalogSettings(feed_hosts=["127.0.0.1"]))
        await house.catalog.SaveCatalogSettings(save, metadata=house.platform.metadata)
        dates = "2026-09-21T17:00Z/2026-09-22T17:00Z"  # the clock stands at 2026-09-21 14:13:20 UTC
        sale = item("a", "100 USD", sale_price="80 USD", sale_price_effective_date=dates)
        shop.content, shop.etag = feed_of([sale]), '"one"'
        await house.save(url=shop.url, interval_s=86_400)
        await eventually(lambda: _ended(house, 1), "the first import comes by itself")
        assert "sale_price" not in (await house.facts())[0].fields

        house.platform.clock.advance(167 * 60 * 1_000_000)
        await eventually(lambda: _ended(house, 2), "the sale's beginning imports")
        begun = (await house.facts())[1]
        assert _kinds(begun) == ["price_dropped", "promotion_started"]
        assert begun.fields["sale_price"].decimal_units == 800_000

        house.platform.clock.advance(27 * 3600 * 1_000_000)
        await eventually(lambda: _ended(house, 3), "the interval's import")
        assert _kinds((await house.facts())[2]) == ["price_raised", "promotion_ended"]


async def _ended(house: FeedHouse, number: int) -> bool:
    request = pb.ListFeedRunsRequest(feed="shop")
    runs = (await house.catalog.ListFeedRuns(request, metadata=house.platform.metadata)).runs
    return any(run.number == number and run.ended_at_us for run in runs)


async def test_a_deleted_feed_takes_its_products_along_when_it_is_told_to(tmp_path: Path) -> None:
    async with feed_house(tmp_path) as house:
        await house.save()
        await house.imported(feed_of([item("a"), item("b")]))
        delete = pb.DeleteFeedRequest(name="shop", remove_products=True)
        answer = await house.catalog.DeleteFeed(delete, metadata=house.platform.metadata)
        assert (await house.ended(answer.run.number)).items_removed == 2
        assert [one.deleted for one in (await house.facts())[2:]] == [True, True]
        listed = await house.catalog.ListProducts(pb.ListProductsRequest(), metadata=house.platform.metadata)
        assert list(listed.products) == []


async def test_a_feed_moves_people_between_segments_and_its_changes_reach_every_reader(tmp_path: Path) -> None:
    async with feed_house(tmp_path, TOGETHER) as house, house.platform.channel(Role.SEGMENT_ENGINE) as channel:
        platform = house.platform
        await house.save()
        settings = pb.CatalogSettings(low_stock=20)
        save = pb.SaveCatalogSettingsRequest(settings=settings)
        await house.catalog.SaveCatalogSettings(save, metadata=platform.metadata)
        await house.imported(feed_of([item("tea", stock=0), item("cup", stock=15), item("pot", stock=None)]))
        platform.clock.advance(1_000_000)
        async with platform.channel(Role.INGEST) as door:
            ingest = ingest_pb2_grpc.IngestServiceStub(door)
            for person, product_id in (("ann", "tea"), ("bob", "cup"), ("cid", "pot")):
                event = ingest_pb2.Event(
                    type="product_viewed",
                    identifiers=[facts_pb2.Identifier(kind="external_id", value=person)],
                    params={"product_id": facts_pb2.Value(text=product_id)},
                )
                await ingest.Track(ingest_pb2.TrackRequest(event=event), metadata=platform.metadata)
        segments = segment_pb2_grpc.SegmentServiceStub(channel)

        async def count(text: str) -> int:
            rule = segment_pb2.RuleSource(text=f"among all contacts: {text}")
            request = segment_pb2.EvaluateRequest(rule=rule)
            try:
                answer = await segments.Evaluate(request, metadata=platform.metadata)
            except grpc.aio.AioRpcError as error:  # the vocabulary knows the event once it was folded
                assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INVALID_ARGUMENT)
                return -1
            return answer.count.total

        back = "did product_viewed (product was out of stock) in last 30 days on a product now in stock"
        low = "did product_viewed on a product now low in stock"
        await eventually(lambda: _is(count, "did product_viewed", 3), "everybody's view is folded")
        assert (await count(back), await count(low)) == (0, 1), "fifteen cups are few where the limit is twenty"
        await house.imported(feed_of([item("tea", stock=30), item("cup", stock=15), item("pot", stock=None)]))
        await eventually(lambda: _is(count, back, 1), "tea is back in stock")

        async with platform.channel(Role.PROFILE_UNIFICATION) as unified:
            profiles = profile_pb2_grpc.ProfileServiceStub(unified)
            told = [state for state in await _product_facts(profiles, platform.metadata) if state.product_id == "tea"]
        assert [_kinds(state) for state in told] == [["new"], ["back_in_stock"]]


async def _is(count: Callable[[str], Awaitable[int]], text: str, wanted: int) -> bool:
    return await count(text) == wanted


async def _product_facts(
    profiles: profile_pb2_grpc.ProfileServiceStub, metadata: tuple[tuple[str, str], ...]
) -> list[facts_pb2.Product]:
    """What unification's log says of products, in its order."""

    async def start() -> AsyncIterator[profile_pb2.SubscribeRequest]:
        yield profile_pb2.SubscribeRequest(start=profile_pb2.SubscribeRequest.Start(max_in_flight=100))

    found: list[facts_pb2.Product] = []
    call = profiles.Subscribe(start(), metadata=metadata, timeout=20)
    async for answer in call:
        found += [fact.product for fact in answer.batch.facts if fact.HasField("product")]
        if answer.position == answer.last_position:
            break
    call.cancel()
    return found


@pytest.mark.slow
async def test_complete_journeys_catalogue(tmp_path: Path) -> None:
    """Real data: every product that was sold at a price, as a shop's file."""
    data = journey.read(0.02)
    file = tmp_path / "journey.xml"
    sold = write_feed(data, file)
    assert 5_000 < sold <= len(data.products)
    async with feed_house(tmp_path) as house:
        await house.save(currency="USD")
        run = await house.imported(file.read_bytes())
        assert (run.state, run.items_new, run.items_rejected) == (DONE, sold, 0), run.description
        facts = {product.product_id: product for product in await house.facts()}
        listed = {one.number for one in data.products}  # a few lines are of products that the catalogue lacks
        prices = {number: units for number, units in latest_prices(data).items() if number in listed}
        assert {int(number): one.fields["price"].decimal_units for number, one in facts.items()} == prices
        one = data.products[0]
        if one.number in prices:
            assert facts[str(one.number)].fields["category"].text == f"{one.department} > {one.category}"


async def test_any_process_takes_uploads_and_calls_and_passes_them_to_the_owner(tmp_path: Path) -> None:
    async with feed_house(tmp_path / "owner") as house:
        await house.save()
        addresses = {ADDRESS_KEYS[role]: house.platform.address(Role.INGEST) for role in ADDRESS_KEYS}
        settings = Settings.from_environment(
            {
                **addresses,
                "CDP_ROLES": "ingest",
                "CDP_GRPC_PORT": "0",
                "CDP_HTTP_PORT": "0",
                "CDP_DATA_DIR": str(tmp_path / "other"),
                "CDP_DRAIN_S": "0.05",
                "CDP_INTERNAL_TOKEN": house.platform.host(Role.INGEST).runtime.settings.internal_token,
            }
        )
        other = Host(settings, house.platform.clock, house.platform.log, BUILDS)
        await other.start()
        try:
            await other.wait_ready(20.0)
            async with grpc.aio.insecure_channel(f"127.0.0.1:{other.grpc_port}") as channel:
                beside = FeedHouse(house.platform, catalog_pb2_grpc.CatalogServiceStub(channel))
                upload = await beside.upload(feed_of([item("a")]))
                await beside.begin(upload)
                assert (await beside.ended(1)).items_new == 1
            async with httpx2.AsyncClient(trust_env=False) as http:
                answer = await http.put(
                    f"http://127.0.0.1:{other.http_port}/v1/feeds/shop?import=1",
                    content=feed_of([item("a"), item("b")]),
                    headers={"Authorization": f"Bearer {house.platform.key}"},
                )
            assert answer.json()["operation"] == "operations/feeds/shop/runs/2"
            assert (await house.ended(2)).items_new == 1
            assert not (tmp_path / "other" / "feeds").exists(), "files lie with the owner alone"
        finally:
            await other.stop()


async def test_a_lost_store_tells_products_anew_and_no_changes(tmp_path: Path) -> None:
    async with feed_house(tmp_path) as house:
        await house.save()
        await house.imported(feed_of([item("a", stock=0)]))
        for file in tmp_path.glob("feeds/dev/shop/items.sqlite*"):
            file.unlink()
        run = await house.imported(feed_of([item("a", stock=5)]))
        assert (run.state, run.items_new) == (DONE, 1)
        assert [_kinds(product) for product in await house.facts()] == [["new"], []]


async def test_products_are_listed_by_pages(tmp_path: Path) -> None:
    async with feed_house(tmp_path) as house:
        for name, ids in (("one", "abc"), ("two", "xyz")):
            await house.save(name)
            await house.imported(feed_of([item(product_id) for product_id in ids]), name)
        seen: list[str] = []
        token = ""
        while True:
            request = pb.ListProductsRequest(page_size=2, page_token=token)
            page = await house.catalog.ListProducts(request, metadata=house.platform.metadata)
            seen += [product.product_id for product in page.products]
            token = page.next_page_token
            if not token:
                break
        assert seen == list("abcxyz")
        with pytest.raises(grpc.aio.AioRpcError, match="page token"):
            bad = pb.ListProductsRequest(page_token="!!")
            await house.catalog.ListProducts(bad, metadata=house.platform.metadata)


async def test_a_run_is_an_operation(tmp_path: Path) -> None:
    async with feed_house(tmp_path) as house, house.platform.channel(Role.INGEST) as channel:
        await house.save()
        begun = await house.begin(await house.upload(feed_of([item("a"), item("b")])))
        operations = operations_pb2_grpc.OperationsStub(channel)
        wait = operations_pb2.WaitOperationRequest(name=begun.name)
        ended = await operations.WaitOperation(wait, metadata=house.platform.metadata, timeout=60)
        run = pb.FeedRun()
        assert ended.done
        assert ended.response.Unpack(run)
        assert (run.state, run.items_accepted) == (pb.FEED_RUN_STATE_DONE, 2)
        get = operations_pb2.GetOperationRequest(name=begun.name)
        assert await operations.GetOperation(get, metadata=house.platform.metadata) == ended
        listed = await operations.ListOperations(
            operations_pb2.ListOperationsRequest(name="operations/feeds/shop"), metadata=house.platform.metadata
        )
        assert [one.name for one in listed.operations] == [begun.name]
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            missing = operations_pb2.GetOperationRequest(name="operations/feeds/shop/runs/9")
            await operations.GetOperation(missing, metadata=house.platform.metadata)
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
