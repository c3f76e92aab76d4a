"""The message of a scenario -> YAML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message

from cdp.facts.v1 import facts_pb2
from cdp.scenario.v1 import scenario_pb2
from core.errors import Violation, invalid
from services.scenario import yaml_values
from services.scenario.yaml_nodes import SCENARIO_INVALID
from services.scenario.yaml_shapes import (
    SCENARIO,
    AnyValue,
    Choice,
    Key,
    Many,
    NamedValues,
    One,
    Record,
    Shape,
    Single,
    Texts,
)
from services.scenario.yaml_text import Raw, Written, document


def write_scenario(message: scenario_pb2.Scenario) -> str:
    """The one YAML of a scenario; `yaml_read.read_scenario` reads the same message back, where YAML has a word for all
    that it says. Of the revision the name alone. Raises INVALID / SCENARIO_INVALID with the path of what has no word:
    a block of no kind, an instant past the year 9999."""
    return document(_record(message, SCENARIO, ""))


def _record(message: Any, record: Record, path: str) -> dict[str, Written]:
    written: dict[str, Written] = {}
    keys = [(key, key.name in record.needed) for key in record.before]
    if record.shapes:
        shape = next((one for one in record.shapes if _looks_so(message, one)), None)
        if shape is None:
            raise _wordless(path, f"{record.what} of no kind")
        keys += [(key, key is shape.keys[0]) for key in shape.keys]
    keys += [(key, False) for key in record.after]
    for key, always in keys:
        holder, name = _holder(message, key.field)
        if holder is not None and (always or _is_set(holder, name)):
            written[key.name] = _value(getattr(holder, name), key, f"{path}.{key.field}" if path else key.field)
    return written


def _looks_so(message: Any, shape: Shape) -> bool:
    within = shape.keys[0].field.split(".")[0]
    if not _is_set(message, within) or (shape.when and not _reached(message, shape.when)):
        return False
    return not any(_reached(message, path) for path in shape.unless)


def _value(value: Any, key: Key, path: str) -> Written:
    try:
        match key.form:
            case One(record):
                return _record(value, record, path)
            case Many(record):
                return [_record(one, record, f"{path}[{index}]") for index, one in enumerate(value)]
            case Texts():
                return list(value)
            case AnyValue():
                return _platform_value(value)
            case NamedValues():
                return _named(value, path)
            case Choice(words):
                return Raw(next(word for word, number in words.items() if number == value))
            case Single(_, _, write, empty, spoken):
                text = write(value)
                return text if spoken and not (empty and not text) else Raw(text)
    except ValueError as error:
        raise _wordless(path, str(error)) from error
    except StopIteration as error:
        raise _wordless(path, f"{value} is nothing that this version knows") from error


def _named(values: Mapping[str, facts_pb2.Value], path: str) -> Written:
    written: dict[str, Written] = {}
    for name, value in sorted(values.items()):
        try:
            written[name] = _platform_value(value)
        except ValueError as error:
            raise _wordless(f"{path}[{name}]", str(error)) from error
    return written


def _platform_value(value: facts_pb2.Value) -> Written:
    text, plain = yaml_values.write_value(value)
    return Raw(text) if plain else text


def _holder(message: Any, path: str) -> tuple[Any, str]:
    """The message that holds the last field of `path`, None where it is not set, and the name of the field."""
    *within, name = path.split(".")
    for one in within:
        if not message.HasField(one):
            return None, name
        message = getattr(message, one)
    return message, name


def _reached(message: Any, path: str) -> bool:
    holder, name = _holder(message, path)
    return holder is not None and _is_set(holder, name)


def _is_set(message: Any, name: str) -> bool:
    value = getattr(message, name)
    return message.HasField(name) if isinstance(value, Message) else bool(value)


def _wordless(path: str, text: str) -> Exception:
    return invalid(SCENARIO_INVALID, f"{path}: {text}", Violation(path, text))
