"""Complete Journey's catalogue as a product feed, as a shop would give it: Google Merchant in RSS 2.0."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from core.schema import format_units
from services.demo.journey import Journey

#: The data name no currency; the chain is American.
CURRENCY = "USD"
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel>\n'
_TAIL = "</channel></rss>\n"


def write_feed(journey: Journey, path: Path) -> int:
    """Write the products that were sold at a price, each with its latest one, by number; how many they are. The data
    know no stock: that everything is in stock is invented."""
    prices = latest_prices(journey)
    written = 0
    with path.open("w", encoding="utf-8") as file:
        file.write(_HEAD)
        for one in sorted(journey.products, key=lambda product: product.number):
            units = prices.get(one.number)
            if units is None:
                continue
            fields = {
                "id": str(one.number),
                "title": f"{one.name} {one.size}".strip() or one.category,
                "price": f"{format_units(units)} {CURRENCY}",
                "availability": "in_stock",
                "brand": one.brand,
                "product_type": " > ".join(part for part in (one.department, one.category) if part),
            }
            texts = "".join(f"<g:{name}>{escape(text)}</g:{name}>" for name, text in fields.items() if text)
            file.write(f"<item>{texts}</item>\n")
            written += 1
        file.write(_TAIL)
    return written


def latest_prices(journey: Journey) -> dict[int, int]:
    """Product -> its last price above 0, in units of 1e-4."""
    # Lines stand in the order of their orders, which go by time: of equal products the last one wins.
    sold = np.flatnonzero(journey.lines.price_units > 0)
    pairs = zip(journey.lines.product[sold].tolist(), journey.lines.price_units[sold].tolist(), strict=True)
    return dict(pairs)
