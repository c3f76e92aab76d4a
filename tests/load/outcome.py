"""What came of the calls of one step: latencies from the intended instant of sending on, and errors by code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hdrh.histogram import HdrHistogram

#: The knee is the highest rate up to which p99 stays below this, and at least that share of what was offered is
#: answered.
KNEE_P99_MS = 100.0
KNEE_ANSWERED = 0.98
#: Latencies are told to three digits from a microsecond to a minute.
_LONGEST_US, _DIGITS = 60_000_000, 3
_PERCENTILES = (50.0, 90.0, 99.0, 99.9)


def new_histogram() -> Any:
    """An empty histogram of microseconds."""
    return HdrHistogram(1, _LONGEST_US, _DIGITS)


@dataclass(slots=True)
class Outcome:
    """`answered` by kind of call: histograms of microseconds of the calls that were answered OK. `errors`: others by
    status code. `offered`: calls that were due. `late`: by how much sending itself was late, which is part of the
    latency as well. `client_s`: processor time of the client."""

    offered: int = 0
    answered: dict[str, Any] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)
    late: Any = field(default_factory=new_histogram)
    client_s: float = 0.0

    def record(self, kind: str, latency_us: float) -> None:
        """One call was answered OK."""
        histogram = self.answered.get(kind)
        if histogram is None:
            histogram = self.answered[kind] = new_histogram()
        histogram.record_value(_within(latency_us))

    def record_late(self, late_us: float) -> None:
        """One call was sent so much after its instant."""
        self.late.record_value(_within(late_us))

    def add(self, other: Outcome) -> None:
        """Take in another step at the same rate."""
        self.offered += other.offered
        self.errors += other.errors
        self.late.add(other.late)
        self.client_s += other.client_s
        for kind, histogram in other.answered.items():
            self.answered.setdefault(kind, new_histogram()).add(histogram)

    def all_kinds(self) -> Any:
        """One histogram of every answered call."""
        whole = new_histogram()
        for histogram in self.answered.values():
            whole.add(histogram)
        return whole

    def answered_share(self) -> float:
        """Of what was offered, 0 to 1; 1 where nothing was."""
        return self.all_kinds().get_total_count() / self.offered if self.offered else 1.0

    def holds(self) -> bool:
        """Whether the knee is not passed."""
        p99_ms = percentile_ms(self.all_kinds(), 99.0)
        return p99_ms < KNEE_P99_MS and self.answered_share() >= KNEE_ANSWERED

    def report(self) -> dict[str, object]:
        """Percentiles by kind and together, in milliseconds."""
        kinds = {kind: figures(histogram) for kind, histogram in sorted(self.answered.items())}
        return {
            "offered": self.offered,
            "answered_share": round(self.answered_share(), 4),
            "errors": dict(self.errors),
            "all": figures(self.all_kinds()),
            "kinds": kinds,
            "client_late": figures(self.late),
        }

    def to_json(self) -> dict[str, object]:
        """For another process; see `from_json`."""
        return {
            "offered": self.offered,
            "answered": {kind: _text(histogram) for kind, histogram in self.answered.items()},
            "errors": dict(self.errors),
            "late": _text(self.late),
            "client_s": self.client_s,
        }

    @staticmethod
    def from_json(found: Mapping[str, Any]) -> Outcome:
        """What `to_json` wrote."""
        answered = {kind: _histogram(text) for kind, text in found["answered"].items()}
        errors = Counter[str](found["errors"])
        return Outcome(found["offered"], answered, errors, _histogram(found["late"]), found["client_s"])


def percentile_ms(histogram: Any, percent: float) -> float:
    """0 for an empty histogram."""
    return float(histogram.get_value_at_percentile(percent)) / 1e3


def figures(histogram: Any) -> dict[str, float]:
    """How many, and percentiles and the maximum in milliseconds."""
    if not histogram.get_total_count():
        return {"calls": 0}
    found = {f"p{percent:g}_ms": round(percentile_ms(histogram, percent), 2) for percent in _PERCENTILES}
    return {"calls": histogram.get_total_count(), **found, "max_ms": round(histogram.get_max_value() / 1e3, 2)}


def _within(value_us: float) -> int:
    return max(1, min(int(value_us), _LONGEST_US))


def _text(histogram: Any) -> str:
    return bytes(histogram.encode()).decode("ascii")


def _histogram(text: str) -> Any:
    return HdrHistogram.decode(text.encode("ascii"))
