"""Bad templates, values, settings and links: nothing breaks out of its place, nothing grows without end, no link leads
where no template pointed; what is good around them is delivered."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from cdp.channel.v1 import channel_pb2 as pb
from cdp.facts.v1.facts_pb2 import Identifier, Value
from cdp.ingest.v1 import ingest_pb2
from cdp.profile.v1 import profile_pb2
from core.clock import SECOND_US
from core.delivery.links import OPEN_INDEX, UNSUBSCRIBE_INDEX, sign
from services.runtime.roles import Role
from tests.flow.bad_input import Bad, Case, Range, of, under_fire
from tests.flow.mailbox import Mailbox
from tests.flow.platform import eventually

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

SHOP = "https://shop.example/tea?a=1&b=2"
FROM = {"from": "Shop <shop@shop.example>"}
READER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0 Safari/537.36"}


def template(**fields: str) -> pb.SaveTemplateRequest:
    made = of(pb.Template, **{"channel": "email", "subject": "s", "body_text": "t", **fields})
    return pb.SaveTemplateRequest(name="bad", template=made)


def named(name: str) -> pb.SaveTemplateRequest:
    return pb.SaveTemplateRequest(name=name, template=template().template)


def settings(**fields: Any) -> pb.UpdateSettingsRequest:
    return pb.UpdateSettingsRequest(settings=pb.Settings(**fields))


#: Templates that are not saved, settings that are not set, questions that are not answered.
DEFINITIONS = (
    Case(Bad.UNKNOWN_NAME, "a channel", template(channel="pigeon"), "UNKNOWN_CHANNEL"),
    Case(Bad.UNKNOWN_NAME, "a filter", template(body_text="{{ x | shout }}"), "BAD_TEMPLATE"),
    Case(Bad.UNKNOWN_NAME, "a tag", template(body_text="{% shout %}"), "BAD_TEMPLATE"),
    Case(Bad.WRONG_TYPE, "a tag that does not end", template(subject="{{ x"), "BAD_TEMPLATE"),
    Case(Bad.WRONG_TYPE, "a block that does not end", template(body_text="{% if x %}"), "BAD_TEMPLATE"),
    Case(Bad.WRONG_TYPE, "no subject", template(subject=" "), "BAD_TEMPLATE"),
    Case(Bad.WRONG_TYPE, "no body", template(body_text=""), "BAD_TEMPLATE"),
    Case(Bad.ESCAPES, "another file", template(body_text="{% include '/etc/passwd' %}"), "BAD_TEMPLATE"),
    Case(Bad.ESCAPES, "another template", template(body_text="{% render 'good' %}"), "BAD_TEMPLATE"),
    Case(Bad.OUTPUT_BOMB, "128 KiB and a byte", template(body_text="x" * (128 * 1024 + 1)), "BAD_TEMPLATE"),
    Case(Bad.OUTPUT_BOMB, "50,000 openers", template(body_text="{{" * 50_000), "BAD_TEMPLATE"),
    Case(Bad.OUTPUT_BOMB, "blanks", template(body_text="{{" + " " * 101 + "x }}"), "BAD_TEMPLATE"),
    Case(Bad.DEEP, "blocks", template(body_text="{% if x %}" * 1_000 + "{% endif %}" * 1_000), "BAD_TEMPLATE"),
    Case(Bad.HEADER_INJECTION, "sender", template(**{"from": "s@shop.example\r\nBcc: a@evil.example"}), "BAD_TEMPLATE"),
    Case(Bad.HEADER_INJECTION, "two senders", template(**{"from": "a@shop.example, b@shop.example"}), "BAD_TEMPLATE"),
    Case(Bad.LONG_KEY, "a name of 201", named("n" * 201), "BAD_NAME"),
    Case(Bad.NUL, "in a name", named("a\0"), "BAD_NAME"),
    Case(Bad.RIGHT_TO_LEFT, "in a name", named("a\u202eb"), "BAD_NAME"),
    Case(Bad.BYTE_ORDER_MARK, "in a name", named("\ufeffa"), "BAD_NAME"),
    Case(Bad.HEADER_INJECTION, "the settings' sender", settings(**{"from": "a@b.example\r\nX: y"}), "BAD_SETTINGS"),
    Case(Bad.SCRIPT_URL, "a webhook", settings(webhook_url="javascript:alert(1)"), "BAD_SETTINGS"),
    Case(Bad.SCRIPT_URL, "a file as a webhook", settings(webhook_url="file:///etc/passwd"), "BAD_SETTINGS"),
    Case(Bad.SCRIPT_URL, "a webhook with a password", settings(webhook_url="http://a:b@evil.example/"), "BAD_SETTINGS"),
    Case(Bad.HEADER_INJECTION, "a webhook", settings(webhook_url="http://a.example/\r\nX: y"), "BAD_SETTINGS"),
    Case(Bad.UNKNOWN_NAME, "a killed channel", settings(killed_channels=["pigeon"]), "BAD_SETTINGS"),
    Case(Bad.WRONG_TYPE, "a recipient", settings(allowed_recipients=["everybody"]), "BAD_SETTINGS"),
    Case(Bad.AT_LIMITS, "1,001 recipients", settings(allowed_recipients=["@a.example"] * 1_001), "BAD_SETTINGS"),
    Case(Bad.BAD_CURSOR, "an etag", settings(etag="none of ours"), "ETAG_MISMATCH"),
    Case(Bad.BAD_CURSOR, "messages", pb.ListMessagesRequest(page_token="9" * 5_000), "BAD_PAGE_TOKEN"),
    Case(Bad.BAD_CURSOR, "audit", pb.ListAuditRecordsRequest(page_token="9" * 5_000 + "."), "BAD_PAGE_TOKEN"),
    Case(Bad.UNKNOWN_OPERATOR, "state 99", pb.ListMessagesRequest(state=99), "UNKNOWN_STATE"),  # type: ignore[arg-type]
    Case(Bad.UNKNOWN_NAME, "a message", pb.GetMessageRequest(id="none"), "NO_SUCH_MESSAGE"),
    Case(Bad.UNKNOWN_NAME, "a template", pb.GetTemplateRequest(name="none"), "NO_SUCH_TEMPLATE"),
    Case(Bad.FORGED_TOKEN, "ResolveLink", profile_pb2.ResolveLinkRequest(token="A" * 60), "UNKNOWN_LINK"),
    Case(Bad.FORGED_TOKEN, "ResolveLink of another text", profile_pb2.ResolveLinkRequest(token="é\0"), "UNKNOWN_LINK"),
    Case(Bad.AT_LIMITS, "1,001 messages", pb.SendRequest(messages=[pb.OutgoingMessage()] * 1_001), "BATCH_TOO_LARGE"),
)  # fmt: skip

BREAKOUT = "\r\nBcc: all@evil.example\r\n\r\n<script>alert(1)</script>"
BOMB = "{% for a in (1..10000) %}{% for b in (1..10000) %}xxxxxxxxxx{% endfor %}{% endfor %}"

#: Messages by their template and values: (class, what, template's fields, values, reason of the refusal; empty: sent).
MESSAGES: tuple[tuple[Bad, str, dict[str, str], dict[str, Value], str], ...] = (
    (Bad.MISSING_VARIABLE, "everywhere", {"subject": "Hi {{ nobody.name }}", "body_text": "{{ a.b.c[7] }}!"}, {}, ""),
    (Bad.MISSING_VARIABLE, "a loop over nothing", {"body_text": "{% for a in nothing %}{{ a }}{% endfor %}-"}, {}, ""),
    (Bad.ESCAPES, "HTML", {"body_html": "<p>{{ v }}</p>"}, {"v": Value(text="<script>alert(1)</script>")}, ""),
    (Bad.ESCAPES, "Liquid in a value", {"body_text": "{{ v }}"}, {"v": Value(text="{{ contact.email }}{% raw %}")}, ""),
    (Bad.ESCAPES, "a value that ends a body", {"body_text": "{{ v }}"}, {"v": Value(text="a\r\n.\r\nQUIT\r\n")}, ""),
    (Bad.HEADER_INJECTION, "by a value", {"subject": "Hi {{ v }}"}, {"v": Value(text=BREAKOUT)}, "HEADER_INJECTION"),
    (Bad.HEADER_INJECTION, "by the template", {"subject": "a\r\nBcc: all@evil.example"}, {}, "HEADER_INJECTION"),
    (Bad.HEADER_INJECTION, "a lone CR", {"subject": "a{{ v }}"}, {"v": Value(text="\rX: y")}, "HEADER_INJECTION"),
    (Bad.NUL, "in a subject", {"subject": "a{{ v }}"}, {"v": Value(text="\0")}, "HEADER_INJECTION"),
    (Bad.OUTPUT_BOMB, "loops in loops", {"body_text": BOMB}, {}, "TEMPLATE_FAILED"),
    (Bad.OUTPUT_BOMB, "a range", {"body_text": "{% for a in (1..999999999) %}x{% endfor %}"}, {}, "TEMPLATE_FAILED"),
    (Bad.OUTPUT_BOMB, "a filter", {"body_text": "{{ v | replace: 'x', v }}"}, {"v": Value(text="x" * 10_000)},
     "TEMPLATE_FAILED"),
    (Bad.OUTPUT_BOMB, "a number", {"body_text": "{{ v | times: v | times: v | times: v }}"},
     {"v": Value(integer=2**62)}, "TEMPLATE_FAILED"),
    (Bad.OUTPUT_BOMB, "a date's width", {"body_text": "{{ now | date: '%999999999d' }}"}, {}, "TEMPLATE_FAILED"),
    (Bad.TYPE_MISMATCH, "a division by nothing", {"body_text": "{{ 1 | divided_by: 0 }}"}, {}, "TEMPLATE_FAILED"),
    (Bad.SCRIPT_URL, "in a template", {"body_html": '<a href="javascript:alert(1)">a</a>'}, {}, "UNSAFE_URL"),
    (Bad.SCRIPT_URL, "in a value", {"body_html": '<a href="{{ v }}">a</a>'}, {"v": Value(text="JaVa\tScript:alert(1)")},
     "UNSAFE_URL"),
    (Bad.SCRIPT_URL, "data", {"body_html": '<img src="{{ v }}">'}, {"v": Value(text="data:text/html,<script>")},
     "UNSAFE_URL"),
    (Bad.SCRIPT_URL, "behind entities", {"body_html": '<a href="&#106;avascript:alert(1)">a</a>'}, {}, "UNSAFE_URL"),
    (Bad.OPEN_REDIRECT, "no host", {"body_html": '<a href="http:///evil.example">a</a>'}, {}, "UNSAFE_URL"),
    (Bad.OPEN_REDIRECT, "a backslash", {"body_html": '<a href="https://\\evil.example">a</a>'}, {}, "UNSAFE_URL"),
    (Bad.NAN, "a value", {"body_text": "{{ v }}"}, {"v": Value(decimal="NaN")}, "BAD_VALUE"),
    (Bad.NUMBER_AS_TIME, "an instant of 2^63-1", {"body_text": "{{ v }}"}, {"v": Value(instant_us=2**63 - 1)},
     "PREPARE_FAILED"),
    (Bad.NUMBER_AS_TIME, "day 2^31-1", {"body_text": "{{ v }}"}, {"v": Value(date_days=2**31 - 1)}, "BAD_VALUE"),
    (Bad.NULLS, "a value", {"body_text": "{{ v }}!"}, {"v": Value()}, ""),
)  # fmt: skip

#: Messages that are not taken over.
OUTGOING = (
    (Bad.NO_ID, {"id": ""}, "BAD_MESSAGE_ID"),
    (Bad.NUL, {"id": "a\0"}, "BAD_MESSAGE_ID"),
    (Bad.LONG_KEY, {"id": "x" * 201}, "BAD_MESSAGE_ID"),
    (Bad.RIGHT_TO_LEFT, {"id": "a\u202e"}, "BAD_MESSAGE_ID"),
    (Bad.UNKNOWN_NAME, {"channel": "pigeon"}, "UNKNOWN_CHANNEL"),
    (Bad.UNKNOWN_NAME, {"kind": "spam"}, "UNKNOWN_KIND"),
    (Bad.NO_ID, {"template": ""}, "NO_TEMPLATE"),
    (Bad.OVERSIZE, {"step": "x" * (256 << 10)}, "MESSAGE_TOO_LARGE"),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def box() -> AsyncIterator[Mailbox]:
    with Mailbox() as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fire(tmp_path_factory: pytest.TempPathFactory, box: Mailbox) -> AsyncIterator[Range]:
    async with under_fire(tmp_path_factory.mktemp("data"), CDP_SMTP_URL=box.url) as one:
        who = [Identifier(kind="external_id", value="ann"), Identifier(kind="email", value="ann@mail.example")]
        agreed = [{"channel": "email", "state": "granted", "source": "form"}]
        await one.ok(of(ingest_pb2.IdentifyRequest, person={"identifiers": who, "consents": agreed}))
        await one.ok(settings(live=True, **FROM))
        body = f'<a href="{SHOP}">tea</a>'
        await one.ok(
            pb.SaveTemplateRequest(name="good", template=pb.Template(channel="email", subject="s", body_html=body))
        )
        request = profile_pb2.ResolveRequest(identifiers=who[:1])

        async def known() -> bool:
            return bool((await one.ok(request)).results[0].found)

        await eventually(known, "ann is known")
        yield one


async def ann(fire: Range) -> int:
    request = profile_pb2.ResolveRequest(identifiers=[Identifier(kind="external_id", value="ann")])
    return int((await fire.ok(request)).results[0].contact)


def message(contact: int, **fields: Any) -> pb.OutgoingMessage:
    usual = {"contact": contact, "channel": "email", "template": "good", "kind": "trigger"}
    return pb.OutgoingMessage(**{**usual, **fields})


async def settled(fire: Range, message_id: str) -> pb.Message:
    """The message once it is sent or refused; the clock goes on, so that nothing waits."""
    found: list[pb.Message] = []

    async def final() -> bool:
        asked = (await fire.ok(pb.GetMessageRequest(id=message_id))).message
        found[:] = [asked]
        if asked.state in (pb.MESSAGE_STATE_RESERVED, pb.MESSAGE_STATE_SENDING):
            fire.platform.clock.advance(SECOND_US)
            return False
        return True

    await eventually(final, f"{message_id} is settled")
    return found[0]


async def test_definitions(fire: Range) -> None:
    before = (await fire.ok(pb.GetSettingsRequest())).settings
    for case in DEFINITIONS:
        answer = await fire.call(case.request)
        assert answer.reason == case.reason, (case.bad, case.what, answer)
        await fire.good()
    assert (await fire.ok(pb.GetSettingsRequest())).settings == before
    assert [one.revision.name for one in (await fire.ok(pb.ListTemplatesRequest())).templates] == ["good"]


async def test_messages_not_taken_over(fire: Range) -> None:
    contact = await ann(fire)
    messages = [message(contact, **{"id": f"o{n}", **fields}) for n, (_, fields, _) in enumerate(OUTGOING)]
    messages.append(message(contact, id="o-good"))
    answer = await fire.ok(pb.SendRequest(messages=messages))
    assert [one.reason for one in answer.results] == [*(reason for _, _, reason in OUTGOING), ""]
    assert (await settled(fire, "o-good")).state == pb.MESSAGE_STATE_ACCEPTED


async def test_messages_that_cannot_be_made(fire: Range, box: Mailbox) -> None:
    contact = await ann(fire)
    delivered = len(box.letters)
    for number, (bad, what, fields, values, reason) in enumerate(MESSAGES):
        name = f"t{number}"
        made = of(pb.Template, **{"channel": "email", "subject": "s", "body_text": "t", **fields})
        if "body_html" in fields:
            made.body_text = ""
        await fire.ok(pb.SaveTemplateRequest(name=name, template=made))
        messages = [
            message(contact, id=f"bad-{number}", template=name, values=values),
            message(contact, id=f"good-{number}"),
        ]
        await fire.ok(pb.SendRequest(messages=messages))
        bad_one = await settled(fire, f"bad-{number}")
        assert bad_one.reason == reason, (bad, what, bad_one)
        assert bad_one.state == (pb.MESSAGE_STATE_REFUSED if reason else pb.MESSAGE_STATE_ACCEPTED), (bad, what)
        assert (await settled(fire, f"good-{number}")).state == pb.MESSAGE_STATE_ACCEPTED
        await fire.good()
    sent = sum(2 if not reason else 1 for *_, reason in MESSAGES)
    assert len(box.letters) - delivered == sent
    for letter in box.letters:
        assert letter.get_all("To") == ["ann@mail.example"]
        assert letter["Bcc"] is None
        parts = {part.get_content_type(): part.get_content() for part in letter.walk() if not part.is_multipart()}
        assert "<script>" not in parts.get("text/html", "")
        assert "ann@mail.example" not in "".join(parts.values()), "a value is no template"


def tokens(box: Mailbox) -> dict[str, str]:
    """Genuine tokens of the last letter by the letter of their path."""
    html = box.letters[-1].get_body(("html",))
    assert html is not None
    text = html.get_content() + str(box.letters[-1]["List-Unsubscribe"])
    return dict(re.findall(r"/([ocu])/([\w-]+)", text))


async def test_links(fire: Range, box: Mailbox) -> None:
    """Bad.FORGED_TOKEN and OPEN_REDIRECT: only what was sent leads anywhere, and there only."""
    await fire.ok(pb.SendRequest(messages=[message(await ann(fire), id="with-links")]))
    assert (await settled(fire, "with-links")).state == pb.MESSAGE_STATE_ACCEPTED
    url = fire.platform.http_url(Role.CHANNEL)
    genuine = tokens(box)
    clicked = await fire.http.get(
        f"{url}/c/{genuine['c']}?url=https://evil.example&redirect=//evil.example", headers=READER
    )
    assert (clicked.status_code, clicked.headers["location"]) == (302, SHOP)
    known = (await fire.ok(pb.ListMessagesRequest(page_size=1))).messages[0].message
    key, contact = fire.platform.host(Role.CHANNEL).runtime.settings.tracking_key, known.contact
    raw = bytearray(base64.urlsafe_b64decode(genuine["c"] + "=" * (-len(genuine["c"]) % 4)))
    flipped = []
    for at in range(0, len(raw), 3):
        raw[at] ^= 1
        flipped.append(base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode())
        raw[at] ^= 1
    forged = [
        *flipped,
        genuine["c"][:-1],
        genuine["c"] + "A",
        genuine["c"] + "=",
        genuine["c"].swapcase(),
        sign(b"another key" * 4, "dev", known.id, contact, 0),
        sign(key, "dev", "no-such-message", contact, 0),
        sign(key, "dev", known.id, contact, 7),
        "A", "%00", "..%2f..%2fetc%2fpasswd", "%ff%fe", "é", "a" * 5_000, "https:%2f%2fevil.example", "%0d%0aX:%20y",
    ]  # fmt: skip
    for token in forged:
        for path in "cou":
            for method in ("GET", "POST") if path == "u" else ("GET",):
                answer = await fire.http.request(method, f"{url}/{path}/{token}", headers=READER)
                assert answer.status_code == 404, (method, path, token, answer.status_code)
                assert "location" not in answer.headers
    # Genuine, of a workspace that is served elsewhere as far as this process knows: later, not here.
    elsewhere = sign(key, "another-workspace", known.id, contact, 0)
    assert (await fire.http.get(f"{url}/c/{elsewhere}", headers=READER)).status_code == 503
    for path, token in (
        ("o", genuine["c"]), ("u", genuine["c"]), ("c", genuine["o"]), ("u", genuine["o"]), ("c", genuine["u"]),
        ("o", sign(key, "dev", known.id, contact, UNSUBSCRIBE_INDEX)),
        ("u", sign(key, "dev", known.id, contact, OPEN_INDEX)),
    ):  # fmt: skip
        answer = await fire.http.get(f"{url}/{path}/{token}", headers=READER)
        assert answer.status_code == 404, (path, "a token is good for its own path only")
    asked = await fire.http.get(f"{url}/u/{genuine['u']}", headers=READER)
    assert asked.status_code == 200
    profile = await fire.ok(profile_pb2.GetRequest(identifier=Identifier(kind="external_id", value="ann")))
    assert [one.state for one in profile.profile.consents] == ["granted"], "nothing forged, and no GET, unsubscribes"
