"""How a message speaks to its reader: amounts, numbers and dates by locale, and the filters that write them.

A render's Speech stands among its values under SPEECH, which no name of a template can be. Without one (a webhook's
document, which machines read) amounts have two decimals and no currency, and names of months are English.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, localcontext
from functools import lru_cache

from babel import Locale, UnknownLocaleError
from babel.dates import format_date as babel_date
from babel.dates import format_datetime as babel_datetime
from babel.dates import format_time as babel_time
from babel.numbers import (
    NumberPattern,
    format_decimal,
    get_currency_precision,
    get_currency_symbol,
    is_currency,
    parse_pattern,
)
from liquid import RenderContext
from liquid.exceptions import FilterArgumentError
from liquid.filter import with_context

SPEECH = " speech"
#: Stands for the currency in patterns of CLDR.
_SIGN = "¤"
DEFAULT_LOCALE = "en"
#: strftime's letters that are offered; widths ("%999999999d" fills the memory) are not.
DATE_LETTERS = frozenset("aAbBdHIjmMpSUwWyYZzefF%")
#: Of these letters the text is the reader's, as patterns of CLDR.
_READERS = {"a": "EEE", "A": "EEEE", "b": "MMM", "B": "MMMM", "p": "a"}
_LENGTHS = frozenset({"short", "medium", "long", "full"})
_LONGEST_LOCALE = 35
_LONGEST_LAYOUT = 200
#: Letters that mean a text, or nothing (fractions of seconds): "" is a sign at the very end.
_PLAIN = {"": "%", "%": "%", "f": ""}
#: After the point, and before it: Liquid can multiply up numbers of a million digits.
_MOST_DIGITS, _MOST_WHOLE_DIGITS = 20, 40
#: Enough for both, so that rounding never fails for want of digits.
_PRECISION = 64


@dataclass(frozen=True, slots=True)
class Speech:
    """A locale, and the currency (ISO 4217) of amounts that name none; "" leaves them without one."""

    locale: Locale
    currency: str = ""


@dataclass(frozen=True, slots=True)
class _Form:
    """How amounts of a currency are written. Babel would look all of it up for every amount, and the plural of the
    currency's name besides."""

    pattern: NumberPattern
    symbol: str


def speech_of(locales: tuple[str, ...], currency: str) -> Speech:
    """By the first of `locales` that there is ("de", "de_AT", "de-AT"), else DEFAULT_LOCALE."""
    found = (locale_of(one) for one in locales)
    return Speech(next((one for one in found if one is not None), Locale(DEFAULT_LOCALE)), currency)


@lru_cache(maxsize=512)
def locale_of(text: str) -> Locale | None:
    """The locale of that name; None where there is none."""
    if not 2 <= len(text) <= _LONGEST_LOCALE or not text.isascii():
        return None
    try:
        return Locale.parse(text.replace("-", "_"))
    except (ValueError, UnknownLocaleError):
        return None


def is_known_currency(code: str) -> bool:
    """Whether CLDR has a name for it."""
    return len(code) == 3 and code.isascii() and code.isupper() and is_currency(code)


def plain_money(value: object, currency: object = "") -> str:
    """An amount for machines, with two decimals: 12.5 -> "12.50"; anything that is no number as an empty text."""
    number = _number(value)
    return "" if number is None else f"{number:.2f}"


@with_context
def money(value: object, currency: object = None, *, context: RenderContext) -> str:
    """An amount in the reader's form: 1234.5 -> "1.234,50 €". `currency` wins over the message's own, "" writes none;
    one that there is not is refused. Anything that is no number is an empty text."""
    number = _number(value)
    if number is None:
        return ""
    speech = _speech(context)
    code = speech.currency if speech is not None else ""
    if isinstance(currency, str):
        code = currency.strip().upper()
        if code and not is_known_currency(code):
            raise FilterArgumentError(f"money knows no currency {code[:10]!r}", token=None)
    if speech is None:
        return f"{number:.2f} {code}".rstrip()
    form = _form(speech.locale, code)
    with localcontext(prec=_PRECISION):
        written: str = form.pattern.apply(number, speech.locale)
    return written.replace(_SIGN, form.symbol)


