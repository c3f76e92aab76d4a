"""Phone numbers in their one international form, by the numbering plans of all countries."""

from __future__ import annotations

import phonenumbers

_LONGEST_TEXT = 64


def international(text: str) -> str | None:
    """`text` as E.164 ("+380501234567"), or None when it is no possible number.

    A number is read with its country code: after "+" or "00", or without either when it is then a valid number.
    """
    kept = text.strip()
    if len(kept) > _LONGEST_TEXT:
        return None
    if kept.startswith("00"):
        kept = "+" + kept[2:]
    explicit = kept.startswith("+")
    try:
        number = phonenumbers.parse(kept if explicit else "+" + kept)
    except phonenumbers.NumberParseException:
        return None
    known = phonenumbers.is_possible_number(number) if explicit else phonenumbers.is_valid_number(number)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) if known else None
