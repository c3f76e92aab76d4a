"""The golden files: what stands in them, and what the code says now. One command writes them anew:

    .venv/bin/python -m tests.golden.query.cases

`texts.txt`, `errors.txt` and `rules.txt` hold cases between lines of `---`; `=>` stands before what is expected of the
text above. `rules.json` has the protobuf form and the plan of every rule of `rules.txt`, in its order.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict

from core.errors import CdpError
from core.index.root import Root
from core.query.binding.bind import bind
from core.query.plan import planned
from core.query.text.format import format_rule
from core.query.text.parse import parse
from services.segment_engine.convert_rule import rule_to_proto
from tests.golden.query.base import ARGUMENTS, AS_OF_US, golden_root
from tests.golden.query.workspace import WORKSPACE

HERE = Path(__file__).parent


def cases(file: str) -> list[tuple[str, str]]:
    """(text, expected) of every case of the file."""
    blocks = (HERE / file).read_text(encoding="utf-8").removesuffix("\n").split("\n---\n")
    pairs = [block.partition("\n=>\n") for block in blocks]
    return [(text, expected) for text, _, expected in pairs]


def protobufs() -> list[dict[str, Any]]:
    """What `rules.json` holds of every rule: {"rule": canonical text, "protobuf": its protobuf form as JSON, "plan":
    the steps of its evaluation in the golden base (base.py)}."""
    read: list[dict[str, Any]] = json.loads((HERE / "rules.json").read_text(encoding="utf-8"))
    return read


def canonical(text: str) -> str:
    """The canonical form of a text."""
    return format_rule(parse(text))


def mistake(text: str) -> str:
    """The reason and the message with which a text is refused. Raises AssertionError for one that is not."""
    try:
        bind(parse(text), WORKSPACE)
    except CdpError as error:
        return f"{error.reason} {error.message}"
    raise AssertionError(f"not refused: {text}")


def protobuf(text: str) -> dict[str, Any]:
    """The entry of a rule in `rules.json`."""
    form: dict[str, Any] = MessageToDict(rule_to_proto(parse(text)), preserving_proto_field_name=True)
    return {"rule": canonical(text), "protobuf": form}


def plan(text: str, root: Root) -> list[str]:
    """What is done to find the members of a rule in the golden base, step by step: whom it asks, what it expects and
    what it finds."""
    bound = bind(parse(text), WORKSPACE)
    arguments = {name: ARGUMENTS[kind] for name, kind in bound.parameters.items()}
    members, found = planned(bound, root, AS_OF_US, arguments, texts=True)
    lines = [f"{len(members)} members"]
    for step in found.steps:
        asked = "everyone" if step.asked is None else f"the {step.asked} left"
        sought = f"not ({step.text})" if step.negated else step.text
        expected = step.expected
        numbers = f"expects {expected.least} to {expected.most}, perhaps {expected.expected}; finds {step.actual}"
        lines.append(f"node {step.node}, {asked}: {sought}: {numbers}")
    return lines


def _write() -> None:
    for file, says in (("texts.txt", canonical), ("errors.txt", mistake), ("rules.txt", canonical)):
        blocks = [f"{text}\n=>\n{says(text)}" for text, _ in cases(file)]
        (HERE / file).write_text("\n---\n".join(blocks) + "\n", encoding="utf-8")
    root = golden_root()
    forms = [{**protobuf(text), "plan": plan(text, root)} for text, _ in cases("rules.txt")]
    (HERE / "rules.json").write_text(json.dumps(forms, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    _write()
