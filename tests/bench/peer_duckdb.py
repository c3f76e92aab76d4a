"""DuckDB as a peer: native tables in a file, one table per event type, in order of time, every thread."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from tests.bench.arrow import contacts_table, events_table
from tests.bench.engine import Answer, At, Constants, Form
from tests.bench.workload import CATEGORIES, EVENT_TYPES, PRODUCT_TYPES, TEXT_ATTRIBUTES, Contacts, Events


class DuckDb:
    """Texts of few values are ENUMs, money is DECIMAL(9, 2), instants are TIMESTAMPs, as an expert would have it."""

    name = "DuckDB"

    def __init__(self, folder: Path) -> None:
        self.version = duckdb.__version__
        self._connection = duckdb.connect(str(folder / "peer.duckdb"))
        self._connection.execute("SET enable_progress_bar = false")
        for name, values in {**TEXT_ATTRIBUTES, "category": CATEGORIES}.items():
            self._connection.execute(f"CREATE TYPE {name}_text AS ENUM ({', '.join(map(_text, values))})")
        columns = ", ".join(f"{name} {name}_text" for name in TEXT_ATTRIBUTES)
        self._connection.execute(
            f"CREATE TABLE contacts (contact UINTEGER, {columns}, age UTINYINT, created TIMESTAMP)"
        )
        for code, name in enumerate(EVENT_TYPES):
            product = ", category category_text, price DECIMAL(9, 2)" if code < PRODUCT_TYPES else ""
            self._connection.execute(f"CREATE TABLE {name} (ts TIMESTAMP, contact UINTEGER{product}, id UUID)")

    def load_contacts(self, contacts: Contacts) -> None:
        """Fill the table of contacts."""
        self._connection.register("batch", contacts_table(contacts))
        texts = ", ".join(f"{name}::{name}_text" for name in TEXT_ATTRIBUTES)
        self._connection.execute(
            f"INSERT INTO contacts SELECT contact, {texts}, age, make_timestamp(created) FROM batch"
        )
        self._connection.unregister("batch")

    def load_events(self, events: Events) -> None:
        """Append a batch, type by type."""
        self._connection.register("batch", events_table(events))
        for code, name in enumerate(EVENT_TYPES):
            cents = "(price::DECIMAL(9, 0) * 0.01)::DECIMAL(9, 2)"
            product = f", category::category_text, {cents}" if code < PRODUCT_TYPES else ""
            wanted = f"make_timestamp(ts), contact{product}, id"
            self._connection.execute(f"INSERT INTO {name} SELECT {wanted} FROM batch WHERE type = {_text(name)}")
        self._connection.unregister("batch")

    def loaded(self) -> None:
        """Everything is in: write it out, so that nothing is left to do beside the first question."""
        self._connection.execute("CHECKPOINT")

    def save_segments(self, members: Sequence[NDArray[np.uint32]]) -> None:
        """It has no stored bitmaps, and is not asked about saved segments."""

    def run(self, template: str, constants: Constants) -> Answer:
        """See Peer."""
        rows = self._connection.execute(_fill(template, constants)).fetchall()
        return tuple(sorted(tuple(int(value) for value in row) for row in rows))

    def count(self, form: Form, constants: Constants) -> Answer:
        """See Peer."""
        return self.run(form.count or f"SELECT count(*) FROM ({form.sql})", constants)

    def members(self, form: Form, constants: Constants) -> Answer:
        """See Peer."""
        wanted = "count(*), coalesce(sum(contact), 0), coalesce(bit_xor(contact), 0)"
        return self.run(f"SELECT {wanted} FROM ({form.sql})", constants)

    def close(self) -> None:
        """See Peer."""
        self._connection.close()


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _fill(template: str, constants: Constants) -> str:
    written: dict[str, str] = {}
    for name, value in constants.items():
        match value:
            case At():
                written[name] = f"make_timestamp({value.us})"
            case str():
                written[name] = _text(value)
            case _:
                written[name] = str(value)
    return template.format(**written)
