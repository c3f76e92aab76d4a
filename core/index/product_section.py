"""The catalogue as one section of a snapshot."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.index.product_view import ProductRun, ProductView, product_run
from core.index.section import Draft, Section, pack, unpack
from core.index.table_section import pack_table, text_codes, unpack_table


def pack_products(name: str, view: ProductView) -> tuple[Draft, list[NDArray[np.uint32]]]:
    """All states, at least one, and the dictionary codes in them."""
    run = product_run(view.runs)
    arrays, facts = pack_table("fields", run.fields)
    arrays |= {"products": run.products, "at_us": run.at_us, "log_order": run.log_order, "deleted": run.deleted}
    return pack(name, arrays, facts), [run.products, *text_codes(run.fields)]


def unpack_products(section: Section | Draft) -> ProductRun:
    """The inverse of `pack_products`."""
    arrays, facts = unpack(section)
    fields = unpack_table("fields", arrays, facts)
    return ProductRun.of(arrays["products"], arrays["at_us"], arrays["log_order"], arrays["deleted"], fields)
