"""Templates: what they show, what they may not do, and what their bombs cost."""

from __future__ import annotations

import json
import time
from datetime import date
from decimal import Decimal

import pytest

from core.errors import CdpError
from services.channel.render import (
    Content,
    TrackedLinks,
    compile_email,
    compile_json,
    render_email,
    render_json,
)
from services.channel.templates import Template

LINKS = TrackedLinks(lambda index: f"https://t.example/c/{index}", "https://t.example/o/x", "https://t.example/u/x")
VALUES: dict[str, object] = {
    "contact": {"first_name": "<Ann & Bo>", "birth_date": date(2000, 2, 29)},
    "items": [{"name": "Tea", "price": Decimal("12.5"), "url": "https://shop.example/tea?a=1&b=2"}, {"name": "Cup"}],
    "s": "x" * 60_000,
}


def mail(html: str = "", text: str = "", subject: str = "Hi") -> Content:
    return render_email(compile_email(Template("email", subject, html, text, "")), VALUES, LINKS)


def hook(body: str, values: dict[str, object] | None = None) -> object:
    rendered = render_json(compile_json(Template("webhook", "", "", body, "")), values or VALUES)
    return json.loads(rendered.text)


def test_values_are_escaped_in_html_and_plain_in_text() -> None:
    content = mail("<p>{{ contact.first_name }}</p>", "{{ contact.first_name }}", "For {{ contact.first_name }}")
    assert "<p>&lt;Ann &amp; Bo&gt;</p>" in content.html
    assert (content.text, content.subject) == ("<Ann & Bo>", "For <Ann & Bo>")


def test_missing_values_are_empty_and_have_fallbacks() -> None:
    assert mail(text="[{{ nothing.at.all }}] {{ contact.city | default: 'your town' }}").text == "[] your town"


def test_product_block() -> None:
    text = mail(text="{% for i in items %}{{ i.name }}={{ i.price | money | default: '?' }};{% endfor %}").text
    assert text == "Tea=12.50;Cup=?;"


def test_dates() -> None:
    assert mail(text="{{ contact.birth_date | date: '%d.%m.%Y' }}{{ contact.x | date: '%Y' }}").text == "29.02.2000"


def test_links_are_signed_once_each_and_the_pixel_comes_last() -> None:
    content = mail(
        "<body><a class=x HREF='{{ items[0].url }}'>1</a><a href=https://b.example/>2</a>"
        '<a href="https://shop.example/tea?a=1&amp;b=2">3</a><a href="{{ unsubscribe_url }}">4</a>'
        '<a href="mailto:x@y.example">5</a><img src="https://shop.example/i.png"></body>'
    )
    assert content.links == ("https://shop.example/tea?a=1&b=2", "https://b.example/")
    assert content.html.count('"https://t.example/c/0"') == 2
    assert content.html.count('"https://t.example/c/1"') == 1
    assert '<a href="https://t.example/u/x">4</a>' in content.html
    assert "mailto:x@y.example" in content.html
    assert '<img src="https://shop.example/i.png">' in content.html
    assert content.html.endswith('style="display:none"></body>')
    assert "https://shop.example/tea" not in content.html


def test_text_is_made_of_html_when_there_is_none() -> None:
    assert mail("<style>p{}</style><p>Hello&nbsp;you</p><p>Bye</p>").text == "Hello you\nBye\n"


@pytest.mark.parametrize(
    "html",
    [
        '<a href="javascript:alert(1)">',
        '<a href=" JaVa\tScript:alert(1)">',
        '<a href="java&#10;script:alert(1)">',
        '<a href="&#106;avascript:alert(1)">',
        '<img src="data:text/html,x">',
        "<form action='vbscript:x'>",
        '<a href="{{ contact.first_name | replace: contact.first_name, "data:,x" }}">',
        '<a href="https:///nowhere">',
        '<a href="https://a\\@b.example">',
    ],
)
def test_unsafe_urls_refuse_the_message(html: str) -> None:
    with pytest.raises(CdpError) as caught:
        mail(html)
    assert caught.value.reason == "UNSAFE_URL"


