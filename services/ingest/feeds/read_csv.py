"""Feeds as text with a line of column names: comma, semicolon, tab or bar between fields, in any encoding."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Mapping
from typing import cast

from core.catalog.money import Money, money_from_text
from core.catalog.offer import KNOWN, PARAM
from core.errors import CdpError, invalid
from services.ingest.feeds.item import BAD_ROW, UNKNOWN_FORMAT, RawItem, Reading
from services.ingest.feeds.source import BAD_FILE, FeedSource

BAD_ENCODING = "BAD_ENCODING"

_DELIMITERS = "\t;,|"
#: A field of more characters ends the reading: its quotes were never closed.
_MOST_FIELD_CHARACTERS = 16 << 20
_LINE_BYTES = 1 << 20
_PART_BYTES = 1 << 20
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
#: Columns of other programs -> Google Merchant's, in the form of `_plain_name`.
_ALIASES: Mapping[str, str] = {
    "product_id": "id",
    "offer_id": "id",
    "sku": "mpn",
    "name": "title",
    "product_name": "title",
    "url": "link",
    "product_url": "link",
    "image": "image_link",
    "image_url": "image_link",
    "picture": "image_link",
    "vendor": "brand",
    "manufacturer": "brand",
    "category": "product_type",
    "categories": "product_type",
    "available": "availability",
    "stock": "quantity",
    "qty": "quantity",
    "count": "quantity",
    "sell_on_google_quantity": "quantity",
    "old_price": "old_price",
    "oldprice": "old_price",
    "currencyid": "currency",
    "currency_id": "currency",
}
_OLD_PRICE = "old_price"


class _Raw(io.RawIOBase):
    """A FeedSource as the standard library's text reader wants it."""

    def __init__(self, source: FeedSource) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast(bytearray, buffer))
        part = self._source.read(len(view))
        view[: len(part)] = part
        return len(part)


def encoding_of(source: FeedSource) -> str:
    """The encoding of a whole file: by its mark, UTF-8 if all of it is that, else Windows-1251 where its letters stand
    together as in Cyrillic words, else Windows-1252."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    head, valid, upper, together = b"", True, 0, 0
    while part := source.read(_PART_BYTES):
        if not head:
            head = part
            for mark, name in _MARKS:
                if part.startswith(mark):
                    return name
        if valid:
            try:
                decoder.decode(part)
            except UnicodeDecodeError:
                valid = False
        if not valid:
            letters = part.translate(_LETTER_OR_NOT)
            upper += letters.count(b"\x01")
            together += letters.count(b"\x01\x01\x01")
            if upper > _PART_BYTES:
                break
    if valid:
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            raise invalid(BAD_ENCODING, "the file ends within a character: it is cut off") from error
        return "utf-8"
    return "windows-1251" if together * 6 > upper else "windows-1252"


#: Bytes that are Cyrillic letters in Windows-1251 -> 1, all others -> 0.
_LETTER_OR_NOT = bytes(
    1 if byte >= 0xC0 or byte in (0xA8, 0xB8, 0xAA, 0xBA, 0xB2, 0xB3, 0xAF, 0xBF) else 0 for byte in range(256)
)


def read_csv(source: FeedSource, reading: Reading) -> Iterator[RawItem]:
    """The items of a file, in its order. `reading.encoding` must be known (see `encoding_of`). Raises INVALID:
    BAD_ENCODING, UNKNOWN_FEED_FORMAT without a column for the id, BAD_ROW where quotes are never closed."""
    csv.field_size_limit(_MOST_FIELD_CHARACTERS)
    try:
        codecs.lookup(reading.encoding)
        text = io.TextIOWrapper(io.BufferedReader(_Raw(source), _LINE_BYTES), reading.encoding, newline="")
    except LookupError as error:
        raise invalid(BAD_FILE, f"there is no encoding {reading.encoding!r}") from error
    try:
        yield from _rows(text, reading)
    except UnicodeDecodeError as error:
        raise invalid(
            BAD_ENCODING, f"the file is not all {reading.encoding}: {error.reason}; tell the encoding"
        ) from error
    except csv.Error as error:
        raise invalid(BAD_ROW, f"the file cannot be read on: {error}; a quote may have been left open") from error
    finally:
        text.detach()


def _rows(text: io.TextIOWrapper, reading: Reading) -> Iterator[RawItem]:
    head = text.readline(_LINE_BYTES)
    delimiter = reading.delimiter or max(_DELIMITERS, key=head.count)
    header = next(csv.reader([head], delimiter=delimiter), [])
    names = _names(header, reading.columns or {})
    rows = csv.reader(text, delimiter=delimiter)
    number, line = 0, 2
    for row in rows:
        begins, line = line, rows.line_num + 2
        if not any(row):
            continue
        number += 1
        if len(row) > len(names) and any(row[len(names) :]):
            yield RawItem(number, begins, {}, f"the row has {len(row)} fields, the header {len(names)}")
            continue
        fields = {name: value for name, value in zip(names, row, strict=False) if name and value}
        old = fields.pop(_OLD_PRICE, None)
        yield RawItem(number, begins, fields if old is None else _with_sale(fields, old))


def _names(header: list[str], columns: Mapping[str, str]) -> list[str]:
    """The name of each column; empty for those that are not read. Of equal names the first column counts."""
    told = {_plain_name(theirs): _plain_name(ours) for theirs, ours in columns.items()}
    names: list[str] = []
    for title in header:
        name = _plain_name(title)
        name = told.get(name) or _ALIASES.get(name, name)
        known = name in KNOWN or name == _OLD_PRICE or name.startswith(PARAM)
        names.append(name if known and name not in names else "")
    if "id" not in names:
        raise no_id_column(header)
    return names


def no_id_column(header: list[str]) -> CdpError:
    """The refusal of a table that names no products."""
    if not any(header):
        return invalid(UNKNOWN_FORMAT, "the file is empty, or has no line of column names")
    seen = ", ".join(title[:40] for title in header[:20])
    return invalid(UNKNOWN_FORMAT, f"no column is the id of products; the columns are: {seen}")


def _plain_name(title: str) -> str:
    return title.strip().lower().removeprefix("g:").replace(" ", "_")


def _with_sale(fields: dict[str, str], old: str) -> dict[str, str]:
    """A former price makes the price a sale, where it was higher."""
    before, now = money_from_text(old), money_from_text(fields.get("price", ""))
    if "sale_price" not in fields and isinstance(before, Money) and isinstance(now, Money) and before.units > now.units:
        return {**fields, "price": old, "sale_price": fields["price"]}
    return fields
