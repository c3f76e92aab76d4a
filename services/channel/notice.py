"""Short messages with one link: pushes, inbox, pop-ups and in-app. A title, a text, where it leads, and pictures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from core.delivery.links import is_destination
from core.errors import invalid
from services.channel.needs import needs_of
from services.channel.render import CompiledTemplate, TrackedLinks, compile_text_field, render_field
from services.channel.templates import Template, bad_template

_BREAKS = re.compile(r"\s*[\r\n]\s*")


@dataclass(frozen=True, slots=True)
class Notice:
    """What is shown. `url` is the signed click link, "" where the template has none; `links` are the destinations by
    index, one at most. Pictures are addresses as the template gave them, "" for none."""

    title: str
    text: str
    url: str
    image_url: str
    icon_url: str
    links: tuple[str, ...] = ()


def compile_notice(source: Template) -> CompiledTemplate:
    """Title (the subject), text, and the addresses; a title and a text are needed. Raises INVALID/BAD_TEMPLATE."""
    if not source.subject.strip():
        raise bad_template("subject", 0, "is empty; it is the title")
    if not source.body_text.strip():
        raise bad_template("body_text", 0, "is empty")
    subject = compile_text_field("subject", source.subject)
    text = compile_text_field("body_text", source.body_text)
    url = compile_text_field("url", source.url)
    image_url = compile_text_field("image_url", source.image_url)
    icon_url = compile_text_field("icon_url", source.icon_url)
    needs = needs_of(subject, text, url, image_url, icon_url)
    return CompiledTemplate(source, subject, None, text, needs, url, image_url, icon_url)


def render_notice(template: CompiledTemplate, values: Mapping[str, object], links: TrackedLinks) -> Notice:
    """The message's content; its address becomes a click link.

    Raises INVALID: TEMPLATE_FAILED, UNSAFE_URL for an address that is not http or https.
    """
    title = _BREAKS.sub(" ", render_field("subject", template.subject, values)).strip()
    text = render_field("body_text", template.text, values).strip()
    destination = _address("url", render_field("url", template.url, values))
    image_url = _address("image_url", render_field("image_url", template.image_url, values))
    icon_url = _address("icon_url", render_field("icon_url", template.icon_url, values))
    if not destination:
        return Notice(title, text, "", image_url, icon_url)
    return Notice(title, text, links.click(0), image_url, icon_url, (destination,))


def _address(field: str, rendered: str) -> str:
    """The web address, checked; "" where a value was missing."""
    address = rendered.strip().replace(" ", "%20")
    if not address:
        return ""
    if not is_destination(address):
        raise invalid("UNSAFE_URL", f"{field}: {address[:60]!r} is no web address that a message can lead to")
    return address
