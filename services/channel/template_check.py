"""What a template must be before it is saved: every wording compiles, and what stands beside them makes sense."""

from __future__ import annotations

import re
from collections.abc import Callable

from core.errors import CdpError, Violation, invalid
from services.channel.render import CompiledTemplate
from services.channel.speech import is_known_currency, locale_of
from services.channel.templates import LIMIT_SOURCE_BYTES, Template, bad_template
from services.channel.variants import OWN, SHARES, wording

#: Names that are ours in every template; the values of a message cannot stand under them.
BUILT_IN = frozenset({"contact", "interests", "items", "blocks", "message", "now", "today"})

_VARIANT = re.compile(r"[A-Za-z0-9_-]{1,60}")
_FALLBACK = re.compile(r"(?:contact\.)?[^\s.{}|]{1,100}")
_MOST_VARIANTS, _MOST_FALLBACKS = 20, 100
_LONGEST_FALLBACK, _LONGEST_SALT, _LONGEST_SENDER = 1_000, 200, 500


def check_template(template: Template, compile_wording: Callable[[Template], CompiledTemplate]) -> None:
    """Raise INVALID/BAD_TEMPLATE with the first thing that is wrong; of a source the field and the line, of a variant's
    its name. Compiles, so for a thread. `compile_wording` is the sender's."""
    if template.locale and locale_of(template.locale) is None:
        raise bad_template("locale", 0, "is no locale that there is; one is named like de or de_AT")
    if template.currency and not is_known_currency(template.currency):
        raise bad_template("currency", 0, "is no currency that there is; one is named like EUR")
    if len(template.salt) > _LONGEST_SALT or "\0" in template.salt:
        raise bad_template("salt", 0, f"has at most {_LONGEST_SALT} characters")
    _check_sizes(template)
    _check_fallbacks(template)
    _check_variants(template)
    compile_wording(wording(template, OWN))
    for number, variant in enumerate(template.variants):
        try:
            compile_wording(wording(template, variant.name))
        except CdpError as error:
            raise _of_variant(error, number, variant.name) from error


def _check_sizes(template: Template) -> None:
    """Of what a channel does not use as well: it is kept with every version all the same."""
    if len(template.sender) > _LONGEST_SENDER:
        raise bad_template("from", 0, f"has at most {_LONGEST_SENDER} characters")
    for name in ("subject", "body_html", "body_text", "mjml", "url", "image_url", "icon_url"):
        if len(getattr(template, name).encode()) > LIMIT_SOURCE_BYTES:
            raise bad_template(name, 0, f"is longer than {LIMIT_SOURCE_BYTES} bytes")


def _check_fallbacks(template: Template) -> None:
    if len(template.fallbacks) > _MOST_FALLBACKS:
        raise bad_template("fallbacks", 0, f"has more than {_MOST_FALLBACKS} entries")
    for name, text in template.fallbacks.items():
        if _FALLBACK.fullmatch(name) is None or name in BUILT_IN:
            raise bad_template("fallbacks", 0, f"{name[:60]!r} is no name of a value, and none such as contact.city")
        if len(text) > _LONGEST_FALLBACK:
            raise bad_template("fallbacks", 0, f"the text of {name!r} is longer than {_LONGEST_FALLBACK} characters")


def _check_variants(template: Template) -> None:
    if len(template.variants) > _MOST_VARIANTS:
        raise bad_template("variants", 0, f"has more than {_MOST_VARIANTS} entries")
    seen = set[str]()
    for number, variant in enumerate(template.variants):
        field = f"variants[{number}]"
        if _VARIANT.fullmatch(variant.name) is None or variant.name in seen:
            raise bad_template(f"{field}.name", 0, "has 1 to 60 letters, digits, _ and -, and no other variant has it")
        if not 1 <= variant.share <= SHARES:
            raise bad_template(f"{field}.share", 0, f"is 1 to {SHARES}, of {SHARES}")
        if not (variant.subject or variant.body_html or variant.body_text or variant.mjml):
            raise bad_template(field, 0, "says nothing of its own")
        seen.add(variant.name)
    total = sum(variant.share for variant in template.variants)
    if total > SHARES:
        raise bad_template("variants", 0, f"the shares are {total} together, more than {SHARES}")


def _of_variant(error: CdpError, number: int, name: str) -> CdpError:
    places = [Violation(f"template.variants[{number}]", one.description) for one in error.violations]
    return invalid(error.reason, f"variant {name}: {error.message}", *places)
