"""The names in a template, with their places, and which of them nothing can fill."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from liquid import BoundTemplate, Node, RenderContext
from liquid.builtin.expressions import LoopExpression, Path
from liquid.expression import Expression

from core.recommend.goods import SHOWN
from services.channel.needs import BLOCKS, INTERESTS
from services.channel.render import compile_text_field
from services.channel.templates import Template, Variant
from services.channel.variants import OWN, wording

#: Stands in a path for an element that a loop takes out of a list.
ELEMENT = "[]"
#: What Liquid itself offers of lists and texts, whatever is in them.
_OF_LIQUID = frozenset({"size", "first", "last"})
_PICKING = frozenset({"first", "last", ELEMENT})
_PRODUCT_FIELDS = frozenset({"product_id", *SHOWN})
_MESSAGE_FIELDS = frozenset({"id", "kind", "channel"})
_SCORED_FIELDS = frozenset({"value", "score"})
_WHOLE = frozenset({"now", "today", "unsubscribe_url", "preferences_url"})

Segments = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Used:
    """A name as a path, cut before what shows only while rendering: ("contact", "city"), ("items", ELEMENT, "price").
    `field` of the template in which it stands, at `line` (from 1)."""

    segments: Segments
    field: str
    line: int

    @property
    def name(self) -> str:
        """As a person writes it."""
        written = ""
        for one in self.segments:
            written += ELEMENT if one == ELEMENT else f"[{one}]" if isinstance(one, int) else f".{one}"
        return written.removeprefix(".")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What can be filled: fields of `contact` (attributes, computed ones, kinds of identifiers), fields of `items`, and
    the `values` that a message brings ("answer_*" is every name that begins so); None: any."""

    contact: frozenset[str]
    items: frozenset[str]
    values: frozenset[str] | None

    def brings(self, name: str | int) -> bool:
        """Whether a message may bring a value of that name."""
        if self.values is None or name in self.values:
            return True
        prefixes = tuple(one[:-1] for one in self.values if one.endswith("*"))
        return isinstance(name, str) and name.startswith(prefixes)


def names_used(template: Template) -> list[Used]:
    """Every name that the wordings use and do not make themselves, by field and line, each once a field. Compiles, so
    for a thread; the template has been checked."""
    found = _of_wording(wording(template, OWN), "")
    for number, variant in enumerate(template.variants):
        found += _of_wording(_alone(template, variant), f"variants[{number}].")
    first: dict[tuple[str, Segments], Used] = {}
    for used in found:
        known = first.get((used.field, used.segments))
        if known is None or used.line < known.line:
            first[used.field, used.segments] = used
    return sorted(first.values(), key=lambda used: (used.field, used.line, used.name))


def unknown_names(template: Template, vocabulary: Vocabulary) -> list[Used]:
    """Those of `names_used` that nothing can fill: neither the vocabulary nor a fallback."""
    return [
        used
        for used in names_used(template)
        if not _is_known(used.segments, vocabulary)
        and used.name not in template.fallbacks
        # The click link to `url`, see services.channel.senders.sms_content.
        and not (used.name == "link" and template.channel == "sms")
    ]


def _alone(template: Template, variant: Variant) -> Template:
    """What the variant says of its own."""
    bare = replace(template, subject="", body_html="", body_text="", mjml="", url="", image_url="", icon_url="")
    return wording(replace(bare, variants=(variant,)), variant.name)


def _of_wording(source: Template, prefix: str) -> list[Used]:
    texts = {
        "subject": source.subject,
        "body_html": source.body_html,
        "body_text": source.body_text,
        "mjml": source.mjml,
        "url": source.url,
        "image_url": source.image_url,
        "icon_url": source.icon_url,
    }
    found: list[Used] = []
    for field, text in texts.items():
        compiled = compile_text_field(field, text)
        if compiled is not None:
            found += _of_field(compiled, f"{prefix}{field}", text.strip(), text.count("\n", 0, _blanks(text)))
    return found


def _blanks(text: str) -> int:
    """How many characters go before the first that is none."""
    return len(text) - len(text.lstrip())


def _of_field(compiled: BoundTemplate, field: str, text: str, lines_before: int) -> Iterator[Used]:
    analysis = compiled.analyze(include_partials=False)
    elements = _Elements(compiled, analysis.globals.keys()).found
    for root, places in analysis.variables.items():
        outside = {place.span.index for place in analysis.globals.get(root, ())}
        for place in places:
            line = text.count("\n", 0, place.span.index) + 1 + lines_before
            segments = _constant(place.segments) if place.span.index in outside else elements.get(place.span.index, ())
            if segments:
                yield Used(segments, field, line)


class _Elements:
    """`found`: by their places in the source, the paths that begin with the variable of a loop, as paths of the list
    that the loop goes through; where that is a name of `outside`, or of an element of one."""

    def __init__(self, compiled: BoundTemplate, outside: Collection[str]) -> None:
        self.found: dict[int, Segments] = {}
        self._outside = outside
        self._context = RenderContext(compiled)
        for node in compiled.nodes:
            self._visit(node, {})

    def _visit(self, node: Node, variables: Mapping[str, Segments]) -> None:
        for expression in node.expressions():
            self._collect(expression, variables)
        loop = getattr(node, "expression", None)
        if isinstance(loop, LoopExpression):
            variables = {**variables, loop.identifier: self._list(loop.iterable, variables)}
        for child in node.children(self._context, include_partials=False):
            self._visit(child, variables)

    def _collect(self, expression: Expression, variables: Mapping[str, Segments]) -> None:
        if isinstance(expression, Path) and (path := self._of_element(expression, variables)):
            self.found[expression.token.start_index] = path
        for child in expression.children():
            self._collect(child, variables)

    def _list(self, iterable: Expression, variables: Mapping[str, Segments]) -> Segments:
        """What a loop goes through; () where that shows only while rendering."""
        if not isinstance(iterable, Path):
            return ()
        path = _constant(iterable.path)
        if path and path[0] in variables:
            return self._of_element(iterable, variables)
        return path if path and path[0] in self._outside else ()

    def _of_element(self, path: Path, variables: Mapping[str, Segments]) -> Segments:
        segments = _constant(path.path)
        through = variables.get(str(segments[0]), ()) if segments else ()
        return (*through, ELEMENT, *segments[1:]) if through else ()


def _constant(segments: Sequence[object]) -> Segments:
    kept: list[str | int] = []
    for one in segments:
        if not isinstance(one, str | int):
            break
        kept.append(one)
    return tuple(kept)


def _is_known(segments: Segments, vocabulary: Vocabulary) -> bool:
    root, rest = segments[0], segments[1:]
    if root == "contact":
        return not rest or rest[0] == "key" or rest[0] in vocabulary.contact
    if root == "interests":
        return not rest or (rest[0] in INTERESTS and _is_element(rest[1:], _SCORED_FIELDS))
    if root == "blocks":
        return not rest or (rest[0] in BLOCKS and _is_element(rest[1:], _PRODUCT_FIELDS))
    if root == "items":
        return _is_element(rest, vocabulary.items)
    if root == "message":
        return not rest or rest[0] in _MESSAGE_FIELDS
    return root in _WHOLE or vocabulary.brings(root)


def _is_element(rest: Segments, fields: Collection[str]) -> bool:
    """Whether this is what a list of objects has: itself, an element, or a field of one."""
    if not rest or rest == ("size",):
        return True
    if not (isinstance(rest[0], int) or rest[0] in _PICKING):
        return False
    return len(rest) == 1 or rest[1] in fields or rest[1] in _OF_LIQUID
