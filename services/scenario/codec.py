"""Runs as bytes for the state tables, and in memory while they wait.

Version 2: a head of fixed size (`_HEAD`), the scenario's name, and the rest as JSON in which what is empty, or as in
every run, is left out. The head alone says what lists of runs need. Version 1 was JSON throughout; it is read for good.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from sys import intern
from typing import Any

from core.scenario.run import OWN_VALUES, Run, State, Step
from core.schema import DecimalUnits, Instant, Scalar

_VERSION = 2
#: Version, start, contact, run id, due instant, whether it waits for nothing else, the scenario's version, and how many
#: bytes its name has.
_HEAD = struct.Struct("<BqI16sq?IH")
_HEX_ID = re.compile(r"[0-9a-f]{32}")
#: Fields of a run that are left out where they are so, and their short names. Never reuse a name.
_PLAIN: tuple[tuple[str, str, object], ...] = (
    ("key", "k", ""),
    ("trigger_id", "t", ""),
    ("trigger_at_us", "ta", 0),
    ("described_at_us", "da", 0),
    ("upstream_position", "up", 0),
    ("block", "b", ""),
    ("check_position", "cp", 0),
    ("message_id", "m", ""),
    ("end_reason", "er", ""),
    ("ended_at_us", "ea", 0),
    ("part", "p", None),
    ("entered_at_us", "en", 0),
    ("due_local", "dl", ""),
    ("ask_position", "ap", 0),
    ("min_position", "mp", 0),
)


@dataclass(frozen=True, slots=True)
class EndedRow:
    """What is kept in memory of a run that ended. `contact` is whose it is after all merges; `counts` says whether it
    was a run in the sense of "once"; `part` is that of the run. `ended_at_us` 0: it was not written down yet then."""

    scenario: str
    contact: int
    key: str
    started_at_us: int
    counts: bool
    part: int | None = None
    ended_at_us: int = 0


@dataclass(frozen=True, slots=True)
class Head:
    """What can be said of a stored run without reading it. `waits`: it stands still until `due_at_us`, and nothing is
    to be asked before, nor to be counted anew after a restart."""

    started_at_us: int
    contact: int
    scenario: str
    version: int
    due_at_us: int
    waits: bool

    @staticmethod
    def of(run: Run) -> Head:
        """The head of a run."""
        waits = run.state is State.WAITING and not run.check_position and not run.due_local
        return Head(run.started_at_us, run.contact, run.scenario, run.version, run.due_at_us, waits)


def encode_run(run: Run) -> bytes:
    """A run in full, but for what is asked anew after a restart."""
    fields: dict[str, Any] = {}
    for name, short, default in _PLAIN:
        value = getattr(run, name)
        if value != default:
            fields[short] = value
    if run.described_at_us == run.trigger_at_us:
        fields.pop("da", None)
    else:
        fields["da"] = run.described_at_us
    if run.state is not State.RUNNING:
        fields["s"] = run.state.value
    values = {name: _tagged(value) for name, value in run.values.items() if name not in OWN_VALUES}
    if values:
        fields["v"] = values
    if run.items:
        fields["i"] = [_object(item) for item in run.items]
    if run.steps:
        fields["st"] = [[step.block, step.at_us, step.outcome, step.position] for step in run.steps]
    if run.early:
        fields["e"] = [[block, _object(brought)] for block, brought in run.early]
    raw_id = bytes(16)
    if _HEX_ID.fullmatch(run.run_id):
        raw_id = bytes.fromhex(run.run_id)
    else:
        fields["id"] = run.run_id
    head, scenario = Head.of(run), run.scenario.encode()
    packed = _HEAD.pack(
        _VERSION, run.started_at_us, run.contact, raw_id, run.due_at_us, head.waits, run.version, len(scenario)
    )
    return packed + scenario + json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def decode_run(stored: bytes) -> Run:
    """The run that `encode_run` wrote, in this version or an earlier one. Raises ValueError for another."""
    if stored[:1] == b"{":
        return _decode_first(stored)
    head = _head(stored)
    fields = json.loads(stored[_HEAD.size + head[-1] :])
    plain = {name: fields.get(short, default) for name, short, default in _PLAIN}
    if "da" not in fields:
        plain["described_at_us"] = plain["trigger_at_us"]
    plain["block"] = intern(plain["block"])
    return Run(
        run_id=fields.get("id") or head[3].hex(),
        scenario=_scenario(stored, head[-1]),
        version=head[6],
        contact=head[2],
        started_at_us=head[1],
        due_at_us=head[4],
        state=State(fields.get("s", State.RUNNING)),
        values=_scalars(fields.get("v", {})),
        items=tuple(_scalars(item) for item in fields.get("i", ())),
        steps=tuple(Step(*step) for step in fields.get("st", ())),
        early=tuple((block, _scalars(brought)) for block, brought in fields.get("e", ())),
        **plain,
    )


def head_of(stored: bytes) -> Head:
    """The head of a run that `encode_run` wrote in this version."""
    head = _head(stored)
    return Head(head[1], head[2], _scenario(stored, head[-1]), head[6], head[4], head[5])


def is_current(stored: bytes) -> bool:
    """Whether `encode_run` of this version wrote it."""
    return stored[:1] == bytes((_VERSION,))


def _head(stored: bytes) -> tuple[Any, ...]:
    head = _HEAD.unpack_from(stored)
    if head[0] != _VERSION:
        raise ValueError("a run stored by another version")
    return head


def _scenario(stored: bytes, length: int) -> str:
    return intern(stored[_HEAD.size : _HEAD.size + length].decode())


def _decode_first(stored: bytes) -> Run:
    fields = json.loads(stored)
    if fields.pop("v") != 1:
        raise ValueError("a run stored by another version")
    fields["values"] = _scalars(fields["values"])
    fields["items"] = tuple(_scalars(item) for item in fields["items"])
    fields["state"] = State(fields["state"])
    fields["steps"] = tuple(Step(*step) for step in fields["steps"])
    return Run(**fields)


def encode_ended(row: EndedRow) -> bytes:
    """The row of a run that ended."""
    fields = [row.scenario, row.contact, row.key, row.started_at_us, row.counts, row.part, row.ended_at_us]
    return json.dumps(fields).encode()


def decode_ended(stored: bytes) -> EndedRow:
    """The row that `encode_ended` wrote, in this version or an earlier one."""
    return EndedRow(*json.loads(stored))


def _object(values: Mapping[str, Scalar]) -> dict[str, Any]:
    return {name: _tagged(value) for name, value in values.items()}


def _tagged(value: Scalar) -> object:
    """JSON's own kinds as they are, the others as {tag: number or text}."""
    match value:
        case DecimalUnits(units):
            return {"decimal": units}
        case Instant(us):
            return {"instant": us}
        case date():
            return {"date": value.isoformat()}
        case _:
            return value


def _scalars(fields: Mapping[str, Any]) -> dict[str, Scalar]:
    return {name: _scalar(value) for name, value in fields.items()}


def _scalar(value: Any) -> Scalar:
    match value:
        case {"decimal": units}:
            return DecimalUnits(units)
        case {"instant": us}:
            return Instant(us)
        case {"date": text}:
            return date.fromisoformat(text)
        case str() | bool() | int():
            return value
    raise ValueError(f"no scalar: {value!r}")
