"""What letters show: recommendations for a thousand contacts of a shop of 100,000 products, and letters with two blocks
of products rendered a second, by one thread of one process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TypeVar

import numpy as np

from cdp.channel.v1 import channel_pb2
from cdp.facts.v1 import facts_pb2
from cdp.profile.v1 import profile_pb2
from core.clock import DAY_US
from core.events.columns import Event, EventColumnsBuilder
from core.events.facts import ContactState, ProductState
from core.index.index import Index
from core.query.execute_context import Context
from core.recommend.asked import Entry
from core.recommend.counts import Counts, counted
from core.recommend.recommend import Block, recommend
from core.schema import DecimalUnits
from services.channel.computed import Computed, Product
from services.channel.render import TrackedLinks, compile_email, render_email
from services.channel.templates import Template
from services.channel.values import template_values
from tests.bench.memory import resident_bytes

PRODUCTS, CONTACTS, VISITS, ORDERS = 100_000, 50_000, 150_000, 60_000
_NOW = 20_000 * DAY_US
_Made = TypeVar("_Made")
_BATCH = 50_000
_ASKED = 1_000
_CATEGORIES = 200
_TOP = Block.VIEWED, Block.RECOMMENDED
_LETTER = Template(
    "email",
    "{{ contact.first_name }}, still interested?",
    """<html><body><h1>Hello {{ contact.first_name }}</h1>
<table>{% for p in blocks.viewed limit: 4 %}<tr><td><a href="{{ p.url }}"><img src="{{ p.image_url }}"></a></td>
<td><a href="{{ p.url }}">{{ p.name }}</a></td><td>{{ p.price | money }}</td></tr>{% endfor %}</table>
<h2>You may like</h2>
<table>{% for p in blocks.recommended limit: 4 %}<tr><td><a href="{{ p.url }}"><img src="{{ p.image_url }}"></a></td>
<td><a href="{{ p.url }}">{{ p.name }}</a></td><td>{{ p.price | money }}</td></tr>{% endfor %}</table>
<p>Until {{ today | date: "long" }}. <a href="{{ unsubscribe_url }}">Unsubscribe</a></p></body></html>""",
    "",
    "Shop <shop@shop.example>",
    locale="de",
    currency="EUR",
)


async def measure_content(_folder: Path) -> dict[str, object]:
    """The figures; nothing is written to the folder."""
    index = _shop()
    everyone = Context(index.root(), _NOW, "UTC")
    before = resident_bytes()
    counts, count_s = _timed(lambda: counted(everyone), 3)
    return {
        "products": PRODUCTS,
        "events": VISITS * 4 + ORDERS,
        "count_s": round(count_s, 2),
        "counts_mb": round(counts.nbytes / 2**20, 1),
        "process_grew_mb": round((resident_bytes() - before) / 2**20, 1),
        "recommend_ms_per_1000": _recommend_ms(everyone, counts),
        **_letters(),
    }


def _recommend_ms(everyone: Context, counts: Counts) -> dict[str, float]:
    random = Random(3)
    entries = [Entry(random.randrange(CONTACTS), (f"p{random.randrange(1_000)}",)) for _ in range(_ASKED)]
    asked = {"viewed and recommended": _TOP, "all": tuple(Block)} | {block.value: (block,) for block in Block}
    return {
        name: round(_timed(lambda: recommend(entries, blocks, 10, everyone, counts), 5)[1] * 1e3, 1)  # noqa: B023
        for name, blocks in asked.items()
    }


def _letters() -> dict[str, int]:
    """From a profile and the engine's answer to subject, HTML with signed links, and text: a second, and a second that
    a processor worked on them, whatever else it did."""
    template = compile_email(_LETTER)
    products = [
        {
            "product_id": facts_pb2.Value(text=f"p{number}"),
            "name": facts_pb2.Value(text=f"Product {number} & Co"),
            "url": facts_pb2.Value(text=f"https://shop.example/products/p{number}?from=mail"),
            "image_url": facts_pb2.Value(text=f"https://shop.example/images/p{number}.jpg"),
            "price": facts_pb2.Value(decimal_units=129_900 + number),
        }
        for number in range(8)
    ]

    def computed() -> Computed:
        """As each letter's own answer, so that what is made of it once is made for every letter."""
        return Computed(
            blocks={
                "viewed": [Product(fields) for fields in products[:4]],
                "recommended": [Product(fields) for fields in products[4:]],
            }
        )

    profile = profile_pb2.Profile(contact=1, key="k1")
    profile.attributes.add(name="first_name").value.text = "Ann"
    message = channel_pb2.OutgoingMessage(id="m1", contact=1, channel="email", kind="trigger")
    links = TrackedLinks(lambda index: f"https://t.example/c/{index}", "https://t.example/o", "https://t.example/u")

    def some() -> None:
        for _ in range(200):
            values = template_values(message, profile, "Europe/Vienna", _NOW, computed(), template.source, "USD")
            render_email(template, values, links)

    some()
    cpu_s = min(_cpu_s(some) for _ in range(7))
    return {"letters_per_s": round(200 / _timed(some, 7)[1]), "letters_per_cpu_s": round(200 / cpu_s)}


