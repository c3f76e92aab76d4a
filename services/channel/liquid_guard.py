"""Liquid with a budget: loops, output, variables, nesting and time are bounded, and no filter can make a bomb.

The library bounds single loops and the output; this adds the sum over all loops, the size of what a filter returns
(before it is made, where it could be large) and a deadline. Nothing reads a clock: `now` is a value like any other.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, TextIO

from liquid import BoundTemplate, Environment, RenderContext
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags.echo_tag import EchoNode, EchoTag
from liquid.builtin.tags.for_tag import ForLoop
from liquid.builtin.tags.tablerow_tag import TableRow
from liquid.exceptions import ResourceLimitError
from liquid.stringify import to_liquid_string

from services.channel.speech import date_text, date_time_text, money, number_text, plain_money, time_text

LIMIT_ITERATIONS = 10_000
LIMIT_OUTPUT_BYTES = 512 * 1024
LIMIT_VALUE_CHARACTERS = 64 * 1024
LIMIT_NAMESPACE_BYTES = 512 * 1024
LIMIT_CPU_S = 0.25
_LIMIT_DIGITS = 40
_REPLACING = frozenset({"replace", "replace_first", "replace_last"})
#: Clear text of HTML, scripts for web pages and decoders have no business in a message.
_NOT_OFFERED = ("escapejs", "base64_decode", "base64_url_safe_decode")


class JsonText(str):
    """Text that is JSON already."""

    __slots__ = ()


class BudgetContext(RenderContext):
    """One render's context. Counts loop iterations over the whole template and watches the thread's CPU time."""

    __slots__ = ("_iterations", "_until_s")

    def __init__(self, template: BoundTemplate, **options: Any) -> None:
        super().__init__(template, **options)
        self._iterations = 0
        self._until_s = time.thread_time() + LIMIT_CPU_S

    def spend(self, iterations: int) -> None:
        """Take from the budget; raises ResourceLimitError when it is used up."""
        self._iterations += iterations
        if self._iterations > LIMIT_ITERATIONS:
            raise ResourceLimitError(f"loops run more than {LIMIT_ITERATIONS} times in all", token=None)
        if time.thread_time() > self._until_s:
            raise ResourceLimitError(f"takes longer than {LIMIT_CPU_S} s", token=None)

    def loop(self, namespace: Mapping[str, object], forloop: ForLoop | TableRow) -> Any:
        """See RenderContext: the loop's iterator spends from the budget as it goes."""
        forloop.it = self._spending(forloop.it)
        return super().loop(namespace, forloop)

    def filter(self, name: str, token: Any) -> Callable[..., object]:
        """See RenderContext: the filter is refused what would make it return too much."""
        function = super().filter(name, token)

        def guarded(left: object, *arguments: object, **options: object) -> object:
            self.spend(0)
            _check_arguments(name, left, arguments)
            return _checked(name, function(left, *arguments, **options))

        return guarded

    def _spending(self, inner: Iterator[Any]) -> Iterator[Any]:
        for value in inner:
            self.spend(1)
            yield value


class BudgetTemplate(BoundTemplate):
    """A template that renders in a BudgetContext."""

    context_class = BudgetContext


class BudgetEnvironment(Environment):
    """Strict syntax and filters, lax about missing variables, no loader, everything bounded."""

    template_class = BudgetTemplate
    block_nesting_limit = 20
    context_depth_limit = 20
    loop_iteration_limit = LIMIT_ITERATIONS
    local_namespace_limit = LIMIT_NAMESPACE_BYTES
    output_stream_limit = LIMIT_OUTPUT_BYTES

    def __init__(self, *, autoescape: bool) -> None:
        super().__init__(autoescape=autoescape, strict_filters=True)
        for name in _NOT_OFFERED:
            self.filters.pop(name)
        self.add_filter("date", date_text)
        self.add_filter("time", time_text)
        self.add_filter("datetime", date_time_text)
        self.add_filter("money", money)
        self.add_filter("number", number_text)
        self.add_filter("json", to_json)


class _JsonOutputNode(OutputNode):
    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        return _write_json(self.expression.evaluate(context), buffer)


class _JsonEchoNode(EchoNode):
    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        return _write_json(self.expression.evaluate(context), buffer)


class _JsonOutput(Output):
    node_class = _JsonOutputNode


class _JsonEcho(EchoTag):
    node_class = _JsonEchoNode


def _write_json(value: object, buffer: TextIO) -> int:
    if isinstance(value, JsonText):
        return buffer.write(value)
    return buffer.write(json.dumps(to_liquid_string(value, False), ensure_ascii=False)[1:-1])


def html_environment() -> BudgetEnvironment:
    """For HTML: values are escaped unless the template says `safe`."""
    return BudgetEnvironment(autoescape=True)


def text_environment() -> BudgetEnvironment:
    """For subjects and plain text: values as they are."""
    return BudgetEnvironment(autoescape=False)


def json_environment() -> BudgetEnvironment:
    """For JSON documents: a value stands between the template's quotes, escaped; `| json` writes a whole value, and
    amounts are for machines."""
    environment = BudgetEnvironment(autoescape=False)
    environment.add_filter("money", plain_money)
    environment.add_tag(_JsonOutput)
    environment.add_tag(_JsonEcho)
    return environment


def to_json(value: object) -> JsonText:
    """A whole value as JSON: numbers as numbers, dates as text, missing as null."""
    return JsonText(json.dumps(value, default=_plain, ensure_ascii=False))


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, date):
        return value.isoformat()
    return None


def _check_arguments(name: str, left: object, arguments: tuple[object, ...]) -> None:
    for value in (left, *arguments):
        _checked(name, value)
    if name in _REPLACING and len(arguments) > 1:
        text, old, new = str(left), str(arguments[0]), str(arguments[1])
        if len(text) + text.count(old) * len(new) > LIMIT_VALUE_CHARACTERS:
            raise _too_large(name)
    if name == "join" and isinstance(left, str | list | tuple | range):
        separator = len(str(arguments[0])) if arguments else 1
        pieces = left if isinstance(left, list | tuple) else ()
        if len(left) * separator + sum(len(str(piece)) for piece in pieces) > LIMIT_VALUE_CHARACTERS:
            raise _too_large(name)


def _checked(name: str, value: object) -> object:
    if isinstance(value, str) and len(value) > LIMIT_VALUE_CHARACTERS:
        raise _too_large(name)
    if isinstance(value, range | list | tuple) and value[LIMIT_ITERATIONS : LIMIT_ITERATIONS + 1]:
        raise _too_large(name)
    if isinstance(value, int) and abs(value) >= 10**_LIMIT_DIGITS:
        raise _too_large(name)
    return value


def _too_large(name: str) -> ResourceLimitError:
    return ResourceLimitError(f"the filter {name} works on values of limited size", token=None)
