"""Liquid sources -> compiled template -> content of one message. Everything here may take milliseconds and touches
no event loop: callers run it in a thread."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from liquid import BoundTemplate, Environment
from liquid.exceptions import LiquidError

from core.errors import CdpError, invalid
from services.channel.html_links import add_pixel, plain_text, rewrite_links
from services.channel.liquid_guard import html_environment, json_environment, text_environment
from services.channel.needs import Needs, needs_of
from services.channel.templates import Template, bad_template, check_source

_HTML = html_environment()
_TEXT = text_environment()
_JSON = json_environment()


@dataclass(frozen=True, slots=True)
class CompiledTemplate:
    """A template ready to render. None where the channel does not use a field or it is empty. `needs`: what all of them
    name."""

    source: Template
    subject: BoundTemplate | None
    html: BoundTemplate | None
    text: BoundTemplate | None
    needs: Needs = Needs()
    url: BoundTemplate | None = None
    image_url: BoundTemplate | None = None
    icon_url: BoundTemplate | None = None

    def parts(self) -> Mapping[str, BoundTemplate]:
        """What there is to render, by the field of the template."""
        named = {
            "subject": self.subject,
            "body_html": self.html,
            "body_text": self.text,
            "url": self.url,
            "image_url": self.image_url,
            "icon_url": self.icon_url,
        }
        return {name: part for name, part in named.items() if part is not None}


@dataclass(frozen=True, slots=True)
class TrackedLinks:
    """The public addresses of one message: a click link by index, the open pixel, the unsubscribe page, that of
    preferences, and where a device tells that it showed the message."""

    click: Callable[[int], str]
    open_url: str
    unsubscribe_url: str
    preferences_url: str = ""
    shown_url: str = ""


@dataclass(frozen=True, slots=True)
class Content:
    """What is sent. `links` are the destinations of the click links by index."""

    subject: str
    html: str
    text: str
    links: tuple[str, ...] = ()


def compile_email(source: Template) -> CompiledTemplate:
    """Subject, HTML and text; a subject and one of the bodies are needed. Raises INVALID/BAD_TEMPLATE with the line."""
    if not source.subject.strip():
        raise bad_template("subject", 0, "is empty")
    if not source.body_html.strip() and not source.body_text.strip():
        raise bad_template("body_html", 0, "give body_html or body_text")
    subject = compile_field(_TEXT, "subject", source.subject.strip())
    html = compile_field(_HTML, "body_html", source.body_html) if source.body_html.strip() else None
    text = compile_field(_TEXT, "body_text", source.body_text) if source.body_text.strip() else None
    return CompiledTemplate(source, subject, html, text, needs_of(subject, html, text))


def compile_json(source: Template) -> CompiledTemplate:
    """`body_text` is a JSON document with Liquid in it. Raises INVALID/BAD_TEMPLATE with the line."""
    if not source.body_text.strip():
        raise bad_template("body_text", 0, "is empty; give a JSON document")
    body = compile_field(_JSON, "body_text", source.body_text)
    return CompiledTemplate(source, None, None, body, needs_of(body))


def render_email(template: CompiledTemplate, values: Mapping[str, object], links: TrackedLinks) -> Content:
    """The mail's content: links of the HTML signed and the pixel added; without a text, one made of the HTML.

    Raises INVALID: TEMPLATE_FAILED (a limit, a bad filter argument), UNSAFE_URL, UNCLOSED_TAG, TOO_MANY_LINKS.
    """
    scope = {**values, "unsubscribe_url": links.unsubscribe_url, "preferences_url": links.preferences_url}
    subject = render_field("subject", template.subject, scope)
    document = render_field("body_html", template.html, scope)
    text = render_field("body_text", template.text, scope) or plain_text(document)
    destinations: tuple[str, ...] = ()
    if document:
        document, destinations = rewrite_links(document, links.click, (links.unsubscribe_url, links.preferences_url))
        document = add_pixel(document, links.open_url)
    return Content(subject, document, text, destinations)


def render_json(template: CompiledTemplate, values: Mapping[str, object]) -> Content:
    """The document as compact JSON. Raises INVALID: TEMPLATE_FAILED, BODY_NOT_JSON."""
    body = render_field("body_text", template.text, values)
    try:
        document = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise invalid("BODY_NOT_JSON", f"the rendered body is no JSON: {error}") from error
    return Content("", "", json.dumps(document, ensure_ascii=False, separators=(",", ":")))


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def compile_text_field(field: str, source: str) -> BoundTemplate | None:
    """A field of plain text; None where it is blank. Raises INVALID/BAD_TEMPLATE with the line."""
    return compile_field(_TEXT, field, source.strip()) if source.strip() else None


def compile_field(environment: Environment, field: str, source: str) -> BoundTemplate:
    """One field of a template. Raises INVALID/BAD_TEMPLATE with the line."""
    check_source(field, source)
    try:
        template = environment.from_string(source)
        _check_filters(environment, field, source)
    except LiquidError as error:
        raise bad_template(field, _line(error, source), str(error.message)) from error
    except RecursionError as error:
        raise bad_template(field, 0, "is nested too deeply") from error
    return template


def _check_filters(environment: Environment, field: str, source: str) -> None:
    """Refuse unknown filters now: the library finds them only while rendering."""
    for name, spans in environment.from_string(source).analyze(include_partials=False).filters.items():
        if name not in environment.filters:
            raise bad_template(field, source.count("\n", 0, spans[0].index) + 1, f"there is no filter {name!r}")


def _line(error: LiquidError, source: str) -> int:
    """The line of an error; an error at the very end has no place of its own."""
    if error.token is None or error.token.start_index < 0 or error.token.start_index >= len(source):
        return source.count("\n") + 1
    return source.count("\n", 0, error.token.start_index) + 1


def render_field(field: str, template: BoundTemplate | None, values: Mapping[str, object]) -> str:
    """What a field of a template becomes, "" for none. Raises INVALID/TEMPLATE_FAILED."""
    if template is None:
        return ""
    try:
        return template.render(**values)
    except LiquidError as error:
        raise invalid("TEMPLATE_FAILED", f"{field}: {error.message}") from error
    except CdpError:
        raise
    except Exception as error:
        # Filters fail in many ways on hostile values; whichever it was, this message cannot be rendered.
        raise invalid("TEMPLATE_FAILED", f"{field}: {type(error).__name__}: {error}"[:500]) from error
