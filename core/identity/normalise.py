"""One form per identifier: what a person typed in many ways, and values that name nobody."""

from __future__ import annotations

import unicodedata

from core.events.columns import Identifier
from core.identity.rules import EMAIL, PHONE, IdentityRules

#: What programs send when they have no id; compared without case and outer spaces, for every kind.
BLOCKED_VALUES = frozenset(
    (
        "",
        "0",
        "-1",
        "null",
        "(null)",
        "<null>",
        "nil",
        "none",
        "nan",
        "n/a",
        "undefined",
        "unknown",
        "anonymous",
        "guest",
        "true",
        "false",
        "[object object]",
        "{}",
        "[]",
        "00000000-0000-0000-0000-000000000000",
    )
)
#: Mailboxes that people and programs type to get past a form: before the "@", at any domain.
BLOCKED_MAILBOXES = frozenset(("test", "none", "null", "noemail", "no-email", "undefined"))

_LONGEST_BYTES = 512
_LONGEST_EMAIL = 320


def normalised(identifier: Identifier, rules: IdentityRules) -> Identifier | None:
    """The one form of `identifier`, or None when it names nobody: blocked, malformed, or of a kind that is unknown.

    Email: NFC, outer spaces away, lower case, the domain in its ASCII form. Phone: as `rules.phone` says. All other
    kinds stay exactly as they are. Normalising twice changes nothing.
    """
    kind, value = identifier.kind, identifier.value
    rule = rules.kinds.get(kind)
    if rule is None or rule.disabled or value.strip().casefold() in BLOCKED_VALUES or not _storable(value):
        return None
    if kind == EMAIL:
        found = _email(value)
    elif kind == PHONE:
        found = rules.phone(value)
    else:
        found = value
    if found is None:
        return None
    one = identifier if found == value else Identifier(kind, found)
    return None if rules.blocks(one) else one


def usable(identifiers: tuple[Identifier, ...], rules: IdentityRules) -> tuple[Identifier, ...]:
    """The identifiers that name somebody, each once, highest priority first; of equal kinds in the order given."""
    kept = dict.fromkeys(one for raw in identifiers if (one := normalised(raw, rules)) is not None)
    return tuple(sorted(kept, key=lambda one: rules.kinds[one.kind].priority))


def _storable(value: str) -> bool:
    try:
        encoded = value.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return len(encoded) <= _LONGEST_BYTES and "\0" not in value


def _email(text: str) -> str | None:
    whole = unicodedata.normalize("NFC", text.strip()).lower()
    local, at, domain = whole.rpartition("@")
    if not (at and local and domain) or "@" in local or local in BLOCKED_MAILBOXES:
        return None
    if any(character.isspace() or not character.isprintable() for character in whole):
        return None
    try:
        ascii_domain = domain.rstrip(".").encode("idna").decode("ascii").lower()
    except UnicodeError:  # an empty or overlong label, or a character that no host name holds
        return None
    found = f"{unicodedata.normalize('NFC', local)}@{ascii_domain}"
    return found if ascii_domain and len(found) <= _LONGEST_EMAIL else None
