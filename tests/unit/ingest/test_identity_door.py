"""The door and a workspace's rules about identifiers."""

from __future__ import annotations

import asyncio

from cdp.facts.v1 import facts_pb2
from cdp.profile.v1 import profile_pb2
from core.events.columns import Identifier
from core.identity.settings import Blocked, IdentitySettings, KindChange, SettingsChange, changed
from services.ingest.identity_door import IdentityDoor
from services.runtime.identity_rules import rules_to_proto, search_pattern
from services.runtime.stubs import Stubs

CARD = Identifier("loyalty_card", "4711")


def _door() -> IdentityDoor:
    return IdentityDoor(Stubs(lambda _: "127.0.0.1:1", "token", 1 << 20), "w")


def _told(rules: facts_pb2.IdentityRules) -> profile_pb2.GetIdentityRulesResponse:
    return profile_pb2.GetIdentityRulesResponse(rules=rules)


async def test_before_the_rules_are_known_a_kind_of_its_own_passes() -> None:
    door = _door()
    assert door.usable(CARD)
    assert not door.usable(Identifier("loyalty_card", "null"))
    assert not door.usable(Identifier("Loyalty Card", "4711"))
    assert not door.usable(Identifier("email", "no address"))
    door.learn(_told(rules_to_proto(IdentitySettings())))
    assert not door.usable(CARD)
    assert door.usable(Identifier("email", "e@example.com"))


async def test_rules_that_were_told_hold() -> None:
    door, usable = _door(), []
    change = SettingsChange(
        (KindChange("loyalty_card", 2, 1, True, True), KindChange("phone", 3, 5, True, True, disabled=True)),
        blocked=(Blocked("email", "office@example.com"), Blocked("", "", "^9")),
    )
    door.learn(_told(rules_to_proto(changed(IdentitySettings(), change, search_pattern))))
    usable = [CARD, Identifier("email", "e@example.com"), Identifier("contact_key", "0123456789abcdef")]
    nobody = [Identifier("phone", "+380501234567"), Identifier("email", "Office@Example.com")]
    nobody += [Identifier("loyalty_card", "99"), Identifier("shoe_size", "42")]
    assert [door.usable(one) for one in (*usable, *nobody)] == [True] * len(usable) + [False] * len(nobody)
    assert door.usable is door.usable  # who keeps it sees that nothing has changed


async def test_unification_that_does_not_answer_holds_nobody_up() -> None:
    door = _door()
    async with asyncio.timeout(5):
        for _ in range(3):
            door.follow()
            assert door.usable(Identifier("email", "e@example.com"))
        await door.close()
        await door.close()
