"""Which of a person's devices a push goes to."""

from __future__ import annotations

from cdp.profile.v1 import profile_pb2
from core.identity.push_tokens import channel_of, device_category
from core.identity.rules import PUSH_TOKEN

_GRANTED = "granted"


def devices_of(profile: profile_pb2.Profile, channel: str) -> list[str]:
    """The push tokens by which `channel` reaches the person, the one told of last first. A device of which anything but
    a grant was told (it is gone, it was taken back) is none of them; one of which nothing was told comes last."""
    told = {one.category: one for one in profile.consents if one.channel == channel}
    found = []
    for identifier in profile.identifiers:
        token = identifier.value
        if identifier.kind != PUSH_TOKEN or channel_of(token) != channel:
            continue
        consent = told.get(device_category(token))
        if consent is None or consent.state == _GRANTED:
            found.append((0 if consent is None else -consent.occurred_at_us, token))
    return [token for _, token in sorted(found)]
