"""Logs and metrics. Log sentences are lower case, data stand in fields; metric names are made here only."""

from __future__ import annotations

import logging
import sys

import structlog
from prometheus_client import Counter, Gauge, Histogram

from services.runtime import private_logs

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
REFUSED_ITEMS = Counter(
    "cdp_ingest_refused_items_total", "Items refused by a rate or a quota.", ["workspace", "reason"]
)
DEDUPE_HORIZON = Gauge(
    "cdp_unification_dedupe_horizon_seconds",
    "How far back message ids are remembered: 7 days, or less when the budget of ids is passed.",
    ["workspace"],
)


def configure_logging(log_format: str, log_level: str, id_key: str = "") -> None:
    """Set up structlog on stderr: `console` for people, `json` for machines. Lines hold what `private_logs` lets
    through, ids hashed with `id_key`; warnings of libraries go the same way."""
    private_logs.hash_ids_with(id_key.encode())
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
            private_logs.private,
            private_logs.trace,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, log_level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    if not any(isinstance(handler, _OfLibraries) for handler in root.handlers):
        root.addHandler(_OfLibraries(logging.WARNING))


class _OfLibraries(logging.Handler):
    """What libraries say by the standard library's logging: the first line of their sentence without its data."""

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        first_line = str(record.msg).partition("\n")[0]
        error = record.exc_info[1] if record.exc_info else None
        log = get_logger(record.name)
        log.log(record.levelno, private_logs.sentence(first_line), exc_info=error)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger that names its module in every record."""
    # Lazy until its first record, so that modules may ask for it before `configure_logging` has run.
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(module=name)
    return logger
