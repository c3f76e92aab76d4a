"""One feed's items as they were last applied, the changes that wait for it, and the refused items: one SQLite file.

The file is bulk that can be told again: what a feed is, and how far a run got, stands in the log's state. Lost, the
next import tells every product once more, without changes, because nobody can compare.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from core.catalog.changes import Standing
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)

#: Of the file; format 1 is brought up to it, another one is made anew.
FORMAT = 2
_CACHE_KIB = 32 << 10
_BUSY_MS = 30_000
_SCHEMA = """
CREATE TABLE items (
  id TEXT NOT NULL UNIQUE, digest BLOB NOT NULL, stock INTEGER, price INTEGER, sale_price INTEGER,
  product BLOB NOT NULL, told_us INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE staged (
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, digest BLOB NOT NULL, stock INTEGER, price INTEGER,
  sale_price INTEGER, product BLOB NOT NULL, changes BLOB NOT NULL, kind INTEGER NOT NULL
);
CREATE TABLE rejected (
  seq INTEGER PRIMARY KEY, number INTEGER NOT NULL, line INTEGER NOT NULL, id TEXT NOT NULL, reason TEXT NOT NULL,
  description TEXT NOT NULL
);
CREATE TABLE facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""
#: Kinds of staged rows. One that is handed over leaves this feed, and is told as another feed tells it.
NEW, CHANGED, REMOVED, HANDED_OVER = 1, 2, 3, 4
_STAGED_RUN, _APPLIED_RUN, _SHARED_RUN = "staged_run", "applied_run", "shared_run"


class Known(NamedTuple):
    """An item as it was last applied; `place` is its row."""

    place: int
    digest: bytes
    standing: Standing


class Staged(NamedTuple):
    """A change to be applied: `product` is a serialised cdp.facts.v1.Product, `changes` one with its changes alone."""

    product_id: str
    digest: bytes
    standing: Standing
    product: bytes
    changes: bytes
    kind: int


class Told(NamedTuple):
    """An item as its feed told it at `at_us` (0: an earlier release did not keep it); `product` is serialised."""

    at_us: int
    standing: Standing
    product: bytes


class Rejected(NamedTuple):
    """A refused item of the newest run."""

    number: int
    line: int
    product_id: str
    reason: str
    description: str


class FeedStore:
    """A connection to the file; use it in one thread at a time. Readers and one writer do not wait for each other."""

    def __init__(self, path: Path) -> None:
        """Open or make the file. One of another format is emptied, one that is no SQLite is put aside."""
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._open(path)
        except sqlite3.OperationalError:
            raise  # a full disk, a lock: the file itself may be sound
        except sqlite3.DatabaseError as error:
            _LOG.error("feed store put aside, it cannot be read", file=path.name, error=str(error))
            self._db.close()
            path.replace(path.with_suffix(".broken"))
            self._open(path)

    def _open(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=_BUSY_MS / 1000)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        if self._one("PRAGMA user_version") == 1:
            self._bring_up()
        if self._one("PRAGMA user_version") != FORMAT:
            self._make()

    def close(self) -> None:
        """Let the file go."""
        self._db.close()

    def count(self) -> int:
        """Items that were applied."""
        return self._one("SELECT count(*) FROM items")

    def last_place(self) -> int:
        """The largest row of an item; 0 without items."""
        return self._one("SELECT coalesce(max(rowid), 0) FROM items")

    @property
    def staged_run(self) -> int:
        """The run whose changes are staged whole; 0: none."""
        return self._fact(_STAGED_RUN)

    @property
    def applied_run(self) -> int:
        """The last run whose changes are among the items; 0: none."""
        return self._fact(_APPLIED_RUN)

    @property
    def shared_run(self) -> int:
        """The run that is being applied, whose removals were held against the other feeds; 0: none."""
        return self._fact(_SHARED_RUN)

    # --- staging ----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Forget what was staged and refused, and begin to stage."""
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute("DELETE FROM staged")
        self._db.execute("DELETE FROM rejected")
        self._put_fact(_STAGED_RUN, 0)
        self._put_fact(_SHARED_RUN, 0)

    def staged_whole(self, run: int) -> None:
        """End the staging of `run`: all of it is durable, or nothing."""
        self._put_fact(_STAGED_RUN, run)
        self._db.execute("COMMIT")

    def known(self, product_ids: Sequence[str]) -> dict[str, Known]:
        """Those of the products that were applied before."""
        marks = ",".join("?" * len(product_ids))
        rows = self._db.execute(
            f"SELECT id, rowid, digest, stock, price, sale_price FROM items WHERE id IN ({marks})", product_ids
        )
        return {row[0]: Known(row[1], row[2], Standing(row[3], row[4], row[5])) for row in rows}

    def already_staged(self, product_ids: Sequence[str]) -> set[str]:
        """Those of the products that have a staged row."""
        marks = ",".join("?" * len(product_ids))
        return {row[0] for row in self._db.execute(f"SELECT id FROM staged WHERE id IN ({marks})", product_ids)}

    def unstage(self, product_ids: Iterable[str]) -> None:
        """Take staged rows back."""
        self._db.executemany("DELETE FROM staged WHERE id = ?", ((one,) for one in product_ids))

    def stage(self, rows: Iterable[Staged]) -> None:
        """Add changes; none of their products may have a staged row."""
        self._db.executemany(
            "INSERT INTO staged (id, digest, stock, price, sale_price, product, changes, kind) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            ((one.product_id, one.digest, *_numbers(one.standing), one.product, one.changes, one.kind) for one in rows),
        )

    def reject(self, rows: Iterable[Rejected]) -> None:
        """Add refused items."""
        self._db.executemany("INSERT INTO rejected (number, line, id, reason, description) VALUES (?,?,?,?,?)", rows)

    def items_after(self, place: int, limit: int) -> list[tuple[int, str]]:
        """(row, product id) of items beyond a row, in the order of rows."""
        found = self._db.execute("SELECT rowid, id FROM items WHERE rowid > ? ORDER BY rowid LIMIT ?", (place, limit))
        return [(row[0], row[1]) for row in found]

    def staged_counts(self) -> dict[int, int]:
        """Staged rows by kind."""
        return dict(self._db.execute("SELECT kind, count(*) FROM staged GROUP BY kind").fetchall())

    # --- applying ---------------------------------------------------------------------------------------------

    def staged_after(self, seq: int, limit: int) -> list[tuple[int, bytes, bytes]]:
        """(number, product, changes) of staged rows beyond a number, in order."""
        return self._db.execute(
            "SELECT seq, product, changes FROM staged WHERE seq > ? ORDER BY seq LIMIT ?", (seq, limit)
        ).fetchall()

    def removed_after(self, seq: int, limit: int) -> list[tuple[int, str, Told]]:
        """(number, product id, the item as it was told last) of staged removals beyond a number, in order."""
        rows = self._db.execute(
            "SELECT staged.seq, id, told_us, items.stock, items.price, items.sale_price, items.product "
            "FROM staged JOIN items USING (id) WHERE staged.seq > ? AND kind = ? ORDER BY staged.seq LIMIT ?",
            (seq, REMOVED, limit),
        )
        return [(row[0], row[1], Told(row[2], Standing(*row[3:6]), row[6])) for row in rows]

    def told(self, product_ids: Sequence[str]) -> dict[str, Told]:
        """Those of the products that this feed tells."""
        marks = ",".join("?" * len(product_ids))
        rows = self._db.execute(
            f"SELECT id, told_us, stock, price, sale_price, product FROM items WHERE id IN ({marks})", product_ids
        )
        return {row[0]: Told(row[1], Standing(*row[2:5]), row[5]) for row in rows}

    def hand_over(self, run: int, rows: Iterable[tuple[int, bytes, bytes]]) -> None:
        """Make staged removals (number, product, changes) the word of other feeds, in one step, and keep that the
        removals of `run` were held against them."""
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany(
            "UPDATE staged SET product = ?, changes = ?, kind = ? WHERE seq = ?",
            ((product, changes, HANDED_OVER, seq) for seq, product, changes in rows),
        )
        self._put_fact(_SHARED_RUN, run)
        self._db.execute("COMMIT")

    def forget(self, product_ids: Iterable[str]) -> None:
        """Take items out that nobody tells any more."""
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("DELETE FROM items WHERE id = ?", ((one,) for one in product_ids))
        self._db.execute("COMMIT")

    def settle(self, run: int, told_us: int) -> None:
        """What is staged is in the log, told at `told_us`: make it the items, in one step."""
        gone = (REMOVED, HANDED_OVER)
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute("DELETE FROM items WHERE id IN (SELECT id FROM staged WHERE kind IN (?, ?))", gone)
        self._db.execute(
            "INSERT INTO items (id, digest, stock, price, sale_price, product, told_us) SELECT id, digest, stock, "
            "price, sale_price, product, ? FROM staged WHERE kind NOT IN (?, ?) ON CONFLICT (id) DO UPDATE SET "
            "digest = excluded.digest, stock = excluded.stock, price = excluded.price, "
            "sale_price = excluded.sale_price, product = excluded.product, told_us = excluded.told_us",
            (told_us, *gone),
        )
        self._db.execute("DELETE FROM staged")
        self._put_fact(_STAGED_RUN, 0)
        self._put_fact(_SHARED_RUN, 0)
        self._put_fact(_APPLIED_RUN, run)
        self._db.execute("COMMIT")

    def drop_staged(self) -> None:
        """Forget what is staged; the report of refused items stays."""
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute("DELETE FROM staged")
        self._put_fact(_STAGED_RUN, 0)
        self._db.execute("COMMIT")

    # --- reading ----------------------------------------------------------------------------------------------

    def products_after(self, product_id: str, limit: int) -> list[tuple[str, bytes]]:
        """(id, serialised product) beyond an id, by id."""
        return self._db.execute(
            "SELECT id, product FROM items WHERE id > ? ORDER BY id LIMIT ?", (product_id, limit)
        ).fetchall()

    def rejected_after(self, seq: int, limit: int) -> list[tuple[int, Rejected]]:
        """Refused items beyond a number, in the order of the file."""
        rows = self._db.execute(
            "SELECT seq, number, line, id, reason, description FROM rejected WHERE seq > ? ORDER BY seq LIMIT ?",
            (seq, limit),
        )
        return [(row[0], Rejected(*row[1:])) for row in rows]

    def all_rejected(self, part: int) -> Iterator[list[tuple[int, Rejected]]]:
        """All refused items, `part` at a time."""
        after = 0
        while rows := self.rejected_after(after, part):
            yield rows
            after = rows[-1][0]

    def _make(self) -> None:
        for (name,) in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            self._db.execute(f'DROP TABLE "{name}"')
        self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT;")

    def _bring_up(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        # Another connection may have done it while this one waited.
        if self._one("PRAGMA user_version") == 1:
            self._db.execute("ALTER TABLE items ADD COLUMN told_us INTEGER NOT NULL DEFAULT 0")
            self._db.execute(f"PRAGMA user_version = {FORMAT}")
        self._db.execute("COMMIT")

    def _one(self, query: str) -> int:
        return int(self._db.execute(query).fetchone()[0])

    def _fact(self, name: str) -> int:
        row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return 0 if row is None else int(row[0])

    def _put_fact(self, name: str, value: int) -> None:
        self._db.execute("INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)", (name, value))


def _numbers(standing: Standing) -> tuple[int | None, int | None, int | None]:
    return standing.stock, standing.price, standing.sale_price
