"""Consents as other programs write them."""

from __future__ import annotations

from collections.abc import Mapping

from core.events.checks import Bad
from core.events.persons import BAD_CONSENT, CONSENT_STATES

_WORDS: Mapping[str, str] = {
    **{state: state for state in CONSENT_STATES},
    **dict.fromkeys(("true", "1", "yes", "y", "subscribed", "opted_in", "opt_in", "active"), "granted"),
    **dict.fromkeys(("false", "0", "no", "n", "unsubscribed", "opted_out", "opt_out"), "denied"),
    **dict.fromkeys(("pending",), "unconfirmed"),
    **dict.fromkeys(("cleaned", "hard_bounce"), "bounced"),
    **dict.fromkeys(("complained", "spam"), "suppressed"),
}


def consent_state(cell: object) -> str | Bad:
    """A state of the platform: as it is called here, or by a word that means it."""
    word = str(cell).strip().lower().replace("-", "_").replace(" ", "_") if isinstance(cell, str | int) else ""
    found = _WORDS.get(word)
    return Bad(BAD_CONSENT, f"state is one of {', '.join(CONSENT_STATES)}") if found is None else found
