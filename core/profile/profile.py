"""One person as a value: identifiers, dated attributes, consents, lists, and the parts that it was merged of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256

from core.events.columns import Identifier
from core.events.facts import CHANNELS
from core.identity.push_tokens import channel_of, device_category
from core.identity.rules import EMAIL, MESSENGER_ID, PHONE, PUSH_TOKEN, IdentityRules
from core.schema import Value

GRANTED = "granted"

#: The address that a channel needs; a channel that is not here needs consent only.
ADDRESS_OF: Mapping[str, str] = {
    "email": EMAIL,
    "web_push": PUSH_TOKEN,
    "mobile_push": PUSH_TOKEN,
    "sms": PHONE,
    "messenger": MESSENGER_ID,
}


@dataclass(frozen=True, slots=True)
class Attribute:
    """The latest write in force: value None means missing since `at_us`. `order` is the log order of the write."""

    value: Value | None
    at_us: int
    order: int


@dataclass(frozen=True, slots=True)
class Consent:
    """The state of one channel: granted, denied, unconfirmed, suppressed or bounced, and who said so."""

    state: str
    source: str
    at_us: int
    order: int
    proof: str = ""


@dataclass(frozen=True, slots=True)
class ListMove:
    """The latest move of one part of the person on or off a list."""

    member: bool
    at_us: int
    order: int


@dataclass(frozen=True, slots=True)
class Edge:
    """Why two parts are one person: a fact of log order `order` named both. The side of `winner_end` survived.
    `ordinal` is its number in the workspace's record of merges, in the order of the log."""

    ordinal: int
    winner_end: int
    loser_end: int
    order: int


#: Parts of one person, and those of another whom they were taken apart from; each ascending.
Apart = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Profile:
    """The fold of all facts of one contact, except its events, that were in force when the last was received.

    `first_seen_us` is the instant of its creation or of an earlier fact that is no event. `consents` stand under
    `consent_key`. `lists` keep a move for each part that was moved: the person is on a list when one of the parts is.

    A person who was merged has `parts`, ascending by number: the contacts that it would be had nobody ever been merged,
    each with its own facts, all other fields being their fold (core.profile.parts). `edges` are the merges, a tree on
    the parts. Nobody was merged: both are empty, and the profile is its own one part.

    `attributes` and `lists` hold what is in force. A write that was dated ahead of its reception waits in
    `attributes_ahead` and `lists_ahead` of its part, ascending by (instant, log order), and comes into force with
    `core.profile.ahead`; a person of several parts has none of its own.

    `apart` are parts of this person, each time with the parts of others whom they never join again; `undone` are the
    ordinals of merges that were taken back. A profile with `merged_into` is part of another and holds nothing itself.
    """

    contact: int
    key: str
    first_seen_us: int
    identifiers: frozenset[Identifier] = frozenset()
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    consents: Mapping[str, Consent] = field(default_factory=dict)
    lists: Mapping[str, tuple[ListMove, ...]] = field(default_factory=dict)
    attributes_ahead: Mapping[str, tuple[Attribute, ...]] = field(default_factory=dict)
    lists_ahead: Mapping[str, tuple[ListMove, ...]] = field(default_factory=dict)
    parts: tuple[Profile, ...] = ()
    edges: tuple[Edge, ...] = ()
    apart: tuple[Apart, ...] = ()
    undone: tuple[int, ...] = ()
    merged_into: int | None = None

    @property
    def merged(self) -> tuple[tuple[int, str], ...]:
        """The (contact, key) that became part of it, by number."""
        return tuple((part.contact, part.key) for part in self.parts if part.contact != self.contact)

    def part_numbers(self) -> tuple[int, ...]:
        """The numbers of all parts, ascending; its own where nobody was merged."""
        return tuple(part.contact for part in self.parts) or (self.contact,)

    def part(self, number: int) -> Profile:
        """One part. KeyError for a number that is none of it."""
        if not self.parts and number == self.contact:
            return self
        for part in self.parts:
            if part.contact == number:
                return part
        raise KeyError(number)

    def on_list(self, name: str) -> bool:
        """Whether the person is on the static list `name`."""
        return any(move.member for move in self.lists.get(name, ()))

    def addresses(self, kind: str) -> bool:
        """Whether there is an address of identifier kind `kind`, as an identifier or an attribute."""
        written = self.attributes.get(kind)
        return any(one.kind == kind for one in self.identifiers) or (written is not None and bool(written.value))

    def reachable(self) -> int:
        """Bit i: an address and consent for CHANNELS[i]: for the channel as a whole or, where nothing was said of it,
        for one category of it at least."""
        bits = 0
        by_category = {
            name.partition("/")[0] for name, one in self.consents.items() if "/" in name and one.state == GRANTED
        }
        for bit, channel in enumerate(CHANNELS):
            consent = self.consents.get(channel)
            if consent.state == GRANTED if consent is not None else channel in by_category:
                bits |= self.has_address(channel) << bit
        return bits

    def has_address(self, channel: str) -> bool:
        """Whether the channel has where to send: an address, or a device of which nothing but a grant was told; always
        for channels that need none."""
        kind = ADDRESS_OF.get(channel)
        if kind is None:
            return True
        if kind == PUSH_TOKEN:
            tokens = (one.value for one in self.identifiers if one.kind == PUSH_TOKEN)
            return any(channel_of(token) == channel and self._is_open(channel, token) for token in tokens)
        return self.addresses(kind)

    def _is_open(self, channel: str, token: str) -> bool:
        told = self.consents.get(consent_key(channel, device_category(token)))
        return told is None or told.state == GRANTED

    def known(self, rules: IdentityRules) -> bool:
        """Whether it has an identifier of a kind that makes it more than an anonymous visitor."""
        return any(rules.kinds[one.kind].known for one in self.identifiers)


