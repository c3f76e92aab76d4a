"""AnalyticsService: convert, ask core, convert."""

from __future__ import annotations

import asyncio
from functools import partial

from cdp.segment.v1 import analytics_pb2 as pb
from cdp.segment.v1 import analytics_pb2_grpc, rule_pb2
from core.analytics.cohort import MAX_PERIODS, cohort_matrix
from core.analytics.histogram import number_histogram, text_histogram
from core.analytics.overlap import MAX_SETS, overlap
from core.analytics.picture import cohort_picture
from core.analytics.rfm import rfm_matrix
from core.errors import CdpError, Violation, invalid, not_found
from core.index.contact_set import ContactSet
from core.query.ast import AttributeMeasure, EventSelection, Measure, Period, Population, Scope, Zone
from core.query.execute_context import Context as Asked
from core.query.leaves.population import members_of
from core.query.local_time import current_day, find_zone, period_start, shift_period
from core.query.names import BoundRule, Names
from core.query.plan import planned
from core.schema import Kind
from core.segments.standing import Published, StandingView
from services.runtime.caller import caller
from services.runtime.ownership import Ownership
from services.segment_engine.asked import (
    Context,
    bind_source,
    freshness_of,
    instant_of,
    leaf_view,
    patience_s,
    saved_rule,
    standing_view,
)
from services.segment_engine.bound_parts import bound_events, bound_measure, check_value_path, parse_measure
from services.segment_engine.convert_analytics import (
    cohorts_to_proto,
    numbers_to_proto,
    overlap_to_proto,
    population_from_proto,
    rfm_to_proto,
    templates_to_proto,
    texts_to_proto,
)
from services.segment_engine.convert_rfm import model_from_proto, model_to_proto
from services.segment_engine.convert_rule_enums import from_wire
from services.segment_engine.convert_rule_values import selection_from_proto
from services.segment_engine.questions import answered
from services.segment_engine.rfm_models import encode_model
from services.segment_engine.shard import EngineShard

_PERIODS, _BINS = 12, 20
_NUMBERS = (Kind.INTEGER, Kind.DECIMAL, Kind.INSTANT, Kind.DATE)
_TEXTS = (Kind.TEXT, Kind.TEXT_LIST, Kind.BOOLEAN)


class AnalyticsRpc(analytics_pb2_grpc.AnalyticsServiceServicer):
    """Figures from the published version of the caller's workspace."""

    def __init__(self, shards: Ownership[EngineShard]) -> None:
        self._shards = shards

    def _shard(self) -> EngineShard:
        return self._shards.shard(caller().workspace.id)

    # --- RFM models -------------------------------------------------------------------------------------------

    async def SaveRfmModel(self, request: pb.SaveRfmModelRequest, context: Context) -> pb.SaveRfmModelResponse:
        shard = self._shard()
        model = model_from_proto(request.model)
        async with shard.defining:
            root, definitions = shard.published.root, shard.saved.models.definitions
            names = shard.saved.names(root)
            events = bound_events(model.events, names, "model.events")
            if model.value_path is not None:
                check_value_path(model.value_path, events, names, "model.value_path")
            stored = definitions.answered(model.name, request.request_id)
            if stored is None:
                shard.saved.models.check_room(model.name)
                now_us, payload = shard.clock.now_us(), encode_model(model)
                change = definitions.save(
                    model.name, payload, request.etag, caller().key_name, now_us, request.request_id
                )
                users = await asyncio.to_thread(shard.saved.bind_users, model, root)
                await shard.save_model(change, model, users)
                stored = change.stored
        return pb.SaveRfmModelResponse(revision=stored.revision.to_proto())

    async def ListRfmModels(self, request: pb.ListRfmModelsRequest, context: Context) -> pb.ListRfmModelsResponse:
        return pb.ListRfmModelsResponse(models=[model_to_proto(model) for model in self._shard().saved.models.all()])

    async def RfmMatrix(self, request: pb.RfmMatrixRequest, context: Context) -> pb.RfmMatrixResponse:
        shard = self._shard()
        published = await shard.published_at(request.min_position, patience_s(context))
        as_of_us = instant_of(shard, request.as_of_us, published)
        if request.since_us and request.since_us >= as_of_us:
            raise _wrong("RFM_SINCE", "since_us", "moves are told from an instant before as_of")
        asked = _asked(shard, published, as_of_us)
        model = asked.setting.rfm.get(request.model)
        if model is None:
            raise not_found("NO_SUCH_RFM_MODEL", f"there is no RFM model {request.model!r}")
        population, since_us = population_from_proto(request.population), request.since_us or None
        matrix = await answered(partial(rfm_matrix, model, population, asked, since_us=since_us))
        response = rfm_to_proto(matrix)
        response.freshness.CopyFrom(freshness_of(published, as_of_us))
        return response

    # --- cohorts ----------------------------------------------------------------------------------------------

    async def CohortMatrix(self, request: pb.CohortMatrixRequest, context: Context) -> pb.CohortMatrixResponse:
        shard = self._shard()
        published = await shard.published_at(request.min_position, patience_s(context))
        as_of_us = instant_of(shard, request.as_of_us, published)
        periods = request.periods or _PERIODS
        if periods > MAX_PERIODS:
            raise _wrong("COHORT_PERIODS", "periods", f"a matrix has at most {MAX_PERIODS} periods, not {periods}")
        names = shard.saved.names(published.root)
        cohort = _selection(request.cohort, names, "cohort") if request.HasField("cohort") else None
        returns = _selection(request.returns, names, "returns") if request.HasField("returns") else None
        asked = _asked(shard, published, as_of_us)
        ask = partial(
            _cohorts,
            *(cohort, returns, from_wire(Period, request.period, Period.MONTH), periods),
            *(population_from_proto(request.population), from_wire(Zone, request.zone, Zone.WORKSPACE), asked),
            picture=request.picture,
        )
        response = await answered(ask)
        response.freshness.CopyFrom(freshness_of(published, as_of_us))
        return response

    # --- segments ---------------------------------------------------------------------------------------------

    async def Overlap(self, request: pb.OverlapRequest, context: Context) -> pb.OverlapResponse:
        shard = self._shard()
        if not 2 <= len(request.names) <= MAX_SETS:
            raise _wrong("OVERLAP_SETS", "names", f"name 2 to {MAX_SETS} segments, not {len(request.names)}")
        published = await shard.published_at(request.min_position, patience_s(context))
        views = [standing_view(shard, published, name) for name in request.names]
        asked = _asked(shard, published, published.as_of_us)
        response = await answered(partial(_overlap, views, asked))
        response.freshness.CopyFrom(freshness_of(published))
        return response

    async def Histogram(self, request: pb.HistogramRequest, context: Context) -> pb.HistogramResponse:
        shard = self._shard()
        published = await shard.published_at(request.min_position, patience_s(context))
        as_of_us = instant_of(shard, request.as_of_us, published)
        if request.WhichOneof("subject") == "name":
            bound = saved_rule(shard, published, request.name)
        else:
            bound = await bind_source(shard, request.rule, published.root)
        if bound.parameters:
            raise invalid("SEGMENT_HAS_PARAMETERS", "a segment with parameters has no members until they are bound")
        response = await answered(partial(_histogram, shard, published, as_of_us, bound, request))
        response.freshness.CopyFrom(freshness_of(published, as_of_us))
        return response

    async def ListTemplates(self, request: pb.ListTemplatesRequest, context: Context) -> pb.ListTemplatesResponse:
        return templates_to_proto()


