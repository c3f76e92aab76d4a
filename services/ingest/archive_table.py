"""Log entries as Arrow tables: columns to columns, no value is touched by Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cdp.facts.v1 import facts_pb2
from core.eventlog.protocol import Entry
from core.events.columns import IMPORTED, MACHINE
from core.schema import Kind

Batches = Sequence[tuple[Entry, facts_pb2.AcceptedBatch]]

_INSTANT = pa.timestamp("us", tz="UTC")
_TEXTS = frozenset((int(Kind.TEXT), int(Kind.TEXT_LIST)))


@dataclass(slots=True)
class _Params:
    """Parameter columns of many batches, moved to common rows and texts."""

    names: dict[str, int] = field(default_factory=dict)
    rows: list[NDArray[np.int64]] = field(default_factory=list)
    codes: list[NDArray[np.int64]] = field(default_factory=list)
    kinds: list[NDArray[np.uint8]] = field(default_factory=list)
    values: list[NDArray[np.int64]] = field(default_factory=list)

    def add(self, columns: Sequence[facts_pb2.ParamColumn], row_base: int, text_base: int) -> None:
        for column in columns:
            rows = np.frombuffer(column.rows, np.uint32).astype(np.int64) + row_base
            values = np.frombuffer(column.values, np.int64)
            self.rows.append(rows)
            self.values.append(values + text_base if int(column.kind) in _TEXTS else values)
            self.codes.append(np.full(len(rows), self.names.setdefault(column.name, len(self.names)), np.int64))
            self.kinds.append(np.full(len(rows), column.kind, np.uint8))

    def maps(self, count: int, texts: Any) -> Any:
        """`count` maps of name -> {kind, number, text}, one a row."""
        rows = _joined(self.rows, np.int64)
        order = np.argsort(rows, kind="stable")
        codes, kinds, values = (
            _joined(self.codes, np.int64)[order],
            _joined(self.kinds, np.uint8)[order],
            _joined(self.values, np.int64)[order],
        )
        is_text = np.isin(kinds, list(_TEXTS))
        number = _array(values, pa.int64(), mask=is_text)
        text = texts.take(_array(values, pa.int64(), mask=~is_text))
        value = pa.StructArray.from_arrays([_array(kinds), number, text], names=["kind", "number", "text"])
        name = _array(list(self.names), pa.string()).take(_array(codes))
        maps: Any = pa.MapArray
        return maps.from_arrays(_offsets(np.bincount(rows, minlength=count)), name, value)


def events_table(batches: Batches) -> pa.Table:
    """All events of `batches` in log order; see services.ingest.archive for the columns. May be empty."""
    ids: list[str] = []
    texts: list[str] = []
    identifier_kinds: list[str] = []
    identifier_values: list[str] = []
    identifier_codes: list[NDArray[np.int64]] = []
    counts: list[int] = []
    item_counts: list[NDArray[np.int64]] = []
    identifier_counts: list[NDArray[np.int64]] = []
    types: list[NDArray[np.int64]] = []
    params, item_params, items = _Params(), _Params(), 0
    for _, batch in batches:
        events, n = batch.events, len(batch.events.ids)
        params.add(events.params, len(ids), len(texts))
        item_params.add(events.item_params, items, len(texts))
        types.append(np.frombuffer(events.types, np.uint32).astype(np.int64) + len(texts))
        item_counts.append(_counts(events.item_offsets, n))
        identifier_counts.append(_counts(events.identifier_offsets, n))
        codes = np.frombuffer(events.identifier_kind_codes, np.uint8).astype(np.int64)
        identifier_codes.append(codes + len(identifier_kinds))
        identifier_kinds += events.identifier_kinds
        identifier_values += events.identifier_values
        items += int(item_counts[-1].sum())
        counts.append(n)
        texts += events.strings
        ids += events.ids
    text_array = _array(texts, pa.string())
    flags = _column(batches, lambda events: events.flags, np.uint8)
    who = pa.StructArray.from_arrays(
        [
            _array(identifier_kinds, pa.string()).take(_array(_joined(identifier_codes, np.int64))),
            _array(identifier_values, pa.string()),
        ],
        names=["kind", "value"],
    )
    recorded = np.repeat(np.array([entry.recorded_at_us for entry, _ in batches], np.int64), counts)
    return pa.table(
        {
            "position": _array(np.repeat(np.array([entry.position for entry, _ in batches], np.uint64), counts)),
            "recorded_at": _array(recorded).cast(_INSTANT),
            "id": _array(ids, pa.string()),
            "type": text_array.take(_array(_joined(types, np.int64))),
            "occurred_at": _array(_column(batches, lambda e: e.occurred_at_us, np.int64)).cast(_INSTANT),
            "received_at": _array(_column(batches, lambda e: e.received_at_us, np.int64)).cast(_INSTANT),
            "imported": _array((flags & IMPORTED) != 0),
            "machine": _array((flags & MACHINE) != 0),
            "identifiers": pa.ListArray.from_arrays(_offsets(_joined(identifier_counts, np.int64)), who),
            "params": params.maps(len(ids), text_array),
            "items": pa.ListArray.from_arrays(
                _offsets(_joined(item_counts, np.int64)), item_params.maps(items, text_array)
            ),
        }
    )


def facts_table(batches: Batches) -> pa.Table:
    """What `batches` tell of people and products: position, before_event (how many of the entry's events precede),
    id, occurred_at, received_at, imported, and the serialised cdp.facts.v1.AcceptedFact. Mostly empty."""
    facts = [(entry.position, fact) for entry, batch in batches for fact in batch.facts]
    return pa.table(
        {
            "position": _array([position for position, _ in facts], pa.uint64()),
            "before_event": _array([fact.before_event for _, fact in facts], pa.uint32()),
            "id": _array([fact.id for _, fact in facts], pa.string()),
            "occurred_at": _array([fact.occurred_at_us for _, fact in facts], pa.int64()).cast(_INSTANT),
            "received_at": _array([fact.received_at_us for _, fact in facts], pa.int64()).cast(_INSTANT),
            "imported": _array([fact.imported for _, fact in facts], pa.bool_()),
            "fact": _array([fact.SerializeToString() for _, fact in facts], pa.binary()),
        }
    )


def read_batches(entries: Sequence[Entry]) -> tuple[Batches, pa.Table, pa.Table | None]:
    """Entries as batches, the table of their events; and a table of those that are no batch (position, recorded_at,
    cause, payload), None where all are: one of them must not stop all that come after it."""
    try:
        batches = [(one, facts_pb2.AcceptedBatch.FromString(one.payload)) for one in entries]
        return batches, events_table(batches), None
    except Exception:  # noqa: BLE001 - whatever the bytes raise; below it is found out whose they are
        batches = []
    broken: list[tuple[Entry, str]] = []
    for one in entries:
        try:
            batch = facts_pb2.AcceptedBatch.FromString(one.payload)
            events_table([(one, batch)])
        except Exception as error:  # noqa: BLE001 - kept with its cause
            broken.append((one, f"{type(error).__name__}: {error}"))
        else:
            batches.append((one, batch))
    return batches, events_table(batches), _unreadable_table(broken)


def _unreadable_table(entries: Sequence[tuple[Entry, str]]) -> pa.Table:
    return pa.table(
        {
            "position": _array([entry.position for entry, _ in entries], pa.uint64()),
            "recorded_at": _array([entry.recorded_at_us for entry, _ in entries], pa.int64()).cast(_INSTANT),
            "cause": _array([cause for _, cause in entries], pa.string()),
            "payload": _array([entry.payload for entry, _ in entries], pa.binary()),
        }
    )


def _array(values: object, kind: object = None, mask: object = None) -> Any:
    # The stubs of pyarrow take the shape of the first overload; Arrow checks types itself.
    make: Any = pa.array
    return make(values, kind, mask=mask)


def _column(
    batches: Batches, data: Callable[[facts_pb2.EventColumns], bytes], dtype: type[np.generic]
) -> NDArray[np.int64]:
    return np.frombuffer(b"".join([data(batch.events) for _, batch in batches]), dtype)


def _counts(offsets: bytes, n: int) -> NDArray[np.int64]:
    if not offsets:
        return np.zeros(n, np.int64)
    ends = np.frombuffer(offsets, np.uint32).astype(np.int64)
    return ends[1:] - ends[:-1]


def _offsets(counts: NDArray[np.int64]) -> Any:
    return _array(np.concatenate((np.zeros(1, np.int64), np.cumsum(counts))).astype(np.int32))


def _joined(parts: list[NDArray[np.int64]] | list[NDArray[np.uint8]], dtype: type[np.generic]) -> NDArray[np.int64]:
    return np.concatenate(parts) if parts else np.zeros(0, dtype)
