"""What would hold a message of a dry run back: addresses and consents as they are now, caps and contents of the run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from cdp.channel.v1 import channel_pb2
from cdp.profile.v1 import profile_pb2
from core.clock import DAY_US
from core.delivery.caps import Cap, CapPeriod, cap_reached
from core.delivery.content import CONTENT_WINDOW_US, has_had
from core.delivery.ledger import Counted, content_number
from core.delivery.quiet import Quiet, next_allowed
from core.profile.profile import ADDRESS_OF
from core.query.local_time import find_zone
from core.scenario.commands import SendMessage

_GRANTED = "granted"
#: Shown on the shop's own pages: no consent is needed, but a denial holds.
_OWN_SURFACE = ("inbox", "popup")
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Rules:
    """The workspace's caps, quiet hours and window of contents."""

    caps: tuple[Cap, ...] = ()
    quiet: tuple[Quiet, ...] = ()
    content_window_us: int = CONTENT_WINDOW_US


def rules_from_proto(settings: channel_pb2.Settings) -> Rules:
    """The rules of the channel's settings."""
    return Rules(
        tuple(
            Cap(
                cap.name, cap.limit, CapPeriod(cap.period or CapPeriod.DAY), frozenset(cap.channels), cap.category,
                cap.rolling_us or DAY_US,
            )
            for cap in settings.caps
        ),
        tuple(
            Quiet(
                _minute(getattr(one, "from")),
                _minute(one.until),
                frozenset(one.channels),
                frozenset(_WEEKDAYS.index(day) for day in one.weekdays),
            )
            for one in settings.quiet_hours
        ),
        settings.content_window_us or CONTENT_WINDOW_US,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Handed:
    """A message as it would have gone: by this channel and template, at this instant; or what held it back."""

    channel: str
    template: str
    at_us: int
    held_by: str


class Holds:
    """Counts what a dry run would have sent, in the order in which it is asked."""

    def __init__(self, rules: Rules, workspace_zone: str) -> None:
        self._rules = rules
        self._workspace_zone = workspace_zone
        self._sent: defaultdict[int, list[Counted]] = defaultdict(list)
        self._number = 0

    def hand(self, command: SendMessage, profile: profile_pb2.Profile | None, now_us: int) -> Handed:
        """What becomes of a message that is handed over at `now_us`: by the first of its channels that may carry it."""
        handed = Handed(command.channel, command.template, now_us, "NO_ADDRESS")
        for channel, template in ((command.channel, command.template), *command.alternatives):
            at_us, held_by = self._decided(command, channel, profile, now_us)
            handed = Handed(channel, template, at_us, held_by)
            if not held_by:
                break
        return handed

    def _decided(
        self, command: SendMessage, channel: str, profile: profile_pb2.Profile | None, now_us: int
    ) -> tuple[int, str]:
        if profile is None or not profile.key:
            return now_us, "NO_ADDRESS"
        marketing = command.kind != "transactional"
        held_by = _held_by_consent(channel, command.category, profile, marketing)
        if held_by or not marketing:
            return now_us, held_by
        zone = self._zone_of(profile)
        at_us = next_allowed(self._rules.quiet, channel, zone, now_us)
        if at_us is None or (command.expires_at_us and at_us > command.expires_at_us):
            return now_us, "QUIET"
        sent, content = self._sent[profile.contact], content_number(command.content)
        if has_had(sent, content, 0, self._rules.content_window_us, at_us):
            return at_us, "CONTENT"
        if cap_reached(self._rules.caps, channel, command.category, sent, 0, zone, at_us):
            return at_us, "CAP"
        self._number += 1
        sent.append(Counted(self._number, at_us, channel, command.category, content))
        return at_us, ""

    def _zone_of(self, profile: profile_pb2.Profile) -> ZoneInfo:
        told = next((one.value.text for one in profile.attributes if one.name == "time_zone"), "")
        zone = find_zone(told) or find_zone(self._workspace_zone) or find_zone("UTC")
        assert zone is not None
        return zone


def _held_by_consent(channel: str, category: str, profile: profile_pb2.Profile, marketing: bool) -> str:
    kind = ADDRESS_OF.get(channel)
    addresses = {one.kind for one in profile.identifiers} | {
        one.name for one in profile.attributes if one.value.text
    }  # fmt: skip
    if kind is not None and kind not in addresses:
        return "NO_ADDRESS"
    states: Mapping[str, str] = {one.category: one.state for one in profile.consents if one.channel == channel}
    whole, own = states.get(""), states.get(category) if category else None
    if whole in ("suppressed", "bounced"):
        return "CONSENT"
    if not marketing:
        return ""
    if own is not None and own != _GRANTED:
        return "CONSENT"
    if whole == _GRANTED or (whole is None and own == _GRANTED):
        return ""
    return "" if channel in _OWN_SURFACE and whole in (None, "unconfirmed") else "CONSENT"


def _minute(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)
