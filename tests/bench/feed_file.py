"""Feed files of any size, drawn from a seed: what the bench and tests import."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

_BRANDS = [f"Brand {number}" for number in range(400)]
_CATEGORIES = [f"Home > Department {number % 12} > Shelf {number}" for number in range(240)]
_PART = 2_000


def write_merchant_feed(path: Path, items: int, seed: int, changed_share: float = 0.0) -> None:
    """Write Google Merchant RSS of `items` products. Of equal seeds the files are equal, except that about
    `changed_share` of the products have another price."""
    with path.open("w", encoding="utf-8") as file:
        file.write(
            '<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0">'
        )
        file.write("\n<channel><title>Bench</title><link>https://shop.example</link>\n")
        part: list[str] = []
        for text in _items(items, seed, changed_share):
            part.append(text)
            if len(part) == _PART:
                file.write("".join(part))
                part.clear()
        file.write("".join(part) + "</channel></rss>\n")


def _items(items: int, seed: int, changed_share: float) -> Iterator[str]:
    chance, changes = random.Random(seed), random.Random(f"{seed} changes")
    for number in range(items):
        cents = int(chance.lognormvariate(8, 1)) + 1
        if changes.random() < changed_share:
            cents += 1
        stock = chance.choice((0, 1, 3, 8, 40, 200))
        sale = (
            f"<g:sale_price>{cents * 8 // 1000}.{cents * 8 // 10 % 100:02d} USD</g:sale_price>"
            if number % 10 == 0
            else ""
        )
        brand, category = chance.choice(_BRANDS), chance.choice(_CATEGORIES)
        yield (
            f"<item><g:id>SKU-{number:08d}</g:id><g:title>Product {number} of {brand}</g:title>"
            f"<g:description>A product of the bench, number {number}, described at some length for its readers."
            f"</g:description><g:link>https://shop.example/p/{number}</g:link>"
            f"<g:image_link>https://cdn.shop.example/i/{number}.jpg</g:image_link>"
            f"<g:price>{cents // 100}.{cents % 100:02d} USD</g:price>{sale}"
            f"<g:availability>{'in_stock' if stock else 'out_of_stock'}</g:availability>"
            f"<g:quantity>{stock}</g:quantity>"
            f"<g:brand>{brand}</g:brand><g:product_type>{escape(category)}</g:product_type>"
            f"<g:condition>new</g:condition></item>\n"
        )
