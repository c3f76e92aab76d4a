"""Everything that may hold a message back, asked in one place and in one order; see core/delivery/README.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from cdp.profile.v1 import profile_pb2
from core.clock import DAY_US
from core.delivery.alternatives import next_way
from core.delivery.caps import cap_reached, is_another_day
from core.delivery.content import has_had
from core.delivery.decision import Consent, Deliver, MessageKind, Recipient, Refuse, decide
from core.delivery.ledger import Counted, content_number
from core.delivery.outbox import State
from core.delivery.quiet import next_allowed
from core.query.local_time import find_zone
from services.channel.profiles import contacts_of, zone_of
from services.channel.record import Record
from services.channel.senders.sender import Sender
from services.channel.state import ChannelState, category_keys, suppression_keys
from services.runtime.caller import Workspace

#: The attribute that names the channel a person likes best.
PREFERRED_CHANNEL = "preferred_channel"


@dataclass(frozen=True, slots=True)
class Hold:
    """Not now, but from `until_us` on it is to be asked again."""

    until_us: int
    reason: str


@dataclass(frozen=True, slots=True)
class _Question:
    """A message to ask about, by one channel. `contacts` are the numbers of the person, `sequence` the message's own
    (0: it is none of the outbox)."""

    kind: MessageKind
    channel: str
    category: str
    content: int
    expires_at_us: int
    contacts: Sequence[int]
    sequence: int


class Rules:
    """The rules of one workspace as its settings are now."""

    def __init__(self, workspace: Workspace, state: ChannelState, senders: Mapping[str, Sender]) -> None:
        self._workspace = workspace
        self._state = state
        self._senders = senders

    def verdict(self, record: Record, profile: profile_pb2.Profile, now_us: int) -> Deliver | Refuse | Hold:
        """Whether a message may go by its way now. It does not stand in its own way where it is counted already."""
        if record.message.contact in self._state.forgotten:
            return Refuse("CONTACT_GONE")  # whatever a profile says that was read before
        return self._ask(self._question(record, profile), profile, now_us)

    def count(self, record: Record, now_us: int) -> list[str]:
        """Count a message that is about to be sent. Returns the rows of the ledger to store with it."""
        if record.kind.transactional or not record.contact_key or record.message.contact in self._state.forgotten:
            return []
        content = content_number(record.message.content)
        entry = Counted(record.sequence, now_us, record.channel, self.category(record), content)
        self._state.ledger.add(record.contact_key, entry)
        return [record.contact_key]

    def give_back(self, record: Record) -> list[str]:
        """The provider surely has nothing of it. Returns the rows of the ledger to store."""
        if record.kind.transactional or not record.contact_key:
            return []
        if any(one.channel == record.channel and one.state is State.ACCEPTED for one in record.tries):
            return []  # an earlier way by the same channel may have arrived: its place stays taken
        self._state.ledger.remove(record.contact_key, record.sequence, record.channel)
        return [record.contact_key]

    def is_another_day(self, record: Record, counted_at_us: int, profile: profile_pb2.Profile, now_us: int) -> bool:
        """Whether a message counted at that instant would count for another day if it went now."""
        if record.kind.transactional or not self._state.settings.caps:
            return False
        return is_another_day(counted_at_us, now_us, self.zone(profile))

    def zone(self, profile: profile_pb2.Profile) -> ZoneInfo:
        """The person's time zone; the workspace's where they have none that is known."""
        return find_zone(zone_of(profile)) or find_zone(self._workspace.zone) or ZoneInfo("UTC")

    def category(self, record: Record) -> str:
        """The subscription category: the template's, else what the message says."""
        return self._state.category_of(record.template) or record.message.category

    def first_way(self, record: Record, profile: profile_pb2.Profile) -> int:
        """The way to try first."""
        preferred = ""
        if record.message.by_preference:
            told = (one.value.text for one in profile.attributes if one.name == PREFERRED_CHANNEL)
            preferred = next(told, "")
        return next_way(record.ways, (), preferred) or 0

    def suppression_keys(self, channel: str, contacts: Sequence[int], profile: profile_pb2.Profile) -> list[bytes]:
        """Under which keys a suppression of the person on a channel holds, known by this profile."""
        sender = self._senders[channel]
        address = sender.address(profile, self._state.settings) if profile.key else None
        return suppression_keys(channel, contacts, (address or "",), sender.personal)

    def _question(self, record: Record, profile: profile_pb2.Profile) -> _Question:
        message = record.message
        return _Question(
            record.kind,
            record.channel,
            self.category(record),
            content_number(message.content),
            message.expires_at_us,
            sorted(contacts_of(record, profile)),
            record.sequence,
        )

    def _ask(self, asked: _Question, profile: profile_pb2.Profile, now_us: int) -> Deliver | Refuse | Hold:
        if asked.expires_at_us and asked.expires_at_us <= now_us:
            return Refuse("EXPIRED")
        answer = self._consented(asked, profile)
        if isinstance(answer, Refuse) or asked.kind.transactional:
            return answer
        settings, zone = self._state.settings, self.zone(profile)
        until_us = next_allowed(settings.quiet_hours, asked.channel, zone, now_us)
        if until_us is None:  # a day in this zone without a minute between: looked at again tomorrow
            until_us = now_us + DAY_US
        if until_us > now_us:
            late = asked.expires_at_us and asked.expires_at_us <= until_us
            return Refuse("EXPIRED") if late else Hold(until_us, "QUIET_HOURS")
        sent = self._state.ledger.of((profile.key, *profile.merged_keys))
        if has_had(sent, asked.content, asked.sequence, settings.content_window_us, now_us):
            return Refuse("SAME_CONTENT")
        if cap_reached(settings.caps, asked.channel, asked.category, sent, asked.sequence, zone, now_us):
            return Refuse("CAP")
        return answer

    def _consented(self, asked: _Question, profile: profile_pb2.Profile) -> Deliver | Refuse:
        settings, channel = self._state.settings, asked.channel
        sender = self._senders[channel]
        recipient = None
        if profile.key:
            told = {one.category: one for one in profile.consents if one.channel == channel}
            recipient = Recipient(
                sender.address(profile, settings),
                _consent(told.get("")),
                _consent(told.get(asked.category)) if asked.category else None,
            )
        keys = self.suppression_keys(channel, asked.contacts, profile)
        if asked.category:
            keys += category_keys(channel, asked.category, asked.contacts)
        held = self._state.suppressions(keys)
        return decide(asked.kind, channel, recipient, held, settings.brakes, sender.own_surface)


def _consent(told: profile_pb2.Consent | None) -> Consent | None:
    return None if told is None else Consent(told.state, told.occurred_at_us)
