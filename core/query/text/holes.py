"""The shape of a rule's text: the text with its plain values left out, so that it can be read once for all of them."""

from __future__ import annotations

import re

from core.query.ast import Span

#: Texts longer than this have no shape: they are seldom asked twice, and what is kept of one would be large.
_LONGEST = 1_000
#: A text without escapes, or a number without a sign that no kind of number is too small for, between spaces and marks
#: of which none can be a part of its token. So where one hole is a token, any other of its kind in its place is one
#: too, and the tokens around it stay what they are.
_HOLE = re.compile(r'(?<=[\s(,=<>])("[^"\\\n]*"|[0-9]{1,14}(?:\.[0-9]{1,4})?)(?=[\s),%]|\Z)')

#: Everything but the holes, in order, and last the kinds of the holes: t text, i whole number, d number with decimals.
Shape = tuple[str, ...]


def shape_of(text: str) -> tuple[Shape, list[str]] | None:
    """The shape of a text and what is written in its holes, in order; None for a long text.

    Two texts of one shape differ in the values of their holes alone. Whether a hole is a token, and a value, is for
    who reads the text to say: a number in a comment looks like one.
    """
    if len(text) > _LONGEST:
        return None
    pieces = _HOLE.split(text)
    written = pieces[1::2]
    kinds = "".join(["t" if one[0] == '"' else "d" if "." in one else "i" for one in written])
    return (*pieces[::2], kinds), written


def places_of(shape: Shape, written: list[str]) -> list[Span]:
    """Where each hole of a text begins."""
    places: list[Span] = []
    line, column = 1, 1
    for before, hole in zip(shape, written, strict=False):
        line += before.count("\n")
        column = len(before) - before.rfind("\n") if "\n" in before else column + len(before)
        places.append(Span(line, column))
        column += len(hole)
    return places
