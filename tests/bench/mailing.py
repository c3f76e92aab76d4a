"""What one process makes of mails: Liquid with two product blocks, complete mails signed with DKIM, and their hand-over
to a mail server (aiosmtpd) in a process of its own on the same machine."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from core.delivery.decision import Brakes
from core.delivery.outbox import Accepted
from services.channel.channel_settings import ChannelSettings
from services.channel.render import CompiledTemplate, TrackedLinks, render_email, render_field
from services.channel.senders.email import EmailSender
from services.channel.senders.sender import Envelope, Prepared, ProviderSettings
from services.channel.templates import Template
from tests.fault.processes import ROOT

_ROUNDS = 5
_MAILS = 400
_CONNECTIONS = 48
_NOW_US = 1_800_000_000_000_000

_BLOCK = """
<mj-section><mj-column><mj-text font-size="20px">{title}</mj-text></mj-column></mj-section>
<mj-raw>{{% for product in blocks.{block} %}}</mj-raw>
<mj-section><mj-column width="40%"><mj-image src="{{{{ product.image_url }}}}" alt="{{{{ product.name }}}}"/>
</mj-column>
<mj-column width="60%"><mj-text>{{{{ product.name | truncate: 60 }}}}, {{{{ product.brand }}}}<br>
{{{{ product.price }}}} €</mj-text>
<mj-button href="{{{{ product.url }}}}">Zum Angebot</mj-button></mj-column></mj-section>
<mj-raw>{{% endfor %}}</mj-raw>"""
MJML = (
    "<mjml><mj-body><mj-section><mj-column><mj-text>Grüß Gott {{ contact.first_name | default: 'Kundin' }},"
    " schön, dass Sie da waren.</mj-text></mj-column></mj-section>"
    + _BLOCK.format(title="Zuletzt angesehen", block="viewed")
    + _BLOCK.format(title="Für Sie ausgesucht", block="recommended")
    + "<mj-section><mj-column><mj-text><a href='{{ unsubscribe_url }}'>Abmelden</a></mj-text></mj-column></mj-section>"
    "</mj-body></mjml>"
)


async def measure_mailing(folder: Path) -> dict[str, object]:
    """The best of several rounds each, in one process; `folder` is not used."""
    sink, port = _start_sink()
    sender = EmailSender(f"smtp://127.0.0.1:{port}")
    try:
        template = sender.compile(Template("email", "Ihre Auswahl, {{ contact.first_name }}", "", "", "", mjml=MJML))
        envelopes = [_envelope(sender, template, number) for number in range(_MAILS)]
        rendered = _best(lambda one: _rendered(template, one), envelopes)
        contents = _best(lambda one: render_email(template, one.values, one.links), envelopes)
        prepared = [sender.prepare(one) for one in envelopes]
        complete = _best(sender.prepare, envelopes)
        handed_over = max([await _handed_over(sender, prepared) for _ in range(_ROUNDS)])
    finally:
        await sender.close()
        sink.communicate("")
    return {
        "liquid_renders_per_s": round(rendered),
        "with_tracked_links_and_text_per_s": round(contents),
        "signed_mails_per_s": round(complete),
        "handed_over_per_s": round(handed_over),
        "goals_per_s": "renders 2,000, signed mails 300, handed over 300",
        "mail_bytes": len(prepared[0].body),
        "products_in_two_blocks": 8,
        "best_of_rounds": _ROUNDS,
    }


def _start_sink() -> tuple[subprocess.Popen[str], int]:
    """The mail server and its port."""
    command = [sys.executable, "-m", "tests.bench.mail_sink"]
    sink = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert sink.stdout is not None
    return sink, int(sink.stdout.readline())


def _envelope(sender: EmailSender, template: CompiledTemplate, number: int) -> Envelope:
    key = _key()
    own = sender.default_provider()
    told = {**own.settings, "dkim_domain": "shop.example", "dkim_selector": "s1"}
    return Envelope(
        "w1",
        f"message-{number}",
        False,
        f"contact-{number}@mail.example",
        template,
        {"contact": {"first_name": f"Änne {number}"}, "blocks": {"viewed": _products(0), "recommended": _products(4)}},
        TrackedLinks(
            lambda index: f"https://t.shop.example/c/{'x' * 80}{index}",
            f"https://t.shop.example/o/{'x' * 80}",
            f"https://t.shop.example/u/{'x' * 80}",
        ),
        ChannelSettings(Brakes(live=True), "Blumen Österreich <shop@shop.example>", "", "", frozenset({"127.0.0.1"})),
        _NOW_US,
        ProviderSettings("letters", "smtp", told, {"dkim_key": key}),
        f"key-{number}",
    )


def _rendered(template: CompiledTemplate, envelope: Envelope) -> list[str]:
    """Every field by Liquid alone."""
    return [render_field(name, part, envelope.values) for name, part in template.parts().items()]


def _products(first: int) -> list[dict[str, object]]:
    return [
        {
            "name": f"Strauß Nr. {number} mit Rosen, Gräsern und Eukalyptus",
            "brand": "Gärtnerei Müller",
            "price": Decimal("24.90"),
            "url": f"https://shop.example/product/{number}?utm_source=mail",
            "image_url": f"https://img.shop.example/{number}.jpg",
        }
        for number in range(first, first + 4)
    ]


def _best(make: Callable[[Envelope], object], envelopes: list[Envelope]) -> float:
    """How many a second in the fastest round."""
    rates = []
    for _ in range(_ROUNDS):
        started_s = time.perf_counter()
        for one in envelopes:
            make(one)
        rates.append(len(envelopes) / (time.perf_counter() - started_s))
    return max(rates)


async def _handed_over(sender: EmailSender, prepared: list[Prepared]) -> float:
    waiting = iter(prepared)

    async def carry() -> None:
        for one in waiting:
            outcome = await sender.send(one)
            if not isinstance(outcome, Accepted):
                raise RuntimeError(f"the mail server did not take a mail: {outcome}")

    started_s = time.perf_counter()
    await asyncio.gather(*(carry() for _ in range(_CONNECTIONS)))
    return len(prepared) / (time.perf_counter() - started_s)


@cache
def _key() -> str:
    """A key of 2,048 bits, made once."""
    key = rsa.generate_private_key(65_537, 2_048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
