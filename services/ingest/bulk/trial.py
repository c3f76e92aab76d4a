"""What the door makes of one value alone: its own quick checks are run on it, and the result is looked at."""

from __future__ import annotations

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from core.schema import Kind
from services.ingest.accept import take_order
from services.ingest.bulk.door_rules import DoorRules
from services.ingest.senders import OF_THE_BOOKS
from services.ingest.writer import BatchWriter

#: An instant at which anything may have happened.
_AT_US = 1_000_000


class Trial(BatchWriter):
    """Takes values one at a time, and keeps none. A value that is accepted alone is accepted beside any others of other
    names: what concerns several (a total told by another name, money told in another currency) is refused here."""

    def __init__(self, rules: DoorRules) -> None:
        super().__init__(rules.schema)
        self.rates = rules.rates

    def param(self, type_: str, name: str, value: facts_pb2.Value) -> tuple[str, Kind, int] | None:
        """Name, kind and raw value of a parameter of events of `type_`; None where the door has to look closer."""
        return self._only(type_, {name: value}, [])

    def field(self, type_: str, name: str, value: facts_pb2.Value) -> tuple[str, Kind, int] | None:
        """The same of a field of a line."""
        return self._only(type_, {}, [{name: value}])

    def takes(self, type_: str) -> bool:
        """Whether events of this type are taken on the quick way at all."""
        taken = self.add_quickly("trial", type_, _AT_US, _AT_US, (), 0, {}, {}, ())
        self._restart()
        return taken

    def _only(
        self, type_: str, params: dict[str, facts_pb2.Value], lines: list[dict[str, facts_pb2.Value]]
    ) -> tuple[str, Kind, int] | None:
        found = None
        if self.add_quickly("trial", type_, _AT_US, _AT_US, (), 0, {}, params, lines):
            held = [one for one in (*self._params.values(), *self._line_params.values()) if one.rows]
            if len(held) == 1:
                found = held[0].name, held[0].kind, held[0].values[0]
        self._restart()
        return found

    def _restart(self) -> None:
        for column in (*self._params.values(), *self._line_params.values()):
            column.rows.clear()
            column.values.clear()
        for kept in (self._ids, self._types, self._occurred, self._received, self._flags, self._identifiers):
            kept.clear()
        self._item_offsets, self._lines = [0], 0
        self._codes.clear()


def order_type(rules: DoorRules, status: str) -> tuple[str, str] | None:
    """Type and status of the event that tells `status` of an order; None where the door has to look closer."""
    writer = BatchWriter(rules.schema)
    writer.usable = lambda _: True
    writer.reserved = OF_THE_BOOKS
    order = ingest_pb2.Order(
        order_id="trial",
        status=status,
        occurred_at_us=_AT_US,
        identifiers=[facts_pb2.Identifier(kind="external_id", value="trial")],
    )
    if take_order(writer, order, _AT_US).refusal is not None:
        return None
    event = next(iter(writer.columns().rows()))
    told = event.params["status"]
    return (event.type, told) if isinstance(told, str) else None
