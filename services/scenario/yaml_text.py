"""Texts and lists as YAML: one way for each, read back as the same by every reader of YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.nodes import ScalarNode

_WIDTH = 110
#: A key that is longer stands behind a "? ", as YAML has it.
_LONGEST_KEY = 100
_STEP = "  "
_RESOLVER: Any = yaml.resolver.Resolver()
_TEXT_TAG = "tag:yaml.org,2002:str"
_PLAIN = re.compile(r"[A-Za-z][^\x00-\x1f\x7f]*")
_SIMPLE = re.compile(r"[A-Za-z][A-Za-z0-9_ .-]*")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


@dataclass(frozen=True, slots=True)
class Raw:
    """Written as it is: a number, a duration, a word."""

    text: str


Written = str | Raw | Sequence["Written"] | Mapping[str, "Written"]


def document(entries: Mapping[str, Written]) -> str:
    """The whole text. An empty line stands before every mapping and before every list of mappings at the top."""
    lines: list[str] = []
    for key, value in entries.items():
        large = isinstance(value, Mapping) or (
            isinstance(value, Sequence) and any(isinstance(v, Mapping) for v in value)
        )
        if lines and large and not isinstance(value, str):
            lines.append("")
        lines += _entry(key, value, "")
    return "\n".join(lines) + "\n"


def _is_large(value: Written) -> bool:
    if isinstance(value, str | Raw):
        return False
    return isinstance(value, Mapping) or any(isinstance(one, Mapping) for one in value)


def quoted(text: str) -> str:
    """In double quotes, what cannot be seen escaped."""
    return f'"{"".join(_escaped(character) for character in text)}"'


def is_plain(text: str) -> bool:
    """Whether `text` may stand without quotes as the value of a key, and is a text to every reader of YAML."""
    return (
        _PLAIN.fullmatch(text) is not None
        and text.isprintable()
        and not text.endswith((" ", ":"))
        and ": " not in text
        and " #" not in text
        and _RESOLVER.resolve(ScalarNode, text, (True, False)) == _TEXT_TAG
    )


def _entry(key: str, value: Written, indent: str) -> list[str]:
    name = _inline(key)
    if len(name) > _LONGEST_KEY:
        head, rest = f"{indent}? {name}", f"{indent}:"
        return [head, *_behind(rest, value, indent)]
    return _behind(f"{indent}{name}:", value, indent)


def _behind(head: str, value: Written, indent: str) -> list[str]:
    """`value` behind `head`, in its line where it is short, else in lines of its own."""
    if isinstance(value, Raw):
        return [f"{head} {value.text}".rstrip()]
    if isinstance(value, str):
        return _text(head, value, indent + _STEP)
    if isinstance(value, Mapping):
        if not value:
            return [f"{head} {{}}"]
        return [head, *(line for key, one in value.items() for line in _entry(key, one, indent + _STEP))]
    texts = [_inline(one) for one in value if isinstance(one, str)]
    flow = f"{head} [{', '.join(texts)}]"
    if len(texts) == len(value) and (len(flow) <= _WIDTH or not value):
        return [flow]
    return [head, *(line for one in value for line in _item(one, indent + _STEP))]


def _item(value: Written, indent: str) -> list[str]:
    if not isinstance(value, Mapping):
        return _behind(f"{indent}-", value, indent)
    lines = [line for key, one in value.items() for line in _entry(key, one, indent + _STEP)]
    return [f"{indent}- {lines[0].removeprefix(indent + _STEP)}", *lines[1:]] if lines else [f"{indent}- {{}}"]


def _text(head: str, text: str, indent: str) -> list[str]:
    if is_plain(text) and len(head) + 1 + len(text) <= _WIDTH:
        return [f"{head} {text}"]
    if _stands_in_lines(text):
        rest = text.rstrip("\n")
        ends = len(text) - len(rest)
        keep = "-" if ends == 0 else "" if ends == 1 else "+"
        lines = [f"{indent}{line}" if line else "" for line in rest.split("\n")]
        return [f"{head} |{keep}", *lines, *[""] * max(0, ends - 1)]
    line = f"{head} {quoted(text)}"
    if _may_be_folded(text) and (len(line) > _WIDTH or '"' in text or "\\" in text):
        return [f"{head} >-", *_folded(text, indent)]
    return [line]


def _stands_in_lines(text: str) -> bool:
    """Whether it is several lines that a block can hold as they are."""
    lines = text.rstrip("\n").split("\n")
    return (
        len(lines) > 1
        and bool(lines[0])
        and not lines[0].startswith(" ")
        and all(line.isprintable() for line in lines)
        and not any(line and not line.strip() for line in lines)
    )


def _may_be_folded(text: str) -> bool:
    """Whether it is one long line whose single blanks may become ends of lines."""
    return (
        len(text) > _WIDTH // 2
        and text.isprintable()
        and text == text.strip(" ")
        and "  " not in text
        and text[0] not in "\ufeff"
    )


def _folded(text: str, indent: str) -> list[str]:
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        if line and len(indent) + len(line) + 1 + len(word) > _WIDTH:
            lines.append(indent + line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, indent + line]


def _inline(text: str) -> str:
    """A text within a list or as a key."""
    plain = _SIMPLE.fullmatch(text.replace("'", "")) is not None and is_plain(text)
    return text if plain else quoted(text)


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    point = ord(character)
    return f"\\u{point:04x}" if point <= 0xFFFF else f"\\U{point:08x}"