def _shop() -> Index:
    """Contacts view four products of two categories on each visit and buy two to four; popular ones more often."""
    random = np.random.default_rng(5)
    index = Index()
    facts = [ContactState(number, f"key-{number}", True, 1, 0, 0) for number in range(CONTACTS)]
    states = [
        ProductState(
            f"p{number}",
            {
                "name": f"Product {number}",
                "url": f"https://shop.example/products/p{number}",
                "image_url": f"https://shop.example/images/p{number}.jpg",
                "category": f"category {number % _CATEGORIES}",
                "price": DecimalUnits(10_000 * (5 + number % 97)),
                "stock": number % 9,
            },
            0,
            0,
        )
        for number in range(PRODUCTS)
    ]
    index.apply(EventColumnsBuilder().build(), (*facts, *states), 1)
    position = 2
    for first in range(0, VISITS, _BATCH // 4):
        count = min(_BATCH // 4, VISITS - first)
        contacts = np.repeat(random.integers(0, CONTACTS, count), 4)
        at_us = np.repeat(_NOW - random.integers(0, 80 * DAY_US, count), 4) + np.tile(np.arange(4), count)
        products = _products(random, count, 4).ravel()
        builder = EventColumnsBuilder()
        for place, (at, product) in enumerate(zip(at_us.tolist(), products.tolist(), strict=True)):
            fields = {"product_id": f"p{product}", "category": f"category {product % _CATEGORIES}"}
            builder.add(Event(f"v{first}-{place}", "product_viewed", at, at, (), fields, (), 0))
        index.apply(replace(builder.build(), contacts=contacts.astype(np.uint32)), (), position)
        position += 1
    contacts = random.integers(0, CONTACTS, ORDERS)
    baskets = _products(random, ORDERS, 3).tolist()
    builder = EventColumnsBuilder()
    for place, (at, basket) in enumerate(zip(random.integers(0, 300 * DAY_US, ORDERS).tolist(), baskets, strict=True)):
        lines = tuple({"product_id": f"p{one}", "category": f"category {one % _CATEGORIES}"} for one in basket)
        builder.add(Event(f"o{place}", "order_completed", _NOW - at, _NOW - at, (), {}, lines, 0))
    index.apply(replace(builder.build(), contacts=contacts.astype(np.uint32)), (), position)
    return index


def _products(random: np.random.Generator, count: int, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Rows of products near one another in number, the small numbers far more often."""
    first = (PRODUCTS * random.random(count) ** 3).astype(np.int64)
    near = first[:, None] + _CATEGORIES * random.integers(0, 3, (count, width)) + random.integers(0, 2, (count, width))
    return near % PRODUCTS


def _cpu_s(work: Callable[[], None]) -> float:
    began_s = time.thread_time()
    work()
    return time.thread_time() - began_s


def _timed(work: Callable[[], _Made], times: int) -> tuple[_Made, float]:
    """What it makes, and the least seconds that it took."""
    took_s = []
    for _ in range(times):
        began_s = time.perf_counter()
        made = work()
        took_s.append(time.perf_counter() - began_s)
    return made, min(took_s)