def _asked(shard: EngineShard, published: Published, as_of_us: int) -> Asked:
    """An evaluation of everybody with the setting of today's rules."""
    names = shard.saved.names(published.root)
    known = published.knowledge_at(as_of_us)
    return Asked(published.root, as_of_us, names.zone, None, names.setting, known)


def _selection(message: rule_pb2.EventSelection, names: Names, path: str) -> EventSelection:
    """Events of a matrix: which periods they are counted in is for the matrix to say."""
    if not message.names:
        raise _wrong("COHORT_EVENTS", path, "name at least one event")
    if message.HasField("window"):
        raise _wrong("COHORT_EVENTS", f"{path}.window", "the events of a matrix have no window")
    return bound_events(selection_from_proto(message), names, path)


def _cohorts(
    cohort: EventSelection | None,
    returns: EventSelection | None,
    period: Period,
    periods: int,
    population: Population,
    zone: Zone,
    asked: Asked,
    *,
    picture: bool,
) -> pb.CohortMatrixResponse:
    """The matrix of the last `periods` periods, the one of as_of among them."""
    clock = find_zone("UTC" if zone is Zone.UTC else asked.zone_name)
    assert clock is not None, "a context has a zone that exists"
    last = period_start(current_day(asked.as_of_us, clock), period)
    first = shift_period(last, period, 1 - periods)
    matrix = cohort_matrix(cohort, returns, period, first, last, asked, population=population, zone=zone)
    response = cohorts_to_proto(matrix)
    if picture:
        response.svg = cohort_picture(matrix)
    return response


def _overlap(views: list[StandingView], asked: Asked) -> pb.OverlapResponse:
    """Of how many contacts the segments are part: those whom all of them choose among."""
    scopes = {view.saved.bound.rule.scope for view in views}
    everyone = members_of(Population(scopes.pop() if len(scopes) == 1 else Scope.ALL), asked)
    return overlap_to_proto(overlap([view.members for view in views], len(everyone)), len(views))


def _measured(request: pb.HistogramRequest, names: Names) -> tuple[Measure, Kind | None]:
    """What is measured, checked: see bound_measure."""
    field = request.WhichOneof("measure") or "measure"
    measure, kind = bound_measure(_measure(request), names, field)
    if kind is not None and kind not in (*_NUMBERS, *_TEXTS):
        raise _wrong("HISTOGRAM_KIND", field, f"values of {kind.name} are not counted one by one")
    return measure, kind


def _measure(request: pb.HistogramRequest) -> Measure:
    match request.WhichOneof("measure"):
        case "attribute":
            return AttributeMeasure(request.attribute)
        case "measure_text":
            return parse_measure(request.measure_text)
        case None:
            raise _wrong("HISTOGRAM_MEASURE", "measure", "name an attribute, or write a measure as in a rule")


def _histogram(
    shard: EngineShard, published: Published, as_of_us: int, bound: BoundRule, request: pb.HistogramRequest
) -> pb.HistogramResponse:
    measure, kind = _measured(request, shard.saved.names(published.root))
    members = _members(shard, published, as_of_us, bound)
    asked, bins = _asked(shard, published, as_of_us), request.bins or _BINS
    if isinstance(measure, AttributeMeasure) and kind in _TEXTS:
        return texts_to_proto(text_histogram(measure.name, members, bins, asked), kind)
    return numbers_to_proto(number_histogram(measure, members, bins, asked, quantiles=request.quantiles))


def _members(shard: EngineShard, published: Published, as_of_us: int, bound: BoundRule) -> ContactSet:
    cache, known = leaf_view(shard.leaves, published, as_of_us), published.knowledge_at(as_of_us)
    return planned(bound, published.root, as_of_us, {}, None, cache, known)[0]


def _wrong(reason: str, path: str, text: str) -> CdpError:
    """A field of the request that can never be answered as it is."""
    return invalid(reason, f"{path}: {text}", Violation(path, text))
