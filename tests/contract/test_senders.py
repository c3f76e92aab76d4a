"""Every sender under one contract: what the provider did is what the sender says, whatever protocol lies between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

import pytest

from core.delivery.outbox import Accepted, Deferred, Outcome, Rejected, Unknown
from core.errors import CdpError, Code
from services.channel.providers import NULL_KIND
from services.channel.senders.sender import Envelope, Prepared, ProviderSettings
from services.channel.templates import Template
from tests.contract.sender_peers import apns, email, fcm, inbox, messenger, sms, web_push, webhook
from tests.contract.sender_peers.peer import LINKS, NOW_US, Behaviour, Peer, Subject, no_profile

#: One line for each channel, or kind of provider.
PEERS: Mapping[str, Peer] = {
    "email": email.PEER,
    "webhook": webhook.PEER,
    "web_push": web_push.PEER,
    "fcm": fcm.PEER,
    "apns": apns.PEER,
    "sms": sms.PEER,
    "messenger": messenger.PEER,
    "inbox": inbox.PEER,
    "popup": inbox.POPUP_PEER,
}

#: Channels whose address is the workspace's or the contact's own, so that nobody is without one.
ALWAYS_REACHED = frozenset({"webhook", "inbox", "popup"})


def able(behaviour: Behaviour) -> list[str]:
    """Whose peers can behave so."""
    return [name for name, peer in PEERS.items() if behaviour in peer.behaviours]


@pytest.fixture
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    async with PEERS[request.param].open() as made:
        yield made
        assert made.problems == []
        await made.sender.close()
        await made.sender.close()  # once more does nothing


def envelope(subject: Subject, number: int = 1, **more: object) -> Envelope:
    """The `number`-th message."""
    return Envelope(
        "w1",
        f"message-{number}",
        bool(more.get("transactional", False)),
        str(more.get("address", subject.address)),
        subject.sender.compile(replace(subject.template, sender=str(more.get("sender", subject.template.sender)))),
        {"name": more.get("name", "Ann"), "message": {"id": f"message-{number}"}},
        LINKS,
        subject.settings,
        NOW_US,
        more.get("provider", subject.provider),  # type: ignore[arg-type]
        "key-1",
        NOW_US + 3_600_000_000,
    )


def made(subject: Subject, number: int = 1) -> Prepared:
    return subject.sender.prepare(envelope(subject, number))


async def sent(subject: Subject, behaviour: Behaviour, number: int = 1) -> Outcome:
    """What the sender says of one message while the peer behaves so."""
    subject.behave(behaviour)
    return await subject.sender.send(made(subject, number))


@pytest.mark.parametrize("subject", PEERS, indirect=True)
async def test_accepted_once_each(subject: Subject) -> None:
    for number in range(1, 4):
        outcome = await sent(subject, Behaviour.ACCEPT, number)
        assert isinstance(outcome, Accepted), outcome
        assert len(outcome.reply) <= 600
    assert list(subject.taken()) == ["message-1", "message-2", "message-3"]


@pytest.mark.parametrize("subject", able(Behaviour.REFUSE), indirect=True)
async def test_refused_for_good(subject: Subject) -> None:
    outcome = await sent(subject, Behaviour.REFUSE)
    assert isinstance(outcome, Rejected), outcome
    assert (outcome.bounced, outcome.by_provider) == (False, True)
    assert outcome.reason
    assert not subject.taken()


@pytest.mark.parametrize("subject", able(Behaviour.GONE), indirect=True)
async def test_an_address_that_is_gone_bounces(subject: Subject) -> None:
    outcome = await sent(subject, Behaviour.GONE)
    assert isinstance(outcome, Rejected), outcome
    assert (outcome.bounced, outcome.by_provider) == (True, True)
    assert not subject.taken()


@pytest.mark.parametrize("subject", able(Behaviour.THROTTLE), indirect=True)
async def test_throttled_is_deferred_and_goes_later(subject: Subject) -> None:
    outcome = await sent(subject, Behaviour.THROTTLE)
    assert isinstance(outcome, Deferred), outcome
    assert not subject.taken()
    assert isinstance(await sent(subject, Behaviour.ACCEPT), Accepted)
    assert list(subject.taken()) == ["message-1"]


@pytest.mark.parametrize("subject", able(Behaviour.NO_ANSWER), indirect=True)
async def test_taken_without_an_answer_is_unknown(subject: Subject) -> None:
    outcome = await sent(subject, Behaviour.NO_ANSWER)
    assert isinstance(outcome, Unknown), outcome
    # It is there for the next message, on a new connection if it must be.
    assert isinstance(await sent(subject, Behaviour.ACCEPT, 2), Accepted)
    assert list(subject.taken())[-1] == "message-2"


@pytest.mark.parametrize("subject", able(Behaviour.BROKEN), indirect=True)
async def test_a_failure_inside_the_provider_is_unknown(subject: Subject) -> None:
    outcome = await sent(subject, Behaviour.BROKEN)
    assert isinstance(outcome, Unknown), outcome


@pytest.mark.parametrize("subject", able(Behaviour.REDIRECT), indirect=True)
async def test_nobody_follows_a_redirect(subject: Subject) -> None:
    outcome = await sent(subject, Behaviour.REDIRECT)
    assert isinstance(outcome, Rejected), outcome
    assert not outcome.bounced
    assert not subject.taken()


@pytest.mark.parametrize("subject", able(Behaviour.ABSENT), indirect=True)
async def test_where_nobody_listens_it_is_deferred(subject: Subject) -> None:
    where = {"provider" if isinstance(subject.nobody, ProviderSettings) else "address": subject.nobody}
    outcome = await subject.sender.send(subject.sender.prepare(envelope(subject, 1, **where)))
    assert isinstance(outcome, Deferred), outcome
    assert not subject.taken()


@pytest.mark.parametrize("subject", PEERS, indirect=True)
async def test_what_values_hold_stays_in_its_place(subject: Subject) -> None:
    """A value with line ends, quotes and controls is refused as a whole, or arrives as one message."""
    for number, name in enumerate(('A"n\\n', "x\r\nBcc: all@evil.example", "\x00\x1b", "💐" * 20, "<b>&"), start=1):
        try:
            prepared = subject.sender.prepare(envelope(subject, number, name=name))
        except CdpError as error:
            assert error.code is Code.INVALID, error
            continue
        assert isinstance(await subject.sender.send(prepared), Accepted)
        assert list(subject.taken())[-1] == f"message-{number}"


@pytest.mark.parametrize("subject", PEERS, indirect=True)
async def test_addresses(subject: Subject) -> None:
    sender = subject.sender
    assert sender.address(subject.profile, subject.settings) == subject.address
    if subject.template.channel not in ALWAYS_REACHED:
        assert sender.address(no_profile(), subject.settings) is None
    assert sender.carries(subject.provider.kind, subject.address)
    assert isinstance(sender.personal, bool)
    assert sender.own_surface is (subject.template.channel in ("inbox", "popup"))


@pytest.mark.parametrize("subject", PEERS, indirect=True)
async def test_what_a_workspace_may_say_of_its_provider(subject: Subject) -> None:
    kinds = subject.sender.kinds()
    assert NULL_KIND not in kinds
    own = subject.sender.default_provider()
    for provider in (subject.provider, *((own,) if own is not None else ())):
        rules = kinds.get(provider.kind)
        if rules is None:
            continue
        assert rules.needed <= provider.settings.keys() <= rules.needed | rules.allowed
        assert rules.needed_secrets <= provider.secrets.keys() <= rules.needed_secrets | rules.allowed_secrets
        assert rules.problem(provider.settings, provider.secrets) == ""
        for name in rules.needed_secrets:
            told = rules.problem(provider.settings, {**provider.secrets, name: "a bad \n secret"})
            assert told
            assert "a bad" not in told
        assert all(secret not in repr(provider) for secret in provider.secrets.values() if secret)


@pytest.mark.parametrize("subject", PEERS, indirect=True)
async def test_a_provider_for_load_tests_says_nothing_and_a_message_is_made_for_it(subject: Subject) -> None:
    load = ProviderSettings("load", NULL_KIND)
    sender = "Shop" if subject.template.channel == "sms" else subject.template.sender
    prepared = subject.sender.prepare(envelope(subject, 1, provider=load, sender=sender))
    assert (prepared.message_id, prepared.provider) == ("message-1", load)
    assert prepared.body


@pytest.mark.parametrize("subject", PEERS, indirect=True)
async def test_an_empty_template_is_refused_when_it_is_saved(subject: Subject) -> None:
    with pytest.raises(CdpError) as caught:
        subject.sender.compile(Template(subject.template.channel, "", "", "", ""))
    assert (caught.value.code, caught.value.reason) == (Code.INVALID, "BAD_TEMPLATE")


@pytest.mark.parametrize("subject", PEERS, indirect=True)
async def test_a_template_with_an_error_is_refused_with_its_place(subject: Subject) -> None:
    body = '{"a": "{{ name "}' if subject.template.channel == "webhook" else "Hello {{ name"
    with pytest.raises(CdpError) as caught:
        subject.sender.compile(Template(subject.template.channel, "Hi", "", body, ""))
    assert caught.value.reason == "BAD_TEMPLATE"
    assert caught.value.violations
