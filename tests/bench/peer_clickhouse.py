"""ClickHouse inside this process (chdb) as a peer: MergeTree ordered by type and time, every thread."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from chdb import session
from numpy.typing import NDArray

from tests.bench.arrow import contacts_table, events_table
from tests.bench.engine import Answer, At, Constants, Form, Money
from tests.bench.workload import EVENT_TYPES, TEXT_ATTRIBUTES, Contacts, Events


class ClickHouse:
    """Texts of few values are LowCardinality, types an Enum8, money counts cents in UInt32, which is exact and the
    fastest; saved segments are groupBitmap states."""

    name = "ClickHouse"

    def __init__(self, folder: Path) -> None:
        # The package has no types.
        make: Any = session.Session
        self._session = make(str(folder / "clickhouse"))
        self.version = self._ask("SELECT version()")[0][0]
        texts = ", ".join(f"{name} LowCardinality(String)" for name in TEXT_ATTRIBUTES)
        types = ", ".join(f"'{name}' = {code}" for code, name in enumerate(EVENT_TYPES))
        self._tell(
            f"CREATE TABLE contacts (contact UInt32, {texts}, age UInt8, created DateTime64(6, 'UTC'))"
            " ENGINE = MergeTree ORDER BY contact"
        )
        self._tell(
            f"CREATE TABLE events (type Enum8({types}), ts DateTime64(6, 'UTC'), contact UInt32,"
            " category LowCardinality(String), price UInt32, id UUID) ENGINE = MergeTree ORDER BY (type, ts)"
        )
        self._tell(
            "CREATE TABLE saved (segment UInt8, members AggregateFunction(groupBitmap, UInt32))"
            " ENGINE = MergeTree ORDER BY segment"
        )

    def load_contacts(self, contacts: Contacts) -> None:
        """Fill the table of contacts."""
        texts = ", ".join(TEXT_ATTRIBUTES)
        created = "fromUnixTimestamp64Micro(created, 'UTC')"
        # chdb finds the table by the name of a variable of its caller.
        self._insert(
            f"INSERT INTO contacts SELECT contact, {texts}, age, {created} FROM Python(batch)", contacts_table(contacts)
        )

    def load_events(self, events: Events) -> None:
        """Append a batch."""
        columns = "type, fromUnixTimestamp64Micro(ts, 'UTC'), contact, category, price, reinterpretAsUUID(id)"
        self._insert(f"INSERT INTO events SELECT {columns} FROM Python(batch)", events_table(events, plain_ids=True))

    def loaded(self) -> None:
        """Everything is in: merge the parts into one, which is the best case for reading."""
        self._tell("OPTIMIZE TABLE events FINAL")
        self._tell("OPTIMIZE TABLE contacts FINAL")

    def save_segments(self, members: Sequence[NDArray[np.uint32]]) -> None:
        """Store sets as bitmaps; their numbers are 1, 2, 3 ..."""
        for number, one in enumerate(members, 1):
            table = pa.table({"contact": pa.array(one)})
            self._insert(
                f"INSERT INTO saved SELECT {number}, groupBitmapState(assumeNotNull(contact)) FROM Python(batch)", table
            )
        self._tell("OPTIMIZE TABLE saved FINAL")

    def run(self, template: str, constants: Constants) -> Answer:
        """See Peer."""
        return tuple(sorted(tuple(int(value) for value in row) for row in self._ask(_fill(template, constants))))

    def count(self, form: Form, constants: Constants) -> Answer:
        """See Peer."""
        return self.run(form.count or f"SELECT count() FROM ({form.sql})", constants)

    def members(self, form: Form, constants: Constants) -> Answer:
        """See Peer."""
        return self.run(f"SELECT count(), sum(contact), groupBitXor(contact) FROM ({form.sql})", constants)

    def close(self) -> None:
        """End the engine; its files may go then."""
        self._session.close()

    def _ask(self, sql: str) -> list[list[str]]:
        return list(csv.reader(io.StringIO(str(self._session.query(sql, "CSV")))))

    def _tell(self, sql: str) -> None:
        self._session.query(sql)

    def _insert(self, sql: str, batch: pa.Table) -> None:
        self._session.query(sql)


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _fill(template: str, constants: Constants) -> str:
    written: dict[str, str] = {}
    for name, value in constants.items():
        match value:
            case At():
                written[name] = f"fromUnixTimestamp64Micro({value.us}, 'UTC')"
            case str():
                written[name] = _text(value)
            case Money():
                written[name] = str(value.cents)
            case _:
                written[name] = str(value)
    return template.format(**written)
