"""Who may be written to: the consent table, switches, and the allow-list."""

from __future__ import annotations

import pytest

from core.delivery.decision import (
    Brakes,
    Consent,
    Deliver,
    MessageKind,
    Recipient,
    Refuse,
    Suppression,
    SuppressionCause,
    decide,
    domain_of,
    is_allowed,
)

LIVE = Brakes(live=True)
ADDRESS = "ann@shop.example"
UNSUBSCRIBED = Suppression(SuppressionCause.UNSUBSCRIBED, 100)
BOUNCED = Suppression(SuppressionCause.BOUNCED, 100)


def asked(
    kind: str = "promo",
    consent: str | None = "granted",
    *held: Suppression,
    at_us: int = 50,
    brakes: Brakes = LIVE,
    address: str | None = ADDRESS,
) -> str:
    told = None if consent is None else Consent(consent, at_us)
    answer = decide(MessageKind(kind), "email", Recipient(address, told), held, brakes)
    return answer.address if isinstance(answer, Deliver) else answer.reason


@pytest.mark.parametrize(
    ("consent", "marketing", "transactional"),
    [
        ("granted", ADDRESS, ADDRESS),
        ("denied", "NO_CONSENT", ADDRESS),
        ("unconfirmed", "NO_CONSENT", ADDRESS),
        (None, "NO_CONSENT", ADDRESS),
        ("suppressed", "SUPPRESSED", "SUPPRESSED"),
        ("bounced", "BOUNCED", "BOUNCED"),
    ],
)
def test_consent_table(consent: str | None, marketing: str, transactional: str) -> None:
    assert asked("promo", consent) == marketing
    assert asked("trigger", consent) == marketing
    assert asked("transactional", consent) == transactional


def test_own_record_of_an_unsubscribe_holds_back_marketing_until_a_later_consent() -> None:
    assert asked("promo", "granted", UNSUBSCRIBED, at_us=100) == "UNSUBSCRIBED"
    assert asked("promo", "granted", UNSUBSCRIBED, at_us=101) == ADDRESS
    assert asked("promo", None, UNSUBSCRIBED) == "UNSUBSCRIBED"
    assert asked("transactional", "denied", UNSUBSCRIBED) == ADDRESS


def test_own_record_of_a_bounce_holds_back_everything() -> None:
    assert asked("promo", "granted", BOUNCED, at_us=999) == "BOUNCED"
    assert asked("transactional", "granted", BOUNCED, at_us=999) == "BOUNCED"


@pytest.mark.parametrize("killed", ["*", "email"])
def test_kill_switch_stops_all_kinds(killed: str) -> None:
    brakes = Brakes(killed_channels=(killed,), live=True)
    assert {asked(kind, brakes=brakes) for kind in MessageKind} == {"CHANNEL_KILLED"}
    assert asked(brakes=Brakes(killed_channels=("webhook",), live=True)) == ADDRESS


def test_no_address_and_no_person() -> None:
    assert asked("transactional", address=None) == "NO_ADDRESS"
    assert asked("transactional", address="") == "NO_ADDRESS"
    assert decide(MessageKind.TRANSACTIONAL, "email", None, (), LIVE) == Refuse("CONTACT_GONE")


@pytest.mark.parametrize(
    ("allowed", "address", "answer"),
    [
        ((), ADDRESS, False),
        (("ANN@shop.example",), ADDRESS, True),
        (("@shop.example",), ADDRESS, True),
        (("@example",), ADDRESS, False),
        (("@shop.example",), "ann@evilshop.example", False),
        (("@shop.example",), '"a@shop.example"@evil.example', False),
        (("@hooks.example",), "https://hooks.example:8443/in?x=@evil", True),
        (("@hooks.example",), "https://hooks.example@evil.example/", False),
        (("@hooks.example",), "https://evil.example/@hooks.example", False),
        (("https://hooks.example/in",), "https://hooks.example/in", True),
    ],
)
def test_allow_list(allowed: tuple[str, ...], address: str, answer: bool) -> None:
    assert is_allowed(address, allowed) is answer
    reason = asked(address=address, brakes=Brakes(allowed_recipients=allowed))
    assert reason == (address if answer else "RECIPIENT_NOT_ALLOWED")


def test_domain_of_ipv6_host() -> None:
    assert domain_of("http://[::1]:80/x") == "[::1]"
    assert domain_of("nobody") == ""


@pytest.mark.parametrize(
    ("channel", "category", "answer"),
    [
        ("granted", "granted", ADDRESS),
        ("granted", None, ADDRESS),
        (None, "granted", ADDRESS),
        ("granted", "denied", "CATEGORY_REFUSED"),
        ("granted", "unconfirmed", "CATEGORY_REFUSED"),
        ("denied", "granted", "NO_CONSENT"),
        ("unconfirmed", "granted", "NO_CONSENT"),
        (None, None, "NO_CONSENT"),
        ("suppressed", "granted", "SUPPRESSED"),
        ("bounced", "granted", "BOUNCED"),
    ],
)
def test_categories(channel: str | None, category: str | None, answer: str) -> None:
    told = [None if state is None else Consent(state, 50) for state in (channel, category)]
    decided = decide(MessageKind.PROMO, "email", Recipient(ADDRESS, *told), (), LIVE)
    assert (decided.address if isinstance(decided, Deliver) else decided.reason) == answer
    owed = decide(MessageKind.TRANSACTIONAL, "email", Recipient(ADDRESS, *told), (), LIVE)
    assert isinstance(owed, Deliver) == (channel not in ("suppressed", "bounced"))


def test_a_category_granted_after_an_unsubscribe_lifts_it_where_nothing_was_said_of_the_channel() -> None:
    for at_us, answer in ((100, "UNSUBSCRIBED"), (101, ADDRESS)):
        recipient = Recipient(ADDRESS, None, Consent("granted", at_us))
        decided = decide(MessageKind.PROMO, "email", recipient, (UNSUBSCRIBED,), LIVE)
        assert (decided.address if isinstance(decided, Deliver) else decided.reason) == answer
