"""What the contract suite of senders asks of a channel's peer: somebody who takes messages by the provider's protocol
and behaves as it is told. A new channel brings one file beside this one, with a `PEER`, and one line in
test_senders.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from time import time

from cdp.profile.v1 import profile_pb2
from core.delivery.decision import Brakes
from services.channel.channel_settings import ChannelSettings
from services.channel.render import TrackedLinks
from services.channel.senders.sender import ProviderSettings, Sender
from services.channel.templates import Template

#: Peers of other makes refuse signatures that are dated ahead by their own clock.
NOW_US = int(time()) * 1_000_000
#: Settings under which loopback may be called.
SETTINGS = ChannelSettings(
    Brakes(live=True),
    "Shop <shop@shop.example>",
    "",
    "a secret of webhooks",
    frozenset({"127.0.0.1", "localhost"}),
)

LINKS = TrackedLinks(
    lambda index: f"https://t.shop.example/c/{index}",
    "https://t.shop.example/o/x",
    "https://t.shop.example/u/x",
    "https://t.shop.example/p/x",
    "https://t.shop.example/d/x",
)


class Behaviour(StrEnum):
    """What a provider does with the next messages, and what the sender has to answer for it."""

    ACCEPT = "accept"  # takes them: Accepted
    REFUSE = "refuse"  # refuses them for good, for a reason of its own: Rejected
    GONE = "gone"  # says that the address does not exist, or not any more: Rejected, bounced
    THROTTLE = "throttle"  # says "later", and took nothing: Deferred
    NO_ANSWER = "no answer"  # takes them and hangs up before it answers: Unknown
    BROKEN = "broken"  # answers that it failed, so that nobody knows: Unknown
    REDIRECT = "redirect"  # points elsewhere: Rejected, and nobody follows
    ABSENT = "absent"  # nobody listens at `Subject.nobody`: Deferred


@dataclass(frozen=True, slots=True)
class Subject:
    """A sender with a running peer. `taken` are the ids of the messages that the peer has taken and could read, in
    order; `behave` sets what it does from now on (at first it accepts); `nobody`: the provider, or the address, of a
    place where nobody listens. `problems`: what the peer finds wrong in requests; with any a test fails."""

    sender: Sender
    provider: ProviderSettings
    address: str
    profile: profile_pb2.Profile
    template: Template
    behave: Callable[[Behaviour], None]
    taken: Callable[[], Sequence[str]]
    nobody: ProviderSettings | str = ""
    settings: ChannelSettings = SETTINGS
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Peer:
    """A channel's peer: what it can do, and how a test gets one."""

    channel: str
    behaviours: frozenset[Behaviour]
    open: Callable[[], AbstractAsyncContextManager[Subject]]


def no_profile() -> profile_pb2.Profile:
    """Somebody of whom no address is known."""
    return profile_pb2.Profile(contact=1, key="key-1")
