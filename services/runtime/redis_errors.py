"""One table from the errors of Redis and of its connections to the platform's error."""

from __future__ import annotations

from redis.exceptions import (
    AskError,
    ClusterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    TryAgainError,
)
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)

from core.errors import CdpError, Code, unavailable

#: First words (or telling parts) of error replies, by what they mean.
_FULL = ("OOM ", "MISCONF ", "No space left")
_AWAY = ("NOAUTH", "NOPERM", "WRONGPASS", "LOADING", "MASTERDOWN", "READONLY", "BUSY ", "UNBLOCKED")
_AWAY_TYPES = (
    RedisConnectionError,
    RedisTimeoutError,
    ReadOnlyError,
    ClusterDownError,
    TryAgainError,
    AskError,
    OSError,
)


def log_error(error: RedisError | OSError) -> CdpError:
    """The error of the log's contract for `error`: LOG_FULL, LOG_NOT_REPLICATED, LOG_UNAVAILABLE or LOG_FAILED."""
    text = str(error)
    if isinstance(error, OutOfMemoryError) or any(word in text for word in _FULL):
        return CdpError(Code.EXHAUSTED, "LOG_FULL", f"the log takes no more bytes: {text}", retry_after_s=5.0)
    if "NOREPLICAS" in text:
        return not_replicated(f"the log has too few replicas: {text}")
    if isinstance(error, _AWAY_TYPES) or text.startswith(_AWAY):
        return unavailable("LOG_UNAVAILABLE", f"the log cannot be used now: {text or type(error).__name__}")
    return CdpError(Code.INTERNAL, "LOG_FAILED", f"the log refused a command: {text}")


def not_replicated(message: str) -> CdpError:
    """A write that was made, but on fewer replicas than asked: not acknowledged; trying again is harmless."""
    return unavailable("LOG_NOT_REPLICATED", message)
