"""Kinds of identifiers and the rules of a workspace about them: priority, limits, strength."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from core.events.columns import Identifier

#: The platform's own public id of a contact; it names a contact directly and is never shown as an identifier.
CONTACT_KEY = "contact_key"
EXTERNAL_ID = "external_id"
EMAIL = "email"
PHONE = "phone"
MESSENGER_ID = "messenger_id"
PUSH_TOKEN = "push_token"
ANONYMOUS_ID = "anonymous_id"

#: The first-party cookie with the anonymous id of a visitor who clicked in a message.
VISITOR_COOKIE = "cdp_aid"


@dataclass(frozen=True, slots=True)
class KindRule:
    """What one kind of identifier means.

    `code` is its number in stored keys and never changes. A smaller `priority` decides first. `limit` is how many one
    profile may hold. `strong` identifiers belong to one person and join profiles; weak ones belong to a device and
    move with whoever used it last. A contact with an identifier that makes `known` is no anonymous one. A `disabled`
    kind names nobody any more; what it named stays.
    """

    code: int
    priority: int
    limit: int
    strong: bool
    known: bool
    disabled: bool = False


DEFAULT_KINDS: Mapping[str, KindRule] = {
    CONTACT_KEY: KindRule(code=0, priority=0, limit=1, strong=True, known=False),
    EXTERNAL_ID: KindRule(code=1, priority=1, limit=1, strong=True, known=True),
    EMAIL: KindRule(code=2, priority=2, limit=5, strong=True, known=True),
    PHONE: KindRule(code=3, priority=3, limit=5, strong=True, known=True),
    MESSENGER_ID: KindRule(code=4, priority=4, limit=5, strong=True, known=True),
    PUSH_TOKEN: KindRule(code=5, priority=5, limit=20, strong=False, known=True),
    ANONYMOUS_ID: KindRule(code=6, priority=6, limit=100, strong=False, known=False),
}

#: The kinds that are attributes of the contact as well.
MIRRORED_KINDS = (EXTERNAL_ID, EMAIL, PHONE)

#: Text -> whether a pattern is found in it.
Matches = Callable[[str], bool]
#: Text -> the one form of a phone number ("+" and digits), or None for what is no number.
PhoneNormaliser = Callable[[str], "str | None"]


def digits_phone(text: str) -> str | None:
    """The international form of a number written with its country code: "+" or "00", then 8 to 15 digits that may be
    parted by spaces, dots, dashes, slashes and brackets. Anything else is None: no country is guessed here."""
    kept = text.strip().translate(_PHONE_PUNCTUATION)
    if kept.startswith("00"):
        kept = "+" + kept[2:]
    digits = kept[1:]
    if not (kept.startswith("+") and digits.isascii() and digits.isdigit()):
        return None
    return kept if 8 <= len(digits) <= 15 and digits[0] != "0" else None


_PHONE_PUNCTUATION = str.maketrans("", "", " .-/()\t\u00a0\u2010\u2011\u2012\u2013\u202f")


@dataclass(frozen=True, slots=True)
class IdentityRules:
    """The rules of one workspace. `moves_limit` bounds how often one weak identifier may change hands; beyond it,
    it is taken for a shared device and stays where it is."""

    kinds: Mapping[str, KindRule] = field(default_factory=lambda: DEFAULT_KINDS)
    moves_limit: int = 100
    phone: PhoneNormaliser = digits_phone
    #: Further values that name nobody, as (kind, normalised value); the kind "" stands for every kind.
    blocked: frozenset[tuple[str, str]] = frozenset()
    #: Further patterns of such values.
    patterns: tuple[tuple[str, Matches], ...] = ()

    def blocks(self, identifier: Identifier) -> bool:
        """Whether `identifier`, normalised, is one of those that name nobody."""
        kind, value = identifier.kind, identifier.value
        return (
            (kind, value) in self.blocked
            or ("", value) in self.blocked
            or any(of in ("", kind) and matches(value) for of, matches in self.patterns)
        )
