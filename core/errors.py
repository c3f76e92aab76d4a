"""The one error type of the platform: eight codes, a stable reason, and the places that are wrong."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Code(Enum):
    """What a caller can do about an error; services map each code to one gRPC status and one HTTP status."""

    INVALID = "invalid"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    EXHAUSTED = "exhausted"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Violation:
    """One wrong place of an input: `path` as the caller wrote it (`batch[3].items[0].price`), and what is wrong."""

    path: str
    description: str


class CdpError(Exception):
    """A refused request or a failed operation.

    `reason` is a stable UPPER_SNAKE identifier that clients may switch on; `message` says what was wrong, where,
    and what to do; `violations` name single fields; `retry_after_s` is set where trying again can help.
    """

    def __init__(
        self,
        code: Code,
        reason: str,
        message: str,
        *,
        violations: tuple[Violation, ...] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.violations = violations
        self.retry_after_s = retry_after_s

    def __repr__(self) -> str:
        return f"CdpError({self.code.value}, {self.reason}: {self.message})"


def invalid(reason: str, message: str, *violations: Violation) -> CdpError:
    """An input that can never succeed as it is."""
    return CdpError(Code.INVALID, reason, message, violations=violations)


def not_found(reason: str, message: str) -> CdpError:
    """A thing that is not there, or is not the caller's: both answer the same."""
    return CdpError(Code.NOT_FOUND, reason, message)


def conflict(reason: str, message: str) -> CdpError:
    """The state of the thing forbids it now (another version, an own reference, a lost lease)."""
    return CdpError(Code.CONFLICT, reason, message)


def unavailable(reason: str, message: str, retry_after_s: float = 1.0) -> CdpError:
    """Not now; the same call may succeed after `retry_after_s` seconds."""
    return CdpError(Code.UNAVAILABLE, reason, message, retry_after_s=retry_after_s)
