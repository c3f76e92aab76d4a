"""Feeds in XML: Google Merchant (RSS 2.0 and Atom) and YML, item by item; nothing of the file is kept.

Entities are not resolved, nothing is fetched, no document type is loaded; a file that declares entities is refused, so
that no text is silently cut where one stood.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lxml import etree

from core.catalog.money import Money, money_from_text
from core.catalog.offer import KNOWN, PARAM
from core.errors import CdpError, invalid
from services.ingest.feeds.item import UNKNOWN_FORMAT, RawItem, Reading
from services.ingest.feeds.source import BAD_FILE, FeedSource

BAD_XML = "BAD_XML"
XML_ENTITIES = "XML_ENTITIES"

_G = "{http://base.google.com/ns/1.0}"
_ATOM = "{http://www.w3.org/2005/Atom}"
#: Elements of Google Merchant -> names of `core.catalog.offer`: with its namespace, and the plain ones of RSS and Atom.
_MERCHANT: Mapping[str, str] = {
    **{f"{_G}{name}": name for name in KNOWN},
    f"{_G}sell_on_google_quantity": "quantity",
}
_PLAIN: Mapping[str, str] = {
    **{name: name for name in KNOWN},
    **{f"{_ATOM}{name}": name for name in ("id", "title", "link")},
}
#: Children of a YML offer.
_YML: Mapping[str, str] = {
    "url": "link",
    "currencyId": "currency",
    "picture": "image_link",
    "name": "title",
    "vendor": "brand",
    "vendorCode": "mpn",
    "barcode": "gtin",
    "count": "quantity",
    "stock_quantity": "quantity",
    "quantity_in_stock": "quantity",
}
_YML_OLD_PRICE = ("oldprice", "old_price", "price_old")
_YML_PARTS_OF_NAME = ("typePrefix", "vendor", "model")
#: Of nested categories; a ring of parents ends there.
_MOST_LEVELS = 20
#: libxml2 counts no further.
_LAST_LINE = 65_535
_TAGS = ("{*}item", "{*}entry", "{*}offer", "{*}category")


def read_xml(source: FeedSource, reading: Reading) -> Iterator[RawItem]:
    """The items of a file, in its order. Raises INVALID: BAD_XML with the line for what is cut, mis-encoded or no XML,
    XML_ENTITIES, UNKNOWN_FEED_FORMAT for XML of another kind, and what the source raises."""
    categories = _Categories()
    number = 0
    checked = False
    try:
        for _, element in etree.iterparse(
            source,
            events=("end",),
            tag=_TAGS,
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            dtd_validation=False,
            huge_tree=False,
            remove_comments=True,
            remove_pis=True,
            encoding=reading.encoding or None,
        ):
            if not checked:
                _check_document(element)
                checked = True
            tag = element.tag.rpartition("}")[2]
            if tag == "category":
                parent = element.getparent()
                if parent is not None and parent.tag == "categories":
                    categories.add(element)
                    _forget(element)
                continue
            number += 1
            line = element.sourceline or 0
            fields = _yml(element, categories) if tag == "offer" else _merchant(element)
            _forget(element)
            yield RawItem(number, line if line < _LAST_LINE else 0, fields)
    except etree.XMLSyntaxError as error:
        raise _bad_xml(error) from error
    except LookupError as error:
        raise invalid(BAD_FILE, f"there is no encoding {reading.encoding!r}") from error
    if not number and not categories:
        raise invalid(UNKNOWN_FORMAT, "the XML has no item, entry or offer: it is no product feed")


class _Categories:
    """The tree of a YML file; paths are remembered."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, str]] = {}
        self._paths: dict[str, str] = {}

    def __bool__(self) -> bool:
        return bool(self._known)

    def add(self, element: Any) -> None:
        """Take a category; of equal ids the last counts."""
        name = " ".join((element.text or "").split())
        self._known[element.get("id", "")] = (name, element.get("parentId", ""))
        self._paths.clear()

    def path(self, category: str) -> str:
        """Names from the top down, parted by " > "; empty for a category that is not there."""
        path = self._paths.get(category)
        if path is None:
            names: list[str] = []
            place = category
            while place in self._known and len(names) < _MOST_LEVELS:
                name, place = self._known[place]
                names.append(name)
            path = self._paths[category] = " > ".join(reversed(names))
        return path


def _merchant(element: Any) -> dict[str, str]:
    fields: dict[str, str] = {}
    plain: dict[str, str] = {}
    for child in element:
        tag = child.tag
        name = _MERCHANT.get(tag)
        if name is not None:
            text = child.text
            if text and name not in fields:
                fields[name] = text
        elif tag in _PLAIN:
            text = child.text or (child.get("href") if _PLAIN[tag] == "link" else None)
            if text:
                plain.setdefault(_PLAIN[tag], text)
    # Of several the first counts; the names of Google win over those of RSS and Atom.
    return {**plain, **fields} if plain else fields


def _yml(element: Any, categories: _Categories) -> dict[str, str]:
    fields: dict[str, str] = {"id": element.get("id", "")}
    available, group = element.get("available"), element.get("group_id")
    if available:
        fields["availability"] = available
    if group:
        fields["item_group_id"] = group
    others: dict[str, str] = {}
    for child in element:
        tag, text = child.tag, child.text
        if not text:
            continue
        name = _YML.get(tag)
        if name is not None:
            fields.setdefault(name, text)
        elif tag == "param":
            fields.setdefault(PARAM + (child.get("name") or ""), text)
        else:
            others.setdefault(tag, text)
    category = categories.path(others.get("categoryId", "").strip())
    if category:
        fields["product_type"] = category
    if "title" not in fields:
        parts = (others.get(part) or (fields.get("brand") if part == "vendor" else None) for part in _YML_PARTS_OF_NAME)
        fields["title"] = " ".join(part.strip() for part in parts if part)
    _put_prices(fields, others)
    return fields


def _put_prices(fields: dict[str, str], others: Mapping[str, str]) -> None:
    """YML tells what is to be paid, and what was before; here the former is a sale price of the latter."""
    price = others.get("price")
    if price is None:
        return
    fields["price"] = price
    old = next((others[name] for name in _YML_OLD_PRICE if name in others), None)
    if old is None:
        return
    before, now = money_from_text(old), money_from_text(price)
    if isinstance(before, Money) and isinstance(now, Money) and before.units > now.units:
        fields["price"], fields["sale_price"] = old, price


def _check_document(element: Any) -> None:
    dtd = element.getroottree().docinfo.internalDTD
    if dtd is not None and next(dtd.iterentities(), None) is not None:
        raise invalid(XML_ENTITIES, "the feed declares entities of its own: write the characters themselves")


def _forget(element: Any) -> None:
    """Free an element that was read, and what stood before it."""
    element.clear()
    parent = element.getparent()
    if parent is not None:
        while element.getprevious() is not None:
            del parent[0]


def _bad_xml(error: Any) -> CdpError:
    line, column = error.position if error.position else (0, 0)
    where = f"line {line}, column {column}"
    what = (error.msg or "the file is empty or no XML").removesuffix(f", {where}")
    return invalid(BAD_XML, f"{where}: {what}")
