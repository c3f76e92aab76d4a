"""What an SMS says: a text, with one click link where the template has an address."""

from __future__ import annotations

from collections.abc import Mapping

from core.delivery.sms_text import sms_text
from core.errors import invalid
from services.channel.needs import needs_of
from services.channel.notice import render_notice
from services.channel.render import CompiledTemplate, Content, TrackedLinks, compile_text_field, render_field
from services.channel.templates import Template, bad_template

#: A text of more parts is a mistake rather than a message; each part is paid for.
LIMIT_SMS_PARTS = 10


def compile_sms(source: Template) -> CompiledTemplate:
    """`body_text`, in which {{ link }} stands for the click link to `url`. Raises INVALID/BAD_TEMPLATE."""
    text = compile_text_field("body_text", source.body_text)
    if text is None:
        raise bad_template("body_text", 0, "is empty")
    url = compile_text_field("url", source.url)
    names = text.analyze(include_partials=False).variables
    if url is not None and "link" not in names:
        raise bad_template("url", 0, "is shown nowhere; write {{ link }} in body_text")
    return CompiledTemplate(source, None, None, text, needs_of(text, url), url)


def render_sms(template: CompiledTemplate, values: Mapping[str, object], links: TrackedLinks) -> Content:
    """The text with its link. Raises INVALID: TEMPLATE_FAILED, UNSAFE_URL, EMPTY_TEXT, TEXT_TOO_LONG."""
    scope = {**values, "unsubscribe_url": links.unsubscribe_url, "preferences_url": links.preferences_url}
    led = render_notice(CompiledTemplate(template.source, None, None, None, url=template.url), scope, links)
    text = render_field("body_text", template.text, {**scope, "link": led.url}).strip()
    if not text:
        raise invalid("EMPTY_TEXT", "the text is empty")
    try:
        parts = len(sms_text(text).parts)
    except ValueError as error:
        raise invalid("TEXT_TOO_LONG", str(error)) from error
    if parts > LIMIT_SMS_PARTS:
        raise invalid("TEXT_TOO_LONG", f"the text takes {parts} SMS, more than {LIMIT_SMS_PARTS}")
    return Content("", "", text, led.links)
