"""Links in rendered HTML: unsafe ones are refused, followable ones become signed click links."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence

from core.delivery.links import is_destination
from core.errors import invalid
from services.channel.list_links import ListMove, encode_move, is_sound

LIMIT_LINKS = 500

#: What a link of a message may be. Without a scheme it is relative, which is harmless and left alone.
_SCHEMES = frozenset({"http", "https", "mailto", "tel", "sms", "cid"})
_URL_ATTRIBUTES = frozenset({"href", "src", "action", "formaction", "background", "poster", "xlink:href", "srcset"})
_FOLLOWED = frozenset({"a", "area"})
_TAG = re.compile(r"""<([a-zA-Z][^\s/>]*)((?:[^>"']|"[^"]*"|'[^']*')*+)>""")
_ATTRIBUTE = re.compile(r"""([^\s"'<>/=]+)\s*+=\s*+("[^"]*"|'[^']*'|[^\s"'<>]++)""")
#: One of these stands in every tag that has one of _URL_ATTRIBUTES; most tags of a layout have none.
_URL_WORDS = ("href", "src", "action", "background", "poster")
_OPENER = re.compile(r"<[a-zA-Z]")
_SCHEME = re.compile(r"([a-z][a-z0-9+.\-]*):")
#: What attributes of a move from list to list begin with.
_MOVING = "data-list-"
_INVISIBLE = re.compile(r"[\x00-\x20\x7f-\x9f\u200b-\u200f\u2028\u2029\ufeff]+")


def rewrite_links(document: str, click_url: Callable[[int], str], keep: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """`document` with every http(s) link of <a> and <area> replaced by `click_url(index)`, and the destinations by
    index; equal destinations share one. Links that start with one of `keep` (empty ones aside) stay. A link with
    `data-list-to` or `data-list-from` is a move from list to list (services.channel.list_links).

    Raises INVALID: UNSAFE_URL for a URL attribute of another scheme than http, https, mailto, tel, sms and cid (or a
    web address that cannot be redirected to), BAD_LIST_LINK, UNCLOSED_TAG for a tag without an end, TOO_MANY_LINKS over
    LIMIT_LINKS.
    """
    indices: dict[str, int] = {}
    parts: list[str] = []
    done = 0
    position = 0
    while (opener := _OPENER.search(document, position)) is not None:
        tag = _TAG.match(document, opener.start())
        if tag is None:
            line = document.count("\n", 0, opener.start()) + 1
            raise invalid("UNCLOSED_TAG", f"the tag {document[opener.start() :][:20]!r} in line {line} has no end")
        begin, end = tag.span(2)
        inside = document[begin:end].lower()
        for attribute in _ATTRIBUTE.finditer(document, begin, end) if _may_lead(inside) else ():
            name = attribute[1].lower()
            if name not in _URL_ATTRIBUTES:
                continue
            url = html.unescape(attribute[2].strip("\"'")).strip()
            _check(name, url)
            if name != "href" or tag[1].lower() not in _FOLLOWED or not url.lower().startswith(("http:", "https:")):
                continue
            if any(one and url.startswith(one) for one in keep):
                continue
            destination = _destination(url)
            if _MOVING in inside:
                destination = _moving(destination, document[begin:end])
            index = indices.setdefault(destination, len(indices))
            parts += (document[done : attribute.start(2)], f'"{html.escape(click_url(index))}"')
            done = attribute.end(2)
        position = tag.end()
    if len(indices) > LIMIT_LINKS:
        raise invalid("TOO_MANY_LINKS", f"a message has at most {LIMIT_LINKS} different links, this one {len(indices)}")
    parts.append(document[done:])
    return "".join(parts), tuple(indices)


def add_pixel(document: str, url: str) -> str:
    """`document` with a one-pixel image at the end of its body."""
    pixel = f'<img src="{html.escape(url)}" width="1" height="1" alt="" style="display:none">'
    end = document.lower().rfind("</body>")
    return f"{document}{pixel}" if end < 0 else f"{document[:end]}{pixel}{document[end:]}"


def plain_text(document: str) -> str:
    """A readable text of an HTML document, for messages whose template has no text of its own."""
    text = re.sub(
        r"<(style|script|title)\b[^>]*>.*?</\1\s*>", "", _uncommented(document), flags=re.IGNORECASE | re.DOTALL
    )
    text = re.sub(r"<(?:br|/p|/div|/tr|/h[1-6]|/li)\b[^>]*>", "\n", text, flags=re.IGNORECASE)
    text = html.unescape(re.sub(r"<[^>]*>", "", text))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    return "\n".join(line for line in lines if line) + "\n"


def _may_lead(inside: str) -> bool:
    """Whether a tag with these attributes, in lower case, may have one of _URL_ATTRIBUTES. A loop over generators takes
    as long as what it saves."""
    one, two, three, four, five = _URL_WORDS
    return one in inside or two in inside or three in inside or four in inside or five in inside


def _uncommented(document: str) -> str:
    """Without comments, among them what layouts say to Outlook alone."""
    first, *commented = document.split("<!--")
    return first + "".join(part.partition("-->")[2] for part in commented)


def _check(name: str, url: str) -> None:
    if url.startswith(("https://", "http://")):
        return
    # Browsers drop invisible characters inside a scheme, so they must not hide one here.
    scheme = _SCHEME.match(_INVISIBLE.sub("", url).lower())
    if scheme is not None and scheme[1] not in _SCHEMES:
        raise invalid("UNSAFE_URL", f"{name}={url[:60]!r}: a link is http, https, mailto, tel, sms or cid")


def _moving(url: str, attributes: str) -> str:
    """The destination of a link with these attributes."""
    told = {one[1].lower(): html.unescape(one[2].strip("\"'")) for one in _ATTRIBUTE.finditer(attributes)}
    to, off = told.get("data-list-to", ""), told.get("data-list-from", "")
    if not to and not off:
        return url
    move = ListMove(url, to, off, told.get("data-answer", ""))
    if not is_sound(move):
        raise invalid("BAD_LIST_LINK", "lists and answers of a link have at most 200 printable characters")
    return encode_move(move)


def _destination(url: str) -> str:
    destination = url.replace(" ", "%20")
    if not is_destination(destination):
        raise invalid("UNSAFE_URL", f"{url[:60]!r} is no web address that a link can lead to")
    return destination
