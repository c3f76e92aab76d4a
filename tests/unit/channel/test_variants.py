"""Which wording a contact gets, and what a template with variants must be."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from hashlib import sha256

import pytest

from core.errors import CdpError
from services.channel.render import compile_email
from services.channel.template_check import check_template
from services.channel.templates import Template, Variant
from services.channel.variants import variant_of, wording

PLAIN = Template("email", "Own subject", "<p>Own</p>", "Own", "Shop <s@shop.example>")
TESTED = replace(
    PLAIN, variants=(Variant("short", 2_500, subject="Short"), Variant("dear", 5_000, body_html="<p>Dear</p>"))
)


def test_the_draw_is_the_random_bucket_of_segments() -> None:
    drawn: Counter[str] = Counter()
    for number in range(2_000):
        key = f"key-{number}"
        bucket = int.from_bytes(sha256(f"w1\0letter\0{key}".encode()).digest()[:8], "big") % 10_000
        expected = "short" if bucket < 2_500 else "dear" if bucket < 7_500 else ""
        assert variant_of(TESTED, "letter", "w1", key) == expected
        drawn[expected] += 1
    assert [abs(drawn[name] - count) < 100 for name, count in (("short", 500), ("dear", 1_000), ("", 500))] == [
        True
    ] * 3
    assert variant_of(replace(TESTED, salt="letter"), "another", "w1", "key-1") == variant_of(
        TESTED, "letter", "w1", "key-1"
    )
    assert variant_of(PLAIN, "letter", "w1", "key-1") == ""


def test_what_a_variant_leaves_empty_is_the_templates_own() -> None:
    short, dear = wording(TESTED, "short"), wording(TESTED, "dear")
    assert short == replace(PLAIN, subject="Short")
    assert dear == replace(PLAIN, body_html="<p>Dear</p>")
    assert wording(TESTED, "") == wording(TESTED, "was deleted") == PLAIN
    layout = replace(PLAIN, body_html="", mjml="<mjml></mjml>")
    assert wording(replace(layout, variants=TESTED.variants), "dear") == replace(PLAIN, body_html="<p>Dear</p>")
    other = replace(PLAIN, variants=(Variant("x", 1, mjml="<mjml>x</mjml>"),))
    assert wording(other, "x") == replace(PLAIN, body_html="", mjml="<mjml>x</mjml>")


@pytest.mark.parametrize(
    ("template", "place", "said"),
    [
        (replace(PLAIN, variants=(Variant("a", 6_000, "A"), Variant("b", 5_000, "B"))), "variants", "11000"),
        (replace(PLAIN, variants=(Variant("a", 0, "A"),)), "variants[0].share", "10000"),
        (replace(PLAIN, variants=(Variant("a", 1, "A"), Variant("a", 1, "B"))), "variants[1].name", "no other"),
        (replace(PLAIN, variants=(Variant("a b", 1, "A"),)), "variants[0].name", "letters"),
        (replace(PLAIN, variants=(Variant("a", 1),)), "variants[0]", "says nothing"),
        (replace(PLAIN, variants=tuple(Variant(f"v{n}", 1, "x") for n in range(21))), "variants", "20"),
        (replace(PLAIN, variants=(Variant("a", 1, "A"), Variant("b", 1, "\n{{ x"))), "variants[1]", "variant b"),
        (replace(PLAIN, subject="{{ x"), "subject", "not closed"),
        (replace(PLAIN, icon_url="x" * 131_073), "icon_url", "131072"),  # no letter has one
        (replace(PLAIN, sender="x" * 501), "from", "500"),
        (replace(PLAIN, locale="xx"), "locale", "de_AT"),
        (replace(PLAIN, currency="EURO"), "currency", "EUR"),
        (replace(PLAIN, salt="a\0b"), "salt", "characters"),
        (replace(PLAIN, fallbacks={"contact": "x"}), "fallbacks", "'contact'"),
        (replace(PLAIN, fallbacks={"contact.a.b": "x"}), "fallbacks", "'contact.a.b'"),
        (replace(PLAIN, fallbacks={"items.a": "x"}), "fallbacks", "'items.a'"),
        (replace(PLAIN, fallbacks={"": "x"}), "fallbacks", "''"),
        (replace(PLAIN, fallbacks={"a": "x" * 1_001}), "fallbacks", "1000"),
        (replace(PLAIN, fallbacks={f"a{n}": "" for n in range(101)}), "fallbacks", "100"),
    ],
)
def test_mistakes_are_named(template: Template, place: str, said: str) -> None:
    with pytest.raises(CdpError) as caught:
        check_template(template, compile_email)
    assert caught.value.reason == "BAD_TEMPLATE"
    assert caught.value.violations[0].path == f"template.{place}"
    assert said in caught.value.message


def test_a_sound_template_passes() -> None:
    fallbacks = {"contact.first_name": "friend", "coupon": "WELCOME"}
    check_template(replace(TESTED, locale="de_AT", currency="EUR", salt="s", fallbacks=fallbacks), compile_email)
