"""How rows of events or orders of one type are taken on the quick way, if they can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from zoneinfo import ZoneInfo

from cdp.bulk.v1 import bulk_pb2 as pb
from core.events.canonical import event_type
from core.events.checks import clean_name
from core.events.validate import MAX_ITEM_FIELDS, MAX_PROPERTIES
from core.money.at_home import CURRENCY
from core.orders.ids import REFUND_ID
from core.schema import Kind
from services.ingest.accept import MAX_EVENT_BYTES, MAX_ORDER_BYTES, counts_once
from services.ingest.bulk.cells import Reading
from services.ingest.bulk.door_rules import DoorRules, Usable
from services.ingest.bulk.mapping import kind_in, target_of
from services.ingest.bulk.quick_cells import NameCells, TimeCells, ValueCells
from services.ingest.bulk.trial import Trial, order_type
from services.ingest.senders import OF_THE_BOOKS

#: Lines of an order, at most; larger orders go to the door.
MOST_LINES = 50
_FAMILIES = frozenset({"identifier", "param", "item", "time", "type", "id", "order_id", "status"})
#: What an item has besides its cells, and a cell besides its text and its name, at most.
_ROOM_BYTES, _CELL_BYTES = 2_048, 32
_BYTES_A_CHARACTER = 4
#: Parameters that the platform writes for an order, and the one that its id depends on.
_OWN = ("order_id", "status", REFUND_ID)


@dataclass(frozen=True, slots=True)
class QuickPlan:
    """Columns by what they tell. `status` is that of an order; empty for other events. `longest` is how long a cell may
    be, `names_bytes` what the names of a row weigh."""

    type: str
    status: str
    names: tuple[NameCells, ...]
    time: TimeCells | None
    values: tuple[ValueCells, ...]
    lines: tuple[ValueCells, ...]
    longest: int
    names_bytes: int

    def begin(self) -> None:
        """What follows is for another entry."""
        for one in (*self.values, *self.lines):
            one.begin()


def plan_of(spec: pb.ImportSpec, rules: DoorRules, usable: Usable, told: str, now_us: int) -> QuickPlan | None:
    """The plan for events called `told`, or orders of the status `told`; None where the door has to look at each."""
    of_orders = spec.kind == pb.IMPORT_KIND_ORDERS
    targets = [target_of(one.target) for one in spec.columns if one.target]
    if not _FAMILIES.issuperset(one.family for one in targets):
        return None
    for family in ("identifier", "param", "item"):
        names = [one.name for one in targets if one.family == family]
        if len(set(names)) < len(names) or len(names) > (MAX_ITEM_FIELDS if family == "item" else MAX_PROPERTIES):
            return None
        if family == "param" and of_orders and not set(names).isdisjoint(_OWN):
            return None
    found = order_type(rules, told) if of_orders else _event_type(told)
    trial = Trial(rules)
    if found is None or not trial.takes(found[0]):
        return None
    names_bytes = sum(len(one.name) * _BYTES_A_CHARACTER + _CELL_BYTES for one in targets)
    limit, times = (MAX_ORDER_BYTES, MOST_LINES) if of_orders else (MAX_EVENT_BYTES, 1)
    longest = (limit - _ROOM_BYTES - times * names_bytes) // (_BYTES_A_CHARACTER * times * len(targets))
    return _built(spec, rules, usable, found, trial, now_us, longest, names_bytes) if longest > 0 else None


def _event_type(told: str) -> tuple[str, str] | None:
    type_ = event_type(told)
    sound = bool(type_) and event_type(type_) == type_ == clean_name(type_) and not counts_once(type_)
    return (type_, "") if sound and type_ not in OF_THE_BOOKS else None


def _built(
    spec: pb.ImportSpec,
    rules: DoorRules,
    usable: Usable,
    found: tuple[str, str],
    trial: Trial,
    now_us: int,
    longest: int,
    names_bytes: int,
) -> QuickPlan:
    type_, status = found
    zone = ZoneInfo(spec.zone)
    names: list[NameCells] = []
    times: list[TimeCells] = []
    values: list[ValueCells] = []
    lines: list[ValueCells] = []
    for place, column in enumerate(spec.columns):
        target = target_of(column.target) if column.target else None
        if target is None:
            continue
        reading = Reading(column.time_format or spec.time_format, zone, spec.decimal_comma, spec.list_separator)
        if target.family == "identifier":
            names.append(NameCells(place, target.name, usable, longest))
        elif target.family == "time":
            times.append(TimeCells(place, reading, now_us))
        elif target.family in ("param", "item"):
            of_lines = target.family == "item"
            # Cells of orders are read by what completed ones have, whatever their status.
            known = kind_in(rules.schema, target, "order_completed" if status else type_)
            kind = known or (Kind(column.kind) if column.kind else None)
            try_ = partial(trial.field if of_lines else trial.param, type_, target.name)
            home = rules.rates.home if rules.rates is not None and target.name == CURRENCY else None
            (lines if of_lines else values).append(
                ValueCells(place, kind, reading, try_, home, longest, of_lines=of_lines)
            )
    return QuickPlan(type_, status, tuple(names), _one(times), tuple(values), tuple(lines), longest, names_bytes)


def _one(times: Sequence[TimeCells]) -> TimeCells | None:
    return times[0] if times else None
