"""The table of errors, to gRPC and HTTP and back."""

from __future__ import annotations

import json

import grpc
import pytest
from google.rpc import status_pb2

from core.errors import CdpError, Code, Violation, conflict, invalid, unavailable
from services.runtime.errors import (
    GRPC_STATUS,
    HTTP_STATUS,
    from_rpc,
    from_unexpected,
    http_response,
    leading_error,
    to_status,
)
from services.runtime.host import Host
from tests.unit.runtime.house import bearer, refusal, rule, segments, toy
from tests.unit.runtime.toys import ToyEngine


def test_every_code_has_one_status_on_each_side() -> None:
    assert set(GRPC_STATUS) == set(HTTP_STATUS) == set(Code)
    assert len(set(GRPC_STATUS.values())) == len(set(HTTP_STATUS.values())) == len(Code)


async def test_every_code_crosses_a_real_server(host: Host) -> None:
    engine = toy(host, ToyEngine)
    async with segments(host) as stub:
        for code in Code:
            told = CdpError(code, f"WHY_{code.name}", "what was wrong", violations=(Violation("a.b", "no"),))
            engine.failure = told
            status, error = await refusal(stub.ConvertRule(rule("raise"), metadata=bearer("read-acme")))
            assert status is GRPC_STATUS[code]
            assert (error.code, error.reason, error.message) == (told.code, told.reason, told.message)
            assert error.violations == told.violations
            assert (error.retry_after_s is None) == (code is not Code.UNAVAILABLE)


@pytest.mark.parametrize("code", list(Code))
def test_http_says_the_same(code: Code) -> None:
    error = CdpError(code, "WHY", "what", violations=(Violation("a[0]", "no"),), retry_after_s=0.2)
    response = http_response(error)
    assert response.status_code == HTTP_STATUS[code]
    assert json.loads(bytes(response.body)) == {
        "success": False,
        "code": code.value,
        "reason": "WHY",
        "message": "what",
        "violations": [{"path": "a[0]", "description": "no"}],
    }
    assert response.headers["retry-after"] == "1"
    assert ("www-authenticate" in response.headers) == (code is Code.UNAUTHENTICATED)
    assert "retry-after" not in http_response(invalid("WHY", "what")).headers
    assert http_response(unavailable("WHY", "what", 2.1)).headers["retry-after"] == "3"


def test_a_status_of_somebody_else_keeps_its_code() -> None:
    trailing = grpc.aio.Metadata(("grpc-status-details-bin", b"\xff\xff no status"), ("other", "x"))
    error = grpc.aio.AioRpcError(grpc.StatusCode.NOT_FOUND, grpc.aio.Metadata(), trailing, "gone")
    assert (from_rpc(error).code, from_rpc(error).reason) == (Code.NOT_FOUND, "PEER_NOT_FOUND")
    late = grpc.aio.AioRpcError(grpc.StatusCode.DEADLINE_EXCEEDED, grpc.aio.Metadata(), grpc.aio.Metadata(), None)
    assert (from_rpc(late).code, from_rpc(late).message) == (Code.UNAVAILABLE, "")
    odd = grpc.aio.AioRpcError(grpc.StatusCode.DATA_LOSS, grpc.aio.Metadata(), grpc.aio.Metadata(), "odd")
    assert from_rpc(odd).code is Code.INTERNAL


def test_a_status_fits_into_metadata() -> None:
    many = tuple(Violation(f"items[{n}]", "ж" * 1000) for n in range(1000))
    status: status_pb2.Status = to_status(CdpError(Code.INVALID, "MANY", "ж" * 100_000, violations=many))
    assert status.ByteSize() < 5_000
    few = to_status(invalid("FEW", "short", *many[:1]))
    assert few.message == "short"


def test_the_leading_error_of_a_group() -> None:
    fenced, bad = conflict("FENCED", "lost"), invalid("BAD", "bad")
    assert leading_error(fenced) is fenced
    assert leading_error(ExceptionGroup("tasks", [ExceptionGroup("inner", [fenced]), bad])) is fenced
    assert leading_error(ExceptionGroup("tasks", [fenced, ValueError("x")])) is None
    assert leading_error(ValueError("x")) is None


def test_an_unexpected_error_keeps_its_text_to_itself() -> None:
    error = from_unexpected(KeyError("a secret"), "here")
    assert (error.code, error.reason) == (Code.INTERNAL, "UNEXPECTED")
    assert "secret" not in error.message
    fenced = conflict("FENCED", "lost")
    assert from_unexpected(ExceptionGroup("tasks", [fenced]), "here") is fenced
    for status, code in ((grpc.StatusCode.UNAVAILABLE, Code.UNAVAILABLE), (grpc.StatusCode.NOT_FOUND, Code.INTERNAL)):
        peer = grpc.aio.AioRpcError(status, grpc.aio.Metadata(), grpc.aio.Metadata(), "10.0.0.1 said no")
        assert from_unexpected(peer, "here").code is code
