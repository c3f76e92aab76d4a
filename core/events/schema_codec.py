"""The stored form of changes of a schema: JSON with a version, one entry of the schema's log for each change.

{"v": 1, "actor": "who", "action": "learned", "at_us": 1, "rows": [{"family": "attribute", "key": "shoe_size",
"kind": 2, ...}, {"base": "wholesale", ...}]}. What has its default is left out. A schema is the fold of its log.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.errors import CdpError, Code
from core.events.schema import Base, Definition, Family, Row
from core.schema import Kind

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Change:
    """One entry: who did what (learned, declared, renamed, retired, restored) to which rows, as they are after it."""

    actor: str
    action: str
    at_us: int
    rows: tuple[Row, ...]


def encode(change: Change) -> bytes:
    """The entry as stored; equal changes give equal bytes."""
    whole = {
        "v": _VERSION,
        "actor": change.actor,
        "action": change.action,
        "at_us": change.at_us,
        "rows": [_row(one) for one in change.rows],
    }
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()


def decode(payload: bytes) -> Change:
    """An entry of the log. Raises INTERNAL / SCHEMA_FORMAT for one that a later release wrote."""
    whole = json.loads(payload)
    if whole["v"] != _VERSION:
        raise CdpError(
            Code.INTERNAL, "SCHEMA_FORMAT", f"a schema of format {whole['v']}; this release reads {_VERSION}"
        )
    return Change(whole["actor"], whole["action"], whole["at_us"], tuple(_row_from(one) for one in whole["rows"]))


def _row(row: Row) -> dict[str, object]:
    if isinstance(row, Base):
        return {"base": row.id, "title": row.title, "since_us": row.since_us}
    told: dict[str, object] = {
        "family": row.family.value,
        "owner": row.owner,
        "key": row.key,
        "kind": None if row.kind is None else int(row.kind),
        "since_us": row.since_us,
        "declared": row.declared,
        "shown": row.shown,
        "others": list(row.others),
        "title": row.title,
        "of_base": row.base,
        "retired": row.retired,
    }
    return {name: value for name, value in told.items() if value or name == "since_us"}


def _row_from(told: Mapping[str, Any]) -> Row:
    if "base" in told:
        return Base(told["base"], told["title"], told["since_us"])
    kind = told.get("kind")
    others: Sequence[str] = told.get("others", ())
    return Definition(
        Family(told["family"]),
        told.get("owner", ""),
        told["key"],
        None if kind is None else Kind(kind),
        told["since_us"],
        told.get("declared", False),
        told.get("shown", ""),
        tuple(others),
        told.get("title", ""),
        told.get("of_base", ""),
        told.get("retired", False),
    )
