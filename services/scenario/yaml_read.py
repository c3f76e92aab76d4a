"""YAML -> the message of a scenario, with the place of every field in the text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cdp.scenario.v1 import scenario_pb2
from core.query.text.suggest import did_you_mean
from services.scenario import yaml_values
from services.scenario.yaml_nodes import (
    MAX_MISTAKES,
    Entry,
    Listing,
    Mistakes,
    Node,
    Place,
    Scalar,
    names_of,
    read_nodes,
)
from services.scenario.yaml_nodes import Mapping as MappingNode
from services.scenario.yaml_shapes import (
    SCENARIO,
    AnyValue,
    Choice,
    Form,
    Key,
    Many,
    NamedValues,
    One,
    Record,
    Shape,
    Single,
    Texts,
)

_UNSUITABLE = (ValueError, TypeError, OverflowError)


@dataclass(frozen=True, slots=True)
class ReadScenario:
    """A scenario as its YAML says it; the name is `message.revision.name`. `places`: path of a field
    (`blocks[2].wait.duration_us`) -> where its value stands."""

    message: scenario_pb2.Scenario
    places: Mapping[str, Place]

    def place_of(self, path: str) -> Place:
        """Where `path` stands, or the nearest thing around it."""
        while path and path not in self.places:
            cut = max(path.rfind("."), path.rfind("["))
            path = path[: max(cut, 0)]
        return self.places.get(path, Place(1, 1))


def read_scenario(text: str) -> ReadScenario:
    """The scenario in `text`: its form is checked here, its sense by core.scenario.validate. Raises INVALID /
    SCENARIO_INVALID with the line and column of every mistake."""
    reader = _Reader()
    message = scenario_pb2.Scenario()
    reader.record(read_nodes(text), SCENARIO, message, "")
    if reader.mistakes:
        raise reader.mistakes.error()
    return ReadScenario(message, reader.places)


@dataclass(slots=True)
class _Reader:
    """Fills messages, and collects places and mistakes on the way."""

    mistakes: Mistakes = field(default_factory=Mistakes)
    places: dict[str, Place] = field(default_factory=dict)

    def record(self, node: Node, record: Record, message: Any, path: str) -> None:
        """Fill `message`, which stands at `path`."""
        if self.mistakes.are_enough():
            return
        self.places[path] = node.place
        if not isinstance(node, MappingNode):
            self.mistakes.add(node.place, f'{record.what} is written as "key: value", a line each')
            return
        shape = self._shape(node, record)
        if record.shapes and shape is None:
            return
        keys = {key.name: key for key in (*record.before, *(shape.keys if shape else ()), *record.after)}
        if shape is not None:
            _enter(message, shape.keys[0].field)
            if shape.sets:
                _set(message, shape.sets, True)
            if shape.one_of and not any(node.get(name) for name in shape.one_of):
                self.mistakes.add(node.place, f'"{shape.keys[0].name}" needs {_either(shape.one_of)} beside it')
        for name in record.needed:
            if node.get(name) is None:
                self.mistakes.add(node.place, f'{record.what} needs "{name}"')
        for entry in node.entries:
            key = keys.get(entry.key)
            if self.mistakes.are_enough():
                return
            if key is None:
                self._unknown(entry, record, shape, keys)
            else:
                self._value(entry, key, message, path)

    def _shape(self, node: MappingNode, record: Record) -> Shape | None:
        """The shape that the keys of `node` tell; None where the record has none, or after a mistake."""
        if not record.shapes:
            return None
        written = set(names_of(node.entries))
        told = [shape for shape in record.shapes if shape.keys[0].name in written]
        firsts = {shape.keys[0].name for shape in told}
        for shape in told:
            if firsts <= {key.name for key in shape.keys}:
                return shape
        if told:
            self.mistakes.add(node.place, f"{record.what} is one thing, not several: {_named(sorted(firsts))}")
            return None
        every = [shape.keys[0].name for shape in record.shapes]
        common = {key.name for key in (*record.before, *record.after)}
        of_some_shape = {key.name for shape in record.shapes for key in shape.keys}
        strange = [entry for entry in node.entries if entry.key not in common | of_some_shape]
        for entry in strange[:MAX_MISTAKES]:
            hint = did_you_mean(entry.key, every)
            self.mistakes.add(entry.place, f'"{entry.key[:80]}" is nothing that {record.what} can be. {hint}'.rstrip())
        if not strange:
            self.mistakes.add(node.place, f"{record.what} has one of these keys: {_named(every)}")
        return None

    def _unknown(self, entry: Entry, record: Record, shape: Shape | None, keys: Mapping[str, Key]) -> None:
        whose = record.what if shape is None else f'{record.what} with "{shape.keys[0].name}"'
        hint = did_you_mean(entry.key, keys) or f"It may have {_named(list(keys))}."
        self.mistakes.add(entry.place, f'{whose} has no "{entry.key[:80]}". {hint}')

    def _value(self, entry: Entry, key: Key, message: Any, path: str) -> None:
        node, full = entry.value, f"{path}.{key.field}" if path else key.field
        self.places[full] = node.place
        target, name = _enter(message, key.field)
        form: Form = key.form
        match form:
            case One(record):
                inner = getattr(target, name)
                inner.SetInParent()
                self.record(node, record, inner, full)
            case Many(record):
                self._many(node, record, getattr(target, name), full, entry.key)
            case Texts():
                getattr(target, name).extend(self._texts(node, full, entry.key))
            case NamedValues():
                self._named_values(node, getattr(target, name), full, entry.key)
            case AnyValue():
                scalar = self._scalar(node, entry.key, "a value", empty=False)
                if scalar is not None:
                    self._attempt(scalar, lambda: getattr(target, name).CopyFrom(yaml_values.read_value(scalar)))
            case Choice(words):
                scalar = self._scalar(node, entry.key, "a word", empty=False)
                if scalar is not None and scalar.text not in words:
                    self.mistakes.add(node.place, f'"{scalar.text[:80]}" is none of {_named(list(words))}')
                elif scalar is not None:
                    setattr(target, name, words[scalar.text])
            case Single(what, read, _, empty):
                scalar = self._scalar(node, entry.key, what, empty)
                if scalar is not None:
                    text = "" if scalar.is_nothing else scalar.text
                    self._attempt(scalar, lambda: setattr(target, name, read(text)))

    def _scalar(self, node: Node, key: str, what: str, empty: bool) -> Scalar | None:
        if not isinstance(node, Scalar):
            found = "a list" if isinstance(node, Listing) else "a mapping"
            self.mistakes.add(node.place, f'"{key[:80]}" is {what}, not {found}')
        elif node.is_nothing and not empty:
            self.mistakes.add(node.place, f'"{key[:80]}" needs {what} behind it')
        else:
            return node
        return None

    def _attempt(self, scalar: Scalar, take: Any) -> None:
        try:
            take()
        except _UNSUITABLE as error:
            words = str(error)
            if words.startswith("Value out of range") or isinstance(error, TypeError | OverflowError):
                words = f'"{scalar.text[:40]}" is too large'
            self.mistakes.add(scalar.place, words)

    def _many(self, node: Node, record: Record, target: Any, path: str, key: str) -> None:
        if not isinstance(node, Listing):
            self.mistakes.add(node.place, f'"{key}" is a list: each of it begins with "- "')
            return
        for index, item in enumerate(node.items):
            self.record(item, record, target.add(), f"{path}[{index}]")

    def _texts(self, node: Node, path: str, key: str) -> Sequence[str]:
        items = node.items if isinstance(node, Listing) else [node]
        texts: list[str] = []
        for index, item in enumerate(items):
            self.places[f"{path}[{index}]"] = item.place
            scalar = self._scalar(item, key, "a list of texts", empty=False)
            if scalar is not None:
                texts.append(scalar.text)
        return texts

    def _named_values(self, node: Node, target: Any, path: str, key: str) -> None:
        if not isinstance(node, MappingNode):
            self.mistakes.add(node.place, f'"{key}" is written as "name: value", a line each')
            return
        for entry in node.entries:
            self.places[f"{path}[{entry.key}]"] = entry.value.place
            scalar = self._scalar(entry.value, entry.key, "a value", empty=False)
            if scalar is not None:
                self._put(target, entry.key, scalar)

    def _put(self, target: Any, name: str, scalar: Scalar) -> None:
        self._attempt(scalar, lambda: target[name].CopyFrom(yaml_values.read_value(scalar)))


def _enter(message: Any, path: str) -> tuple[Any, str]:
    """The message that holds the last field of `path`, set on the way there, and the name of that field."""
    *within, name = path.split(".")
    for one in within:
        message = getattr(message, one)
        message.SetInParent()
    return message, name


def _set(message: Any, path: str, value: object) -> None:
    target, name = _enter(message, path)
    setattr(target, name, value)


def _named(words: Sequence[str]) -> str:
    return ", ".join(f'"{word}"' for word in words)


def _either(words: Sequence[str]) -> str:
    return " or ".join(f'"{word}"' for word in words)