def consent_key(channel: str, category: str = "") -> str:
    """Where the consent of a channel stands, or of one category of it."""
    return f"{channel}/{category}" if category else channel


def new_key(workspace: str, contact: int, position: int) -> str:
    """The public id of the contact that was made at `position` of the log: 16 hex digits, the same at every fold."""
    return sha256(f"{workspace}\0{contact}\0{position}".encode()).hexdigest()[:16]


def with_attribute(profile: Profile, name: str, written: Attribute) -> Profile:
    """`profile` after a write: the latest instant counts, of one instant the later in the log."""
    before = profile.attributes.get(name)
    if before is not None and (before.at_us, before.order) > (written.at_us, written.order):
        return profile
    return replace(profile, attributes={**profile.attributes, name: written})


def with_attributes(profile: Profile, values: Mapping[str, Value | None], at_us: int, order: int) -> Profile:
    """`profile` after several writes of one fact; as `with_attribute` for each."""
    written = dict(profile.attributes)
    for name, value in values.items():
        before = written.get(name)
        if before is None or (before.at_us, before.order) <= (at_us, order):
            written[name] = Attribute(value, at_us, order)
    return replace(profile, attributes=written) if values else profile


def with_consent(profile: Profile, channel: str, consent: Consent) -> Profile:
    """`profile` after a change of consent, dated like an attribute."""
    before = profile.consents.get(channel)
    if before is not None and (before.at_us, before.order) > (consent.at_us, consent.order):
        return profile
    return replace(profile, consents={**profile.consents, channel: consent})


def with_move(profile: Profile, name: str, move: ListMove) -> Profile:
    """`profile` after a move on or off a list; it is news for every part of the person that heard nothing later."""
    parts = profile.lists.get(name, (move,))
    moved = dict.fromkeys(move if (part.at_us, part.order) <= (move.at_us, move.order) else part for part in parts)
    return replace(profile, lists={**profile.lists, name: tuple(moved)})


def seen_at(profile: Profile, at_us: int) -> Profile:
    """`profile` that existed at `at_us` at the latest."""
    return profile if at_us >= profile.first_seen_us else replace(profile, first_seen_us=at_us)
