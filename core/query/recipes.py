"""Where the values of a text stand in its bound rule, and when others may be put in their places.

A value may be put in if it is an operand of a comparison or a count, or the duration of `in last`, and nothing else of
the rule was made of it. It has to be such as binding would take in the same way: anything that binding treats apart
(bounds out of order, a window of no time, a number past its range, a fraction among whole numbers) is left to binding.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from core.errors import CdpError
from core.query.ast import (
    Compare,
    Comparison,
    EventAggregate,
    EventCount,
    EventSelection,
    FirstTime,
    InLast,
    Literal,
    MessageCount,
    Rule,
)
from core.query.ast import Sequence as EventSequence
from core.query.binding.bind_filters import check_between
from core.query.limits import MAX_DURATION_US
from core.query.names import BoundRule
from core.schema import DECIMAL_SCALE, MAX_DECIMAL_UNITS, DecimalUnits

_DECIMALS = 4
#: The fields of classes whose operands are plain values, however many.
_OPERANDS = {Comparison: "operands", EventAggregate: "operands", EventCount: "counts", MessageCount: "counts"}
#: The classes whose window is one of events.
_WINDOWED = (EventSelection, MessageCount, FirstTime, EventSequence)

#: Makes a part of a rule of what is written in the holes. Raises UnfitError.
_Maker = Callable[[Sequence[str]], Any]


class UnfitError(Exception):
    """A value that may change more than its own place: the text is read as a whole."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A bound rule and the holes (their numbers) whose values may be put into it."""

    first: BoundRule
    holes: frozenset[int]
    rule: _Maker

    def bound(self, written: Sequence[str]) -> BoundRule:
        """The rule with other values in its holes. Raises UnfitError where that may not be what binding says."""
        one = self.first
        if not self.holes:
            return one
        return BoundRule(self.rule(written), one.parameters, one.segments, one.zone, one.attributes, one.setting)


def recipe_of(
    rule: Rule, bound: BoundRule, parts: Sequence[tuple[Literal | InLast, int]], written: Sequence[str]
) -> Recipe:
    """The recipe of a rule as parsed and as bound. `parts`: what was made of a hole, and its number; `written`: what
    stands in each hole. Holes of other parts, and of parts that stand elsewhere, are none of the recipe's."""
    builder = _Builder({id(part): hole for part, hole in parts}, written)
    maker = builder.part(rule, bound.rule)
    return Recipe(bound, frozenset(builder.holes), maker or (lambda _: bound.rule))


class _Builder:
    """Goes through a rule as parsed and as bound side by side."""

    def __init__(self, hole_of: Mapping[int, int], written: Sequence[str]) -> None:
        self._hole_of = hole_of
        self._written = written
        self.holes: set[int] = set()

    def part(self, parsed: object, bound: object) -> _Maker | None:
        """What makes this part anew; None where no hole is in it."""
        if type(parsed) is not type(bound):
            return None
        if isinstance(parsed, tuple) and isinstance(bound, tuple):
            return self._tuple(parsed, bound) if len(parsed) == len(bound) else None
        if not is_dataclass(parsed) or isinstance(parsed, type):
            return None
        names = [one.name for one in fields(parsed)]
        makers: dict[int, _Maker] = {}
        for at, name in enumerate(names):
            maker = self._field(parsed, name, getattr(parsed, name), getattr(bound, name))
            if maker is not None:
                makers[at] = maker
        if not makers:
            return None
        values = [getattr(bound, name) for name in names]
        made = _made(type(parsed), values, tuple(makers.items()))
        between = Compare.BETWEEN in (getattr(parsed, "compare", None), getattr(parsed, "relation", None))
        return _ordered(made) if between else made

    def _tuple(self, parsed: tuple[object, ...], bound: tuple[object, ...]) -> _Maker | None:
        makers = [(at, self.part(one, other)) for at, (one, other) in enumerate(zip(parsed, bound, strict=True))]
        return _tupled(bound, tuple((at, maker) for at, maker in makers if maker is not None))

    def _field(self, whole: object, name: str, parsed: object, bound: object) -> _Maker | None:
        if _OPERANDS.get(type(whole)) == name:
            # A regular expression is compiled, and may be refused.
            if getattr(whole, "compare", None) is Compare.MATCHES or not isinstance(parsed, tuple):
                return None
            assert isinstance(bound, tuple), "binding keeps operands together"
            pairs = enumerate(zip(parsed, bound, strict=True))
            makers = [(at, self._operand(one, other)) for at, (one, other) in pairs]
            return _tupled(bound, tuple((at, maker) for at, maker in makers if maker is not None))
        if name == "window" and isinstance(whole, _WINDOWED) and isinstance(parsed, InLast):
            return self._window(parsed)
        return self.part(parsed, bound)

    def _operand(self, parsed: object, bound: object) -> _Maker | None:
        hole = self._hole_of.get(id(parsed))
        if hole is None or not isinstance(parsed, Literal) or not isinstance(bound, Literal):
            return None
        value = _value_of(self._written[hole], parsed.value, bound.value)
        if value is None:
            return None
        self.holes.add(hole)
        return lambda written: Literal(value(written[hole]))

    def _window(self, window: InLast) -> _Maker | None:
        hole = self._hole_of.get(id(window))
        if hole is None or not self._written[hole].isdecimal():
            return None
        self.holes.add(hole)
        unit_us = window.duration_us // int(self._written[hole])

        def made(written: Sequence[str]) -> InLast:
            duration_us = int(written[hole]) * unit_us
            if not 0 < duration_us <= MAX_DURATION_US:
                raise UnfitError
            return InLast(duration_us)

        return made


