"""Rows as the items that the door knows: events, persons, orders.

Each cell becomes the serialised message that holds it alone, and a row's item is these pieces put together, because
joined messages are their union. Pieces of values that come again are made once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from zoneinfo import ZoneInfo

from cdp.bulk.v1 import bulk_pb2 as pb
from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from core.events.canonical import event_type, snake_case
from core.events.checks import BAD_TEXT, BAD_TIME, Bad
from core.events.schema import Schema
from core.orders.ids import REFUND_ID
from core.schema import Kind
from services.ingest.bulk.cells import Reading, objects_of, texts_of, value_of
from services.ingest.bulk.consents import consent_state
from services.ingest.bulk.mapping import kind_in, target_of
from services.ingest.bulk.rows import Mark, Row
from services.ingest.bulk.times import instant_of
from services.ingest.feeds.encode import varint

Item = ingest_pb2.Event | ingest_pb2.Person | ingest_pb2.Order
Piece = bytes | Bad

_MOST_CACHED = 20_000
_MOST_TYPES = 1_000
#: Of what a consent came by, when a file tells it.
IMPORT_SOURCE = "import"


@dataclass(slots=True)
class Built:
    """An item and the rows that it is made of. `wrong`: the columns that could not be read, with why; then there is no
    item. Reading may go on at `after`."""

    item: Item | None
    wrong: list[tuple[str, Bad]]
    rows: list[Row]
    after: Mark


@dataclass(slots=True)
class Cell:
    """A column that is not left out: how its cells become pieces. `line`: of a line of an order."""

    place: int
    column: str
    family: str
    line: bool
    make: Callable[[object], Piece]
    empty: bytes | None = None
    #: What texts that were met became.
    known: dict[str, Piece] = field(default_factory=dict)

    def piece(self, cell: object) -> Piece | None:
        """The piece of a cell; None where it is missing."""
        if cell is None or cell == "":
            return self.empty
        if type(cell) is not str:
            return self.make(cell)
        found = self.known.get(cell)
        if found is None:
            if len(self.known) >= _MOST_CACHED:
                self.known.clear()
            found = self.known[cell] = self._made(cell)
        return found

    def _made(self, cell: str) -> Piece:
        try:
            return self.make(cell)
        except UnicodeEncodeError:
            return Bad(BAD_TEXT, "holds bytes that are not of the file's encoding")


class Builder:
    """Of one import. What has no time of its own happened at `told_at_us`; ids begin with `id_prefix`."""

    def __init__(self, spec: pb.ImportSpec, schema: Schema, told_at_us: int, id_prefix: str) -> None:
        """`spec` has all columns."""
        self._spec = spec
        self._schema = schema
        self._id_prefix = id_prefix
        self._zone = ZoneInfo(spec.zone)
        self._cells: dict[str, list[Cell]] = {}
        self._type_place = next((i for i, one in enumerate(spec.columns) if one.target == "type"), None)
        self._order_place = next((i for i, one in enumerate(spec.columns) if one.target == "order_id"), None)
        self._name_places = tuple(
            next((i for i, one in enumerate(spec.columns) if one.target == target), None)
            for target in ("status", f"param.{REFUND_ID}")
        )
        match spec.kind:
            case pb.IMPORT_KIND_EVENTS:
                always: Item = ingest_pb2.Event(
                    occurred_at_us=told_at_us, imported=True, type=event_type(spec.event_type)
                )
            case pb.IMPORT_KIND_ORDERS:
                status = spec.status or "completed"
                always = ingest_pb2.Order(occurred_at_us=told_at_us, imported=True, status=status)
            case _:
                always = ingest_pb2.Person(occurred_at_us=told_at_us, imported=True)
        self._always = always.SerializeToString()
        self._message: type[Item] = type(always)

    def use(self, schema: Schema) -> None:
        """Read what follows by the kinds of this schema."""
        if schema is not self._schema:
            self._schema = schema
            self._cells.clear()

    def column_of(self, path: str) -> str:
        """The column that the door speaks of, as far as its path names one; else the path."""
        name = path.rpartition(".")[2]
        family = "item" if ".items[" in path else "param" if ".params." in path else "attribute"
        wanted = {"event.occurred_at_us": "time", "person.occurred_at_us": "time", "order.occurred_at_us": "time"}
        wanted |= {"event.type": "type", "order.status": "status", "order.order_id": "order_id"}
        target = wanted.get(path, f"{family}.{name}")
        return next((one.column for one in self._spec.columns if one.target == target), path)

    def single(self, row: Row) -> Built:
        """The item of one row, of an import of contacts or events."""
        if row.wrong is not None:
            return Built(None, [("", row.wrong)], [row], row.after)
        name = ingest_pb2.Event(message_id=f"{self._id_prefix}{row.number}").SerializeToString()
        pieces, wrong = [self._always, name], []
        cells = row.cells
        for cell in self._cells_of(row):
            told = cells[cell.place]
            piece = cell.known.get(told) if type(told) is str else None  # a method call less for most cells
            if piece is None:
                piece = cell.piece(told)
            if isinstance(piece, bytes):
                pieces.append(piece)
            elif piece is not None:
                wrong.append((cell.column, piece))
        return Built(None if wrong else self._message.FromString(b"".join(pieces)), wrong, [row], row.after)

    def groups(self, rows: Iterator[Row]) -> Iterator[list[Row]]:
        """The rows of each order, in their order; a row that could not be taken apart is a group of its own."""
        group: list[Row] = []
        place = self._order_place
        for row in rows:
            if row.wrong is not None:
                if group:
                    yield group
                    group = []
                yield [row]
                continue
            if group and place is not None and (row.cells[place] != group[0].cells[place] or not row.cells[place]):
                yield group
                group = []
            group.append(row)
        if group:
            yield group

    def order_name(self, row: Row) -> str:
        """What tells an order of the file from the others: its id, its status, and the number of a return. Empty where
        the row tells no id."""
        if row.wrong is not None or self._order_place is None or row.cells[self._order_place] in (None, ""):
            return ""
        status, refund = ("" if place is None else _told(row.cells[place]) for place in self._name_places)
        kept = snake_case(status or self._spec.status or "completed")
        return f"{_told(row.cells[self._order_place])}\n{kept}\n{refund}"

    def order(self, group: list[Row]) -> Built:
        """The order of a group. What the rows tell of the order itself is the first one's word."""
        if group[0].wrong is not None:
            return Built(None, [("", group[0].wrong)], group, group[-1].after)
        pieces: list[bytes] = [self._always]
        wrong: list[tuple[str, Bad]] = []
        cells = self._cells_of(group[0])
        for row in group:
            line: list[bytes] = []
            for cell in cells:
                if not cell.line and row is not group[0]:
                    continue
                piece = cell.piece(row.cells[cell.place])
                if isinstance(piece, bytes):
                    (line if cell.line else pieces).append(piece)
                elif piece is not None:
                    shown = piece if len(group) == 1 else Bad(piece.reason, f"(row {row.number}) {piece.description}")
                    wrong.append((cell.column, shown))
            if line:
                whole = b"".join(line)
                pieces.append(_LINE + varint(len(whole)) + whole)
        item = None if wrong else ingest_pb2.Order.FromString(b"".join(pieces))
        return Built(item, wrong, group, group[-1].after)

    def _cells_of(self, row: Row) -> list[Cell]:
        told = "" if self._type_place is None else row.cells[self._type_place]
        name = told if isinstance(told, str) else ""
        found = self._cells.get(name)
        if found is None:
            if len(self._cells) >= _MOST_TYPES:
                self._cells.clear()
            found = self._cells[name] = self._made(event_type(name) if name else event_type(self._spec.event_type))
        return found

    def _made(self, type_: str) -> list[Cell]:
        found = []
        for place, column in enumerate(self._spec.columns):
            if not column.target:
                continue
            target = target_of(column.target)
            of_order = self._spec.kind == pb.IMPORT_KIND_ORDERS
            known = kind_in(self._schema, target, "order_completed" if of_order else type_)
            kind = known or (Kind(column.kind) if column.kind else None)
            reading = Reading(
                column.time_format or self._spec.time_format,
                self._zone,
                self._spec.decimal_comma,
                self._spec.list_separator,
            )
            make = partial(_MAKERS[target.family], target.name, kind, reading, self._message)
            cell = Cell(place, column.column, target.family, target.family == "item", make)
            if target.family == "attribute" and self._spec.empty_erases:
                cell.empty = ingest_pb2.Person(attributes={target.name: facts_pb2.Value()}).SerializeToString()
            found.append(cell)
        return found


