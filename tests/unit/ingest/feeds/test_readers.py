"""Files in every format give the same items."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from cdp.catalog.v1 import catalog_pb2 as pb
from core.errors import CdpError
from services.ingest.feeds.item import RawItem, Reading
from services.ingest.feeds.read import read_items

LIMIT_BYTES = 1 << 24
#: Each entity is ten of the one before.
BOMB = "<!ENTITY a 'ha'>" + "".join(
    f"<!ENTITY {after} '{f'&{before};' * 10}'>" for before, after in zip("abcdefghi", "bcdefghij", strict=True)
)
ATOM = """<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0">
<title>Shop</title><entry><g:id>1</g:id><title>Tea</title><link href="https://s.example/1"/>
<g:price>5 UAH</g:price><g:shipping><g:price>9 UAH</g:price></g:shipping></entry></feed>"""
YML = """<?xml version="1.0" encoding="windows-1251"?><!DOCTYPE yml_catalog SYSTEM "shops.dtd">
<yml_catalog date="2026-11-22"><shop><categories><category id="1">Їжа</category>
<category id="2" parentId="1">Чай</category><category id="3" parentId="3">Кільце</category></categories><offers>
<offer id="7" available="true" group_id="g"><price>80</price><oldprice>100</oldprice><currencyId>UAH</currencyId>
<categoryId>2</categoryId><typePrefix>Чай</typePrefix><vendor>Lovare</vendor><model>Зелений</model>
<param name="Вага">100 г</param><quantity_in_stock>3</quantity_in_stock></offer>
<offer id="8" available="false"><name>X</name><price>5</price><oldprice>4</oldprice><categoryId>3</categoryId></offer>
</offers></shop></yml_catalog>"""


def read(folder: Path, content: bytes, reading: Reading | None = None, format_: int = 0) -> list[RawItem]:
    file = folder / "feed"
    file.write_bytes(content)
    kind = pb.FeedFormat.ValueType(format_)
    return list(read_items(file, kind, reading or Reading(), LIMIT_BYTES, lambda _read, _total: None))


def test_atom(tmp_path: Path) -> None:
    (item,) = read(tmp_path, ATOM.encode())
    assert item.fields == {"id": "1", "title": "Tea", "link": "https://s.example/1", "price": "5 UAH"}
    assert (item.number, item.line) == (1, 2)


def test_yml_in_an_old_encoding_with_a_document_type(tmp_path: Path) -> None:
    one, two = read(tmp_path, YML.encode("windows-1251"))
    assert one.fields == {
        "id": "7", "availability": "true", "item_group_id": "g", "currency": "UAH", "brand": "Lovare",
        "param.Вага": "100 г", "quantity": "3", "product_type": "Їжа > Чай", "title": "Чай Lovare Зелений",
        "price": "100", "sale_price": "80",
    }  # fmt: skip
    assert (two.fields["price"], two.fields.get("sale_price")) == ("5", None), "a former price that was lower is none"
    assert two.fields["product_type"].count("Кільце") == 20, "a ring of categories ends"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "windows-1251"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_tables_by_their_encoding_and_delimiter(tmp_path: Path, encoding: str, delimiter: str) -> None:
    rows = [
        ["id", "Назва", "g:price", "availability", "image link", "old_price"],
        ["1", f'"Чай{delimiter} ""зелений""\nлистовий"', "80", "в наявності", "https://s.example/i", "100"],
        ["2", "Кава", "5", "", "", ""],
    ]
    text = "\n".join(delimiter.join(row) for row in rows) + "\n\n"
    one, two = read(tmp_path, text.encode(encoding), Reading(columns={"Назва": "title"}))
    assert one.fields["title"] == f'Чай{delimiter} "зелений"\nлистовий'
    assert (one.fields["price"], one.fields["sale_price"], one.fields["image_link"]) == (
        "100",
        "80",
        "https://s.example/i",
    )
    assert (one.line, two.line, two.number, two.fields) == (2, 4, 2, {"id": "2", "title": "Кава", "price": "5"})


def test_a_row_with_more_fields_than_columns_is_refused_alone(tmp_path: Path) -> None:
    one, two = read(tmp_path, b"id,price\n1,2,3\n4,5\n")
    assert one.wrong == "the row has 3 fields, the header 2"
    assert two.fields == {"id": "4", "price": "5"}


def test_gzip_of_several_parts_and_the_limit_of_what_it_unpacks_to(tmp_path: Path) -> None:
    packed = gzip.compress(b"id,price\n1,2\n") + gzip.compress(b"3,4\n")
    assert [item.fields["id"] for item in read(tmp_path, packed)] == ["1", "3"]
    with pytest.raises(CdpError) as refused:
        read(tmp_path, gzip.compress(b"id,price\n" + b"1,2\n" * LIMIT_BYTES))
    assert refused.value.reason == "FEED_TOO_LARGE"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            f"<!DOCTYPE r [{BOMB}]><rss><channel><item><id>&j;</id></item></channel></rss>",
            {"XML_ENTITIES", "BAD_XML"},
        ),
        ("<!DOCTYPE r [<!ENTITY % x SYSTEM 'http://127.0.0.1:1/x'> %x;]><rss><item><id>1</id></item></rss>",
         {"XML_ENTITIES", "BAD_XML"}),
        ("<rss><item><id>&undeclared;</id></item></rss>", {"BAD_XML"}),
        ("<a>" * 10_000, {"BAD_XML"}),
        ("", {"UNKNOWN_FEED_FORMAT"}),
    ],
    ids=["bomb", "parameter entity", "undeclared entity", "deep", "empty"],
)  # fmt: skip
def test_hostile_files(tmp_path: Path, content: str, reason: set[str]) -> None:
    with pytest.raises(CdpError) as refused:
        read(tmp_path, content.encode())
    assert refused.value.reason in reason, refused.value.message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty, or has no line of column names"),
        (b"\n\n", "the file is empty, or has no line of column names"),
        (b"name;price\n", "no column is the id of products; the columns are: name, price"),
    ],
)
def test_a_table_without_products_says_why(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(CdpError) as refused:
        read(tmp_path, content)
    assert refused.value.message == message


def test_a_place_in_xml_is_told_once(tmp_path: Path) -> None:
    with pytest.raises(CdpError) as refused:
        read(tmp_path, b"<rss><channel><item><id>1</id></channel></rss>")
    assert refused.value.message.count("column") == 1


def test_a_text_that_is_not_of_the_encoding_that_was_told(tmp_path: Path) -> None:
    content = "id,price,title\n1,2,Чай\n".encode("windows-1251")
    with pytest.raises(CdpError) as refused:
        read(tmp_path, content, Reading(encoding="utf-8"))
    assert refused.value.reason == "BAD_ENCODING"
    (item,) = read(tmp_path, content, Reading(encoding="windows-1251"))
    assert item.fields["title"] == "Чай"
