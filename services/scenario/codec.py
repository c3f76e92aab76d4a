"""Runs as bytes for the state tables: JSON, version 1."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from core.scenario.run import Run, State, Step
from core.schema import DecimalUnits, Instant, Scalar

_VERSION = 1


@dataclass(frozen=True, slots=True)
class EndedRow:
    """What is kept in memory of a run that ended. `contact` is whose it is after all merges; `counts` says whether it
    was a run in the sense of "once"; `part` is that of the run."""

    scenario: str
    contact: int
    key: str
    started_at_us: int
    counts: bool
    part: int | None = None


def encode_run(run: Run) -> bytes:
    """A run in full, but for what is asked anew after a restart."""
    fields = {
        "v": _VERSION,
        "run_id": run.run_id,
        "scenario": run.scenario,
        "version": run.version,
        "contact": run.contact,
        "key": run.key,
        "trigger_id": run.trigger_id,
        "trigger_at_us": run.trigger_at_us,
        "started_at_us": run.started_at_us,
        "values": _object(run.values),
        "items": [_object(item) for item in run.items],
        "described_at_us": run.described_at_us,
        "upstream_position": run.upstream_position,
        "state": run.state.value,
        "block": run.block,
        "due_at_us": run.due_at_us,
        "check_position": run.check_position,
        "message_id": run.message_id,
        "end_reason": run.end_reason,
        "ended_at_us": run.ended_at_us,
        "steps": [[step.block, step.at_us, step.outcome, step.position] for step in run.steps],
    }
    if run.part is not None:
        fields["part"] = run.part
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def decode_run(stored: bytes) -> Run:
    """The run that `encode_run` wrote. Raises ValueError for another version."""
    fields = json.loads(stored)
    if fields.pop("v") != _VERSION:
        raise ValueError("a run stored by another version")
    fields["values"] = _scalars(fields["values"])
    fields["items"] = tuple(_scalars(item) for item in fields["items"])
    fields["state"] = State(fields["state"])
    fields["steps"] = tuple(Step(*step) for step in fields["steps"])
    return Run(**fields)


def encode_ended(row: EndedRow) -> bytes:
    """The row of a run that ended."""
    fields = [row.scenario, row.contact, row.key, row.started_at_us, row.counts]
    return json.dumps(fields if row.part is None else [*fields, row.part]).encode()


def decode_ended(stored: bytes) -> EndedRow:
    """The row that `encode_ended` wrote."""
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
