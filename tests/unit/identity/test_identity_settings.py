"""Rules that a workspace sets about its identifiers, and identifiers that seem shared."""

from __future__ import annotations

import pytest

from core.errors import CdpError
from core.events.columns import Identifier
from core.identity.normalise import normalised
from core.identity.rules import IdentityRules
from core.identity.settings import (
    Blocked,
    IdentitySettings,
    KindChange,
    SettingsChange,
    changed,
    decode_settings,
    encode_settings,
    no_patterns,
    rules_of,
)
from core.identity.suspects import (
    MAX_SUSPECTS,
    Suspicion,
    decode_suspicion,
    encode_suspicion,
    overflowing,
    ranked,
)
from tests.unit.profile.people import search

CARD = KindChange("loyalty_card", 2, 3, True, True)


def test_codes_are_given_once_and_kept() -> None:
    one = changed(IdentitySettings(), SettingsChange((CARD,)), search)
    two = changed(one, SettingsChange((KindChange("shop_pass", 9, 1, False, False),)), search)
    three = changed(two, SettingsChange((KindChange("loyalty_card", 8, 1, True, True, True),)), search)
    assert [three.kinds[name].code for name in ("email", "loyalty_card", "shop_pass")] == [2, 32, 33]
    assert (three.kinds["loyalty_card"].priority, three.kinds["loyalty_card"].disabled, three.revision) == (8, True, 3)
    assert len({settings.etag for settings in (IdentitySettings(), one, two, three)}) == 4


def test_the_stored_form_of_rules() -> None:
    settings = changed(IdentitySettings({}), SettingsChange((CARD,), 7, (Blocked("loyalty_card", "0"),)), search)
    assert encode_settings(settings) == (
        b'{"blocked":[{"kind":"loyalty_card","pattern":"","value":"0"}],"kinds":{"loyalty_card":{"code":32,'
        b'"disabled":false,"known":true,"limit":3,"priority":2,"strong":true}},"moves_limit":7,"revision":1,"v":1}'
    )
    assert decode_settings(encode_settings(settings)) == settings
    with pytest.raises(ValueError, match="format 9"):
        decode_settings(encode_settings(settings).replace(b'"v":1', b'"v":9'))


def test_blocked_values_and_patterns_name_nobody() -> None:
    blocked = (Blocked("email", "Office@Example.COM"), Blocked("", "till-1"), Blocked("phone", "", "^[+]1555"))
    settings = changed(IdentitySettings(), SettingsChange(blocked=blocked), search)
    rules = rules_of(settings, IdentityRules(), search)
    gone = [("email", "office@example.com"), ("anonymous_id", "till-1"), ("external_id", "till-1")]
    gone += [("phone", "+1 555 123 4567")]
    assert [normalised(Identifier(*one), rules) for one in gone] == [None] * len(gone)
    kept = [("email", "shop@example.com"), ("phone", "+15561234567"), ("external_id", "till-10")]
    assert all(normalised(Identifier(*one), rules) is not None for one in kept)


def test_everything_that_is_wrong_is_told_with_its_place() -> None:
    change = SettingsChange(
        (CARD, KindChange("Email", 1, 1, True, True), KindChange("email", 1, 0, True, True)),
        -1,
        (Blocked("email", "a@example.com"), Blocked("none", "x"), Blocked("", "", "(")),
    )
    with pytest.raises(CdpError) as refused:
        changed(IdentitySettings(), change, search)
    assert [one.path for one in refused.value.violations] == [
        "rules.kinds[1]",
        "rules.kinds[2]",
        "rules.moves_limit",
        "rules.blocked[1]",
        "rules.blocked[2]",
    ]
    with pytest.raises(CdpError):
        changed(IdentitySettings(), SettingsChange(blocked=(Blocked("", "", "a"),)), no_patterns)


def test_the_least_met_suspects_are_forgotten_first() -> None:
    suspects = {Identifier("email", str(n)): Suspicion(moves=n % 7, last_at_us=n) for n in range(MAX_SUSPECTS)}
    assert overflowing(suspects) == []
    suspects[Identifier("email", "more")] = Suspicion(limits_hit=1)
    gone = overflowing(suspects)
    assert len(suspects) - len(gone) == MAX_SUSPECTS * 9 // 10
    assert {suspects[one].total for one in gone} == {0}
    first, second = ranked(suspects)[:2]
    assert (first[1].total, second[1].total) == (6, 6)
    assert first[1].last_at_us > second[1].last_at_us
    assert decode_suspicion(encode_suspicion(first[1])) == first[1]
