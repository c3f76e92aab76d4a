"""SMS to a centre of another make (the npm package `smpp`): texts, long ones, receipts, and connections that end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest

from core.delivery.outbox import Accepted, Deferred, Outcome, Rejected, Unknown
from core.errors import unavailable
from services.channel.receipts import Receipt, Told, names_of
from services.channel.render import TrackedLinks
from services.channel.senders.sender import Envelope, ProviderSettings
from services.channel.senders.sms import SmsSender
from services.channel.templates import Template
from tests.contract.sender_peers.peer import NOW_US, SETTINGS
from tests.smsc import Smsc
from tests.unit.delivery.test_sms_text import GSM_CHARACTERS, TWO_SEPTETS

LINKS = TrackedLinks(
    lambda index: f"https://t.shop.example/c/{index}", "https://t/o/x", "https://t/u/x", "https://t/p/x"
)
HOUR_US = 3_600_000_000


@pytest.fixture
def smsc() -> Iterator[Smsc]:
    with Smsc() as running:
        yield running


@pytest.fixture
async def sender() -> AsyncIterator[SmsSender]:
    made = SmsSender()
    yield made
    await made.close()


async def send(sender: SmsSender, provider: ProviderSettings, text: str, **more: Any) -> Outcome:
    number = more.pop("number", 1)
    envelope = Envelope(
        "w1",
        f"message-{number}",
        False,
        "+436601234567",
        sender.compile(Template("sms", "", "", "{{ text }}" + more.pop("after", ""), more.pop("source", ""), **more)),
        {"text": text},
        LINKS,
        SETTINGS,
        NOW_US,
        provider,
        "key-1",
        NOW_US + HOUR_US,
    )
    return await sender.send(sender.prepare(envelope))


@pytest.mark.parametrize("long_messages", ["udh", "sar", "payload"])
async def test_texts_of_all_kinds_arrive_as_they_are(smsc: Smsc, sender: SmsSender, long_messages: str) -> None:
    texts = [
        GSM_CHARACTERS.replace("\r", "") + TWO_SEPTETS,  # Liquid makes line feeds of carriage returns
        "Привіт, 💐 " * 20,
        "a" * 152 + "€" * 40,  # an escape falls on the end of a part
        "б" * 66 + "💐" * 40,  # and a pair of surrogates
    ]
    for number, text in enumerate(texts):
        provider = smsc.provider(long_messages=long_messages)
        assert isinstance(await send(sender, provider, text, number=number), Accepted)
    assert smsc.texts() == [text.strip() for text in texts]
    units = smsc.units("submit")
    assert len(units) == {"payload": 4, "udh": 10, "sar": 10}[long_messages]
    assert any(unit["payload"] for unit in units) is (long_messages == "payload")
    assert all(unit["validity"] for unit in units)
    assert {unit["destination"] for unit in units} == {"436601234567"}
    # A receipt of the last part, and of the others if they fail.
    assert all(unit["receipt"] == (1 if unit["number"] == unit["total"] else 2) for unit in units)


async def test_senders_and_links(smsc: Smsc, sender: SmsSender) -> None:
    for source in ("", "+431234567", "43123"):
        more = {"source": source, "after": " {{ link }}", "url": "https://shop.example/a b"}
        assert isinstance(await send(sender, smsc.provider(), "Hi", **more), Accepted)
    units = smsc.units("submit")
    assert [(unit["source"], unit["source_ton"]) for unit in units] == [("Shop", 5), ("431234567", 1), ("43123", 3)]
    assert {unit["text"] for unit in units} == {"Hi https://t.shop.example/c/0"}


async def test_one_session_carries_many_at_once(smsc: Smsc, sender: SmsSender) -> None:
    provider = smsc.provider(window="5")
    outcomes = await asyncio.gather(*(send(sender, provider, f"[{number}]", number=number) for number in range(200)))
    names = [names_of(outcome.reply)[0] for outcome in outcomes if isinstance(outcome, Accepted)]
    assert len(set(names)) == 200
    told = {unit["id"]: unit["text"] for unit in smsc.units("submit")}
    assert [told[name] for name in names] == [f"[{number}]" for number in range(200)]
    assert len(smsc.units("bind")) == 1


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        ("refuse", Rejected("PROVIDER_REFUSED", "status 0x00000045")),
        ("vendor", Rejected("PROVIDER_REFUSED", "status 0x00000402")),
        ("gone", Rejected("RECIPIENT_REFUSED", "status 0x0000000B", bounced=True)),
        ("throttle", Deferred("PROVIDER_BUSY", "status 0x00000058")),
    ],
)
async def test_what_the_centre_says(smsc: Smsc, sender: SmsSender, how: str, wanted: Outcome) -> None:
    smsc.behave(how)
    assert await send(sender, smsc.provider(), "Hi") == wanted
    smsc.behave("accept")
    assert isinstance(await send(sender, smsc.provider(), "Hi"), Accepted)


async def test_a_lost_answer_leaves_the_fate_unknown(smsc: Smsc, sender: SmsSender) -> None:
    smsc.behave("no answer")
    outcome = await send(sender, smsc.provider(), "Hi")
    assert isinstance(outcome, Unknown)
    assert outcome.reason.startswith("NO_ANSWER: ")
    assert smsc.texts() == ["Hi"]


async def test_later_parts_wait_for_a_throttled_centre(smsc: Smsc, sender: SmsSender) -> None:
    """Parts that are on their way cannot be called back, so the others follow as soon as they may."""
    smsc.behave("throttle part 3 once")
    assert isinstance(await send(sender, smsc.provider(), "a" * 1_500), Accepted)
    assert [one["how"] for one in smsc.units("refused")] == ["throttle"]
    assert smsc.texts() == ["a" * 1_500]


async def test_a_wrong_password_and_a_private_host_are_deferred(smsc: Smsc, sender: SmsSender) -> None:
    provider = smsc.provider()
    outcome = await send(sender, replace(provider, secrets={"password": "wrong"}), "Hi")
    assert outcome == Deferred("PROVIDER_UNREACHABLE", "not bound: status 0x0000000D")
    closed = replace(SETTINGS, allowed_private_hosts=frozenset())
    envelope = Envelope(
        "w2",
        "m",
        False,
        "+436601234567",
        sender.compile(Template("sms", "", "", "Hi", "")),
        {},
        LINKS,
        closed,
        NOW_US,
        provider,
        "key-1",
    )
    refused = await sender.send(sender.prepare(envelope))
    assert isinstance(refused, Deferred)
    assert "allowed_private_hosts" in refused.reply
    assert len(smsc.units("bind")) == 1


async def test_receipts_are_taken_before_they_are_acknowledged(smsc: Smsc, sender: SmsSender) -> None:
    taken: list[tuple[str, Receipt]] = []
    ready = False

    async def take(workspace: str, receipt: Receipt) -> bool:
        if not ready:
            raise unavailable("NOT_READY", "not now")
        taken.append((workspace, receipt))
        return True

    sender.on_receipt(take)
    outcome = await send(sender, smsc.provider(), "Hi")
    assert isinstance(outcome, Accepted)
    (name,) = names_of(outcome.reply)

    async def answered(count: int) -> list[int]:
        await smsc.until(lambda: len(smsc.units("deliver_sm_resp")) >= count, f"{count} receipts answered")
        return [unit["status"] for unit in smsc.units("deliver_sm_resp")]

    smsc.ask(id=name, state="DELIVRD")
    assert await answered(1) == [0x64]  # the centre keeps it and brings it again
    ready = True
    smsc.ask(id=name, state="DELIVRD")
    smsc.ask(id=name, state="ENROUTE")
    smsc.ask(id=name, name="other", state="UNDELIV", error="011", parameters=5)
    smsc.ask(text="Hello shop")
    assert await answered(5) == [0x64, 0, 0, 0, 0]
    assert taken == [
        ("w1", Receipt("centre", name, Told.DELIVERED, "DELIVRD")),
        ("w1", Receipt("centre", name, Told.FAILED, "UNDELIV err:011")),
    ]


async def test_names_in_hexadecimal(smsc: Smsc, sender: SmsSender) -> None:
    outcome = await send(sender, smsc.provider(id_form="hex"), "Hi")
    assert isinstance(outcome, Accepted)
    assert names_of(outcome.reply) == [str(int(smsc.units("submit")[0]["id"], 16))]


async def test_a_listener_binds_again_when_the_centre_comes_back(smsc: Smsc, sender: SmsSender) -> None:
    provider = smsc.provider()
    await sender.listen("w1", provider, SETTINGS)
    await sender.listen("w1", provider, SETTINGS)
    await smsc.until(lambda: len(smsc.units("bind")) == 1, "the first bind")
    smsc.stop()
    # Before we notice that it is gone, a message may have gone to nobody, of which we know nothing.
    while not isinstance(outcome := await send(sender, provider, "Hi"), Deferred):
        assert isinstance(outcome, Unknown)
    smsc.start()
    await smsc.until(lambda: len(smsc.units("bind")) == 2, "the second bind")
    smsc.ask(hang_up=True)
    await smsc.until(lambda: len(smsc.units("bind")) == 3, "the third bind")
    await sender.leave("w1", frozenset({"centre"}))
    assert isinstance(await send(sender, provider, "Hi"), Accepted)
    await sender.leave("w1")
    await smsc.until(lambda: len(smsc.units("unbind")) == 1, "the unbind")


async def test_both_sides_ask_whether_the_other_is_there(smsc: Smsc, sender: SmsSender) -> None:
    provider = smsc.provider(enquire_s="1")
    assert isinstance(await send(sender, provider, "Hi"), Accepted)
    smsc.ask(enquire=True)
    await smsc.until(lambda: [one["status"] for one in smsc.units("enquire_link_resp")] == [0], "our answer")
    smsc.behave("deaf")
    await smsc.until(lambda: len(smsc.units("enquire_link")) == 1, "our question")
    await sender.listen("w1", provider, SETTINGS)
    # A centre that says nothing any more is as good as gone: we hang up and bind again.
    await smsc.until(lambda: len(smsc.units("bind")) >= 2, "the second bind")