def _made(cls: Callable[..., object], values: Sequence[object], makers: Sequence[tuple[int, _Maker]]) -> _Maker:
    """Of a class: its fields in order, some of them made anew."""

    def made(written: Sequence[str]) -> object:
        fresh = [*values]
        for at, maker in makers:
            fresh[at] = maker(written)
        return cls(*fresh)

    return made


def _tupled(values: tuple[object, ...], makers: Sequence[tuple[int, _Maker]]) -> _Maker | None:
    if not makers:
        return None

    def made(written: Sequence[str]) -> tuple[object, ...]:
        fresh = [*values]
        for at, maker in makers:
            fresh[at] = maker(written)
        return tuple(fresh)

    return made


def _ordered(maker: _Maker) -> _Maker:
    """A comparison with `between`, whose bounds have to be in order."""

    def made(written: Sequence[str]) -> object:
        whole = maker(written)
        try:
            check_between(whole.counts if isinstance(whole, EventCount | MessageCount) else whole.operands, "")
        except CdpError as error:
            raise UnfitError from error
        return whole

    return made


def _value_of(written: str, parsed: object, bound: object) -> Callable[[str], Any] | None:
    """How binding made `bound` of what is written, if it would make others in the same way."""
    if written[0] == '"':
        return _text if type(bound) is str and bound == parsed else None
    if type(parsed) is int:
        if type(bound) is int and bound == parsed:
            return int
        return _whole_as_decimal if bound == DecimalUnits(parsed * DECIMAL_SCALE) else None
    if not isinstance(parsed, DecimalUnits) or parsed != bound:
        return None
    # Only a fraction is left as it is where whole numbers are compared.
    return _fraction if parsed.units % DECIMAL_SCALE else _decimal


def _text(written: str) -> str:
    text = written[1:-1]
    if text.isascii():
        return text
    if not text.isprintable():  # half a surrogate pair, among others
        raise UnfitError
    return unicodedata.normalize("NFC", text)


def _whole_as_decimal(written: str) -> DecimalUnits:
    return _in_range(int(written) * DECIMAL_SCALE)


def _decimal(written: str) -> DecimalUnits:
    whole, _, fraction = written.partition(".")
    return _in_range(int(whole + fraction.ljust(_DECIMALS, "0")))


def _fraction(written: str) -> DecimalUnits:
    found = _decimal(written)
    if found.units % DECIMAL_SCALE == 0:
        raise UnfitError
    return found


def _in_range(units: int) -> DecimalUnits:
    if units > MAX_DECIMAL_UNITS:
        raise UnfitError
    return DecimalUnits(units)