def _told(cell: object) -> str:
    return "" if cell is None else str(cell)


# The tag of Order.items.
_LINE = bytes([ingest_pb2.Order.DESCRIPTOR.fields_by_name["items"].number << 3 | 2])

_Maker = Callable[[str, Kind | None, Reading, type[Item], object], Piece]


def _identifier(name: str, kind: Kind | None, reading: Reading, message: type[Item], cell: object) -> Piece:
    # Kinds of numbers are those of other programs: an id is a text wherever it comes from.
    text = cell if isinstance(cell, str) else str(cell) if isinstance(cell, int) else None
    if text is None:
        return Bad("WRONG_TYPE", "must be a text")
    return message(identifiers=[facts_pb2.Identifier(kind=name, value=text)]).SerializeToString()


def _text(field_name: str) -> _Maker:
    def make(name: str, kind: Kind | None, reading: Reading, message: type[Item], cell: object) -> Piece:
        text = cell if isinstance(cell, str) else str(cell) if isinstance(cell, int) else None
        if text is None:
            return Bad("WRONG_TYPE", "must be a text")
        whole = message()
        setattr(whole, field_name, text)
        return whole.SerializeToString()

    return make


def _type(name: str, kind: Kind | None, reading: Reading, message: type[Item], cell: object) -> Piece:
    # In canonical form already, which the door takes on its quick way; a name without a letter is the door's to refuse.
    text = cell if isinstance(cell, str) else str(cell)
    return ingest_pb2.Event(type=event_type(text) or text).SerializeToString()


