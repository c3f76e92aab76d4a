"""One table from error codes to gRPC and HTTP, in both directions. Details cross in the status, never in its text."""

from __future__ import annotations

import grpc
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from starlette.responses import JSONResponse

from core.errors import CdpError, Code, Violation

DOMAIN = "cdp"

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
    """The error as google.rpc.Status with ErrorInfo, and BadRequest and RetryInfo where they apply."""
    details = _packed(error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN))
    if error.violations:
        details += _packed(
            error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(field=v.path, description=v.description)
                    for v in error.violations
                ]
            )
        )
    if error.retry_after_s is not None:
        delay = Duration()
        delay.FromMicroseconds(int(error.retry_after_s * 1e6))
        details += _packed(error_details_pb2.RetryInfo(retry_delay=delay))
    code: int = GRPC_STATUS[error.code].value[0]
    return status_pb2.Status(code=code, message=error.message, details=details)


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
        for detail in status_pb2.Status.FromString(value).details:
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


def http_response(error: CdpError) -> JSONResponse:
    """The error as a JSON answer: {"success": false, "code", "reason", "message", "violations"}."""
    headers = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
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
