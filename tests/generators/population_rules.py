"""Random conditions that compare a contact with the others, cohorts, and limits."""

from __future__ import annotations

from random import Random

from core.query.ast import (
    Absolute,
    AggregateMeasure,
    AttributeMeasure,
    Calendar,
    Compare,
    Comparison,
    CountMeasure,
    EventTime,
    Function,
    InCohort,
    Interest,
    Limit,
    Literal,
    Measure,
    MeasureCondition,
    Operand,
    PopulationCondition,
    RfmInCell,
    RfmMoved,
    Standard,
)
from core.query.rfm_model import NONE, OTHER, RfmModel
from core.schema import DecimalUnits, Kind
from tests.generators.event_rules import paths
from tests.generators.moments import DURATIONS_US
from tests.generators.selections import SELECTIONS, SelectionMaker
from tests.generators.vocabulary import ATTRIBUTES, SETTING

_RANKED = (Kind.INTEGER, Kind.DECIMAL, Kind.INSTANT, Kind.DATE)
_NUMBERS = (Kind.INTEGER, Kind.DECIMAL)
_RELATIONS = (Compare.GT, Compare.GT, Compare.LT, Compare.LT, Compare.GE, Compare.LE, Compare.EQ, Compare.NE)
#: Units of a percentage, some of which cut between ranks of no size.
_PERCENTS = (1, 50_000, 100_000, 250_000, 333_333, 333_334, 500_000, 666_667, 900_000, 1_000_000)


class PopulationRules:
    """Makes leaves that need everybody."""

    def __init__(self, random: Random, selections: SelectionMaker) -> None:
        self.random = random
        self.selections = selections

    def condition(self) -> PopulationCondition:
        """`sum(E.p) in top 5 %`."""
        random = self.random
        standard = random.choice(tuple(Standard))
        measure, kind = self._measure(numbers=standard in (Standard.AVERAGE, Standard.EVENT_AVERAGE))
        if standard is Standard.EVENT_AVERAGE and not isinstance(measure, AggregateMeasure):
            standard = Standard.AVERAGE
        del kind
        percent = None
        if standard not in (Standard.AVERAGE, Standard.EVENT_AVERAGE):
            percent = DecimalUnits(random.choice(_PERCENTS))
        compare = Compare.GE if standard in (Standard.TOP, Standard.BOTTOM) else random.choice(_RELATIONS)
        return PopulationCondition(measure, standard, compare, percent)

    def _measure(self, *, numbers: bool = False) -> tuple[Measure, Kind]:
        random = self.random
        draw = random.random()
        if draw < 0.3:
            kinds = _NUMBERS if numbers else _RANKED
            name = random.choice([name for name, kind in ATTRIBUTES.items() if kind in kinds])
            return AttributeMeasure(name), ATTRIBUTES[name]
        names = random.choice([s for s in SELECTIONS if s[0] not in ("app_opened", "never_happened", "product_*")])
        events = self.selections.selection(names, anchored=False)
        if draw < 0.38 and not numbers:
            return EventTime(events, random.random() < 0.5), Kind.INSTANT
        if draw < 0.46:
            return Interest("category", self._interesting()), Kind.DECIMAL
        if draw < 0.6:
            return CountMeasure(events), Kind.INTEGER
        function = random.choice(tuple(f for f in Function if f is not Function.MOST_FREQUENT))
        wanted = _NUMBERS if numbers else _RANKED
        every = function is Function.DISTINCT and not numbers
        found = {p: k for p, k in paths(names, function).items() if every or k in wanted}
        if not found:
            return CountMeasure(events), Kind.INTEGER
        path = random.choice(tuple(found))
        return AggregateMeasure(function, path, events), found[path]

    def interest(self) -> MeasureCondition:
        """`interest in category "tea" >= 1.5`, `top interest in tag = "tea"`."""
        random = self.random
        model = random.choice(("category", "category", "tag"))
        if random.random() < 0.4:
            form = random.choice((Compare.EQ, Compare.EQ, Compare.NE, Compare.IN, Compare.CONTAINS, Compare.MISSING))
            test = self.selections.comparisons.on_field(
                "top interest", Kind.TEXT, form, of_contact=False, of_event=False
            )
            return MeasureCondition(Interest(model), test)
        score = Literal(DecimalUnits(random.choice((1, 2_500, 5_000, 10_000, 30_000))))
        test = Comparison("interest", random.choice(_RELATIONS), (score,))
        return MeasureCondition(Interest(model, self._interesting()), test)

    def _interesting(self) -> Operand:
        return self.selections.comparisons.operand(Kind.TEXT, cross=False)

    def in_cell(self) -> RfmInCell:
        """`rfm purchases in cell "at risk"`."""
        model = self._model()
        return RfmInCell(model.name, self._cells(model, 1))

    def moved(self) -> RfmMoved:
        """`rfm purchases moved from "a" to "b" in last 7 days`."""
        model = self._model()
        duration_us = self.random.choice(DURATIONS_US[2:])
        return RfmMoved(model.name, self._cells(model, 0), self._cells(model, 0), duration_us)

    def _model(self) -> RfmModel:
        return self.random.choice(tuple(SETTING.rfm.values()))

    def _cells(self, model: RfmModel, least: int) -> tuple[str, ...]:
        known = (*(cell.name for cell in model.cells), OTHER, NONE)
        count = self.random.choice((least, 1, 2, 3))
        return tuple(self.random.sample(known, min(count, len(known))))

    def cohort(self) -> InCohort:
        """`cohort of first E in last calendar month`."""
        while True:
            window = self.selections.window(anchored=False)
            if isinstance(window, Absolute | Calendar):
                break
        events = self.selections.selection(windowed=False) if self.random.random() < 0.75 else None
        return InCohort(events, window)

    def limit(self) -> Limit:
        """`limit 10 by largest sum(E.p)`."""
        random = self.random
        count, salt = random.choice((1, 2, 3, 5, 10, 1000)), random.choice(("", "pilot"))
        if random.random() < 0.4:
            return Limit(count, salt=salt)
        return Limit(count, self._measure()[0], random.random() < 0.4, salt)
