"""The record of merges of a workspace: who, when, why, and whether it was taken back; and what became of orders."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from core.events.columns import Identifier


@dataclass(frozen=True, slots=True)
class Undone:
    """A merge was taken back: asked for at `at_us` by `asked_by` for `reason`, at `position` of ingest's log."""

    at_us: int
    position: int
    asked_by: str
    reason: str


@dataclass(frozen=True, slots=True)
class MergeRecord:
    """Merge number `ordinal` of the workspace: contact `loser` became part of `survivor`, as a fact of `at_us`, at
    `position` of ingest's log, named both by `evidence`. Keys are the public ids of the two."""

    ordinal: int
    survivor: int
    loser: int
    survivor_key: str
    loser_key: str
    at_us: int
    position: int
    evidence: tuple[Identifier, ...]
    undone: Undone | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an order to change state: done when `reason` is empty, else why not. A separation that was done
    names the two contacts."""

    reason: str = ""
    detail: str = ""
    survivor: int = 0
    restored: int = 0


def encode_merge(record: MergeRecord) -> bytes:
    """JSON with sorted keys."""
    return json.dumps({"v": 1, **asdict(record)}, sort_keys=True, separators=(",", ":")).encode()


def decode_merge(raw: bytes) -> MergeRecord:
    """The inverse. Raises ValueError for bytes of another version."""
    plain = json.loads(raw)
    version = plain.pop("v")
    if version != 1:
        raise ValueError(f"a record of a merge of format {version}, this release reads 1")
    undone = plain.pop("undone")
    evidence = tuple(Identifier(**one) for one in plain.pop("evidence"))
    return MergeRecord(**plain, evidence=evidence, undone=None if undone is None else Undone(**undone))


def encode_outcome(outcome: Outcome) -> bytes:
    """JSON with sorted keys."""
    return json.dumps(asdict(outcome), sort_keys=True, separators=(",", ":")).encode()


def decode_outcome(raw: bytes) -> Outcome:
    """The inverse."""
    return Outcome(**json.loads(raw))
