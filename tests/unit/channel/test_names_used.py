"""The names of a template, and those that nothing can fill."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.channel.names_used import Vocabulary, names_used, unknown_names
from services.channel.templates import Template, Variant

VOCABULARY = Vocabulary(
    contact=frozenset({"first_name", "children", "email"}),
    items=frozenset({"name", "price"}),
    values=frozenset({"cart_id"}),
)


def mail(text: str) -> Template:
    return Template("email", "Hi", "", text, "")


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("{{ contact.first_name }}{{ contact.key }}{{ contact.email }}{{ cart_id }}{{ now }}{{ unsubscribe_url }}", []),
        ("{{ contact.fist_name | default: 'x' }}", ["contact.fist_name"]),
        ("{% if contact.vip == 1 %}{% elsif total > 3 %}{% endif %}", ["contact.vip", "total"]),
        ("{{ contact[name] }}", ["name"]),
        ("{% assign x = cart_id %}{{ x }}{% capture y %}a{% endcapture %}{{ y }}{% increment z %}", []),
        ("{% for i in items %}{{ i.name }}{{ i.prise }}{{ forloop.index }}{% endfor %}", ["items[].prise"]),
        ("{{ items[0].name }}{{ items.first.nam }}{{ items.size }}{{ items.name }}", ["items.first.nam", "items.name"]),
        ("{% for p in blocks.viewed limit: 3 %}{{ p.url }}{{ p.title }}{% endfor %}", ["blocks.viewed[].title"]),
        ("{{ blocks.viewed.size }}{{ blocks.bestsellers }}", ["blocks.bestsellers"]),
        ("{% for i in interests.category %}{{ i.value }}{{ i.points }}{% endfor %}", ["interests.category[].points"]),
        ("{{ interests.colour[0].value }}{{ message.id }}", ["interests.colour[0].value"]),
        ("{{ message.body }}{{ message }}", ["message.body"]),
        ("{% for c in contact.children %}{{ c.name }}{% for d in c.toys %}{{ d.x }}{% endfor %}{% endfor %}", []),
        ("{% assign all = blocks.viewed %}{% for p in all %}{{ p.title }}{% endfor %}", []),
        ("{% for p in items %}{{ p.x }}{% endfor %}{% for p in blocks.cart %}{{ p.name }}{{ p.y }}{% endfor %}",
            ["blocks.cart[].y", "items[].x"]),
        ("{% for p in items %}{% for p in blocks.cart %}{{ p.y }}{% endfor %}{{ p.x | append: p.z }}{% endfor %}",
            ["blocks.cart[].y", "items[].x", "items[].z"]),
        ("{% for p in blocks.cart %}{% assign name = p.nam %}{% if p.url == p.link %}{{ name }}{% endif %}{% endfor %}",
            ["blocks.cart[].link", "blocks.cart[].nam"]),
        ("{% tablerow p in blocks.viewed cols: 2 %}{{ p.pic }}{% endtablerow %}", ["blocks.viewed[].pic"]),
        ("{% for n in (1..3) %}{{ n.x }}{% endfor %}{% for p in items %}{{ p.name }}{% endfor %}", []),
        ("{% comment %}{{ nothing }}{% endcomment %}{{ 'text' }}{{ 3 }}{{ true }}{{ nil }}", []),
    ],
)  # fmt: skip
def test_what_nothing_can_fill(text: str, unknown: list[str]) -> None:
    assert [used.name for used in unknown_names(mail(text), VOCABULARY)] == unknown


def test_any_values_and_fallbacks_fill_names() -> None:
    template = mail("{{ whatever }}{{ contact.nobody }}")
    anything = replace(VOCABULARY, values=None)
    assert [used.name for used in unknown_names(template, anything)] == ["contact.nobody"]
    filled = replace(template, fallbacks={"contact.nobody": "you", "whatever": "x"})
    assert unknown_names(filled, VOCABULARY) == []


def test_values_may_be_known_by_how_they_begin() -> None:
    brought = replace(VOCABULARY, values=frozenset({"answer_*", "coupon"}))
    template = mail("{{ answer_total }}{{ answer_ }}{{ coupon }}{{ answered }}{{ coupon_code }}")
    assert [used.name for used in unknown_names(template, brought)] == ["answered", "coupon_code"]


def test_places_are_told_of_every_wording() -> None:
    template = replace(
        mail("\n\n{{ a }}\n{{ b }}{{ a }}"),
        subject="{{ c }}",
        url="https://shop.example/{{ d }}",
        variants=(Variant("x", 1, subject="New"), Variant("y", 1, body_html="<p>\n{{ e }}</p>")),
    )
    assert [(used.field, used.line, used.name) for used in names_used(template)] == [
        ("body_text", 3, "a"),
        ("body_text", 4, "b"),
        ("subject", 1, "c"),
        ("url", 1, "d"),
        ("variants[1].body_html", 2, "e"),
    ]
