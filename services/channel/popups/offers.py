"""Which pop-ups a visitor may see on a page: those of the page's path whose segment the visitor is in."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

import grpc

from cdp.channel.v1 import popup_pb2
from cdp.profile.v1 import profile_pb2
from cdp.segment.v1 import segment_pb2
from core.delivery.decision import ALL_CHANNELS, Brakes, is_allowed
from core.errors import Code
from core.identity.rules import EMAIL
from services.channel.inbox import POPUP
from services.runtime.errors import from_rpc
from services.runtime.stubs import Stubs
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)
#: A visitor opens several pages a minute; what was asked within so long is not asked again.
KEPT_S = 3.0
_MOST_KEPT = 20_000
_TIMEOUT_S = 2.0


def fits(popup: popup_pb2.Popup, path: str) -> bool:
    """Whether a pop-up is meant for pages of this path."""
    rules = popup.rules
    if any(path.startswith(one) for one in rules.not_paths):
        return False
    return not rules.paths or any(path.startswith(one) for one in rules.paths)


def may_see(brakes: Brakes, profile: profile_pb2.Profile) -> bool:
    """Whether the workspace's brakes let this person (nobody, without a key) see any: not while the channel is killed,
    and until the workspace is live only those with an email that is allowed."""
    if ALL_CHANNELS in brakes.killed_channels or POPUP in brakes.killed_channels:
        return False
    emails = (one.value for one in profile.identifiers if one.kind == EMAIL)
    return brakes.live or any(is_allowed(one, brakes.allowed_recipients) for one in emails)


def may_read(profile: profile_pb2.Profile) -> bool:
    """Whether messages that wait for this person may be shown: not once they said no to the channel, whenever these
    were sent."""
    said = [one.state for one in profile.consents if one.channel == POPUP and not one.category]
    return not {"denied", "suppressed"} & set(said)


class Memberships:
    """Whether contacts of one workspace are in segments: asked of the engine, and kept for a moment."""

    def __init__(self, workspace: str, stubs: Stubs) -> None:
        self._workspace = workspace
        self._stubs = stubs
        self._kept: dict[tuple[str, int], tuple[float, bool]] = {}

    async def of(self, contact: int, segments: Collection[str]) -> frozenset[str]:
        """Those of `segments` that `contact` is in. A segment that cannot be asked about now, or is gone, is none of
        them: a pop-up less is better than a page that waits."""
        now_s = asyncio.get_running_loop().time()
        known = {one: self._kept.get((one, contact)) for one in segments}
        unknown = [one for one, kept in known.items() if kept is None or kept[0] <= now_s]
        answers = dict(zip(unknown, await asyncio.gather(*(self._ask(one, contact) for one in unknown)), strict=True))
        if len(self._kept) + len(answers) > _MOST_KEPT:
            self._kept.clear()
        for segment, answer in answers.items():
            if answer is not None:
                self._kept[segment, contact] = now_s + KEPT_S, answer
        held = {one: kept[1] for one, kept in known.items() if kept is not None} | answers
        return frozenset(one for one, is_member in held.items() if is_member)

    async def _ask(self, segment: str, contact: int) -> bool | None:
        try:
            answer = await self._stubs.segment().IsMember(
                segment_pb2.IsMemberRequest(name=segment, contacts=[contact]),
                metadata=self._stubs.internal_metadata(self._workspace),
                timeout=_TIMEOUT_S,
            )
        except grpc.aio.AioRpcError as error:
            failure = from_rpc(error)
            log = _LOG.info if failure.code is Code.UNAVAILABLE else _LOG.warning
            log("pop-up left out", workspace=self._workspace, segment=segment, reason=failure.reason)
            return None
        return answer.is_member[0]


async def offered(
    popups: Sequence[popup_pb2.Popup], path: str, contact: int, memberships: Memberships
) -> list[popup_pb2.Popup]:
    """Those of `popups` for this page and contact (0: nobody who is known), in their order."""
    fitting = [one for one in popups if fits(one, path)]
    segments = {one.segment for one in fitting if one.segment}
    within = await memberships.of(contact, segments) if contact and segments else frozenset[str]()
    return [one for one in fitting if not one.segment or one.segment in within]
