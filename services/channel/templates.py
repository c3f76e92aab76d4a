"""What a template is, and the checks it passes before it is saved."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from core.errors import CdpError, Violation, invalid

#: Mail programs cut a message at 102 KB; a template is mostly the message itself.
LIMIT_SOURCE_BYTES = 128 * 1024
LIMIT_TAG_CHARACTERS = 2_000
LIMIT_BLANKS = 100

#: Tags that load other templates (there are none), or that are no use here and slow to find the end of.
_REFUSED_TAGS = frozenset({"include", "render", "raw", "doc", "liquid", "layout", "section"})
_TAG_NAME = re.compile(r"-?\s{0,100}(#|\w{1,40})")
_BLANKS = re.compile(rf"\s{{{LIMIT_BLANKS + 1}}}")


@dataclass(frozen=True, slots=True)
class Variant:
    """Another wording for `share` of 10,000 contacts; what is empty is the template's own."""

    name: str
    share: int
    subject: str = ""
    body_html: str = ""
    body_text: str = ""
    mjml: str = ""


@dataclass(frozen=True, slots=True)
class Template:
    """Liquid sources of one template version. Fields that the channel does not use are empty.
    `sender` is "Name <address>", empty for the settings' one. `mjml` stands in the place of `body_html`; `url`,
    `image_url` and `icon_url` are those of pushes, inbox and pop-ups. `fallbacks`: name -> what stands for it where it
    has no value. `locale` ("de_AT") and `currency` (ISO 4217) are empty for the contact's and the workspace's; `salt`,
    of the draw of `variants`, is empty for the template's name. Senders compile and render one wording at a time
    (services.channel.variants) and see no variants.
    """

    channel: str
    subject: str
    body_html: str
    body_text: str
    sender: str
    mjml: str = ""
    url: str = ""
    image_url: str = ""
    icon_url: str = ""
    fallbacks: Mapping[str, str] = field(default_factory=dict)
    locale: str = ""
    currency: str = ""
    salt: str = ""
    variants: tuple[Variant, ...] = ()


def bad_template(field: str, line: int, description: str) -> CdpError:
    """INVALID/BAD_TEMPLATE at a line (from 1) of a field."""
    where = f"line {line}: {description}" if line else description
    return invalid("BAD_TEMPLATE", f"{field}: {where}", Violation(f"template.{field}", where))


def check_source(field: str, source: str) -> None:
    """Refuse what the Liquid lexer must not see, in linear time: its regular expressions go back and forth over
    openers without an end and over long blanks (50,000 times "{{" held it for minutes).

    Raises INVALID/BAD_TEMPLATE for a source over LIMIT_SOURCE_BYTES, a tag that is not closed, empty, too long or
    full of blanks, and for tags that are not offered.
    """
    if len(source.encode()) > LIMIT_SOURCE_BYTES:
        raise bad_template(field, 0, f"is longer than {LIMIT_SOURCE_BYTES} bytes")
    position = 0
    while (start := _next_opener(source, position)) >= 0:
        closer = "}}" if source.startswith("{{", start) else "%}"
        end = source.find(closer, start + 2)
        line = source.count("\n", 0, start) + 1
        if end < 0:
            raise bad_template(field, line, f"{source[start : start + 2]} is not closed by {closer}")
        inside = source[start + 2 : end]
        _check_tag(field, line, closer, inside)
        position = end + 2


def _check_tag(field: str, line: int, closer: str, inside: str) -> None:
    if len(inside) > LIMIT_TAG_CHARACTERS:
        raise bad_template(field, line, f"a tag is longer than {LIMIT_TAG_CHARACTERS} characters")
    if _BLANKS.search(inside):
        raise bad_template(field, line, f"a tag has more than {LIMIT_BLANKS} blanks in a row")
    if not inside.strip().strip("-").strip():
        raise bad_template(field, line, "a tag is empty")
    if closer == "%}":
        name = _TAG_NAME.match(inside)
        if name is None:
            raise bad_template(field, line, "a tag has no name")
        if name[1] in _REFUSED_TAGS:
            raise bad_template(field, line, f"the tag {name[1]!r} is not offered")


def _next_opener(source: str, position: int) -> int:
    found = [at for opener in ("{{", "{%") if (at := source.find(opener, position)) >= 0]
    return min(found, default=-1)
