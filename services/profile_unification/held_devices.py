"""Devices that changed hands: a push token stays among the identifiers of everybody who has had it, but a message to
one person must not show on the device of the next."""

from __future__ import annotations

from collections.abc import Sequence

from cdp.profile.v1 import profile_pb2
from core.events.columns import Identifier
from core.identity.rules import PUSH_TOKEN
from services.profile_unification.reader import ProfileReader


async def keep_held_devices(reader: ProfileReader, views: Sequence[profile_pb2.Profile], now_us: int) -> None:
    """Take out of `views`, which are of current contacts, the push tokens that lead to somebody else at `now_us`."""
    shown = [(view, one) for view in views for one in view.identifiers if one.kind == PUSH_TOKEN]
    if not shown:
        return
    holders = await reader.holders([Identifier(one.kind, one.value) for _, one in shown], now_us)
    for (view, one), holder in zip(shown, holders, strict=True):
        if holder != view.contact:
            view.identifiers.remove(one)
