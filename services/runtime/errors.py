"""One table from error codes to gRPC and HTTP, in both directions. Details cross in the status, never in its text."""

from __future__ import annotations

import math
import secrets

import grpc
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from starlette.responses import JSONResponse

from core.errors import CdpError, Code, Violation
from services.runtime.durable import disk_full, is_disk_full
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)

DOMAIN = "cdp"

#: A status travels in trailing metadata, of which clients by default take 8 KiB in all, base64 included.
_MESSAGE_BYTES = 600
_VIOLATIONS_BYTES = 3_000

GRPC_STATUS: dict[Code, grpc.StatusCode] = {
    Code.INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Code.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Code.CONFLICT: grpc.StatusCode.FAILED_PRECONDITION,
    Code.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    Code.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    Code.EXHAUSTED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Code.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Code.INTERNAL: grpc.StatusCode.INTERNAL,
}

HTTP_STATUS: dict[Code, int] = {
    Code.INVALID: 400,
    Code.NOT_FOUND: 404,
    Code.CONFLICT: 409,
    Code.UNAUTHENTICATED: 401,
    Code.FORBIDDEN: 403,
    Code.EXHAUSTED: 429,
    Code.UNAVAILABLE: 503,
    Code.INTERNAL: 500,
}

_FROM_GRPC = {status: code for code, status in GRPC_STATUS.items()} | {
    grpc.StatusCode.DEADLINE_EXCEEDED: Code.UNAVAILABLE,
    grpc.StatusCode.CANCELLED: Code.UNAVAILABLE,
    grpc.StatusCode.ABORTED: Code.CONFLICT,
    grpc.StatusCode.ALREADY_EXISTS: Code.CONFLICT,
    grpc.StatusCode.OUT_OF_RANGE: Code.INVALID,
}


def _packed(
    *details: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest | error_details_pb2.RetryInfo,
) -> list[any_pb2.Any]:
    packed = []
    for detail in details:
        holder = any_pb2.Any()
        holder.Pack(detail)
        packed.append(holder)
    return packed


def to_status(error: CdpError) -> status_pb2.Status:
    """The error as google.rpc.Status with ErrorInfo, and BadRequest and RetryInfo where they apply.

    It always fits into what clients accept: a long message is cut, and of many violations the first stand, followed by
    one without a field that says how many more there are.
    """
    details = _packed(error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN))
    if error.violations:
        details += _packed(error_details_pb2.BadRequest(field_violations=_fitting(error.violations)))
    if error.retry_after_s is not None:
        delay = Duration()
        delay.FromMicroseconds(int(error.retry_after_s * 1e6))
        details += _packed(error_details_pb2.RetryInfo(retry_delay=delay))
    code: int = GRPC_STATUS[error.code].value[0]
    return status_pb2.Status(code=code, message=_cut(error.message, _MESSAGE_BYTES), details=details)


def _cut(text: str, limit_bytes: int) -> str:
    """`text` as valid UTF-8 of at most `limit_bytes`; what no UTF-8 can hold becomes a question mark."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= limit_bytes:
        return raw.decode()
    return raw[: limit_bytes - 3].decode("utf-8", "ignore") + "..."


def _fitting(violations: tuple[Violation, ...]) -> list[error_details_pb2.BadRequest.FieldViolation]:
    kept: list[error_details_pb2.BadRequest.FieldViolation] = []
    size = 0
    for violation in violations:
        one = error_details_pb2.BadRequest.FieldViolation(
            field=_cut(violation.path, 300), description=_cut(violation.description, 300)
        )
        size += one.ByteSize() + 4
        if size > _VIOLATIONS_BYTES:
            more = f"and {len(violations) - len(kept)} more"
            return [*kept, error_details_pb2.BadRequest.FieldViolation(description=more)]
        kept.append(one)
    return kept


async def abort(context: grpc.aio.ServicerContext[object, object], error: CdpError) -> None:
    """End the RPC with `error`; raises grpc's abort, so it does not return."""
    status = rpc_status.to_status(to_status(error))
    context.set_trailing_metadata(status.trailing_metadata)
    await context.abort(status.code, status.details)


def from_rpc(error: grpc.aio.AioRpcError) -> CdpError:
    """A peer's answer as the error it was there, with reason, violations and retry hint."""
    code = _FROM_GRPC.get(error.code(), Code.INTERNAL)
    reason = "PEER_" + error.code().name
    violations: tuple[Violation, ...] = ()
    retry_after_s: float | None = 1.0 if code is Code.UNAVAILABLE else None
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin" or not isinstance(value, bytes):
            continue
        try:
            details = status_pb2.Status.FromString(value).details
        except DecodeError:
            continue  # a proxy's, not ours: the code still speaks
        for detail in details:
            info, bad, retry = (
                error_details_pb2.ErrorInfo(),
                error_details_pb2.BadRequest(),
                error_details_pb2.RetryInfo(),
            )
            if detail.Unpack(info):
                reason = info.reason
            elif detail.Unpack(bad):
                violations = tuple(Violation(v.field, v.description) for v in bad.field_violations)
            elif detail.Unpack(retry):
                retry_after_s = retry.retry_delay.ToMicroseconds() / 1e6
    return CdpError(code, reason, error.details() or "", violations=violations, retry_after_s=retry_after_s)


def from_unexpected(error: Exception, where: str) -> CdpError:
    """What a caller may know of an exception that nobody foresaw; the trace goes to the log under the same number.

    A peer that is away is UNAVAILABLE with the peer's reason, a full disk EXHAUSTED / DISK_FULL,
    everything else INTERNAL / UNEXPECTED.
    """
    known = leading_error(error)
    if known is None and isinstance(error, grpc.aio.AioRpcError):
        peer = from_rpc(error)
        known = peer if peer.code is Code.UNAVAILABLE else None
    if known is not None:
        return known
    if is_disk_full(error):
        _LOG.error("the disk is full", where=where)
        return disk_full()
    number = secrets.token_hex(4)
    _LOG.error("unexpected error", where=where, number=number, exc_info=error)
    return CdpError(Code.INTERNAL, "UNEXPECTED", f"an unexpected error; our log knows it as {number}")


def leading_error(error: BaseException) -> CdpError | None:
    """`error` itself, or the first of a group that holds only CdpErrors (a TaskGroup's end); None for all else."""
    if isinstance(error, CdpError):
        return error
    if not isinstance(error, BaseExceptionGroup):
        return None
    leading = [leading_error(one) for one in error.exceptions]
    return leading[0] if None not in leading else None


def http_response(error: CdpError) -> JSONResponse:
    """The error as a JSON answer: {"success": false, "code", "reason", "message", "violations"}."""
    headers = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    if error.code is Code.UNAUTHENTICATED:
        headers["WWW-Authenticate"] = 'Basic realm="cdp"'
    return JSONResponse(
        {
            "success": False,
            "code": error.code.value,
            "reason": error.reason,
            "message": error.message,
            "violations": [{"path": v.path, "description": v.description} for v in error.violations],
        },
        status_code=HTTP_STATUS[error.code],
        headers=headers,
    )
