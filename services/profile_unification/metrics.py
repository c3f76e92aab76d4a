"""What unification measures."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

RESOLVED_EVENTS = Counter("cdp_unification_events_total", "Events that were given a contact.", ["workspace"])
DUPLICATES = Counter("cdp_unification_duplicates_total", "Repeated message ids that were dropped.", ["workspace"])
DEDUPE_HORIZON = Gauge(
    "cdp_unification_dedupe_horizon_seconds",
    "How far back message ids are remembered: 7 days, or less when the budget of ids is passed.",
    ["workspace"],
)
