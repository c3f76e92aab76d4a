"""MJML, the markup of mail layouts, into the HTML that mail programs understand; Liquid tags pass through it whole.

The compiler forgives too much for an author who looks at one mail and sends a million: it drops elements that it does
not know, text where none may be, closes what was left open. And it calls itself for every level. So the structure is
checked here first, with lines, and every Liquid tag must be found again in what comes out.
"""

from __future__ import annotations

import re

import mrml

from services.channel.liquid_guard import html_environment
from services.channel.render import compile_field
from services.channel.templates import LIMIT_SOURCE_BYTES, bad_template

LIMIT_LEVELS = 100

_FIELD = "mjml"
_LIQUID_CHECK = html_environment()
_LIQUID = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_TAG = re.compile(r"""<(/?)([a-zA-Z][\w:-]*)((?:[^<>"']|"[^"]*"|'[^']*')*+)>""")
_UNQUOTED = re.compile(r"""=\s*+[^\s"'>]""")

_LOADED = re.compile(r"""\bsrc="(https?://[^"]*)""")
#: Elements for which the compiler has pictures of strangers' servers, who would see every reader.
_ICONS = (
    "give mj-social-element its src, mj-accordion its icon-wrapped-url and icon-unwrapped-url,"
    " mj-carousel its left-icon and right-icon"
)

#: Elements in which HTML and text stand.
_CONTENT = frozenset(
    {
        *("mj-accordion-text", "mj-accordion-title", "mj-button", "mj-navbar-link", "mj-preview", "mj-raw"),
        *("mj-social-element", "mj-style", "mj-table", "mj-text", "mj-title"),
    }
)
_STRUCTURE = frozenset(
    {
        *("mjml", "mj-accordion", "mj-accordion-element", "mj-all", "mj-attributes", "mj-body", "mj-breakpoint"),
        *("mj-carousel", "mj-carousel-image", "mj-class", "mj-column", "mj-divider", "mj-font", "mj-group", "mj-head"),
        *("mj-hero", "mj-image", "mj-navbar", "mj-section", "mj-social", "mj-spacer", "mj-wrapper"),
    }
)
_VOID = frozenset({"area", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"})


def html_of(source: str) -> str:
    """HTML with the Liquid tags of `source`. Nothing is loaded from elsewhere unless the source says so.

    Raises INVALID/BAD_TEMPLATE with the line: Liquid that does not compile, elements that are unknown, not closed or
    in a wrong place, a Liquid tag where the layout has no room for one, more than LIMIT_LEVELS levels, icons that would
    come from strangers.
    """
    compile_field(_LIQUID_CHECK, _FIELD, source)
    # What stands for a Liquid tag while the compiler is at work: letters and digits, which it lets through everywhere.
    word = "liquid"
    while word in source:
        word += "q"
    mark = re.compile(f"{word}([0-9]+)z")
    tags: list[tuple[str, int]] = []

    def marked(found: re.Match[str]) -> str:
        tags.append((found[0], _line(source, found.start())))
        # Lines must stay what they were.
        return f"{word}{len(tags) - 1}z" + "\n" * found[0].count("\n")

    layout = _LIQUID.sub(marked, source)
    _check(layout)
    try:
        document = mrml.to_html(layout, None, mrml.RenderOptions(fonts={})).content
    except OSError as error:
        raise bad_template(_FIELD, 0, f"cannot be laid out: {error}") from error
    for loaded in _LOADED.findall(document):
        if loaded not in layout:
            raise bad_template(_FIELD, 0, f"would load {loaded[:80]}; {_ICONS}")
    kept = {int(found[1]) for found in mark.finditer(document)}
    for index, (tag, line) in enumerate(tags):
        if index not in kept:
            raise bad_template(_FIELD, line, f"{tag[:40]} stands where the layout drops it; put it into mj-raw")
    document = mark.sub(lambda found: tags[int(found[1])][0], document)
    if len(document.encode()) > LIMIT_SOURCE_BYTES:
        raise bad_template(_FIELD, 0, f"becomes more than {LIMIT_SOURCE_BYTES} bytes of HTML")
    return document


def _check(layout: str) -> None:
    """Raise BAD_TEMPLATE for the first element that is not as it must be."""
    open_tags: list[tuple[str, int]] = []
    position = 0
    while (start := layout.find("<", position)) >= 0:
        line = _line(layout, start)
        if layout.startswith("<!--", start):
            end = layout.find("-->", start)
            if end < 0:
                raise bad_template(_FIELD, line, "a comment has no end")
            position = end + 3
            continue
        tag = _TAG.match(layout, start)
        if tag is None:
            what = "this < begins no element (write &lt;), or the element has no end"
            raise bad_template(_FIELD, line, what)
        position = tag.end()
        if tag[1]:
            _close(open_tags, tag[2], line)
            continue
        _check_element(open_tags, tag[2], tag[3], line)
        if tag[3].endswith("/") or tag[2] in _VOID:
            continue
        open_tags.append((tag[2], line))
        if len(open_tags) > LIMIT_LEVELS:
            raise bad_template(_FIELD, line, f"elements stand more than {LIMIT_LEVELS} levels deep")
    if open_tags:
        name, line = open_tags[-1]
        raise bad_template(_FIELD, line, f"<{name}> is not closed")


def _close(open_tags: list[tuple[str, int]], name: str, line: int) -> None:
    if name in _VOID:
        return
    if not open_tags:
        raise bad_template(_FIELD, line, f"</{name}> closes nothing")
    opened, at = open_tags.pop()
    if opened != name:
        raise bad_template(_FIELD, line, f"</{name}> closes <{opened}> of line {at}")


def _check_element(open_tags: list[tuple[str, int]], name: str, attributes: str, line: int) -> None:
    if _UNQUOTED.search(re.sub(r"\"[^\"]*\"|'[^']*'", '""', attributes)):
        raise bad_template(_FIELD, line, f"an attribute of <{name}> has no quotes")
    parent = open_tags[-1][0] if open_tags else ""
    if not parent and name != "mjml":
        raise bad_template(_FIELD, line, f"<{name}> stands outside of <mjml>")
    if name in _STRUCTURE or name in _CONTENT:
        return
    if name.lower().startswith("mj"):
        raise bad_template(_FIELD, line, f"there is no element <{name}>")
    if parent in _STRUCTURE:
        raise bad_template(_FIELD, line, f"<{name}> stands in <{parent}>; put it into mj-text or mj-raw")


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1