@pytest.mark.parametrize(
    ("field", "source", "line"),
    [
        ("body_html", "a\n{% if x %}b", 2),
        ("body_html", "a\nb\n{{ x | nofilter }}", 3),
        ("body_text", "{% bogus %}", 1),
        ("body_text", "a\n{{ x", 2),
        ("body_text", "\n\n{% include 'x' %}", 3),
        ("subject", "{{ }}", 1),
        ("body_text", "{{ x | }}", 1),
    ],
)
def test_bad_templates_name_field_and_line(field: str, source: str, line: int) -> None:
    fields = {"subject": "s", "body_html": "h", "body_text": "t"} | {field: source}
    with pytest.raises(CdpError) as caught:
        compile_email(Template("email", fields["subject"], fields["body_html"], fields["body_text"], ""))
    assert caught.value.reason == "BAD_TEMPLATE"
    assert caught.value.violations[0].path == f"template.{field}"
    assert f"line {line}:" in caught.value.message


BOMBS = {
    "endless loop": "{% for a in (1..1000000000) %}x{% endfor %}",
    "nested loops": "{% for a in (1..100) %}{% for b in (1..100) %}{% for c in (1..100) %}x{% endfor %}"
    + "{% endfor %}{% endfor %}",
    "many loops": "{% for a in (1..9000) %}{% endfor %}" * 50,
    "busy loop": "{% for a in (1..9999) %}" + "{% if a %}{% endif %}{{ '' }}" * 2_000 + "{% endfor %}",
    "doubling": "{% assign a = s %}" + "{% assign a = a | append: a %}" * 30,
    "replace square": "{{ s | replace: 'x', s }}",
    "replace empty": "{{ s | replace: '', s }}",
    "join square": "{{ s | split: '' | join: s }}",
    "range join": "{{ (1..1000000000) | join: 'x' }}",
    "range sort": "{{ (1..1000000000) | sort }}",
    "output": "{% for a in (1..1000) %}{{ s }}{% endfor %}",
    "powers": "{% assign n = 99999 %}" + "{% assign n = n | times: n %}" * 40,
    "date width": "{{ now | date: '%999999999d' }}",
    "table": "{% tablerow a in (1..1000000000) %}x{% endtablerow %}",
    "division": "{{ 1 | divided_by: 0 }}",
    "captures": "{% capture a %}{{ s }}{% endcapture %}" + "{% capture a %}{{ a }}{{ a }}{% endcapture %}" * 30,
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_in_time(name: str) -> None:
    started_s = time.monotonic()
    values = {**VALUES, "now": date(2026, 1, 1)}
    for environment in ("text", "json", "html"):
        with pytest.raises(CdpError) as caught:
            if environment == "json":
                render_json(compile_json(Template("webhook", "", "", BOMBS[name], "")), values)
            else:
                body = {"html": (BOMBS[name], ""), "text": ("", BOMBS[name])}[environment]
                render_email(compile_email(Template("email", "s", *body, "")), values, LINKS)
        assert caught.value.reason in ("TEMPLATE_FAILED", "BAD_TEMPLATE")
    assert time.monotonic() - started_s < 10


@pytest.mark.parametrize(
    "source",
    [
        "{{" * 50_000,
        "{%" * 50_000,
        "{% raw %}" * 9_000,
        "{% if a %}" * 9_000,
        "{{" + " " * 50_000 + "}}",
        "{{ a" + ".b" * 20_000 + "}}",
        "{{ a" + "[a" * 900 + "]" * 900 + "}}",
        "x" * 200_000,
        "{% comment %}" * 5_000,
    ],
    ids=range(9),
)
def test_hostile_sources_are_refused_in_time(source: str) -> None:
    started_s = time.monotonic()
    with pytest.raises(CdpError) as caught:
        compile_email(Template("email", "s", "", source, ""))
    assert caught.value.reason == "BAD_TEMPLATE"
    assert time.monotonic() - started_s < 2


def test_json_values_cannot_break_out() -> None:
    evil = {"name": 'x", "admin": true, "y": "\\', "n": Decimal("12.5"), "list": ["a", 'b"'], "none": None}
    body = '{"name": "{{ name }}", "n": {{ n | json }}, "all": {{ list | json }}, "none": {{ none | json }}}'
    assert hook(body, evil) == {"name": evil["name"], "n": 12.5, "all": ["a", 'b"'], "none": None}
    assert hook('{"x": "{% echo name %}"}', evil) == {"x": evil["name"]}


@pytest.mark.parametrize("body", ['{"a": }', '{"a": {{ name }}}', "{} {}", '{"a": NaN}'])
def test_json_that_is_none_is_refused(body: str) -> None:
    with pytest.raises(CdpError) as caught:
        hook(body, {"name": "text"})
    assert caught.value.reason == "BODY_NOT_JSON"