def _time(name: str, kind: Kind | None, reading: Reading, message: type[Item], cell: object) -> Piece:
    at = instant_of(cell, reading.time_format, reading.zone)
    if isinstance(at, Bad):
        return at
    if at.us == 0:
        return Bad(BAD_TIME, "is the very first instant of 1970, which the wire has no word for")
    return message(occurred_at_us=at.us).SerializeToString()


def _param(name: str, kind: Kind | None, reading: Reading, message: type[Item], cell: object) -> Piece:
    value = value_of(cell, kind, reading)
    if isinstance(value, Bad):
        return value
    # Events and orders alone have targets of this family.
    whole = ingest_pb2.Order if message is ingest_pb2.Order else ingest_pb2.Event
    return whole(params={name: value}).SerializeToString()


def _attribute(name: str, kind: Kind | None, reading: Reading, message: type[Item], cell: object) -> Piece:
    value = value_of(cell, kind, reading)
    return value if isinstance(value, Bad) else ingest_pb2.Person(attributes={name: value}).SerializeToString()


def _line_field(name: str, kind: Kind | None, reading: Reading, message: type[Item], cell: object) -> Piece:
    value = value_of(cell, kind, reading)
    return value if isinstance(value, Bad) else facts_pb2.Object(fields={name: value}).SerializeToString()


def _lines(name: str, kind: Kind | None, reading: Reading, message: type[Item], cell: object) -> Piece:
    found = objects_of(cell, reading)
    if isinstance(found, Bad):
        return found
    whole = ingest_pb2.Order if message is ingest_pb2.Order else ingest_pb2.Event
    return whole(items=found).SerializeToString()


def _consent(name: str, kind: Kind | None, reading: Reading, message: type[Item], cell: object) -> Piece:
    state = consent_state(cell)
    if isinstance(state, Bad):
        return state
    told = facts_pb2.ConsentChange(channel=name, state=state, source=IMPORT_SOURCE)
    return ingest_pb2.Person(consents=[told]).SerializeToString()


def _list(name: str, kind: Kind | None, reading: Reading, message: type[Item], cell: object) -> Piece:
    names = texts_of(cell, reading.list_separator)
    if isinstance(names, Bad):
        return names
    return ingest_pb2.Person(lists=[facts_pb2.ListMove(list=one, member=True) for one in names]).SerializeToString()


_MAKERS: Mapping[str, _Maker] = {
    "identifier": _identifier,
    "id": _text("message_id"),
    "type": _type,
    "order_id": _text("order_id"),
    "status": _text("status"),
    "time": _time,
    "param": _param,
    "attribute": _attribute,
    "item": _line_field,
    "items": _lines,
    "consent": _consent,
    "list": _list,
}