@with_context
def number_text(value: object, decimals: object = None, *, context: RenderContext) -> str:
    """A number in the reader's form: 1234.5 -> "1.234,5"; with `decimals` (0 to 20) exactly that many."""
    number = _number(value)
    if number is None:
        return ""
    speech = _speech(context) or Speech(Locale(DEFAULT_LOCALE))
    if decimals is None:
        with localcontext(prec=_PRECISION):
            return format_decimal(number, locale=speech.locale, decimal_quantization=False)
    if isinstance(decimals, bool) or not isinstance(decimals, int) or not 0 <= decimals <= _MOST_DIGITS:
        raise FilterArgumentError(f"number takes 0 to {_MOST_DIGITS} decimals", token=None)
    pattern = f"#,##0.{'0' * decimals}" if decimals else "#,##0"
    with localcontext(prec=_PRECISION):
        return format_decimal(number, format=pattern, locale=speech.locale)


@with_context
def date_text(value: object, layout: object = "%Y-%m-%d", *, context: RenderContext) -> str:
    """A date or instant: `layout` is short, medium, long or full for the reader's own form ("1. März 2026"), or letters
    of strftime without widths, names in the reader's language. A text stays as it is, missing is an empty text."""
    if not isinstance(value, date):
        return str(value) if isinstance(value, str) else ""
    speech = _speech(context) or Speech(Locale(DEFAULT_LOCALE))
    if isinstance(layout, str) and layout in _LENGTHS:
        return babel_date(value, layout, locale=speech.locale)
    return _by_letters(value, str(layout), speech.locale)


@with_context
def time_text(value: object, layout: object = "short", *, context: RenderContext) -> str:
    """The time of an instant in the reader's form, in the zone that the value has; of anything else an empty text."""
    if not isinstance(value, datetime):
        return ""
    speech = _speech(context) or Speech(Locale(DEFAULT_LOCALE))
    return babel_time(value.time(), _length("time", layout), locale=speech.locale)


@with_context
def date_time_text(value: object, layout: object = "short", *, context: RenderContext) -> str:
    """Date and time of an instant in the reader's form; of anything else an empty text."""
    if not isinstance(value, datetime):
        return ""
    speech = _speech(context) or Speech(Locale(DEFAULT_LOCALE))
    return babel_datetime(value.replace(tzinfo=None), _length("datetime", layout), locale=speech.locale)


@lru_cache(maxsize=512)
def _form(locale: Locale, code: str) -> _Form:
    if not code:
        return _Form(parse_pattern("#,##0.00"), "")
    pattern = copy(locale.currency_formats["standard"])
    digits = get_currency_precision(code)
    pattern.frac_prec = (digits, digits)
    return _Form(pattern, get_currency_symbol(code, locale))


def _by_letters(value: date, layout: str, locale: Locale) -> str:
    if len(layout) > _LONGEST_LAYOUT:
        raise FilterArgumentError(f"a layout of dates has at most {_LONGEST_LAYOUT} characters", token=None)
    moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
    written: list[str] = []
    place = 0
    while (at := layout.find("%", place)) >= 0:
        written += (layout[place:at], _letter(layout[at + 1 : at + 2], moment, locale))
        place = at + 2
    return "".join((*written, layout[place:]))


def _letter(letter: str, moment: datetime, locale: Locale) -> str:
    """What strftime makes of one letter; a sign at the end stands for itself."""
    if letter and letter not in DATE_LETTERS:
        raise FilterArgumentError(f"date knows % followed by one of {''.join(sorted(DATE_LETTERS))}", token=None)
    if letter in _READERS and locale.language != DEFAULT_LOCALE:
        return babel_datetime(moment.replace(tzinfo=None), _READERS[letter], locale=locale)
    if letter in _PLAIN:
        return _PLAIN[letter]
    return str(moment.day) if letter == "e" else moment.strftime("%Y-%m-%d" if letter == "F" else f"%{letter}")


def _length(name: str, layout: object) -> str:
    if not isinstance(layout, str) or layout not in _LENGTHS:
        raise FilterArgumentError(f"{name} is short, medium, long or full", token=None)
    return layout


def _number(value: object) -> Decimal | None:
    """Floats come of Liquid's own arithmetic; what is not finite is no number."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | float):
        return None
    number = Decimal(str(value))
    if not number.is_finite():
        return None
    if number.adjusted() >= _MOST_WHOLE_DIGITS:
        raise FilterArgumentError(f"a number has at most {_MOST_WHOLE_DIGITS} digits", token=None)
    short = number.adjusted() > -_MOST_DIGITS and len(number.as_tuple().digits) <= _MOST_WHOLE_DIGITS
    return number if short else Decimal(f"{number:.{_MOST_DIGITS}f}")


def _speech(context: RenderContext) -> Speech | None:
    found = context.resolve(SPEECH, default=None)
    return found if isinstance(found, Speech) else None
