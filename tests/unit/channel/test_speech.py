"""Amounts, numbers and dates as a reader of each language writes them, and what hostile ones cost."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from decimal import Decimal
from random import Random

import pytest

from core.errors import CdpError
from services.channel.render import CompiledTemplate, compile_email, compile_json, render_field, render_json
from services.channel.speech import SPEECH, is_known_currency, locale_of, speech_of
from services.channel.templates import Template

MOMENT = datetime(2026, 3, 1, 15, 4, 5, tzinfo=UTC)
VALUES: dict[str, object] = {
    "price": Decimal("1234.5"),
    "whole": 1_000_000,
    "day": date(2026, 3, 1),
    "moment": MOMENT,
    "text": "1 March",
    "none": None,
    "list": [1, 2],
}


def said(body: str, locale: str = "", currency: str = "", **values: object) -> str:
    """A text as a reader of the locale sees it; without a locale as nobody in particular."""
    scope = {**VALUES, **values}
    if locale or currency:
        scope[SPEECH] = speech_of((locale,), currency)
    text = render_field("body_text", compiled(body).text, scope)
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{NARROW NO-BREAK SPACE}", " ")


def compiled(body: str) -> CompiledTemplate:
    return compile_email(Template("email", "Hi", "", body, ""))


@pytest.mark.parametrize(
    ("body", "locale", "currency", "text"),
    [
        ("{{ price | money }}", "", "", "1234.50"),
        ("{{ price | money: 'EUR' }}", "", "", "1234.50 EUR"),
        ("{{ price | money }}", "en", "", "1,234.50"),
        ("{{ price | money }}", "en", "USD", "$1,234.50"),
        ("{{ price | money }}", "de", "EUR", "1.234,50 €"),
        ("{{ price | money }}", "de_AT", "EUR", "€ 1.234,50"),
        ("{{ price | money }}", "uk", "UAH", "1 234,50 ₴"),
        ("{{ price | money: 'eur' }}", "fr", "USD", "1 234,50 €"),
        ("{{ price | money: '' }}", "fr", "USD", "1 234,50"),
        ("{{ whole | money }}", "ja", "JPY", "￥1,000,000"),
        ("{{ none | money }}{{ text | money }}{{ list | money }}{{ true | money }}", "de", "EUR", ""),
        ("{{ price | number }} {{ whole | number }}", "", "", "1,234.5 1,000,000"),
        ("{{ price | number: 3 }} {{ price | number: 0 }}", "de", "", "1.234,500 1.234"),
        ("{{ 0.00001 | number }}", "en", "", "0.00001"),
        ("{{ day | date }} {{ moment | date: '%d.%m.%y %H:%M' }}", "de", "", "2026-03-01 01.03.26 15:04"),
        ("{{ day | date: '%A, %e. %B %Y' }}", "de", "", "Sonntag, 1. März 2026"),
        ("{{ day | date: '%A, %e. %B %Y' }}", "uk", "", "неділя, 1. березня 2026"),
        ("{{ day | date: '%A, %b %e, %I %p' }}", "", "", "Sunday, Mar 1, 12 AM"),
        ("{{ day | date: '100%% of %Y %F %f%' }}", "", "", "100% of 2026 2026-03-01 %"),
        ("{{ day | date: 'long' }}|{{ moment | date: 'short' }}", "de", "", "1. März 2026|01.03.26"),
        ("{{ day | date: 'full' }}", "en", "", "Sunday, March 1, 2026"),
        ("{{ moment | time }}|{{ moment | datetime: 'medium' }}", "de", "", "15:04|01.03.2026, 15:04:05"),
        ("{{ moment | time }}", "en_US", "", "3:04 PM"),
        (
            "{{ day | time }}{{ text | datetime }}{{ none | date: 'long' }}{{ text | date: 'long' }}",
            "de",
            "",
            "1 March",
        ),
    ],
)
def test_as_a_reader_writes_it(body: str, locale: str, currency: str, text: str) -> None:
    assert said(body, locale, currency) == text


def test_a_document_for_machines_has_plain_amounts() -> None:
    template = compile_json(Template("webhook", "", "", '{"total": "{{ price | money }}"}', ""))
    values = {**VALUES, SPEECH: speech_of(("de",), "EUR")}
    assert render_json(template, values).text == '{"total":"1234.50"}'


def test_locales_and_currencies() -> None:
    names = ("de", "de_AT", "de-AT", "zh_Hant_TW", "uk", "xx", "", "German", "../../etc/passwd", "de\n", "e" * 40, "ß")
    assert [locale_of(name) is not None for name in names] == [True] * 5 + [False] * 7
    assert str(speech_of(("nonsense", "fr"), "").locale) == "fr"
    assert str(speech_of(("", ""), "").locale) == "en"
    assert [is_known_currency(code) for code in ("EUR", "eur", "XXQ", "", "EURO", "€€€")] == [True] + [False] * 5


@pytest.mark.parametrize(
    "body",
    [
        "{{ price | money: 'XXQ' }}",
        "{{ price | number: -1 }}",
        "{{ price | number: 999999999 }}",
        "{{ price | number: 'many' }}",
        "{{ day | date: '%999999999d' }}",
        "{{ day | date: '%Q' }}",
        "{{ moment | time: 'HH:mm' }}",
        "{{ moment | datetime: day }}",
        "{{ day | date: long }}",
        "{{ huge | money }}",
        "{{ huge | number }}",
    ],
)
def test_bad_arguments_refuse_the_message_soon(body: str) -> None:
    began_s = time.thread_time()
    with pytest.raises(CdpError) as caught:
        said(body, "de", "EUR", huge=Decimal("1e1000000"), long="%A" * 10_000)
    assert caught.value.reason == "TEMPLATE_FAILED"
    assert time.thread_time() - began_s < 1


@pytest.mark.parametrize("number", ["1e-1000000", "0." + "1" * 5_000, "-0.00", "9" * 39 + ".99995"])
def test_odd_numbers_are_written(number: str) -> None:
    text = said("{{ n | number }} {{ n | money }}", "en", "EUR", n=Decimal(number))
    assert 0 < len(text) < 200


def test_what_is_not_finite_is_nothing() -> None:
    assert said("{{ n | money }}{{ m | number }}", "en", "EUR", n=Decimal("NaN"), m=float("inf")) == ""
    body = "{% assign x = price %}{% for i in (1..40) %}{% assign x = x | times: x %}{% endfor %}{{ x | money }}"
    assert len(said(body, "de", "EUR")) < 100


def test_a_template_cannot_change_how_it_speaks() -> None:
    body = "{% assign speech = 'x' %}{% capture speech %}y{% endcapture %}{{ price | money }}"
    assert said(body, "de", "EUR") == "1.234,50 €"


FILTERS = (
    "money",
    "money: arg",
    "number",
    "number: arg",
    "date",
    "date: arg",
    "time: arg",
    "datetime: arg",
    "date: 'full' | money",
)
LOCALES = ("", "en", "de_CH", "ar", "fa", "hi", "he", "th", "zh_Hant", "pt_BR", "sw", "eo")
ODD: tuple[object, ...] = (
    *(None, True, "", "12", "¤", 0, -1, 10**39, 10**40, 2**64, 1.5, -0.0, 1e308, float("nan"), [], {}, [1], range(3)),
    *(Decimal("-12345.6789"), Decimal("1e-30"), Decimal("1e39"), Decimal("sNaN"), Decimal("-Infinity")),
    *(date.min, date.max, datetime.min, datetime.max, MOMENT, "short", "%d", "%", "%%", "%-d", "EUR", "eur ", "XXQ"),
)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_it_is_a_text_comes_or_a_refusal(seed: int) -> None:
    print(f"seed {seed}")
    random = Random(seed)
    refused = 0
    for _ in range(300):
        body = f"{{{{ value | {random.choice(FILTERS)} }}}}"
        value, argument = random.choice(ODD), random.choice(ODD)
        try:
            text = said(
                body, random.choice(LOCALES), random.choice(("", "EUR", "JPY", "KWD")), value=value, arg=argument
            )
        except CdpError as error:
            assert error.reason == "TEMPLATE_FAILED", (body, value, argument)
            refused += 1
        else:
            assert len(text) < 300, (body, value, argument)
    assert 0 < refused < 200, refused
