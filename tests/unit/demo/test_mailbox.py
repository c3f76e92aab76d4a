from __future__ import annotations

import asyncio
import smtplib
from collections.abc import AsyncIterator
from email.message import EmailMessage

import pytest

from services.demo.client import DemoError
from services.demo.letter import links_of
from services.demo.mailbox import Mailbox

_SITE = "http://127.0.0.1:8080"


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    box = Mailbox()
    await box.start(0)
    yield box
    await box.close()


def letter(subject: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "shop@example.com", "ann@example.invalid", subject
    message.set_content("plain")
    message.add_alternative(
        f'<p><a href="{_SITE}/c/t0ken">one</a> <a href="https://elsewhere.example">two</a>'
        f'<a href="{_SITE}/u/t0ken">no more</a><img src="{_SITE}/o/t0ken"></p>',
        subtype="html",
    )
    return message


def send(port: int, *messages: EmailMessage) -> None:
    with smtplib.SMTP("127.0.0.1", port) as smtp:
        for message in messages:
            smtp.send_message(message)


async def test_letters_arrive_in_order(mailbox: Mailbox) -> None:
    await asyncio.to_thread(send, mailbox.port, letter("first"), letter("zweite – ünïcode"))
    first, second = await mailbox.next(), await mailbox.next()
    assert (first["Subject"], second["Subject"]) == ("first", "zweite – ünïcode")


async def test_links_of_a_letter_are_told_apart(mailbox: Mailbox) -> None:
    await asyncio.to_thread(send, mailbox.port, letter("links"))
    assert links_of(await mailbox.next(), _SITE) == {"click": 1, "pixel": 1, "unsubscribe": 1, "other": 1}


async def test_a_taken_port_is_said_plainly(mailbox: Mailbox) -> None:
    with pytest.raises(DemoError, match=f"port {mailbox.port} is taken"):
        await Mailbox().start(mailbox.port)
