"""RFM models between their protobuf form, which is also what is stored, and core's; with the checks of a new one."""

from __future__ import annotations

from itertools import pairwise

from cdp.segment.v1 import analytics_pb2 as pb
from core.errors import CdpError, Violation, invalid
from core.query.limits import MAX_DURATION_US
from core.query.rfm_model import NONE, OTHER, Axis, NamedCell, RfmModel
from services.segment_engine.convert_rule_values import selection_from_proto, selection_to_proto

#: Scores of one axis, named cells of one model, nodes of its filter.
MAX_BINS, MAX_CELLS, MAX_FILTER = 20, 100, 50
_MAX_CELL_NAME = 200
_DEFAULT_BINS = 5


def model_to_proto(model: RfmModel) -> pb.RfmModel:
    """A model on the wire, every default written out."""
    return pb.RfmModel(
        name=model.name,
        events=selection_to_proto(model.events),
        value_path=model.value_path or "",
        period_us=model.period_us or 0,
        recency=_axis_to_proto(model.recency),
        frequency=_axis_to_proto(model.frequency),
        monetary=_axis_to_proto(model.monetary),
        cells=[
            pb.RfmCell(
                name=cell.name,
                recency_from=cell.recency[0],
                recency_to=cell.recency[1],
                frequency_from=cell.frequency[0],
                frequency_to=cell.frequency[1],
                monetary_from=cell.monetary[0],
                monetary_to=cell.monetary[1],
            )
            for cell in model.cells
        ],
    )


def model_from_proto(message: pb.RfmModel) -> RfmModel:
    """The model of core. Raises INVALID RFM_MODEL with the path of the first field that is wrong; whether its events
    and its parameter exist is for binding to say."""
    if not message.events.names:
        raise _wrong("events", "name at least one event")
    if message.events.HasField("window"):
        raise _wrong("events.window", "the events of a model have no window; `period_us` bounds them")
    if len(message.events.filter) > MAX_FILTER:
        raise _wrong("events.filter", f"the filter of a model has at most {MAX_FILTER} nodes")
    if not 0 <= message.period_us <= MAX_DURATION_US:
        raise _wrong("period_us", f"a period has 0 (all time) to {MAX_DURATION_US} microseconds")
    if len(message.cells) > MAX_CELLS:
        raise _wrong("cells", f"a model has at most {MAX_CELLS} named cells, not {len(message.cells)}")
    recency = _axis_from_proto(message.recency, "recency")
    frequency = _axis_from_proto(message.frequency, "frequency")
    monetary = _axis_from_proto(message.monetary, "monetary")
    cells: list[NamedCell] = []
    for place, cell in enumerate(message.cells):
        path = f"cells[{place}]"
        _check_name(cell.name, {one.name for one in cells}, f"{path}.name")
        cells.append(
            NamedCell(
                cell.name,
                _side(cell.recency_from, cell.recency_to, recency, f"{path}.recency"),
                _side(cell.frequency_from, cell.frequency_to, frequency, f"{path}.frequency"),
                _side(cell.monetary_from, cell.monetary_to, monetary, f"{path}.monetary"),
            )
        )
    return RfmModel(
        message.name,
        selection_from_proto(message.events),
        message.value_path or None,
        tuple(cells),
        message.period_us or None,
        recency,
        frequency,
        monetary,
    )


def _axis_to_proto(axis: Axis) -> pb.RfmAxis:
    return pb.RfmAxis(bins=axis.bins, bounds=axis.bounds or ())


def _axis_from_proto(message: pb.RfmAxis, path: str) -> Axis:
    bounds = tuple(message.bounds)
    bins = message.bins or (len(bounds) + 1 if bounds else _DEFAULT_BINS)
    if not 1 <= bins <= MAX_BINS:
        raise _wrong(f"{path}.bins", f"an axis has 1 to {MAX_BINS} scores, not {bins}")
    if not bounds:
        return Axis(bins)
    if len(bounds) != bins - 1:
        raise _wrong(f"{path}.bounds", f"{bins} scores have {bins - 1} bounds between them, not {len(bounds)}")
    for place, (low, high) in enumerate(pairwise(bounds), start=1):
        if low >= high:
            raise _wrong(f"{path}.bounds[{place}]", f"bounds ascend: {high} does not come after {low}")
    if path == "recency" and bounds[0] < 0:
        raise _wrong("recency.bounds[0]", "an age is not below 0")
    return Axis(bins, bounds)


def _side(low: int, high: int, axis: Axis, path: str) -> tuple[int, int]:
    """One side of a cell; 0 is the lowest or the highest score."""
    side = (low or 1, high or axis.bins)
    if not 1 <= side[0] <= side[1] <= axis.bins:
        raise _wrong(f"{path}_from", f"{side[0]} to {side[1]} is no part of the scores 1 to {axis.bins}")
    return side


def _check_name(name: str, taken: set[str], path: str) -> None:
    if not name or len(name) > _MAX_CELL_NAME or not name.isprintable() or name != name.strip():
        raise _wrong(path, f"a cell's name has 1 to {_MAX_CELL_NAME} printable characters and no space at its ends")
    if name in (NONE, OTHER):
        raise _wrong(path, f'"{NONE}" are those without an event, and "{OTHER}" those in no named cell')
    if name in taken:
        raise _wrong(path, f'two cells are named "{name}"')


def _wrong(path: str, text: str) -> CdpError:
    return invalid("RFM_MODEL", f"model.{path}: {text}", Violation(f"model.{path}", text))
