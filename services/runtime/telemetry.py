"""Logs and metrics. Log sentences are lower case, data stand in fields; metric names are made here only."""

from __future__ import annotations

import logging
import sys

import structlog
from prometheus_client import Counter, Gauge, Histogram

RPC_SECONDS = Histogram(
    "cdp_rpc_seconds",
    "Time to answer a unary call.",
    ["method"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30),
)
RPC_STREAMS = Counter("cdp_rpc_streams_total", "Streams opened.", ["method"])
RPC_ERRORS = Counter("cdp_rpc_errors_total", "Calls that ended with an error, by its code.", ["method", "code"])
RPC_FORWARDED = Counter("cdp_rpc_forwarded_total", "Calls passed on to the owner of their workspace.", ["method"])
WORKER_RESTARTS = Counter("cdp_worker_restarts_total", "Workers that failed and were started again.", ["role"])
FOLDED_POSITION = Gauge("cdp_folded_position", "Last upstream position folded.", ["role", "workspace"])
UPSTREAM_LAG = Gauge("cdp_upstream_lag_entries", "Upstream entries not folded yet.", ["role", "workspace"])
DEAD_LETTERS = Counter("cdp_dead_letters_total", "Entries set aside because they cannot be folded.", ["role"])
RESOLVED_EVENTS = Counter("cdp_unification_events_total", "Events that were given a contact.", ["workspace"])
DUPLICATES = Counter("cdp_unification_duplicates_total", "Repeated message ids that were dropped.", ["workspace"])
DEDUPE_HORIZON = Gauge(
    "cdp_unification_dedupe_horizon_seconds",
    "How far back message ids are remembered: 7 days, or less when the budget of ids is passed.",
    ["workspace"],
)


def configure_logging(log_format: str, log_level: str) -> None:
    """Set up structlog on stderr: `console` for people, `json` for machines."""
    renderer: structlog.typing.Processor
    if log_format == "json":
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, log_level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger that names its module in every record."""
    # Lazy until its first record, so that modules may ask for it before `configure_logging` has run.
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(module=name)
    return logger
