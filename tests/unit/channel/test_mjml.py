"""MJML into HTML: Liquid passes through, and every mistake has its line."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest

from core.errors import CdpError
from services.channel.mjml import html_of
from services.channel.render import TrackedLinks, render_email
from services.channel.senders.email import EmailSender
from services.channel.templates import Template
from tests.unit.channel.world import a_world, outgoing

HEAD = "<mjml>\n<mj-body><mj-section><mj-column>\n"
END = "</mj-column></mj-section></mj-body></mjml>"
LINKS = TrackedLinks(lambda index: f"https://t.example/c/{index}", "https://t.example/o/x", "https://t.example/u/x")


def layout(inside: str) -> str:
    return f"{HEAD}{inside}\n{END}"


def test_a_letter_with_a_loop() -> None:
    source = layout(
        "{% for item in items %}\n"
        "<mj-text>{{ item.name | default: \"a thing\" }} for {{ item.price }} &euro;<br>"
        "{% if item.price < 10 %}cheap{% endif %}</mj-text>\n"
        "<mj-button href='{{ item.url }}'>Buy</mj-button>\n"
        "{% endfor %}"
    )  # fmt: skip
    sender = EmailSender("smtp://127.0.0.1:25")
    template = sender.compile(Template("email", "Hi", "", "", "", mjml=source))
    assert template.source.mjml == source
    items = [
        {"name": "<Rose>", "price": 9, "url": "https://shop.example/1"},
        {"price": 12, "url": "https://shop.example/2"},
    ]
    content = render_email(template, {"items": items}, LINKS)
    assert content.links == ("https://shop.example/1", "https://shop.example/2")
    assert content.html.count("https://t.example/c/") == 2
    assert "&lt;Rose&gt; for 9 &euro;<br />cheap" in content.html
    assert "a thing for 12" in content.html
    assert "{{" not in content.html
    assert content.text.split("\n")[:3] == ["<Rose> for 9 €", "cheap", "Buy"]


def test_nothing_is_loaded_from_elsewhere() -> None:
    assert "googleapis" not in html_of(layout("<mj-text>x</mj-text>"))
    head = '<mjml><mj-head><mj-font name="Own" href="https://shop.example/own.css"/></mj-head>'
    text = '<mj-body><mj-section><mj-column><mj-text font-family="Own">x</mj-text></mj-column></mj-section></mj-body>'
    font = f"{head}{text}</mjml>"
    assert "https://shop.example/own.css" in html_of(font)
    icon = '<mj-social-element name="facebook" src="https://shop.example/f.png?a=1&amp;b=2">f</mj-social-element>'
    assert "https://shop.example/f.png" in html_of(layout(f"<mj-social>{icon}</mj-social>"))


@pytest.mark.parametrize(
    ("source", "line", "words"),
    [
        (layout("<mj-wonder>x</mj-wonder>"), 3, "there is no element <mj-wonder>"),
        (layout("<mj-include path='/etc/passwd'/>"), 3, "there is no element <mj-include>"),
        (layout("\n<mj-text>x</mj-image>"), 4, "</mj-image> closes <mj-text> of line 4"),
        (layout("<mj-text><p>x</mj-text>"), 3, "</mj-text> closes <p>"),
        (layout("<b>x</b>"), 3, "put it into mj-text or mj-raw"),
        (layout("<mj-text>a < b</mj-text>"), 3, "&lt;"),
        (layout("<mj-text color=red>x</mj-text>"), 3, "has no quotes"),
        (layout("<!-- x"), 3, "comment has no end"),
        (layout("<mj-text>{{ name | wonder }}</mj-text>"), 3, "wonder"),
        (layout("<mj-text>\n{% if x %}</mj-text>"), 0, "if"),
        (layout("<mj-image src='a' width='{{ w }}'/>"), 3, "{{ w }} stands where the layout drops it"),
        (layout('<mj-social><mj-social-element name="facebook">f</mj-social-element></mj-social>'), 0, "would load"),
        (layout('<mj-carousel><mj-carousel-image src="https://shop.example/1"/></mj-carousel>'), 0, "would load"),
        (HEAD, 2, "<mj-column> is not closed"),
        ("\n<b>x</b>", 2, "outside of <mjml>"),
        ("</mjml>", 1, "closes nothing"),
        ("Hello", 0, "cannot be laid out"),
        (layout("<mj-section>" * 98 + "</mj-section>" * 98), 3, "100 levels"),
        (layout("<mj-raw>" + "<div>" * 5000), 3, "100 levels"),
        (layout("<mj-text>" + "x" * 200_000 + "</mj-text>"), 0, "longer than"),
        (layout("<mj-text>x</mj-text>" * 3_000), 0, "bytes of HTML"),
    ],
    ids=lambda value: str(value)[-30:] if isinstance(value, str) else None,
)
def test_mistakes_have_their_line(source: str, line: int, words: str) -> None:
    with pytest.raises(CdpError) as caught:
        html_of(source)
    assert caught.value.reason == "BAD_TEMPLATE"
    assert words in caught.value.message
    if line:
        assert f"line {line}:" in caught.value.message


def test_either_html_or_mjml() -> None:
    with pytest.raises(CdpError, match="not both"):
        EmailSender("smtp://127.0.0.1:25").compile(Template("email", "Hi", "<p>x</p>", "", "", mjml=layout("")))


def test_words_that_stand_for_liquid_inside_stay() -> None:
    document = html_of(layout("<mj-text>liquid0z liquidq0z {{ x }}</mj-text>"))
    assert "liquid0z liquidq0z {{ x }}" in document


def test_liquid_in_a_style_sheet() -> None:
    head = "<mj-head><mj-style>td > a { color: {{ colour }}; }</mj-style></mj-head>"
    assert "{{ colour }}" in html_of(f"<mjml>{head}<mj-body></mj-body></mjml>")


async def test_saved_with_its_mistakes_and_sent() -> None:
    async with a_world() as world:
        with pytest.raises(CdpError) as caught:
            await world.save_template("wrong", body_text="", mjml=layout("<mj-text>{{ x }</mj-text>"))
        assert [one.path for one in caught.value.violations] == ["template.mjml"]
        inside = '<mj-text>Hi {{ contact.first_name }}</mj-text><mj-button href="https://shop.example/">Go</mj-button>'
        await world.save_template("letter", body_text="", mjml=layout(inside))
        await world.send(outgoing("m1", template="letter"))
        await world.until("m1", "accepted")
        (_, raw) = world.mailbox.mails[0]
        letter = message_from_bytes(raw, policy=policy.default)
        assert isinstance(letter, EmailMessage)
        text, document = (part.get_content() for part in letter.iter_parts() if isinstance(part, EmailMessage))
        assert text.split() == ["Hi", "Ann1", "Go"]
        assert "Hi Ann1" in document
        assert 'href="https://t.shop.example/c/' in document
