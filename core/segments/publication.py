"""Numbers of populations that standing segments are exact against: published when their inputs changed, at whole
multiples of an interval of the log's time, so that what is published depends on no batching."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from core.clock import SECOND_US
from core.index.root import Root
from core.query.execute_context import Context
from core.query.knowledge import Knowledge, RfmKey, RfmThresholds, Statistic, StatisticKey
from core.query.leaves.published import rfm_keys, statistic_keys
from core.query.leaves.rfm_scores import thresholds
from core.query.leaves.statistics import compute
from core.query.names import BoundRule
from core.query.rfm_model import RfmModel
from core.segments.saved import Saved

NumberKey = StatisticKey | RfmKey
Number = Statistic | RfmThresholds


def numbers_needed(bound: BoundRule) -> frozenset[NumberKey]:
    """Every number that a rule, or a segment it refers to, compares with."""
    return statistic_keys(bound) | rfm_keys(bound)


class Publication:
    """The writer of published numbers. A segment whose inputs change is `stir`red; `due_us` says when it is to be
    looked at, and `renew` which segments have to be asked again because a number is another one now."""

    def __init__(self, interval_us: int = SECOND_US) -> None:
        self._interval_us = interval_us
        self._numbers: dict[NumberKey, Number] = {}
        #: By which model a grid was made: another version of it makes the grid anew.
        self._models: dict[NumberKey, RfmModel | None] = {}
        self._earlier: Mapping[str, Number] = {}
        self._needed: dict[str, frozenset[NumberKey]] = {}
        self._together: set[str] = set()
        self._stirred: set[str] = set()
        self.due_us: int | None = None

    def load(self, numbers: Mapping[str, Number]) -> None:
        """What was published before a restart, by the texts of the keys (`repr`): taken over where it is needed."""
        self._earlier = numbers

    def numbers(self) -> Mapping[str, Number]:
        """What is published now, by the texts of the keys; a new mapping."""
        return {repr(key): number for key, number in self._numbers.items()}

    def keep(self, saved: Saved, root: Root, as_of_us: int) -> None:
        """A segment was saved or bound anew: what it needs and nobody published yet is published at once."""
        needed = numbers_needed(saved.bound)
        self._needed[saved.name] = needed
        self._together.discard(saved.name)
        if saved.touches.together:
            self._together.add(saved.name)
        context = _context(saved.bound, root, as_of_us)
        for key in needed:
            model = saved.bound.setting.rfm[key.model] if isinstance(key, RfmKey) else None
            if key not in self._numbers or self._models[key] != model:
                earlier = None if key in self._models else self._earlier.get(repr(key))
                self._numbers[key] = _compute(key, context) if earlier is None else earlier
            self._models[key] = model

    def drop(self, name: str) -> None:
        """A segment is gone; numbers that only it needed go with it."""
        self._needed.pop(name, None)
        self._together.discard(name)
        self._stirred.discard(name)
        used = frozenset().union(*self._needed.values())
        self._numbers = {key: number for key, number in self._numbers.items() if key in used}

    def stir(self, names: Iterable[str], at_us: int) -> None:
        """What these segments' numbers are made of may have changed at `at_us`."""
        concerned = [name for name in names if self._needed.get(name) or name in self._together]
        if not concerned:
            return
        self._stirred.update(concerned)
        if self.due_us is None:
            self.due_us = (at_us // self._interval_us + 1) * self._interval_us

    def needs(self, name: str) -> bool:
        """Whether a segment goes by published numbers, or is decided together."""
        return bool(self._needed.get(name)) or name in self._together

    def waits(self, name: str) -> bool:
        """Whether the members of a segment are decided together, at publications only."""
        return name in self._together

    def renew(self, saved: Mapping[str, Saved], root: Root, as_of_us: int) -> set[str]:
        """Compute the numbers of what was stirred as of `as_of_us`. Returns the segments to be asked again as a
        whole: those of which a number changed, and stirred ones whose members are decided together."""
        asked = {name for name in self._stirred if name in self._together}
        changed: set[NumberKey] = set()
        done: set[NumberKey] = set()
        contexts: dict[tuple[str, int], Context] = {}
        for name in sorted(self._stirred):
            bound = saved[name].bound
            for key in self._needed[name] - done:
                context = contexts.setdefault((bound.zone, id(bound.setting)), _context(bound, root, as_of_us))
                number = _compute(key, context)
                if not _same(number, self._numbers.get(key)):
                    self._numbers[key] = number
                    changed.add(key)
                done.add(key)
        self._stirred.clear()
        self.due_us = None
        asked.update(name for name, needed in self._needed.items() if not changed.isdisjoint(needed))
        return asked

    def knowledge(self) -> Knowledge:
        """The numbers as an evaluation takes them; without histories."""
        statistics = {key: one for key, one in self._numbers.items() if isinstance(one, Statistic)}
        grids = {key: one for key, one in self._numbers.items() if isinstance(one, RfmThresholds)}
        return Knowledge(
            {key: one for key, one in statistics.items() if isinstance(key, StatisticKey)},
            {key: one for key, one in grids.items() if isinstance(key, RfmKey)},
        )


def _context(bound: BoundRule, root: Root, as_of_us: int) -> Context:
    return Context(root, as_of_us, bound.zone, None, bound.setting)


def _compute(key: NumberKey, context: Context) -> Number:
    if isinstance(key, StatisticKey):
        return compute(key, context)
    then = context.at(context.as_of_us - key.age_us) if key.age_us else context
    return thresholds(context.setting.rfm[key.model], key.population, then)


def _same(one: Number, other: Number | None) -> bool:
    """Whether nobody's membership can differ: the instant of a number does not matter."""
    match one, other:
        case Statistic(), Statistic():
            return (one.numerator, one.denominator, one.n) == (other.numerator, other.denominator, other.n)
        case RfmThresholds(), RfmThresholds():
            return (one.recency, one.frequency, one.monetary, one.n) == (
                other.recency,
                other.frequency,
                other.monetary,
                other.n,
            )
        case _:
            return False
