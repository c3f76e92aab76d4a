"""Names, values and durations as canonical text."""

from __future__ import annotations

from datetime import date

from core.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from core.query.ast import AttributeAtEvent, AttributeOperand, Literal, Operand, Parameter, StepOperand
from core.query.text.moments import format_instant
from core.query.text.words import is_bare
from core.schema import DECIMAL_SCALE, DecimalUnits, Instant, Scalar

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_UNITS = (("day", DAY_US), ("hour", HOUR_US), ("minute", MINUTE_US), ("second", SECOND_US))


def quoted(text: str) -> str:
    """`text` in double quotes, control characters escaped."""
    return f'"{"".join(_escaped(character) for character in text)}"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    return character if character.isprintable() or character == "\u00a0" else f"\\u{{{ord(character):x}}}"


def name_text(name: str) -> str:
    """The name of a parameter or argument: bare if it can be, else quoted."""
    return name if is_bare(name, alone=True) else quoted(name)


def dotted_text(name: str) -> str:
    """A name whose parts are joined by dots: bare if all parts can be, else quoted as a whole."""
    return name if all(is_bare(part) for part in name.split(".")) else quoted(name)


def event_text(name: str) -> str:
    """The name of an event, or a prefix with its `*`."""
    return name if name == "*" or is_bare(name.removesuffix("*")) else quoted(name)


def events_text(names: tuple[str, ...]) -> str:
    """One event, or `any of (a, b)`."""
    if len(names) == 1:
        return event_text(names[0])
    return f"any of ({', '.join(event_text(name) for name in names)})"


def label_text(name: str) -> str:
    """The name of a step or an RFM model: bare if it can be, else quoted."""
    return name if is_bare(name) else quoted(name)


def scalar_text(value: Scalar) -> str:
    """A literal. A decimal always shows a decimal point, so that it is read back as one."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, DecimalUnits):
        return f"{value}.0" if value.units % DECIMAL_SCALE == 0 else str(value)
    if isinstance(value, Instant):
        return format_instant(value)
    return value.isoformat() if isinstance(value, date) else str(value)


def operand_text(operand: Operand) -> str:
    """A literal, `:parameter`, `attribute name`, `attribute name at the event`, `step.parameter`."""
    match operand:
        case Literal(value):
            return scalar_text(value)
        case Parameter(name):
            return f":{name_text(name)}"
        case AttributeOperand(name):
            return f"attribute {dotted_text(name)}"
        case AttributeAtEvent(name):
            return f"attribute {dotted_text(name)} at the event"
        case StepOperand(step, path):
            return f"{label_text(step)}.{dotted_text(path)}"


def operands_text(operands: tuple[Operand, ...]) -> str:
    """`(a, b, c)`."""
    return f"({', '.join(operand_text(operand) for operand in operands)})"


def names_text(names: tuple[str, ...]) -> str:
    """One name in quotes, or `("a", "b")`."""
    texts = [quoted(name) for name in names]
    return texts[0] if len(texts) == 1 else f"({', '.join(texts)})"


def choice_text(texts: list[str]) -> str:
    """One text, or `any of (a, b)`."""
    return texts[0] if len(texts) == 1 else f"any of ({', '.join(texts)})"


def duration_text(duration_us: int) -> str:
    """`30 days`: the largest unit up to days that divides it; whole seconds."""
    return f"{duration_us // unit_of(duration_us)[1]} {unit_word(duration_us)}"


def unit_of(*durations_us: int) -> tuple[str, int]:
    """The largest unit up to days, with its microseconds, that divides all durations."""
    for word, unit_us in _UNITS:
        if all(duration_us % unit_us == 0 for duration_us in durations_us):
            return word, unit_us
    raise ValueError("durations are whole seconds")


def unit_word(duration_us: int, *others_us: int) -> str:
    """The word of that unit, in the number that `duration_us` needs."""
    word, unit_us = unit_of(duration_us, *others_us)
    return word if duration_us == unit_us else f"{word}s"
