"""What the names of columns say where nobody listed them."""

from __future__ import annotations

import pytest

from cdp.bulk.v1 import bulk_pb2 as pb
from core.events.schema import Schema
from services.ingest.bulk.mapping import with_columns


@pytest.mark.parametrize(
    ("column", "target"),
    [
        ("time", "time"),
        ("Time", "time"),
        ("id", "identifier.external_id"),
        ("message_id", "id"),
        ("date", "attribute.date"),
        ("time_zone", "attribute.time_zone"),
        ("attribute.time", "attribute.time"),
    ],
)
def test_columns_of_contacts_by_their_names(column: str, target: str) -> None:
    spec = pb.ImportSpec(kind=pb.IMPORT_KIND_CONTACTS)
    whole = with_columns(spec, ["email", column], [["ann@example.com", "2025-01-02"]], Schema())
    assert [one.target for one in whole.columns] == ["identifier.email", target]


def test_a_listed_column_is_no_default() -> None:
    listed = pb.Column(column="id", target="attribute.shop_number")
    spec = pb.ImportSpec(kind=pb.IMPORT_KIND_CONTACTS, columns=[listed])
    whole = with_columns(spec, ["email", "id"], [["ann@example.com", "7"]], Schema())
    assert whole.columns[1].target == "attribute.shop_number"
