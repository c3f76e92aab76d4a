"""May this message go to this person now? Asked right at the call to the provider, by every channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

ALL_CHANNELS = "*"


class MessageKind(StrEnum):
    """Why a message is sent. `promo` and `trigger` are marketing and need consent."""

    PROMO = "promo"
    TRIGGER = "trigger"
    TRANSACTIONAL = "transactional"

    @property
    def transactional(self) -> bool:
        """True for what the person is owed: receipts, resets."""
        return self is MessageKind.TRANSACTIONAL


@dataclass(frozen=True, slots=True)
class Consent:
    """A channel's consent as the profile has it: granted, denied, unconfirmed, suppressed or bounced."""

    state: str
    occurred_at_us: int


@dataclass(frozen=True, slots=True)
class Recipient:
    """What the decision needs of a profile: where it is reached on the channel, and its consent for it. `category` is
    what was said of the message's own subscription category; None: nothing, or the message has none."""

    address: str | None
    consent: Consent | None
    category: Consent | None = None


class SuppressionCause(StrEnum):
    """Why we hold messages back on our own record, before the profile says so."""

    UNSUBSCRIBED = "unsubscribed"
    BOUNCED = "bounced"
    COMPLAINED = "complained"


@dataclass(frozen=True, slots=True)
class Suppression:
    """An unsubscribe or a hard bounce recorded here at `at_us`, and of which contact (0: it is not known): an address
    alone does not say whose it was."""

    cause: SuppressionCause
    at_us: int
    contact: int = 0


@dataclass(frozen=True, slots=True)
class Brakes:
    """A workspace's switches. Until `live`, only `allowed_recipients` get anything."""

    killed_channels: Sequence[str] = ()
    live: bool = False
    allowed_recipients: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Deliver:
    """Go ahead, to this address."""

    address: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """Do not send; `reason` is stable."""

    reason: str


def decide(
    kind: MessageKind,
    channel: str,
    recipient: Recipient | None,
    suppressions: Sequence[Suppression],
    brakes: Brakes,
    own_surface: bool = False,
) -> Deliver | Refuse:
    """Deliver to the recipient's address, or the first reason not to, in this order:

    CHANNEL_KILLED, CONTACT_GONE (no recipient), NO_ADDRESS, SUPPRESSED (by the profile, any kind), BOUNCED (any
    kind), CATEGORY_REFUSED, UNSUBSCRIBED and NO_CONSENT (marketing only), RECIPIENT_NOT_ALLOWED. `suppressions` are
    those recorded here for the contact, the address or the category on this channel. A consent granted later than an
    unsubscribe lifts it; nothing but a new address lifts a hard bounce.

    A refused category holds back its own messages alone; a channel that is refused holds back all of them. A category
    that was granted needs no consent for the channel as a whole, unless something else was said of the channel. What
    is shown on the shop's `own_surface` needs no consent, as long as nobody said no.
    """
    if ALL_CHANNELS in brakes.killed_channels or channel in brakes.killed_channels:
        return Refuse("CHANNEL_KILLED")
    if recipient is None:
        return Refuse("CONTACT_GONE")
    if not recipient.address:
        return Refuse("NO_ADDRESS")
    consent = recipient.consent
    if consent is not None and consent.state == "suppressed":
        return Refuse("SUPPRESSED")
    bounced = any(suppression.cause is SuppressionCause.BOUNCED for suppression in suppressions)
    if bounced or (consent is not None and consent.state == "bounced"):
        return Refuse("BOUNCED")
    if not kind.transactional:
        if recipient.category is not None and recipient.category.state != "granted":
            return Refuse("CATEGORY_REFUSED")
        granted_at_us = _granted_at_us(consent, recipient.category)
        for suppression in suppressions:
            if granted_at_us is None or granted_at_us <= suppression.at_us:
                return Refuse("UNSUBSCRIBED")
        if granted_at_us is None and not (own_surface and _is_undecided(consent)):
            return Refuse("NO_CONSENT")
    if not brakes.live and not is_allowed(recipient.address, brakes.allowed_recipients):
        return Refuse("RECIPIENT_NOT_ALLOWED")
    return Deliver(recipient.address)


def _is_undecided(consent: Consent | None) -> bool:
    return consent is None or consent.state == "unconfirmed"


def _granted_at_us(channel: Consent | None, category: Consent | None) -> int | None:
    """Since when the message is agreed to; None: it is not. `category` is granted, if anything was said of it."""
    if channel is not None and channel.state != "granted":
        return None
    return max((one.occurred_at_us for one in (channel, category) if one is not None), default=None)


def is_allowed(address: str, allowed_recipients: Sequence[str]) -> bool:
    """Whether `address` stands in the list, itself or by its "@domain"; ASCII case does not count.

    The domain of an email is what follows its last "@", the domain of a URL is its host.
    """
    wanted = address.lower()
    listed = {entry.strip().lower() for entry in allowed_recipients}
    return wanted in listed or f"@{domain_of(wanted)}" in listed


def domain_of(address: str) -> str:
    """The domain of an email address, or the host of a URL; empty for anything else."""
    _, scheme, rest = address.partition("://")
    if not scheme:
        return address.rpartition("@")[2] if "@" in address else ""
    authority = rest.replace("\\", "/").partition("/")[0].partition("?")[0].partition("#")[0]
    host = authority.rpartition("@")[2]
    return host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
