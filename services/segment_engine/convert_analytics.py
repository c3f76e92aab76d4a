"""Figures of core as messages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from cdp.facts.v1 import facts_pb2
from cdp.segment.v1 import analytics_pb2 as pb
from core.analytics.cohort import CohortMatrix, cohort_csv
from core.analytics.histogram import NumberHistogram, TextHistogram
from core.analytics.overlap import Overlap
from core.analytics.rfm import RfmMatrix, rfm_csv
from core.events.raw import scalar_of
from core.query.ast import Population, Scope
from core.schema import MAX_INTEGER, MIN_INTEGER, Kind, format_units
from core.segments.templates import TEMPLATES
from services.runtime.facts import value_to_proto
from services.segment_engine.convert_rule_enums import from_wire


def population_from_proto(message: pb.Population) -> Population:
    """Of whom: known contacts of all bases unless it says otherwise."""
    return Population(from_wire(Scope, message.scope, Scope.KNOWN), message.base or None)


def rfm_to_proto(matrix: RfmMatrix) -> pb.RfmMatrixResponse:
    """The grid without its empty places, every cell, and who moved (or stayed) where anybody did."""
    response = pb.RfmMatrixResponse(
        cells=[
            pb.RfmCellFigures(name=cell.name, contacts=cell.contacts, value=format_units(cell.value_units))
            for cell in matrix.cells
        ],
        csv=rfm_csv(matrix),
    )
    for recency, frequency, monetary in np.argwhere(matrix.grid).tolist():
        response.grid.add(
            recency=recency + 1,
            frequency=frequency + 1,
            monetary=monetary + 1,
            contacts=int(matrix.grid[recency, frequency, monetary]),
        )
    if matrix.moves is None:
        return response
    before = matrix.moves.sum(axis=1)
    for left, came in np.argwhere(matrix.moves).tolist():
        move = pb.RfmMove(to=matrix.cells[came].name, contacts=int(matrix.moves[left, came]), of=int(before[left]))
        setattr(move, "from", matrix.cells[left].name)
        response.moves.append(move)
    return response


def cohorts_to_proto(matrix: CohortMatrix) -> pb.CohortMatrixResponse:
    """A cohort for each period, those without contacts too; without the picture."""
    cohorts = []
    for place, start in enumerate(matrix.starts):
        begun = matrix.started[place]
        cohorts.append(
            pb.Cohort(
                start=start.isoformat(),
                contacts=int(matrix.sizes[place]),
                returned=matrix.counts[place][begun].tolist(),
                unfinished=bool(matrix.unfinished[place].any()),
            )
        )
    return pb.CohortMatrixResponse(cohorts=cohorts, csv=cohort_csv(matrix))


def overlap_to_proto(found: Overlap, count: int) -> pb.OverlapResponse:
    """Sizes of the `count` sets, and each two of them once."""
    response = pb.OverlapResponse(sizes=[found.size(place) for place in range(count)], everyone=found.population)
    for left in range(count):
        for right in range(left + 1, count):
            both = int(found.shared[left, right])
            lift = found.lift(left, right)
            response.pairs.add(
                left=left,
                right=right,
                both=both,
                either=found.size(left) + found.size(right) - both,
                lift=0.0 if lift is None else float(lift),
            )
    return response


def numbers_to_proto(histogram: NumberHistogram) -> pb.HistogramResponse:
    """Bins of numbers, instants or dates. Values are whole in their unit, so an edge between two units is told as the
    upper one, and says the same."""
    edges = [_edge(histogram.kind, edge) for edge in histogram.edges]
    bins = []
    for place, count in enumerate(histogram.counts):
        between = pb.Range(to=edges[place + 1])
        getattr(between, "from").CopyFrom(edges[place])
        bins.append(pb.Bin(between=between, contacts=count))
    return pb.HistogramResponse(bins=bins, missing=histogram.missing)


def texts_to_proto(histogram: TextHistogram, kind: Kind) -> pb.HistogramResponse:
    """Bins of single values, the most frequent first; those of a BOOLEAN attribute as booleans."""
    bins = []
    for text, count in histogram.values:
        value = value_to_proto(text == "true") if kind is Kind.BOOLEAN else value_to_proto(text)
        bins.append(pb.Bin(value=value, contacts=count))
    return pb.HistogramResponse(bins=bins, other=histogram.other, missing=histogram.missing)


def templates_to_proto() -> pb.ListTemplatesResponse:
    """The ready segments, in the order of an editor."""
    templates: Sequence[pb.Template] = [
        pb.Template(name=one.name, group=one.group, about=one.about, text=one.text) for one in TEMPLATES
    ]
    return pb.ListTemplatesResponse(templates=templates)


def _edge(kind: Kind, edge: Fraction) -> facts_pb2.Value:
    """Sums may be larger than an integer or a decimal of the wire; then they are told as a decimal text."""
    whole = math.ceil(edge)
    if kind in (Kind.INTEGER, Kind.DECIMAL) and not MIN_INTEGER <= whole <= MAX_INTEGER:
        return facts_pb2.Value(decimal=str(whole) if kind is Kind.INTEGER else format_units(whole))
    return value_to_proto(scalar_of(kind, whole))
